"""What follows a load: views, checks, and the copy that BI tools read."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pipelines.run.destination import PublishSettings, publish_settings, warehouse_path
from pipelines.run.migrations import migrate_tables
from pipelines.twilio_insights.tables import TABLES
from pipelines.warehouse.changed import CannotRenewError, Changed
from pipelines.warehouse.checks import ChecksError, has_failed, run_checks
from pipelines.warehouse.database import DATASET, StatementError
from pipelines.warehouse.file import open_warehouse
from pipelines.warehouse.publish import PublishedCopies
from pipelines.warehouse.runs import prepare_runs
from pipelines.warehouse.status_files import StatusFiles
from pipelines.warehouse.views import Description, apply_views, read_columns
from pipelines.warehouse.warehouse import Warehouse, WarehouseError

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
    """
    if f"{DATASET}._dlt_loads" not in warehouse.columns(DATASET):
        return None
    begin("views")
    with warehouse.alone():
        digest = apply_views(warehouse, DESCRIPTIONS, settings.timezone, rebuild)
    if only_views:
        return None
    copies, told = warehouse.copies(settings.directory, _left_out(settings), digest), set[str]()
    if copies is None:
        _check(warehouse, now, None, begin, told)
        return None
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
    failed, or else what has changed."""
    failing = has_failed(warehouse)
    if rebuild or failing or not copies.are_current:
        is_some = copies.are_of_this_hour and not rebuild and not failing
        _check(warehouse, now, copies.changed if is_some else None, begin, told)
    begin("publish")
    try:
        return copies.publish(rebuild)
    except (OSError, StatementError) as error:
        raise PublishError(
            f"All is loaded, but no copy was published to {settings.directory}: {error}"
        ) from None


def _check(
    warehouse: Warehouse,
    now: datetime,
    changed: Changed | None,
    begin: Callable[[str], None],
    told: set[str],
) -> None:
    """Make the checks, of all or of what has changed. What was `told` is not told again."""
    begin("checks")
    with warehouse.alone():
        findings = run_checks(warehouse, now, changed.of if changed else None)
    lines = [f"{finding.check.level.upper()}: {finding}" for finding in findings]
    for line in [line for line in lines if line not in told]:
        log.warning("%s", line)
    told.update(lines)
    if failed := [finding for finding in findings if finding.check.level == "fail"]:
        raise ChecksError(
            f"{len(failed)} check{'s' * (len(failed) > 1)} failed, see analytics.checks; "
            f"nothing was published. {failed[0]}"
        )


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
        prepare_runs(warehouse)
        migrate_tables(warehouse)  # an earlier version may have loaded it
        try:
            published = run_post_load(warehouse, settings, datetime.now(UTC), rebuild=True)
        finally:
            StatusFiles(path).renew(warehouse, settings.directory)
    if published is None:
        raise nothing
    return published
