"""One run: finish what a killed run left, list and load package by package, then the views."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.exceptions import ConfigurationValueError
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.runtime.telemetry import stop_telemetry
from dlt.destinations.sql_client import SqlClientBase
from dlt.extract.exceptions import ResourceExtractionError
from dlt.load.exceptions import LoadClientJobFailed
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.times import iso_seconds, parse_moment
from pipelines.twilio_insights import (
    InsightsClient,
    Progress,
    TwilioInsightsConfiguration,
    Window,
    twilio_insights,
)
from pipelines.twilio_insights.pages import CONTINUES
from pipelines.twilio_insights.settings import RETENTION
from pipelines.twilio_insights.stored import StoredSummaries
from pipelines.warehouse.file import DATASET, Warehouse, open_warehouse, warehouse_path
from pipelines.warehouse.runs import COLUMNS, close_row, open_row
from pipelines.warehouse.views import apply_views

log = logging.getLogger("conference_insights")

PIPELINE = "conference_insights"
PACKAGE_ROWS = 100_000
"""A long catch-up advances in load packages of about so many summaries."""

DLT_SETTINGS: dict[str, Any] = {
    "runtime.dlthub_telemetry": False,  # nothing leaves this machine but requests to Twilio
    "runtime.intercept_signals": False,  # a signal ends a run at a window edge, not inside a load
    "enable_runtime_trace": False,  # it would repeat error texts in a file, and takes time
    "load.workers": 1,  # DuckDB uses all cores for one statement; more only cost memory
    "load.delete_completed_jobs": True,  # else every package stays on disk, with what it loaded
    "load.truncate_staging_dataset": True,  # else the last package stays in the warehouse twice
    "load.auto_abort_on_terminal_error": True,  # else a package that can never load blocks all
    "sources.data_writer.buffer_max_items": 50_000,  # rows of a Parquet row group
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

    def scope(self, now: datetime) -> Window | Collection[str]:
        """The range in whole seconds, cut to what Twilio still has.

        Raises:
            ConfigurationValueError: it is empty, or nothing of it is left.
        """
        if self.conferences:
            return self.conferences
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
        WarehouseError: the warehouse file cannot be used.
        InsightsError: the API could not be read; what was listed completely before is loaded.
        StillPendingError: polling reached its timeout.
        ViewError: a view does not run; the data is loaded.
    """
    for key, value in DLT_SETTINGS.items():
        if dlt.config.get(key) is None:
            dlt.config[key] = value
    stop_telemetry()  # dlt started it, on by default, when its settings were first asked for
    dlt.current.run_context().initialize_runtime()
    sections = ("sources", "twilio_insights")
    settings = resolve_configuration(TwilioInsightsConfiguration(), sections=sections)
    path = warehouse_path()
    with open_warehouse(path) as warehouse:
        log.info("Warehouse: %s%s", path, " (NEW, created now)" * warehouse.created)
        pipeline = dlt.pipeline(
            PIPELINE,
            destination=warehouse.destination,
            dataset_name=DATASET,
            pipelines_dir=str(warehouse.working_folder),
        )
        with (
            pipeline.sql_client() as sql,
            _recorded(sql, progress),
            InsightsClient(settings, progress) as client,
        ):
            _finish_left_package(pipeline, warehouse, StoredSummaries(sql).last_load_id())
            progress.pending_before = StoredSummaries(sql).count_pending(client.now())
            only = backfill.scope(client.now()) if backfill else None
            _load(pipeline, client, polling, only)
            progress.pending_after = StoredSummaries(sql).count_pending(client.now())
            apply_views(warehouse.connection)
    return progress


def _finish_left_package(
    pipeline: dlt.Pipeline, warehouse: Warehouse, last_load_id: str | None
) -> None:
    """Load what a killed run extracted; then forget dlt's local state, the warehouse has it.

    A package that can never load, or that does not continue what the warehouse holds (an older
    copy of the file was put back), is set aside: all it stands for will be listed again.
    """
    for load_id in pipeline.list_extracted_load_packages():
        # dlt deletes what it extracted once it is normalized; a kill may leave half of it.
        if load_id in pipeline.list_normalized_load_packages():
            shutil.rmtree(Path(pipeline.working_dir, "normalize", "extracted", load_id))
    if pipeline.has_pending_data:
        try:
            pipeline.normalize()
            reason = _misfit(pipeline, last_load_id)
            if reason is None and last_load_id not in pipeline.list_normalized_load_packages():
                log.info("Finishing the load package that a stopped run left")
                pipeline.load()
        except PipelineStepFailed as error:
            if not isinstance(error.exception, LoadClientJobFailed | FileNotFoundError):
                raise
            reason = str(error.exception)
        if reason is not None:
            _set_aside(pipeline, warehouse, reason)
    pipeline.drop()


def _misfit(pipeline: dlt.Pipeline, last: str | None) -> str | None:
    """Why the left package must not be loaded, if so."""
    for load_id in pipeline.list_normalized_load_packages():
        state: Any = pipeline.get_load_package_state(load_id)
        if last not in (state.get(CONTINUES), load_id):
            return f"it continues package {state.get(CONTINUES)}, the warehouse is at {last}"
    return None


def _set_aside(pipeline: dlt.Pipeline, warehouse: Warehouse, reason: str) -> None:
    place = warehouse.working_folder / "set_aside" / datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    place.parent.mkdir(exist_ok=True)
    Path(pipeline.working_dir).rename(place)
    (place / "reason.txt").write_text(f"{reason}\n")
    log.warning("A load package that a stopped run left was set aside in %s: %s", place, reason)


def _load(
    pipeline: dlt.Pipeline,
    client: InsightsClient,
    polling: Polling | None,
    only: Window | Collection[str] | None,
) -> None:
    progress = client.progress
    while not progress.complete and not progress.stop.is_set():
        pipeline.run(
            twilio_insights(client.settings, client=client, package_rows=PACKAGE_ROWS, only=only)
        )
    if polling is None:
        return
    awaited, deadline = progress.still_pending, time.monotonic() + polling.timeout.total_seconds()
    while awaited and not progress.stop.is_set():
        if time.monotonic() + polling.every.total_seconds() > deadline:
            raise StillPendingError(
                f"{len(awaited)} summaries are still pending after {polling.timeout}; the next "
                "run asks for them again"
            )
        log.info("%d pending, asking again in %s", len(awaited), polling.every)
        progress.stop.wait(polling.every.total_seconds())
        progress.still_pending = set()
        pipeline.run(twilio_insights(client.settings, client=client, only=awaited))
        awaited = awaited & progress.still_pending


@contextmanager
def _recorded(sql: SqlClientBase[Any], progress: Progress) -> Iterator[None]:
    """Keep the run's row in `_runs`, however it ends; raise what really went wrong."""
    started = time.monotonic()
    open_row(sql, progress.run_id, progress.command)
    outcome, error_class = "stopped", None
    try:
        yield
        if not progress.stop.is_set():
            outcome = "ok"
    except Exception as error:
        cause = _cause(error)
        outcome, error_class = "failed", type(cause).__name__
        raise cause from cause.__cause__
    finally:
        progress.seconds = round(time.monotonic() - started, 3)
        counted = {name: getattr(progress, name) for name in COLUMNS if hasattr(progress, name)}
        close_row(sql, counted | {"outcome": outcome, "error_class": error_class})


def _cause(error: BaseException) -> BaseException:
    """The error below dlt's step and resource errors."""
    while isinstance(error, PipelineStepFailed | ResourceExtractionError) and error.__cause__:
        error = error.__cause__
    return error
