"""What follows a load: views, checks, and the copy that BI tools read."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import dlt
import duckdb
from dlt.common.configuration.exceptions import ConfigurationValueError

from pipelines.twilio_insights.tables import TABLES
from pipelines.warehouse.checks import ChecksError, run_checks
from pipelines.warehouse.file import (
    DATASET,
    Warehouse,
    WarehouseError,
    open_warehouse,
    warehouse_path,
)
from pipelines.warehouse.publish import CannotRenewError, Copies
from pipelines.warehouse.published import make_folder
from pipelines.warehouse.runs import prepare_runs, renew_status
from pipelines.warehouse.views import Description, apply_views, read_columns

log = logging.getLogger("conference_insights")

DESCRIPTIONS = {
    table.name: Description(
        f"{table.grain.capitalize()}.", {c.name: c.description for c in table.columns}
    )
    for table in TABLES
}


class PublishError(WarehouseError):
    """Everything is loaded, but there is no new copy; the former stays."""


@dataclass(frozen=True)
class DeliverySettings:
    """`timezone` is the zone of days and hours; `directory` has the copies; without
    `personal_data` the copies lack the columns that are marked as personal."""

    timezone: str
    directory: Path
    personal_data: bool

    @classmethod
    def read(cls, warehouse: Path) -> DeliverySettings:
        """From `report_timezone` and the section `publish` of dlt's configuration.

        Raises:
            ConfigurationValueError: one is wrong.
        """
        timezone = str(dlt.config.get("report_timezone") or "UTC")
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ConfigurationValueError(
                f"report_timezone: {timezone!r} is no time zone; write an IANA name such as "
                "Europe/Berlin"
            ) from None
        directory = Path(dlt.config.get("publish.directory") or warehouse.with_name("published"))
        personal: Any = dlt.config.get("publish.personal_data", bool)
        if personal not in (None, True, False):
            raise ConfigurationValueError("publish.personal_data: write true or false")
        return cls(timezone, directory.expanduser().absolute(), personal is not False)

    @property
    def left_out(self) -> frozenset[str]:
        """Names of the columns that are not published."""
        if self.personal_data:
            return frozenset()
        ours = (name for name, column in read_columns().items() if column.get("personal"))
        return frozenset(ours) | {c.name for t in TABLES for c in t.columns if c.personal}


def deliver(
    warehouse: Warehouse,
    settings: DeliverySettings,
    now: datetime,
    begin: Callable[[str], None] = lambda _: None,
    rebuild: bool = False,
    only_views: bool = False,
) -> Path | None:
    """Make views and checks, and publish a copy if no check fails; its file.

    Checks are made when more than the history of runs has changed since the last copy. `begin` is
    told each step. Nothing is done in a warehouse that nothing was loaded into.

    Raises:
        ViewError: a view does not run.
        ChecksError: the data is not sound; the former copy stays.
        PublishError: the copy could not be written.
    """
    tables = warehouse.connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE schema_name = ?", [DATASET]
    ).fetchall()
    if ("conference_summaries",) not in tables:
        return None
    begin("views")
    digest = apply_views(warehouse.connection, DESCRIPTIONS, settings.timezone, rebuild)
    if only_views:
        return None
    copies = Copies(warehouse.connection, settings.directory, settings.left_out, digest)
    try:
        return _publish(copies, warehouse, settings, now, begin, rebuild)
    except CannotRenewError:
        return _publish(copies, warehouse, settings, now, begin, rebuild=True)


def _publish(
    copies: Copies,
    warehouse: Warehouse,
    settings: DeliverySettings,
    now: datetime,
    begin: Callable[[str], None],
    rebuild: bool,
) -> Path:
    """Make the checks, of all once an hour and else of what has changed, and a copy."""
    if rebuild or not copies.are_current:
        begin("checks")
        some = copies.changed if copies.are_of_this_hour and not rebuild else None
        findings = run_checks(warehouse.connection, now, some.of if some else None)
        for finding in findings:
            log.warning("%s: %s", finding.check.level.upper(), finding)
        if failed := [finding for finding in findings if finding.check.level == "fail"]:
            raise ChecksError(
                f"{len(failed)} check{'s' * (len(failed) > 1)} failed, see analytics.checks; "
                f"nothing was published. {failed[0]}"
            )
    begin("publish")
    try:
        _claim(settings.directory, warehouse.path)
        return copies.publish(rebuild)
    except (OSError, duckdb.Error) as error:
        raise PublishError(
            f"All is loaded, but no copy was published to {settings.directory}: {error}"
        ) from None


def _claim(directory: Path, warehouse: Path) -> None:
    """Two warehouses would take turns in one folder, so the first keeps it."""
    owner, name = directory / "warehouse.txt", os.path.relpath(warehouse, directory)
    other = owner.read_text() if owner.exists() else ""
    if not other:
        make_folder(directory)
        new = owner.with_name(f"{owner.name}.{os.getpid()}")
        new.write_text(name)
        new.replace(owner)
    elif other != name:
        raise OSError(f"it has the copies of {other}; set PUBLISH__DIRECTORY to another folder")


def publish_now() -> Path:
    """Publish the warehouse as it is, built from nothing, without the API; the copy's file.

    Raises:
        WarehouseError: there is none, or it cannot be used.
        BusyError: it is held by a run or another program.
        ConfigurationException, ViewError, ChecksError, PublishError: as in a run.
    """
    path = warehouse_path()
    settings = DeliverySettings.read(path)
    nothing = WarehouseError(f"Nothing is loaded in {path} yet: run `conference-insights run`")
    if not path.exists():
        raise nothing
    with open_warehouse(path) as warehouse:
        prepare_runs(warehouse.connection)
        published = deliver(warehouse, settings, datetime.now(UTC), rebuild=True)
        renew_status(warehouse, settings.directory)
    if published is None:
        raise nothing
    return published
