"""What follows a load: views, checks, and the copy that BI tools read."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from pathlib import Path

from pipelines.run.destination import (
    PublishSettings,
    expect_existing,
    nothing_in,
    publish_settings,
    warehouse_place,
)
from pipelines.run.erasures import erased_state, finish_erasures
from pipelines.run.migrations import migrate_tables
from pipelines.run.personal_switch import rewrite_personal_data
from pipelines.run.settings import personal_data
from pipelines.twilio_insights.tables import TABLES
from pipelines.warehouse.checks import Check, ChecksError, has_failed, run_checks
from pipelines.warehouse.copy.changed import OF_PENDING, CannotRenewError
from pipelines.warehouse.copy.folder import seal_of
from pipelines.warehouse.copy.publishing import PublishedCopies
from pipelines.warehouse.database import DATASET, PIPELINE, Database, StatementError
from pipelines.warehouse.file.warehouse_file import DuckDbWarehouse
from pipelines.warehouse.runs import prepare_runs
from pipelines.warehouse.status_files import StatusFiles
from pipelines.warehouse.views import Description, apply_views, read_columns
from pipelines.warehouse.warehouse import Place, Warehouse, WarehouseError

log = logging.getLogger("conference_insights")

DESCRIPTIONS = {
    table.name: Description(
        f"{table.grain[0].upper()}{table.grain[1:]}.", {c.name: c.comment for c in table.columns}
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
    """Make views and checks, and publish a copy if no check fails; its file. There is none
    where nothing was loaded yet, and where readers query the warehouse itself.

    Checks are made when more than the history of runs has changed since the last copy. `begin` is
    called with the name of each step.

    Raises:
        ViewError: a view does not run.
        ChecksError: the data is not sound; the former copy stays.
        PublishError: the copy could not be written.
        LakeError, BusyError: the lake could not.
    """
    if not is_loaded(warehouse):
        return None
    begin("views")
    with warehouse.alone():
        digest = apply_views(warehouse, DESCRIPTIONS, settings.timezone, rebuild)
    if only_views:
        return None
    told = set[str]()
    if not isinstance(warehouse, DuckDbWarehouse) or settings.directory is None:
        _check(warehouse, now, begin, told, settings.checks)
        return None
    copies = _copies(warehouse, settings, settings.directory, digest)
    try:
        return _publish(copies, warehouse, settings, now, begin, rebuild, told)
    except CannotRenewError:
        return _publish(copies, warehouse, settings, now, begin, True, told)


def forget_former(warehouse: Warehouse, settings: PublishSettings) -> None:
    """Leave nothing of what was deleted or overwritten, wherever it was kept: in the warehouse's
    file, in copies and versions of the lake, in dlt's files. Copy and lake are made anew, also if
    a check fails.

    Raises:
        WarehouseError, ViewError, PublishError, LakeError, BusyError: something could not be
            written; to begin again finds what is left.
    """
    for name in (PIPELINE, "set_aside"):
        try:
            shutil.rmtree(warehouse.working_folder / name)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise WarehouseError(f"{error.filename} cannot be deleted: {error.strerror}") from None
    with warehouse.alone():
        apply_views(warehouse, DESCRIPTIONS, settings.timezone)
        run_checks(warehouse, datetime.now(UTC))  # what _checks quotes may be erased now
        warehouse.scrub()
        digest = apply_views(warehouse, DESCRIPTIONS, settings.timezone)
    if isinstance(warehouse, DuckDbWarehouse) and settings.directory:
        copies = _copies(warehouse, settings, settings.directory, digest)
        _write_copies(copies, warehouse, settings, lambda _: None, rebuild=True, forget=True)


def is_loaded(warehouse: Database) -> bool:
    return f"{DATASET}._dlt_loads" in warehouse.columns(DATASET)


def _copies(
    warehouse: DuckDbWarehouse, settings: PublishSettings, directory: Path, digest: str
) -> PublishedCopies:
    return PublishedCopies(
        warehouse.connection,
        directory,
        personal=_left_out(settings),
        sql_digest=digest,
        erased=erased_state(warehouse, settings.stored),
        warehouse=warehouse.path,
        seal=seal_of(warehouse.path),
    )


def _publish(
    copies: PublishedCopies,
    warehouse: DuckDbWarehouse,
    settings: PublishSettings,
    now: datetime,
    begin: Callable[[str], None],
    rebuild: bool,
    told: set[str],
) -> Path:
    """Make the checks and a copy. All rows are checked before the first copy of a day, and as long
    as a check fails; otherwise only the rows that changed."""
    failing = has_failed(warehouse)
    if rebuild or failing or not copies.are_current:
        is_partial = copies.are_of_this_day and not rebuild and not failing
        changed = copies.changed if is_partial else None

        def sql_of(check: Check) -> str:
            is_of_changed = check.level == "fail" or check.name in OF_PENDING
            rows = changed if changed and is_of_changed else copies.staging
            return rows.of(check.sql)

        _check(warehouse, now, begin, told, settings.checks, sql_of)
    return _write_copies(copies, warehouse, settings, begin, rebuild)


def _write_copies(
    copies: PublishedCopies,
    warehouse: DuckDbWarehouse,
    settings: PublishSettings,
    begin: Callable[[str], None],
    rebuild: bool,
    forget: bool = False,
) -> Path:
    """Make a copy, and bring the lake up to date; `forget` all earlier ones."""
    begin("publish")
    try:
        copy = copies.publish(rebuild, forget)
    except (OSError, StatementError) as error:
        raise PublishError(
            f"All is loaded, but no copy was published to {settings.directory}: {error}"
        ) from None
    if settings.lake:
        from pipelines.warehouse.lake.publishing import publish_lake  # few have one

        begin("lake")
        publish_lake(
            warehouse.connection,
            warehouse.path,
            settings.lake,
            settings.personal_data,
            erased_state(warehouse, settings.stored),
            rebuild,
            forget,
        )
    return copy


def _check(
    warehouse: Warehouse,
    now: datetime,
    begin: Callable[[str], None],
    told: set[str],
    optional: Collection[str],
    sql_of: Callable[[Check], str] = attrgetter("sql"),
) -> None:
    """Make the checks, by this SQL. What was `told` is not told again; the `optional` ones are made
    too."""
    begin("checks")
    with warehouse.alone():
        findings = run_checks(warehouse, now, sql_of, optional)
    lines = [f"{finding.check.level.upper()}: {finding}" for finding in findings]
    for line in [line for line in lines if line not in told]:
        log.warning("%s", line)
    told.update(lines)
    if failed := [finding for finding in findings if finding.check.level == "fail"]:
        kept = "; nothing was published" if isinstance(warehouse, DuckDbWarehouse) else ""
        raise ChecksError(
            f"{len(failed)} check{'s' if len(failed) > 1 else ''} failed{kept}; "
            f"see `conference-insights status`. {failed[0]}"
        )


def _left_out(settings: PublishSettings) -> frozenset[str]:
    """Names of the columns that are not published."""
    if settings.personal_data:
        return frozenset()
    ours = (name for name, column in read_columns().items() if column.get("personal"))
    return frozenset(ours) | {c.name for t in TABLES for c in t.columns if c.personal}


def publish_now() -> Path | Place:
    """Publish the warehouse as it is, rebuilt in full, without the API: the copy's file, or a
    server with its views made again.

    Raises:
        WarehouseError: there is none, or it cannot be used.
        BusyError: it is held by a run or another program.
        SettingsError, ViewError, ChecksError, PublishError: as in a run.
    """
    place = warehouse_place()
    settings, personal, path = publish_settings(place), personal_data(), place.path
    expect_existing(place)
    with place.open() as warehouse:
        if not is_loaded(warehouse):
            raise nothing_in(place)
        with warehouse.alone():
            prepare_runs(warehouse)
            migrate_tables(warehouse)  # an earlier version may have loaded it
        forget = partial(forget_former, warehouse, settings)
        finish_erasures(warehouse, forget)
        rewrite_personal_data(warehouse, personal, forget)
        try:
            published = run_post_load(warehouse, settings, datetime.now(UTC), rebuild=True)
        finally:
            if path:
                StatusFiles(path).renew(warehouse, settings.directory)
    return published or place
