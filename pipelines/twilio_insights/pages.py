"""One load package: list on from the watermark, then ask again for what is still pending."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, cast

import dlt
from dlt.common.configuration.exceptions import ConfigurationValueError

from pipelines.times import as_utc, iso_seconds, parse_duration, parse_moment
from pipelines.twilio_insights.client import InsightsClient, Page
from pipelines.twilio_insights.errors import BadAnswerError, InsightsError, RefusedError
from pipelines.twilio_insights.flatten import Tables
from pipelines.twilio_insights.package import BATCH_ROWS, LoadPackage
from pipelines.twilio_insights.settings import RETENTION
from pipelines.twilio_insights.stored import Pending, StoredSummaries
from pipelines.twilio_insights.tables import TABLES
from pipelines.twilio_insights.windows import FIRST_SPAN, OVERLAP, Window, list_windows, span_for

WATERMARKS = "watermarks"
"""Key in the source's state: by account, the end of what was listed completely."""
DRIFT = "drift"
"""Key in the source's state: what was named as drift already."""
CONTINUES, HAS_TABLES = "continues", "has_tables"
"""Keys in the load package's state: the package completed before it in the destination, and the
tables that it has rows for."""
MAX_SKEW = timedelta(hours=1)
"""A watermark further ahead of the API's clock than this was set by a wrong one."""
IN_A_ROW = 3
"""So many summaries that cannot be fetched, one after the other, mean that the API is down."""


def read_pages(
    session: AbstractContextManager[InsightsClient],
    package_rows: int | None,
    only: Window | Collection[str] | None,
) -> Iterator[Tables]:
    """Yield what the package writes. The watermark goes into the same package as its rows."""
    if not dlt.current.source_schema().tables.keys() >= {table.name for table in TABLES}:
        # All tables exist from the first load on, however little there is to load.
        yield {table.name: table.arrow_schema.empty_table() for table in TABLES}
    with session as client, dlt.current.pipeline().sql_client() as sql:
        progress, account = client.progress, client.settings.account_sid or ""
        stored, this = StoredSummaries(sql), dlt.current.load_package_state()
        package_state = cast(dict[str, Any], this["state"])
        package_state[CONTINUES] = stored.last_load_id()
        state = dlt.current.source_state()
        named: dict[str, str] = state.setdefault(DRIFT, {})
        package = LoadPackage(this["load_id"], stored, progress, account, named)
        watermarks: dict[str, str] = state.setdefault(WATERMARKS, {})
        listing = only is None or isinstance(only, Window)
        if listing and progress.window_to is None:
            stretch = only if isinstance(only, Window) else _stretch(client, watermarks)
            progress.window_from = progress.window_to = stretch.start
            progress.horizon = stretch.end
        try:
            if listing:
                yield from _list(client, stored, package, package_rows)
        except InsightsError as error:
            progress.fault = error
        listed = not listing or progress.window_to == progress.horizon
        try:
            if listed or isinstance(progress.fault, BadAnswerError):
                others = watermarks.keys() - {account}
                yield from _refetch(client, package, _due(client, stored, package, only, others))
        except InsightsError as error:
            progress.fault = progress.fault or error
        if progress.fault is not None and package_rows is None:
            raise progress.fault
        progress.complete = listed and not progress.stop.is_set()
        if batch := package.flush():
            yield batch
        package_state[HAS_TABLES] = sorted(package.tables)
        if only is None and progress.window_to is not None:
            reached = iso_seconds(progress.window_to)
            watermarks[account] = max(watermarks.get(account, ""), reached)


def _stretch(client: InsightsClient, watermarks: dict[str, str]) -> Window:
    """From behind the watermark by the lookback, or from the first cursor, until now."""
    settings, now, account = client.settings, client.now(), client.settings.account_sid or ""
    oldest = now - RETENTION
    if watermarks.get(account, "") > iso_seconds(now + MAX_SKEW):
        del watermarks[account]  # a wrong clock set it; what it hides must be listed
    if account in watermarks:
        listed = min(as_utc(datetime.fromisoformat(watermarks[account])), now)
        return Window(max(listed - parse_duration(settings.lookback), oldest), now)
    if settings.created_after is None:
        return Window(oldest, now)
    first = parse_moment(settings.created_after, now)
    if first > now:
        raise ConfigurationValueError(
            f"sources.twilio_insights.created_after: {settings.created_after} is in the future"
        )
    return Window(max(first, oldest), now)


def _list(
    client: InsightsClient, stored: StoredSummaries, package: LoadPackage, package_rows: int | None
) -> Iterator[Tables]:
    """List window by window up to the horizon, or until the package is full."""
    progress = client.progress
    start, end = progress.window_to, progress.horizon
    assert start is not None
    assert end is not None
    known = stored.count_between(start, end)
    span = span_for(known, end - start, client.settings.page_size) if known else FIRST_SPAN
    for window, pages in list_windows(client, start, end, span):
        doubtful = package.take(pages, window.start - OVERLAP, window.end)
        yield from _refetch(client, package, doubtful, len(doubtful) + 1)
        if doubtful and progress.stop.is_set():
            return  # before all of them were asked for: the next run lists this window again
        progress.pages += len(pages)
        progress.window_to = window.end
        progress.on_change(progress)
        if batch := package.flush(at_least=BATCH_ROWS):
            yield batch
        full = package_rows is not None and len(package.written) >= package_rows
        if full or progress.stop.is_set():
            return


def _due(
    client: InsightsClient,
    stored: StoredSummaries,
    package: LoadPackage,
    only: Window | Collection[str] | None,
    other_accounts: Collection[str],
) -> list[Pending]:
    """What to ask for by SID: everything pending that this run has not just seen."""
    if isinstance(only, Window):
        return []
    if only is not None:
        copies = stored.by_sid(only)
        return [Pending(sid, copies.get(sid), 0) for sid in only]
    now = client.now()
    for sid, attempts, asked_at in stored.expired(now):
        package.note_refetch(sid, attempts, 404, asked_at, None, "expired")
    seen = client.progress.still_pending | package.written
    return [p for p in stored.pending(now, other_accounts) if p.conference_sid not in seen]


def _refetch(
    client: InsightsClient, package: LoadPackage, due: list[Pending], give_up: int = IN_A_ROW
) -> Iterator[Tables]:
    """Ask for each. One that cannot be had is named and left for the next run.

    Raises:
        InsightsError: 401, or no good answer so many times in a row: the API is down.
    """
    progress, in_a_row = client.progress, 0
    random.shuffle(due)  # so that some that always fail do not stand before the others for ever

    def fetch(asked: Pending) -> Page | InsightsError:
        try:
            return client.fetch(asked.conference_sid)
        except InsightsError as error:
            return error

    pool = ThreadPoolExecutor(client.settings.max_concurrency, thread_name_prefix="refetch")
    try:
        for asked, answer in zip(due, pool.map(fetch, due), strict=True):
            if isinstance(answer, InsightsError):
                in_a_row += 1
                refused = isinstance(answer, RefusedError) and answer.status == 401
                if asked.copy is None or refused or in_a_row == give_up:
                    raise answer
                package.note_unreadable(asked, client.now())
                continue
            in_a_row = 0
            package.take_fetched(asked, answer)
            progress.on_change(progress)
            if batch := package.flush(at_least=BATCH_ROWS):
                yield batch
            if progress.stop.is_set():
                return
    finally:
        pool.shutdown(cancel_futures=True)
