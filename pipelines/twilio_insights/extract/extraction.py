"""One load package: list on from the watermark, then ask again for what is still pending."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypedDict

from pipelines.errors import SettingsError
from pipelines.times import as_utc, parse_duration, parse_moment
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.errors import BadAnswerError, InsightsError
from pipelines.twilio_insights.extract.destination_state import DestinationState, Pending
from pipelines.twilio_insights.extract.package import LoadPackage
from pipelines.twilio_insights.extract.refetch import accept_window, refetch
from pipelines.twilio_insights.extract.volume import Window
from pipelines.twilio_insights.extract.windows import WindowedLister
from pipelines.twilio_insights.settings import RETENTION

if TYPE_CHECKING:
    from pipelines.twilio_insights.extract.flatten import Tables

RESOURCE = "conferences"
MAX_BYTES = 250_000_000
"""A load package with more, for long texts, ends too."""
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
MAX_SKEW = timedelta(hours=1)
"""A watermark further ahead of the API's clock than this was set by a wrong one."""


class FormerState(TypedDict, total=False):
    """Where versions before the tables `_watermarks` and `_drift` kept the same."""

    watermarks: dict[str, str]
    """By account, as ISO 8601 in UTC."""
    drift: dict[str, str]
    """First SID by name."""


def extract(
    client: InsightsClient,
    stored: DestinationState,
    package_rows: int | None = None,
    only: Window | Collection[str] | None = None,
    may_be_empty: bool = False,
    former: FormerState | None = None,
) -> Iterator[Tables]:
    """Yield what one load package writes: the watermark goes with the rows that it stands for.

    Args:
        client: its progress is shared by the packages of one run.
        stored: what the destination holds.
        package_rows: end the package at the first window edge after so many rows, or where
            listing fails after a finished window; call again until `progress.complete`.
            None: everything in one package, and a failure raises.
        only: read just this window, or fetch just these SIDs; the watermark stays, and nothing
            else that is pending is asked for.
        may_be_empty: where there is nothing to write but the watermark it is moved at once, and
            nothing is yielded.
        former: the state that an earlier version left in dlt's pipeline.

    Raises:
        SettingsError: the first cursor is in the future.
        InsightsError: the API could not be read.
    """
    progress, account = client.progress, client.settings.account_sid or ""
    package = LoadPackage(stored, progress, account)
    before = _take_over(former or {}, package)
    known = _watermark(stored, account) or before.get(account)
    progress.loaded_to = progress.loaded_to or known
    listed = True
    if only is None or isinstance(only, Window):
        client.listing = client.listing or _begin(client, stored, known, only)
        try:
            yield from _list(client, client.listing, package, package_rows)
        except InsightsError as error:
            progress.fault = error
        listed = progress.window_to == progress.horizon
    try:
        if not isinstance(only, Window) and (listed or isinstance(progress.fault, BadAnswerError)):
            now = client.now()
            others = stored.other_accounts(account) | (before.keys() - {account})
            due = _due(client, stored, package, only, others, now)
            yield from refetch(client, stored, package, due, now)
    except InsightsError as error:
        progress.fault = progress.fault or error
    if progress.fault is not None and package_rows is None:
        raise progress.fault
    progress.complete = listed and not progress.stop.is_set()
    if only is None and progress.window_to is not None:
        _move_watermark(client, stored, package, known, progress.window_to, may_be_empty)
    if batch := package.finish():
        yield batch
    stored.remember(package.written)


def _take_over(former: FormerState, package: LoadPackage) -> dict[str, datetime]:
    """Have the package write what an earlier version kept elsewhere; the watermarks by account."""
    kept = former.get("watermarks", {})
    watermarks = {account: as_utc(datetime.fromisoformat(at)) for account, at in kept.items()}
    for account, listed_to in watermarks.items():
        package.note_watermark(RESOURCE, account, listed_to)
    for name, sid in former.get("drift", {}).items():
        package.note_drift(name, sid)
    return watermarks


def _move_watermark(
    client: InsightsClient,
    stored: DestinationState,
    package: LoadPackage,
    known: datetime | None,
    reached: datetime,
    may_be_empty: bool,
) -> None:
    """It never moves back, unless a wrong clock had set it."""
    account = client.settings.account_sid or ""
    if known is not None and known <= client.now() + MAX_SKEW:
        reached = max(known, reached)
    if not (
        may_be_empty and package.is_empty and stored.move_watermark(RESOURCE, account, reached)
    ):
        package.note_watermark(RESOURCE, account, reached)


def _watermark(stored: DestinationState, account: str) -> datetime | None:
    """Until when everything was listed; long ago where the package that said it was not finished,
    so that no first cursor hides what an earlier one had listed."""
    known = stored.watermark(RESOURCE, account)
    return known and (known.listed_to if known.is_complete else LONG_AGO)


def _begin(
    client: InsightsClient,
    stored: DestinationState,
    known: datetime | None,
    only: Window | None,
) -> WindowedLister:
    """The listing of the run: from behind the watermark, or from the first cursor, until now."""
    settings, now = client.settings, client.now()
    oldest = now - RETENTION
    if known is not None and known > now + MAX_SKEW:
        known = None  # a wrong clock set it; what it hides must be listed
    if isinstance(only, Window):
        stretch = only
    elif known is not None:
        start = min(known, now) - parse_duration(settings.lookback)
        stretch = Window(max(start, oldest), now)
    else:
        first = parse_moment(settings.created_after, now) if settings.created_after else oldest
        if first > now:
            raise SettingsError(
                f"sources.twilio_insights.created_after: {settings.created_after} is in the future"
            )
        stretch = Window(max(first, oldest), now)
    client.progress.window_from = client.progress.window_to = stretch.start
    client.progress.horizon = stretch.end
    return WindowedLister(client, stretch, stored.count_by_hour(*stretch))


def _list(
    client: InsightsClient, listing: WindowedLister, package: LoadPackage, package_rows: int | None
) -> Iterator[Tables]:
    """Take over window by window up to the horizon, or until the package is full."""
    for listed in listing:
        if not (yield from accept_window(client, package, listed)):
            return  # the next run lists this window again
        client.progress.window_to = listed.window.end
        client.progress.on_change(client.progress)
        is_long = package_rows and len(package.written) >= package_rows
        full = package_rows is not None and (is_long or package.bytes >= MAX_BYTES)
        if full or client.progress.stop.is_set():
            return


def _due(
    client: InsightsClient,
    stored: DestinationState,
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
