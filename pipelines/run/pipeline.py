"""One run, from the lock to its row in `_runs`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from pipelines.errors import SettingsError
from pipelines.lifecycle import FINAL_WITHIN, RETENTION
from pipelines.run.destination import (
    PublishSettings,
    nothing_in,
    publish_settings,
    warehouse_place,
)
from pipelines.run.erasures import delete_expired_digests, finish_erasures
from pipelines.run.packages import Packages
from pipelines.run.personal_switch import rewrite_personal_data
from pipelines.run.post_load import forget_former, is_loaded, run_post_load
from pipelines.run.recovery import true_cause
from pipelines.run.retention_gap import check_retention_gap
from pipelines.run.settings import source_settings
from pipelines.times import format_duration, iso_seconds, parse_moment
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.errors import InsightsError, UnavailableError
from pipelines.twilio_insights.extract.comparison import Comparison
from pipelines.twilio_insights.extract.personal import PersonalData
from pipelines.twilio_insights.extract.scope import INCREMENTAL, Sids, TimeRange
from pipelines.twilio_insights.extract.volume import Window
from pipelines.twilio_insights.progress import Progress
from pipelines.warehouse.database import StatementError
from pipelines.warehouse.runs import RunRecord, StillPendingError
from pipelines.warehouse.status_files import StatusFiles
from pipelines.warehouse.views import ViewError
from pipelines.warehouse.warehouse import BusyError, Place, WarehouseError

log = logging.getLogger("conference_insights")


@dataclass(frozen=True)
class Polling:
    """How `--until-complete` asks again."""

    every: timedelta
    timeout: timedelta


@dataclass(frozen=True)
class Backfill:
    """What to read again: a range, given as dates, times or ages, or single conferences; `filters`
    are for the range, instead of configured ones of the same names."""

    since: str = "30d"
    until: str = "0d"
    conferences: tuple[str, ...] = ()
    filters: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is empty at any time, before the API is asked what time it is.

        Raises:
            SettingsError: `since` is not before `until`.
        """
        times = (datetime(year, 1, 1, tzinfo=UTC) for year in (2000, 2100))
        if all(parse_moment(self.since, at) >= parse_moment(self.until, at) for at in times):
            until = "now" if self.until == "0d" else self.until
            raise SettingsError(f"There is nothing to read: {self.since} is not before {until}")

    def scope(self, now: datetime) -> TimeRange | Sids:
        """The range in whole seconds, cut to what Twilio still has.

        Raises:
            SettingsError: it is empty, or nothing of it is left.
        """
        if self.conferences:
            return Sids((*dict.fromkeys(self.conferences),))
        start, end = parse_moment(self.since, now), min(parse_moment(self.until, now), now)
        oldest = now - RETENTION
        if start >= end or end <= oldest:
            raise SettingsError(
                f"There is nothing to read from {iso_seconds(start)} to {iso_seconds(end)}: Twilio "
                f"has summaries from {iso_seconds(oldest)} to {iso_seconds(now)}"
            )
        if start < oldest:
            log.warning("Twilio keeps 30 days: reading from %s", iso_seconds(oldest))
        return TimeRange(Window(max(start, oldest), end), is_filtered=bool(self.filters))


def run(
    progress: Progress,
    polling: Polling | None = None,
    backfill: Backfill | None = None,
    stop: threading.Event | None = None,
) -> Progress:
    """Bring the warehouse up to date with the API.

    It is for a process of its own: dlt keeps the settings of this program in there afterwards.

    Args:
        progress: counts what is done, also when this raises.
        polling: keep asking until what was pending at the first listing is final.
        backfill: read this again instead of what is new or pending; the watermark stays.
        stop: once it is set, the run ends after the page that is being read.

    Raises:
        SettingsError: a setting is missing or wrong.
        BusyError: the warehouse is held by another run or program.
        WarehouseError: the warehouse file is gone or cannot be used.
        InsightsError: the API could not be read; what was listed completely before is loaded.
        StillPendingError: polling reached its timeout.
        ViewError: a view does not run; the data is loaded.
        ChecksError: a check failed; the data is loaded, but not published.
        PublishError: the published copy could not be renewed; the data is loaded.
    """
    with opened(progress, stop or threading.Event(), backfill) as (packages, record, delivery):
        _load(packages, record, delivery, polling, backfill)
    return progress


@contextmanager
def opened(
    progress: Progress,
    stop: threading.Event,
    backfill: Backfill | None,
    comparison: Comparison | None = None,
) -> Iterator[tuple[Packages, RunRecord, PublishSettings]]:
    """Hold the warehouse, with a row in `_runs`, while the block lasts; raises as `run` does."""
    place = warehouse_place()
    files = StatusFiles(place.path) if place.path else None
    with RunRecord(files, progress, stop) as record, unwrap_errors(place, stop):
        settings, delivery = source_settings(), publish_settings(place)
        progress.account_sid = settings.account_sid
        if backfill:
            settings.filters = {**settings.filters, **backfill.filters}
        record.settings = {"lookback": settings.lookback} | delivery.noted(place)
        if files and delivery.directory:
            files.require_existing_warehouse(delivery.directory)
        with place.open() as warehouse:
            if comparison and not (comparison.repair or is_loaded(warehouse)):
                raise nothing_in(place)
            log.info(
                "Warehouse: %s%s", place.name, " (NEW, created now)" if warehouse.created else ""
            )
            with (
                record.kept_in(warehouse),
                unwrap_errors(place, stop),  # here, for the row in `_runs`
                InsightsClient(settings, progress, stop) as client,
                closing(Packages(warehouse, client, record, comparison)) as packages,
            ):
                yield packages, record, delivery


def _load(
    packages: Packages,
    record: RunRecord,
    delivery: PublishSettings,
    polling: Polling | None,
    backfill: Backfill | None,
) -> None:
    """List package by package, ask again for what is pending, then what follows a load."""
    client, warehouse, extraction = packages.client, packages.warehouse, packages.extraction
    progress, stop = client.progress, client.stop
    rewrite_error = follow_personal_data(packages, record, delivery)
    if progress.left_package:
        # Also if the API cannot be reached now.
        run_post_load(warehouse, delivery, datetime.now(UTC), record.phase, only_views=True)
    now = check_retention_gap(packages)
    record.correct_times(now)
    delete_expired_digests(warehouse, now)
    progress.pending_before = packages.stored.count_pending(now)
    scope = backfill.scope(now) if backfill else INCREMENTAL
    while not (extraction.complete or extraction.fault or stop.is_set()):
        packages.load(scope)
    failure: Exception | None = None
    if polling is not None:
        failure = _poll(packages, polling)
    fault = extraction.fault
    # Only if no account answered: one that always fails must not hold up the copy of all others.
    is_cut = bool(fault and not packages.accounts.some_answer)
    if not (is_cut or stop.is_set() or isinstance(scope, TimeRange)):
        packages.load_by_parent(only=backfill.conferences if backfill else ())
        fault = fault or packages.accounts.decisive_failure
    packages.note_failures()
    progress.pending_after = packages.stored.count_pending(client.now())
    is_cut = is_cut or stop.is_set()
    run_post_load(warehouse, delivery, client.now(), record.phase, only_views=is_cut)
    if backfill and backfill.conferences:
        is_erased = packages.stored.erased().covers
        if gone := sum(is_erased(sid, None) for sid in {*backfill.conferences}):
            log.warning("Not loaded, since erased here: %d of the given conferences", gone)
        if progress.unreadable:
            what = f"{progress.unreadable[0]} could not be fetched"
            failure = UnavailableError(what, "unreadable")
    if not stop.is_set() and (error := fault or failure or rewrite_error):
        record.phase("extract")  # what follows a load went well: the error is from before it
        raise error


def follow_personal_data(
    packages: Packages, record: RunRecord, delivery: PublishSettings
) -> Exception | None:
    """Finish erasures, and rewrite stored personal data as the setting says, before more is loaded.
    Return the error if that fails: new data is loaded all the same, and the next run goes on."""
    warehouse, progress = packages.warehouse, packages.client.progress
    personal = PersonalData.of(packages.client.settings)
    if personal.mode == "keep":  # which nothing contradicts; what is loaded is to be hashed later
        progress.personal_data = personal.mode
    try:
        forget = partial(forget_former, warehouse, delivery)
        finish_erasures(warehouse, forget)
        is_rewritten = rewrite_personal_data(warehouse, personal, forget)
    except (WarehouseError, BusyError, ViewError, StatementError) as error:
        return error
    if is_rewritten:
        if progress.left_package:  # its reason may quote personal data
            progress.left_package = personal.reason(progress.left_package)
        record.look(warehouse)
    progress.personal_data, progress.hash_key_check = personal.mode, personal.key_check
    return None


def _poll(packages: Packages, polling: Polling) -> StillPendingError | None:
    client, extraction, accounts = packages.client, packages.extraction, packages.accounts
    progress, deadline = client.progress, time.monotonic() + polling.timeout.total_seconds()
    pending = extraction.still_pending
    while not client.stop.is_set() and (extraction.fault is None or accounts.some_answer):
        ended_after, unreadable = client.now() - FINAL_WITHIN, accounts.unreadable
        awaited, overdue = packages.stored.awaited(pending, ended_after, unreadable)
        if overdue:
            log.info("%d pending ones ended, or began, over 24 hours ago: not awaited", overdue)
        if not awaited:
            return None
        if (left := deadline - time.monotonic()) <= 0:
            return StillPendingError(
                f"{len(awaited)} summaries are still pending after "
                f"{format_duration(polling.timeout)}; the next run asks for them again"
            )
        wait = min(polling.every, timedelta(seconds=left))  # and then ask a last time
        shown = format_duration(wait)
        log.info("Waiting for %d pending ones, asking again in %s", len(awaited), shown)
        if client.stop.wait(wait.total_seconds()):
            break
        pending, listed, unchanged = awaited, progress.rows_listed, progress.rows_unchanged
        progress.unreadable = [sid for sid in progress.unreadable if sid not in awaited]
        packages.load(Sids((*awaited,)))
        # Those that no round changes are counted already.
        progress.rows_listed, progress.rows_unchanged = listed, unchanged
    return None


@contextmanager
def unwrap_errors(place: Place, stop: threading.Event) -> Iterator[None]:
    """Raise what went wrong below dlt's step and resource errors; a full disk as such."""
    try:
        yield
    except Exception as error:
        cause = true_cause(error)
        if isinstance(cause, InsightsError) and stop.is_set():
            return  # a request that was given up because the run is to stop
        if isinstance(cause, InsightsError | SettingsError):
            raise cause from cause.__cause__
        raise place.explain(error) or cause from cause.__cause__
