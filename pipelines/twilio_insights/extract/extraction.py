"""What a run reads: on from the watermark, then again what is still pending."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypedDict

from pipelines.errors import SettingsError
from pipelines.lifecycle import RETENTION
from pipelines.times import as_utc, parse_duration, parse_moment
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.errors import BadAnswerError, InsightsError
from pipelines.twilio_insights.extract.acceptance import Acceptor
from pipelines.twilio_insights.extract.destination_state import DestinationState, Pending
from pipelines.twilio_insights.extract.package import LoadPackage
from pipelines.twilio_insights.extract.refetch import accept_window, refetch
from pipelines.twilio_insights.extract.scope import (
    INCREMENTAL,
    Incremental,
    Scope,
    Sids,
    TimeRange,
)
from pipelines.twilio_insights.extract.volume import Window
from pipelines.twilio_insights.extract.windows import WindowedLister
from pipelines.twilio_insights.resources import Resource

if TYPE_CHECKING:
    from pipelines.twilio_insights.extract.flatten import Tables

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


class Extraction:
    """What one run reads of the API, one load package after the other.

    Args:
        client: its progress is shared by the packages of a run.
        resource: that is read.
        stored: what the destination holds.
        package_rows: end a package at the first window edge after this many rows, or where listing
            fails after a finished window; read on until it is `complete`. None: everything in one
            package, and a failure raises.
    """

    def __init__(
        self,
        client: InsightsClient,
        resource: Resource,
        stored: DestinationState,
        package_rows: int | None = None,
    ) -> None:
        self._client, self._resource, self._stored = client, resource, stored
        self._package_rows = package_rows
        self._account = client.settings.account_sid or ""
        self._lister: WindowedLister | None = None
        self._listed_to: datetime | None = None
        self.complete = False
        """The last package ended with all that was to be read."""
        self.fault: InsightsError | None = None
        """Why it did not; what was finished before is loaded all the same."""
        self.still_pending = set[str]()
        """Not final, and seen so by this run: there is no need to ask for them again."""

    def close(self) -> None:
        """No request is made any more."""
        self._client.cancel()
        if self._lister is not None:
            self._lister.close()

    def prefetch_more(self) -> None:
        """Prefetch more until the next window is consumed, because a package is being loaded."""
        if self._lister is not None:
            self._lister.prefetch_more()

    def package(
        self,
        scope: Scope = INCREMENTAL,
        may_be_empty: bool = False,
        former: FormerState | None = None,
    ) -> Iterator[Tables]:
        """Yield what the next load package writes: the watermark goes with the rows that it stands
        for.

        Args:
            scope: what is to be read; the same as long as that is not complete.
            may_be_empty: where there is nothing to write but the watermark it is moved at once, and
                nothing is yielded.
            former: the state that an earlier version left in dlt's pipeline.

        Raises:
            SettingsError: the first cursor is in the future.
            InsightsError: the API could not be read.
        """
        client, stored = self._client, self._stored
        package = LoadPackage(self._resource, stored, client.progress, self._account)
        acceptor = Acceptor(package, stored, client.progress, self.still_pending)
        before = _take_over(former or {}, package)
        known = _watermark(stored, self._account) or before.get(self._account)
        client.progress.loaded_to = client.progress.loaded_to or known
        listed = True
        if not isinstance(scope, Sids):
            lister = self._lister = self._lister or self._begin(scope, known)
            try:
                yield from self._list(lister, acceptor)
            except InsightsError as error:
                self.fault = error
            listed = self._listed_to == lister.end
        try:
            is_listable = listed or isinstance(self.fault, BadAnswerError)
            if not isinstance(scope, TimeRange) and is_listable:
                now = client.now()
                others = stored.other_accounts(self._account) | (before.keys() - {self._account})
                due = self._due(package, scope, others, now)
                yield from refetch(client, stored, acceptor, due, now)
        except InsightsError as error:
            self.fault = self.fault or error
        if self.fault is not None and self._package_rows is None:
            raise self.fault
        self.complete = listed and not client.stop.is_set()
        if scope == INCREMENTAL and self._listed_to is not None:
            self._move_watermark(package, known, self._listed_to, may_be_empty)
        if batch := package.finish():
            yield batch
        stored.remember(package.written)

    def _begin(self, scope: Incremental | TimeRange, known: datetime | None) -> WindowedLister:
        """List from before the watermark, or from the first cursor, until now."""
        settings, progress, now = self._client.settings, self._client.progress, self._client.now()
        oldest = now - RETENTION
        if known is not None and known > now + MAX_SKEW:
            known = None  # a wrong clock set it; what it hides must be listed
        if isinstance(scope, TimeRange):
            window = scope.window
        elif known is not None:
            start = min(known, now) - parse_duration(settings.lookback)
            window = Window(max(start, oldest), now)
        else:
            first = parse_moment(settings.created_after, now) if settings.created_after else oldest
            if first > now:
                raise SettingsError(
                    f"sources.twilio_insights.created_after: {settings.created_after} is in the "
                    "future"
                )
            window = Window(max(first, oldest), now)
        progress.window_from = progress.window_to = self._listed_to = window.start
        progress.horizon = window.end
        return WindowedLister(
            self._client, self._resource, window, self._stored.count_by_hour(*window)
        )

    def _list(self, lister: WindowedLister, acceptor: Acceptor) -> Iterator[Tables]:
        """Take over window by window up to the horizon, or until the package is full."""
        progress, limit, package = self._client.progress, self._package_rows, acceptor.package
        for listed in lister:
            if not (yield from accept_window(self._client, acceptor, listed)):
                return  # the next run lists this window again
            progress.window_to = self._listed_to = listed.window.end
            progress.on_change(progress)
            is_full = limit and (len(package.written) >= limit or package.bytes >= MAX_BYTES)
            if is_full or self._client.stop.is_set():
                return

    def _due(
        self,
        package: LoadPackage,
        scope: Incremental | Sids,
        other_accounts: Collection[str],
        now: datetime,
    ) -> list[Pending]:
        """What to ask for again: everything pending that this run has not just seen."""
        if isinstance(scope, Sids):
            return self._stored.known(scope.sids)
        for sid, attempts, asked_at in self._stored.expired(now):
            package.note_refetch(sid, attempts, 404, asked_at, None, "expired")
        seen = self.still_pending | package.written
        due = self._stored.pending(now, other_accounts)
        return [asked for asked in due if asked.key not in seen]

    def _move_watermark(
        self, package: LoadPackage, known: datetime | None, reached: datetime, may_be_empty: bool
    ) -> None:
        """It never moves back, unless a wrong clock had set it."""
        if known is not None and known <= self._client.now() + MAX_SKEW:
            reached = max(known, reached)
        is_moved = (
            may_be_empty
            and package.is_empty
            and self._stored.move_watermark(self._account, reached)
        )
        if not is_moved:
            package.note_watermark(self._account, reached)


def _take_over(former: FormerState, package: LoadPackage) -> dict[str, datetime]:
    """Have the package write what an earlier version kept elsewhere; the watermarks by account."""
    kept = former.get("watermarks", {})
    watermarks = {account: as_utc(datetime.fromisoformat(at)) for account, at in kept.items()}
    for account, listed_to in watermarks.items():
        package.note_watermark(account, listed_to)
    for name, sid in former.get("drift", {}).items():
        package.note_drift(name, sid)
    return watermarks


def _watermark(stored: DestinationState, account: str) -> datetime | None:
    """Everything created before it was listed. Long ago if the package that wrote it was never
    completed, so that no first cursor hides what an earlier one had listed."""
    known = stored.watermark(account)
    return known and (known.listed_to if known.is_complete else LONG_AGO)
