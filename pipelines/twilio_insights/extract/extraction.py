"""What a run reads: on from the watermarks, then again what is still pending."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypedDict

from pipelines.errors import SettingsError
from pipelines.lifecycle import RETENTION
from pipelines.times import as_utc, parse_duration, parse_moment
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.api.clock import MAX_SKEW
from pipelines.twilio_insights.errors import InsightsError, UnavailableError
from pipelines.twilio_insights.extract.acceptance import Acceptor
from pipelines.twilio_insights.extract.accounts import Accounts
from pipelines.twilio_insights.extract.comparison import MAX_NAMED, Comparison
from pipelines.twilio_insights.extract.destination_state import DestinationState, Pending
from pipelines.twilio_insights.extract.lister import WindowedLister
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
from pipelines.twilio_insights.extract.windows import AccountRange, raise_unless_listed
from pipelines.twilio_insights.resources import Resource

if TYPE_CHECKING:
    from pipelines.twilio_insights.extract.flatten import Tables

log = logging.getLogger("conference_insights")

MAX_BYTES = 250_000_000
"""A load package with more, for long texts, ends too."""
MAX_CONSECUTIVE_ACCOUNTS = 5
"""After so many accounts in a row that gave no answer the API counts as down."""


class FormerState(TypedDict, total=False):
    """What versions without the tables `_watermarks` and `_drift` kept in dlt's state."""

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
        accounts: that are loaded.
        package_rows: end a package at the first window edge after this many rows, or where all has
            been listed or has failed; read on until it is `complete`. None: everything in one
            package, and a failure raises if it leaves nothing to load.
        comparison: takes note of what is listed.
    """

    def __init__(
        self,
        client: InsightsClient,
        resource: Resource,
        stored: DestinationState,
        accounts: Accounts,
        package_rows: int | None = None,
        comparison: Comparison | None = None,
    ) -> None:
        self._client, self._resource, self._stored = client, resource, stored
        self._comparison = comparison
        self._accounts, self._package_rows = accounts, package_rows
        self._lister: WindowedLister | None = None
        self._ranges: list[AccountRange] = []
        self._reached: dict[str, datetime] = {}
        """By account: everything created before was listed and taken over."""
        self._in_a_row = 0
        self.complete = False
        """The last package ended with all that was to be read, or could be."""
        self.fault: InsightsError | None = None
        """Why not all could be; the rest is loaded all the same."""
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
        """Yield what the next load package writes: the watermarks go with the rows that they stand
        for.

        Args:
            scope: what is to be read; the same as long as that is not complete.
            may_be_empty: where there is nothing to write but watermarks and accounts it is done at
                once, and nothing is yielded.
            former: the state that an earlier version left in dlt's pipeline.

        Raises:
            SettingsError: `created_after` is in the future, and no account has a watermark.
            InsightsError: the API could not be read.
        """
        client, stored, accounts = self._client, self._stored, self._accounts
        acceptor = Acceptor(
            self._resource, stored, client, accounts, self.still_pending, self._comparison
        )
        package = acceptor.package
        self._take_over(former or {}, package)
        is_listed = True
        if not isinstance(scope, Sids):
            lister = self._lister = self._lister or self._begin(scope)
            is_listed = yield from self._list(lister, acceptor)
        # Even if so many accounts in a row gave no answer, those that did answer are asked.
        may_answer = accounts.some_answer or not self._is_down
        if is_listed and not isinstance(scope, TimeRange) and may_answer:
            due = self._due(package, scope, client.now())
            yield from refetch(client, stored, acceptor, accounts, due)
        self.complete = is_listed and not client.stop.is_set()
        self.fault = accounts.decisive_failure if self.complete else None
        is_loadable = self._package_rows or (accounts.has_several and self._reached)
        if self.fault is not None and not is_loadable:
            raise self.fault
        self._note_position()
        if not (isinstance(scope, TimeRange) and scope.is_filtered):
            for one in self._ranges:
                if at := self._reached.get(one.account):
                    listed = Window(one.whole.start, at)
                    accounts.note_listed(one.account, listed, is_first=scope == INCREMENTAL)
        reached = self._reached if scope == INCREMENTAL else {}
        accounts.write(package, reached, may_be_empty)
        if batch := package.finish():
            yield batch
        stored.remember(package.written)

    @property
    def _is_down(self) -> bool:
        return self._in_a_row >= MAX_CONSECUTIVE_ACCOUNTS

    def _begin(self, scope: Incremental | TimeRange) -> WindowedLister:
        """List of each account from before its watermark, or from `created_after`, until now."""
        client, now = self._client, self._client.now()
        if isinstance(scope, TimeRange):  # also of refused accounts: does that still hold?
            windows = dict.fromkeys(self._accounts.followed, scope.window)
        else:
            windows = self._windows(now)
        start = min(window.start for window in windows.values())
        end = max(window.end for window in windows.values())
        counts, page_size = self._stored.count_by_hour(start, end), client.settings.page_size
        at_once = len(windows) > 1
        self._ranges = [
            AccountRange(
                account,
                window,
                counts.get(account, {}),
                page_size,
                at_once,
                known_to=self._watermark(account, now),
            )
            for account, window in windows.items()
        ]
        # An empty range is listed, or the next run would begin where that one ends, and so on.
        self._reached |= {one.account: end for one in self._ranges if one.is_complete}
        client.progress.window_from = client.progress.window_to = start
        client.progress.horizon = end
        return WindowedLister(client, self._resource, self._ranges, client.settings.filters)

    def _watermark(self, account: str, now: datetime) -> datetime | None:
        """None, too, where a wrong clock set it: what it hides must be listed."""
        known = self._accounts.watermark(account)
        return None if known is None or known > now + MAX_SKEW else known

    def _windows(self, now: datetime) -> dict[str, Window]:
        """What is to be listed of the accounts of which something is."""
        after, starts = self._client.settings.created_after, dict[str, datetime]()
        for account in self._accounts.due(now):
            starts[account] = self._start(account, now)
        early = [account for account, start in starts.items() if start > now]
        if early:
            message = f"sources.twilio_insights.created_after: {after} is in the future"
            if len(early) == len(starts):
                raise SettingsError(message)
            log.warning("%s: nothing is listed yet of %s", message, ", ".join(early[:MAX_NAMED]))
        return {
            account: Window(max(start, now - RETENTION), now)
            for account, start in starts.items()
            if start <= now
        }

    def _start(self, account: str, now: datetime) -> datetime:
        """Where its listing begins: before its watermark, or as it is set for one without any."""
        settings, known = self._client.settings, self._watermark(account, now)
        if known is not None:
            return min(known, now) - parse_duration(settings.lookback)
        after = settings.created_after
        return parse_moment(after, now) if after else now - RETENTION

    def _list(self, lister: WindowedLister, acceptor: Acceptor) -> Generator[Tables, None, bool]:
        """Take over window by window, until the package is full. Return whether all is listed, or
        cannot be."""
        client, limit, package = self._client, self._package_rows, acceptor.package
        whole = sum((one.whole.span for one in self._ranges), timedelta())
        for turn, outcome in lister:
            try:
                listed = raise_unless_listed(outcome)
                if not (yield from accept_window(client, acceptor, turn.account, listed)):
                    return False  # the next run lists this window again
            except InsightsError as error:
                if client.stop.is_set():
                    return False
                lister.drop(turn)
                self._accounts.note_failure(turn.account, error, client.now())
                self._in_a_row += isinstance(error, UnavailableError)
                if self._is_down:
                    self._accounts.note_unasked(
                        a.account for a in self._ranges if not a.is_complete
                    )
                    return True
            else:
                self._in_a_row = 0
                self._reached[turn.account] = listed.window.end
                self._accounts.note_answer(turn.account)
                client.progress.share_listed += listed.window.span / whole
                if turn.is_complete:
                    self._accounts.note_success(turn.account)
            client.progress.on_change(client.progress)
            is_full = limit and (len(package.written) >= limit or package.bytes >= MAX_BYTES)
            if is_full or client.stop.is_set():
                return lister.is_done
        return True

    def _note_position(self) -> None:
        """Until when all is listed of the accounts that could be."""
        failed = self._accounts.failures.keys()
        listed = [self._reached.get(a.account, a.whole.start) for a in self._ranges]
        good = [
            at for one, at in zip(self._ranges, listed, strict=True) if one.account not in failed
        ]
        if listed:
            self._client.progress.window_to = min(good or listed)

    def _due(self, package: LoadPackage, scope: Incremental | Sids, now: datetime) -> list[Pending]:
        """What to ask for again: everything pending that this run has not just seen, of accounts
        that answer."""
        accounts, followed = self._accounts, self._accounts.followed
        unreadable = accounts.unreadable
        if isinstance(scope, Sids):
            due = self._stored.known(scope.sids)
        else:
            for sid, attempts, asked_at in self._stored.expired(now):
                package.note_refetch(sid, attempts, 404, asked_at, None, "expired")
            seen = self.still_pending | package.written
            due = [asked for asked in self._stored.pending(now) if asked.key not in seen]
            others = accounts.others  # after these, as another run may load some meanwhile
            due = [asked for asked in due if asked.account not in others]
        # With several accounts, any of them may have a record whose account is not known.
        unknown = "" if accounts.has_several else accounts.own
        due = [
            asked._replace(
                account=asked.account if asked.account in followed else unknown,
                is_elsewhere=accounts.is_elsewhere(asked.account),
            )
            for asked in due
        ]
        return [asked for asked in due if asked.account not in unreadable]

    def _take_over(self, former: FormerState, package: LoadPackage) -> None:
        """Have the package write what an earlier version kept elsewhere."""
        kept = former.get("watermarks", {})
        watermarks = {account: as_utc(datetime.fromisoformat(at)) for account, at in kept.items()}
        for account, listed_to in watermarks.items():
            package.note_watermark(account, listed_to)
        self._accounts.take_over(watermarks)
        for name, sid in former.get("drift", {}).items():
            package.note_drift(name, sid)
