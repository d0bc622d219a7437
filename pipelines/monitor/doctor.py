"""Checks of an installation, each with the next step where something is wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from pipelines.errors import SettingsError
from pipelines.exit_codes import BUSY, DISK, REFUSED, UNAVAILABLE, USAGE
from pipelines.files import expect_trusted
from pipelines.logs import say
from pipelines.monitor.accounts import look_at_accounts
from pipelines.monitor.health import (
    SEE_PROBLEMS,
    SEE_SETTINGS,
    HealthIssue,
    diagnose,
    foreign_copies,
    print_issue,
    worst,
)
from pipelines.monitor.settings_inventory import look_at_settings, shown_settings
from pipelines.monitor.status import read_status
from pipelines.run.destination import publish_settings, warehouse_place
from pipelines.run.settings import source_settings
from pipelines.times import format_duration
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.errors import InsightsError, RefusedError
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.twilio_insights.settings import Settings
from pipelines.warehouse.copy.folder import FILE, other_owner
from pipelines.warehouse.copy.opened import open_copy
from pipelines.warehouse.database import StatementError
from pipelines.warehouse.duckdb_database import DuckDb
from pipelines.warehouse.file.integrity import read_all, unused_share
from pipelines.warehouse.file.warehouse_file import expect_folder, inspect_warehouse
from pipelines.warehouse.status_files import StatusFiles
from pipelines.warehouse.warehouse import BusyError, Place, WarehouseError

RETRY_BUDGET = "5s"
"""How long requests are retried: somebody is waiting for the answer."""
MAX_CLOCK_ERROR = timedelta(seconds=60)
MAX_AGE = timedelta(days=1)
MIN_FREE_RATIO, MIN_FREE_BYTES = 2.0, 100e6
"""Free space that a run and its copy need: twice the warehouse, and never less than 100 MB."""
MAX_UNUSED_SHARE = 0.3
"""Compacting is worth it when more of the file than this is unused."""


def examine() -> int:
    """Print all settings and findings; return the exit code of the most severe.

    Nothing is changed, and the API is only asked with GET.
    """
    for setting in shown_settings():
        say(f"{setting.name} = {setting.value}  ({setting.origin})")
    seen = set[HealthIssue]()
    for finding in _look():
        if finding not in seen:  # the status may have it too
            print_issue(finding)
        seen.add(finding)
    return worst(seen)


def _look() -> Iterator[HealthIssue]:
    yield from look_at_settings()
    yield from _look_at_versions()
    asks_accounts = False
    try:
        settings = source_settings()
        asks_accounts = settings.accounts != "own"
    except SettingsError as error:
        yield HealthIssue("fail", str(error), SEE_SETTINGS, USAGE)
    else:
        yield from _look_at_api(settings)
    try:
        place = warehouse_place()
        directory = publish_settings(place).directory
    except SettingsError as error:
        yield HealthIssue("fail", str(error), SEE_SETTINGS, USAGE)
        return
    if place.path and directory:
        yield from _look_at_disk(place.path)
        yield from _look_at_warehouse(place.path, directory)
    else:
        found = list(_look_at_server(place))
        yield from found
        if worst(found):
            return  # nor can it tell what its runs have left
    try:
        status = read_status(place, datetime.now(UTC))
        yield from diagnose(status, MAX_AGE if status["last_run"] else None, asks_accounts)
    except (WarehouseError, SettingsError) as error:
        next_step = "delete that file if no run can" if place.path else SEE_PROBLEMS
        yield HealthIssue("fail", str(error), next_step, error.exit_code)
    if place.path and directory:
        yield from _look_at_copy(directory, place.path)


def _look_at_versions() -> Iterator[HealthIssue]:
    """Installed versions against the bounds that the project was tested with."""
    versions = []
    for requirement in map(Requirement, requires("conference-insights") or ()):
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        installed = version(requirement.name)
        versions.append(f"{requirement.name} {installed}")
        if not requirement.specifier.contains(installed, prereleases=True):
            yield HealthIssue(
                "fail",
                f"{requirement.name} {installed} is installed, which breaks this program: it needs "
                f"{requirement.specifier}",
                f"pip install '{requirement.name}{requirement.specifier}'",
                USAGE,
            )
    yield HealthIssue(
        "ok",
        f"Versions: conference-insights {version('conference-insights')}, {', '.join(versions)}",
    )


def _look_at_api(settings: Settings) -> Iterator[HealthIssue]:
    settings.retry_budget = RETRY_BUDGET
    kind = "API key" if settings.api_key_sid else "auth token"
    features: bool | None = None
    try:
        with InsightsClient(settings) as client:
            with suppress(RefusedError):  # a restricted key may still list
                features = client.advanced_features()
            try:
                now = datetime.now(UTC)
                next(client.list_pages(CONFERENCES, now - timedelta(seconds=1), now))
            except RefusedError as error:
                refusal = _refusal(error, kind, features)
                if settings.accounts == "own":
                    yield refusal
                    return
                features = None  # it is told
                yield replace(refusal, level="warn", code=0)  # others may answer
            else:
                yield HealthIssue("ok", f"Twilio accepts the {kind} of {settings.account_sid}")
            skew = client.now() - datetime.now(UTC)
            if settings.accounts != "own":
                yield from look_at_accounts(client, _failures())
    except (InsightsError, SettingsError) as error:
        code = USAGE if isinstance(error, SettingsError) else UNAVAILABLE
        yield HealthIssue("fail", str(error), "check base_url, the network and the proxy", code)
        return
    if features is False:
        yield _refusal(None, kind, features)
    if abs(skew) > MAX_CLOCK_ERROR:
        yield HealthIssue(
            "warn",
            f"This machine's clock is {format_duration(abs(skew))} "
            f"{'behind' if skew > MAX_CLOCK_ERROR else 'ahead'}",
            "set the clock, for example with systemd-timesyncd or chrony",
        )


def _failures() -> list[dict[str, Any]]:
    """The accounts that the last run could not read."""
    with suppress(SettingsError, WarehouseError):
        status = read_status(warehouse_place(), datetime.now(UTC))
        return [*status["accounts"].get("failures", ())]
    return []


def _refusal(error: RefusedError | None, kind: str, features: bool | None) -> HealthIssue:
    """Distinguish a feature that is off from wrong credentials."""
    if features is False:
        return HealthIssue(
            "fail",
            "Voice Insights Advanced Features is off for this account",
            "switch it on in the Twilio Console (it is paid); it works for calls from then on",
            REFUSED,
        )
    if features:
        message = f"Twilio accepts the {kind} and Advanced Features is on, but: {error}"
        return HealthIssue("fail", message, "give the key access to Voice Insights", REFUSED)
    return HealthIssue(
        "fail", f"The {kind} is refused. {error}", "check it, and the region", REFUSED
    )


def _look_at_disk(path: Path) -> Iterator[HealthIssue]:
    folder = path.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield HealthIssue("fail", f"{folder} cannot be written", "create it, or chown it", DISK)
        return
    free, size = shutil.disk_usage(folder).free, path.stat().st_size if path.exists() else 0
    message = f"{free / 1e6:,.0f} MB are free on the disk of {folder}"
    if free < MIN_FREE_BYTES:
        yield HealthIssue("fail", message, "make room", DISK)
    elif free < MIN_FREE_RATIO * size:
        yield HealthIssue("warn", f"{message}, less than twice the warehouse", "make room")
    else:
        yield HealthIssue("ok", message)


def _look_at_warehouse(path: Path, directory: Path) -> Iterator[HealthIssue]:
    try:
        StatusFiles(path).require_existing_warehouse(directory)
        if not path.exists():
            expect_folder(path)
            expect_trusted(path)
            yield HealthIssue("ok", f"There is no {path} yet; the first run creates it")
            return
        with inspect_warehouse(path) as database:
            yield from _read_all(database, path)
    except BusyError as error:
        yield HealthIssue("warn", f"Not checked: {error}", "wait until it is free", BUSY)
    except (WarehouseError, OSError) as error:
        yield HealthIssue("fail", str(error), SEE_PROBLEMS, DISK)
    set_aside = path.with_name(f"{path.name}.dlt") / "set_aside"
    if set_aside.exists():
        yield HealthIssue("warn", f"{set_aside} holds leftovers of stopped runs", "delete it")


def _look_at_server(place: Place) -> Iterator[HealthIssue]:
    try:
        place.expect_usable()
        with place.read() as database:
            found = database.query("SELECT count(*) FROM {conference_summaries}")
    except (WarehouseError, SettingsError) as error:
        step = "check the server, its address and the role of the credentials"
        yield HealthIssue("fail", str(error), step, error.exit_code)
    else:
        has = f"has {found[0][0]:,} conferences" if found else "nothing is loaded there yet"
        yield HealthIssue("ok", f"{place} answers, and {has}")


def _read_all(database: DuckDb, path: Path) -> Iterator[HealthIssue]:
    try:
        tables = read_all(database)
    except StatementError as error:
        reason = str(error).splitlines()[0]
        yield HealthIssue(
            "fail",
            f"{path} is damaged: {reason}",
            "restore a backup, see pipelines/operations.md, Backup and restore",
            DISK,
        )
        return
    yield HealthIssue("ok", f"{path} is intact: {tables} tables read by DuckDB {version('duckdb')}")
    if (share := unused_share(database)) > MAX_UNUSED_SHARE:
        yield HealthIssue(
            "warn",
            f"{share:.0%} of the file is free space",
            "see pipelines/operations.md, Compact",
        )


def _look_at_copy(directory: Path, warehouse: Path) -> Iterator[HealthIssue]:
    copy = directory / "current" / FILE
    if other := other_owner(directory, warehouse):
        yield foreign_copies(directory, other)
        return
    if not copy.exists():
        return
    try:
        expect_trusted(copy.parent)
    except OSError as error:
        yield HealthIssue("fail", str(error), SEE_PROBLEMS, DISK)
    closed = [folder for folder in copy.resolve().parents if not folder.stat().st_mode & 0o001]
    if closed:
        yield HealthIssue(
            "warn",
            f"A BI server running as another user cannot enter {closed[-1]}",
            f"chmod o+x {closed[-1]}, or set PUBLISH__DIRECTORY",
        )
    try:
        with open_copy(copy) as database:
            read_all(database)
            ((as_of,),) = database.execute("SELECT as_of FROM analytics.data_as_of")
    except StatementError as error:
        reason = str(error).splitlines()[0]
        yield HealthIssue(
            "fail", f"{copy} cannot be read: {reason}", "run `conference-insights publish`", DISK
        )
    else:
        yield HealthIssue("ok", f"{copy} is intact, and complete until {as_of} UTC")
