"""One load package: list on from the watermark, then ask again for what is still pending."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import dlt
from dlt.common.configuration.exceptions import ConfigurationValueError

from pipelines.times import as_utc, iso_seconds, parse_duration, parse_moment
from pipelines.twilio_insights.client import InsightsClient
from pipelines.twilio_insights.errors import BadAnswerError, InsightsError
from pipelines.twilio_insights.package import LoadPackage
from pipelines.twilio_insights.refetch import refetch, take_window
from pipelines.twilio_insights.settings import RETENTION
from pipelines.twilio_insights.stored import Pending, StoredSummaries
from pipelines.twilio_insights.tables import TABLES
from pipelines.twilio_insights.traffic import Window
from pipelines.twilio_insights.windows import Listing

if TYPE_CHECKING:
    from pipelines.twilio_insights.flatten import Tables

WATERMARKS = "watermarks"
"""Key in the source's state: by account, the end of what was listed completely."""
DRIFT = "drift"
"""Key in the source's state: what was named as drift already."""
CONTINUES, HAS_TABLES = "continues", "has_tables"
"""Keys in the load package's state: the package completed before it in the destination, and the
tables that it has rows for."""
MAX_SKEW = timedelta(hours=1)
"""A watermark further ahead of the API's clock than this was set by a wrong one."""


def read_pages(
    session: AbstractContextManager[InsightsClient],
    package_rows: int | None,
    only: Window | Collection[str] | None,
) -> Iterator[Tables]:
    """Yield what the package writes. The watermark goes into the same package as its rows."""
    if not dlt.current.source_schema().tables.keys() >= {table.name for table in TABLES}:
        # All tables exist from the first load on, however little there is to load.
        from pipelines.twilio_insights.flatten import schema

        yield {table.name: schema(table).empty_table() for table in TABLES}
    with session as client, dlt.current.pipeline().sql_client() as sql:
        progress, account = client.progress, client.settings.account_sid or ""
        stored, this = StoredSummaries(sql), dlt.current.load_package_state()
        package_state = cast(dict[str, Any], this["state"])
        package_state[CONTINUES] = stored.last_load_id()
        state = dlt.current.source_state()
        named: dict[str, str] = state.setdefault(DRIFT, {})
        package = LoadPackage(this["load_id"], stored, progress, account, named)
        watermarks: dict[str, str] = state.setdefault(WATERMARKS, {})
        listed = True
        if only is None or isinstance(only, Window):
            client.listing = client.listing or _begin(client, stored, watermarks, only)
            try:
                yield from _list(client, client.listing, package, package_rows)
            except InsightsError as error:
                progress.fault = error
            listed = progress.window_to == progress.horizon
        try:
            if not isinstance(only, Window) and (
                listed or isinstance(progress.fault, BadAnswerError)
            ):
                now, others = client.now(), watermarks.keys() - {account}
                due = _due(client, stored, package, only, others, now)
                yield from refetch(client, stored, package, due, now)
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


def _begin(
    client: InsightsClient,
    stored: StoredSummaries,
    watermarks: dict[str, str],
    only: Window | Collection[str] | None,
) -> Listing:
    """The listing of the run: from behind the watermark, or from the first cursor, until now."""
    settings, now, account = client.settings, client.now(), client.settings.account_sid or ""
    oldest = now - RETENTION
    if watermarks.get(account, "") > iso_seconds(now + MAX_SKEW):
        del watermarks[account]  # a wrong clock set it; what it hides must be listed
    if isinstance(only, Window):
        stretch = only
    elif account in watermarks:
        listed = min(as_utc(datetime.fromisoformat(watermarks[account])), now)
        stretch = Window(max(listed - parse_duration(settings.lookback), oldest), now)
    else:
        first = parse_moment(settings.created_after, now) if settings.created_after else oldest
        if first > now:
            raise ConfigurationValueError(
                f"sources.twilio_insights.created_after: {settings.created_after} is in the future"
            )
        stretch = Window(max(first, oldest), now)
    client.progress.window_from = client.progress.window_to = stretch.start
    client.progress.horizon = stretch.end
    return Listing(client, stretch, stored.count_by_hour(*stretch))


def _list(
    client: InsightsClient, listing: Listing, package: LoadPackage, package_rows: int | None
) -> Iterator[Tables]:
    """Take over window by window up to the horizon, or until the package is full."""
    for listed in listing:
        if not (yield from take_window(client, package, listed)):
            return  # the next run lists this window again
        client.progress.window_to = listed.window.end
        full = package_rows is not None and len(package.written) >= package_rows
        if full or client.progress.stop.is_set():
            return


def _due(
    client: InsightsClient,
    stored: StoredSummaries,
    package: LoadPackage,
    only: Collection[str] | None,
    other_accounts: Collection[str],
    now: datetime,
) -> list[Pending]:
    """What to ask for again: everything pending that this run has not just seen."""
    if only is not None:
        return stored.pending(now, (), only)
    for sid, attempts, asked_at in stored.expired(now):
        package.note_refetch(sid, attempts, 404, asked_at, None, "expired")
    seen = client.progress.still_pending | package.written
    due = stored.pending(now, other_accounts, None)
    return [asked for asked in due if asked.conference_sid not in seen]
