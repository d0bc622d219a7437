"""One run: finish what a killed run left, list and load package by package, deliver."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigurationException, ConfigurationValueError
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.utils import get_resolved_traces
from dlt.common.runtime.telemetry import stop_telemetry

from pipelines.configured import find_unknown
from pipelines.delivery import DeliverySettings, deliver
from pipelines.left_package import PIPELINE, open_pipeline, true_cause
from pipelines.times import as_utc, iso_seconds, parse_moment
from pipelines.twilio_insights import (
    InsightsClient,
    Progress,
    TwilioInsightsConfiguration,
    Window,
    twilio_insights,
)
from pipelines.twilio_insights.errors import InsightsError, UnavailableError
from pipelines.twilio_insights.pages import WATERMARKS
from pipelines.twilio_insights.settings import RETENTION, SOON
from pipelines.twilio_insights.stored import StoredSummaries
from pipelines.warehouse.file import (
    DATASET,
    Warehouse,
    as_warehouse_error,
    open_warehouse,
    warehouse_path,
)
from pipelines.warehouse.runs import RunRecord, expect_warehouse

log = logging.getLogger("conference_insights")

PACKAGE_ROWS = 50_000
"""A long catch-up advances in load packages of about so many summaries."""

DLT_SETTINGS: dict[str, Any] = {
    "runtime.dlthub_telemetry": False,  # nothing leaves this machine but requests to Twilio
    "runtime.log_level": "CRITICAL",  # what goes wrong is raised, and told once
    "runtime.intercept_signals": False,  # a signal ends a run at a window edge, not inside a load
    "enable_runtime_trace": False,  # it would repeat error texts in a file, and takes time
    "load.workers": 1,  # DuckDB uses all cores for one statement; more only cost memory
    "load.delete_completed_jobs": True,  # else every package stays on disk, with what it loaded
    "load.truncate_staging_dataset": True,  # else the last package stays in the warehouse twice
    "load.auto_abort_on_terminal_error": True,  # else a package that can never load blocks all
    "sources.data_writer.buffer_max_items": 20_000,  # rows of a Parquet row group
}
"""Set wherever the user set nothing: a wheel or a cron job sees no `.dlt/config.toml`."""


class StillPendingError(Exception):
    """The time was up before everything was final."""


@dataclass(frozen=True)
class Polling:
    """How `--until-complete` asks again."""

    every: timedelta
    timeout: timedelta


@dataclass(frozen=True)
class Backfill:
    """What to read again: a range, given as dates, times or ages, or single conferences."""

    since: str = "30d"
    until: str = "0d"
    conferences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is empty at any time, before the API is asked what time it is.

        Raises:
            ConfigurationValueError: `since` is not before `until`.
        """
        times = (datetime(year, 1, 1, tzinfo=UTC) for year in (2000, 2100))
        if all(parse_moment(self.since, at) >= parse_moment(self.until, at) for at in times):
            until = "now" if self.until == "0d" else self.until
            raise ConfigurationValueError(
                f"There is nothing to read: {self.since} is not before {until}"
            )

    def scope(self, now: datetime) -> Window | Collection[str]:
        """The range in whole seconds, cut to what Twilio still has.

        Raises:
            ConfigurationValueError: it is empty, or nothing of it is left.
        """
        if self.conferences:
            return dict.fromkeys(self.conferences).keys()
        start, end = parse_moment(self.since, now), min(parse_moment(self.until, now), now)
        oldest = now - RETENTION
        if start >= end or end <= oldest:
            raise ConfigurationValueError(
                f"There is nothing to read from {iso_seconds(start)} to {iso_seconds(end)}: Twilio "
                f"has summaries from {iso_seconds(oldest)} to {iso_seconds(now)}"
            )
        if start < oldest:
            log.warning("Twilio keeps 30 days: reading from %s", iso_seconds(oldest))
        return Window(max(start, oldest), end)


def run(
    progress: Progress, polling: Polling | None = None, backfill: Backfill | None = None
) -> Progress:
    """Bring the warehouse up to date with the API.

    Args:
        progress: counts what is done, also when this raises; ends the run when its `stop` is set.
        polling: keep asking until what was pending at the first listing is final.
        backfill: read this again instead of what is new or pending; the watermark stays.

    Raises:
        ConfigurationException: a setting is missing or wrong.
        BusyError: the warehouse is held by another run or program.
        WarehouseError: the warehouse file is gone or cannot be used.
        InsightsError: the API could not be read; what was listed completely before is loaded.
        StillPendingError: polling reached its timeout.
        ViewError: a view does not run; the data is loaded.
        ChecksError: a check failed; the data is loaded, but not published.
        PublishError: the published copy could not be renewed; the data is loaded.
    """
    for key, value in DLT_SETTINGS.items():
        if dlt.config.get(key) is None:
            dlt.config[key] = value
    # With its trace off, dlt would never forget them: they hold the rows of every package.
    get_resolved_traces().logging_enabled = False
    stop_telemetry()  # dlt started it, on by default, when its settings were first asked for
    dlt.current.run_context().initialize_runtime()
    path = warehouse_path()
    with RunRecord(path, progress) as record, _true_causes(path, progress):
        sections = ("sources", "twilio_insights")
        settings = resolve_configuration(TwilioInsightsConfiguration(), sections=sections)
        delivery = DeliverySettings.read(path)
        record.settings = {"lookback": settings.lookback, "published": str(delivery.directory)}
        for name in find_unknown():
            log.warning("%s is no setting of this program, so it has no effect", name)
        expect_warehouse(path)
        with open_warehouse(path) as warehouse:
            log.info("Warehouse: %s%s", path, " (NEW, created now)" * warehouse.created)
            with (
                record.kept_in(warehouse),
                _true_causes(path, progress),  # here, for the row in `_runs`
                InsightsClient(settings, progress) as client,
            ):
                _load(warehouse, client, record, delivery, polling, backfill)
    return progress


def _load(
    warehouse: Warehouse,
    client: InsightsClient,
    record: RunRecord,
    delivery: DeliverySettings,
    polling: Polling | None,
    backfill: Backfill | None,
) -> None:
    """List package by package, ask again for what is pending, then deliver."""
    progress = client.progress

    def make_pipeline() -> dlt.Pipeline:
        pipeline = dlt.pipeline(
            PIPELINE,
            destination=warehouse.destination,
            dataset_name=DATASET,
            pipelines_dir=str(warehouse.working_folder),
        )
        pipeline.config.restore_from_destination = True  # there is no other truth
        return pipeline

    def announce(load_ids: Sequence[str]) -> None:
        progress.load_ids += load_ids
        record.phase("load")

    def load_package(only: Window | Collection[str] | None) -> None:
        record.phase("extract")
        pipeline.extract(
            twilio_insights(client.settings, client=client, package_rows=PACKAGE_ROWS, only=only)
        )
        record.phase("normalize")
        pipeline.normalize()
        announce(pipeline.list_normalized_load_packages())
        pipeline.load(raise_on_failed_jobs=True)
        warehouse.checkpoint()
        progress.loaded_to = _watermark(pipeline, progress.account_sid)
        if progress.rows_new or progress.rows_updated:
            gc.collect()  # dlt's sources are cycles that hold the rows of their package

    record.phase("finish")
    pipeline, progress.left_package = open_pipeline(make_pipeline, warehouse, announce)
    progress.account_sid = client.settings.account_sid
    progress.loaded_to = _watermark(pipeline, progress.account_sid)
    with pipeline.sql_client() as sql:
        stored = StoredSummaries(sql)
        if progress.left_package:
            # Also if the API cannot be reached now.
            deliver(warehouse, delivery, datetime.now(UTC), record.phase, only_views=True)
        now = _look_at_the_clock(client)
        progress.pending_before = stored.count_pending(now)
        only = backfill.scope(now) if backfill else None
        while not (progress.complete or progress.fault or progress.stop.is_set()):
            load_package(only)
        stored.delete_orphans()
        late: Exception | None = None
        if polling is not None:
            late = _poll(progress, polling, load_package)
        progress.pending_after = stored.count_pending(client.now())
    is_cut = bool(progress.fault or progress.stop.is_set())
    deliver(warehouse, delivery, client.now(), record.phase, only_views=is_cut)
    if backfill and backfill.conferences and progress.unreadable:
        late = UnavailableError(f"{progress.unreadable[0]} could not be fetched", "unreadable")
    if not progress.stop.is_set() and (fault := progress.fault or late):
        raise fault


def _watermark(pipeline: dlt.Pipeline, account_sid: str | None) -> datetime | None:
    """Until when everything of the account was listed, as the pipeline's state has it."""
    sources: dict[str, Any] = pipeline.state.get("sources", {})
    stored = sources.get("twilio_insights", {}).get(WATERMARKS, {}).get(account_sid)
    return as_utc(datetime.fromisoformat(stored)) if stored else None


def _look_at_the_clock(client: InsightsClient) -> datetime:
    """The API's time; warns of what Twilio has deleted, or will soon, before it was ever listed."""
    progress, now = client.progress, datetime.now(UTC)
    try:
        return (now := client.now())
    finally:
        until, oldest = progress.loaded_to, now - RETENTION
        if until is not None and until < oldest:
            progress.gap_from, progress.gap_to = until, oldest
            log.warning(
                "LOST: what was created from %s to %s was never listed, and Twilio keeps 30 days",
                iso_seconds(until),
                iso_seconds(oldest),
            )
        elif until is not None and until < oldest + SOON:
            log.warning(
                "Nothing created since %s is listed yet; Twilio begins to delete it on %s",
                iso_seconds(until),
                iso_seconds(until + RETENTION),
            )


def _poll(
    progress: Progress, polling: Polling, load_package: Callable[[set[str]], None]
) -> StillPendingError | None:
    awaited, deadline = progress.still_pending, time.monotonic() + polling.timeout.total_seconds()
    while awaited and not progress.stop.is_set() and progress.fault is None:
        if time.monotonic() + polling.every.total_seconds() > deadline:
            return StillPendingError(
                f"{len(awaited)} summaries are still pending after {polling.timeout}; the next "
                "run asks for them again"
            )
        log.info("%d pending, asking again in %s", len(awaited), polling.every)
        progress.stop.wait(polling.every.total_seconds())
        progress.still_pending = set()
        load_package(awaited)
        awaited = awaited & progress.still_pending
    return None


@contextmanager
def _true_causes(path: Path, progress: Progress) -> Iterator[None]:
    """Raise what went wrong below dlt's step and resource errors; a full disk as such."""
    try:
        yield
    except Exception as error:
        cause = true_cause(error)
        if isinstance(cause, InsightsError) and progress.stop.is_set():
            return  # a request that was given up because the run is to stop
        if isinstance(cause, InsightsError | ConfigurationException):
            raise cause from None
        raise as_warehouse_error(error, path) or cause from cause.__cause__
