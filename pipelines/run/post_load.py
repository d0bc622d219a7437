"""What follows a load: views, checks, and the copy that BI tools read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from pipelines.run.migrations import migrate_tables
from pipelines.run.settings import PublishSettings, publish_settings, warehouse_path
from pipelines.twilio_insights.tables import TABLES
from pipelines.warehouse.changed import CannotRenewError
from pipelines.warehouse.checks import ChecksError, has_failed, run_checks
from pipelines.warehouse.file import (
    DATASET,
    Warehouse,
    WarehouseError,
    open_warehouse,
)
from pipelines.warehouse.lake import publish_lake
from pipelines.warehouse.publish import PublishedCopies
from pipelines.warehouse.published import adopt_former, claim
from pipelines.warehouse.runs import prepare_runs, renew_status
from pipelines.warehouse.views import Description, apply_views, read_columns

log = logging.getLogger("conference_insights")

DESCRIPTIONS = {
    table.name: Description(
        f"{table.grain.capitalize()}.", {c.name: c.comment for c in table.columns}
    )
    for table in TABLES
}


class PublishError(WarehouseError):
    """Everything is loaded, but there is no new copy; the former stays."""


def run_post_load(
    warehouse: Warehouse,
    settings: PublishSettings,
    now: datetime,
    begin: Callable[[str], None] = lambda _: None,
    rebuild: bool = False,
    only_views: bool = False,
) -> Path | None:
    """Make views and checks, and publish a copy if no check fails; its file.

    Checks are made when more than the history of runs has changed since the last copy. `begin` is
    called with the name of each step. Nothing is done in a warehouse that nothing was loaded into.

    Raises:
        ViewError: a view does not run.
        ChecksError: the data is not sound; the former copy stays.
        PublishError: the copy could not be written.
        LakeError, BusyError: the lake could not.
    """
    tables = warehouse.connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = ?", [DATASET]
    ).fetchall()
    if ("_dlt_loads",) not in tables:
        return None
    begin("views")
    digest = apply_views(warehouse.connection, DESCRIPTIONS, settings.timezone, rebuild)
    if only_views:
        return None
    with suppress(OSError):  # which shows when it is written
        adopt_former(settings.directory, warehouse.path)
    seal = warehouse.working_folder / "published.txt"
    copies = PublishedCopies(
        warehouse.connection, settings.directory, _left_out(settings), digest, seal
    )
    told = set[str]()
    try:
        return _publish(copies, warehouse, settings, now, begin, rebuild, told)
    except CannotRenewError:
        return _publish(copies, warehouse, settings, now, begin, True, told)


def _publish(
    copies: PublishedCopies,
    warehouse: Warehouse,
    settings: PublishSettings,
    now: datetime,
    begin: Callable[[str], None],
    rebuild: bool,
    told: set[str],
) -> Path:
    """Make the checks and a copy. What is checked is all, once an hour and as long as a check has
    failed, or else what has changed. What was `told` already is not told again."""
    failing = has_failed(warehouse.connection)
    if rebuild or failing or not copies.are_current:
        begin("checks")
        is_some = copies.are_of_this_hour and not rebuild and not failing
        some = copies.changed if is_some else None
        findings = run_checks(warehouse.connection, now, some.of if some else None)
        lines = [f"{finding.check.level.upper()}: {finding}" for finding in findings]
        for line in [line for line in lines if line not in told]:
            log.warning("%s", line)
        told.update(lines)
        if failed := [finding for finding in findings if finding.check.level == "fail"]:
            raise ChecksError(
                f"{len(failed)} check{'s' * (len(failed) > 1)} failed, see analytics.checks; "
                f"nothing was published. {failed[0]}"
            )
    begin("publish")
    try:
        claim(settings.directory, warehouse.path)
        copy = copies.publish(rebuild)
    except (OSError, duckdb.Error) as error:
        raise PublishError(
            f"All is loaded, but no copy was published to {settings.directory}: {error}"
        ) from None
    if settings.lake:
        begin("lake")
        where = warehouse.connection, warehouse.path, settings.lake
        publish_lake(*where, settings.personal_data, rebuild)
    return copy


def _left_out(settings: PublishSettings) -> frozenset[str]:
    """Names of the columns that are not published."""
    if settings.personal_data:
        return frozenset()
    ours = (name for name, column in read_columns().items() if column.get("personal"))
    return frozenset(ours) | {c.name for t in TABLES for c in t.columns if c.personal}


def publish_now() -> Path:
    """Publish the warehouse as it is, built from nothing, without the API; the copy's file.

    Raises:
        WarehouseError: there is none, or it cannot be used.
        BusyError: it is held by a run or another program.
        SettingsError, ViewError, ChecksError, PublishError: as in a run.
    """
    path = warehouse_path()
    settings = publish_settings(path)
    nothing = WarehouseError(f"Nothing is loaded in {path} yet: run `conference-insights run`")
    if not path.exists():
        raise nothing
    with open_warehouse(path) as warehouse:
        prepare_runs(warehouse.connection)
        migrate_tables(warehouse.connection)  # an earlier version may have loaded it
        try:
            published = run_post_load(warehouse, settings, datetime.now(UTC), rebuild=True)
        finally:
            renew_status(warehouse, settings.directory)
    if published is None:
        raise nothing
    return published
