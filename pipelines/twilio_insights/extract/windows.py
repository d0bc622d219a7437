"""The windows of a range of creation times: how large each is, which is next, which are listed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from pipelines.twilio_insights.extract.records import RecordPage
from pipelines.twilio_insights.extract.volume import DAY, HOUR, MIN_SPAN, VolumeEstimate, Window

PAGE_FILL = 0.9
"""The share of one page that a window is sized to fill: one page shows a single moment. Of several
pages, one may lack what moved to the page before it when something there disappeared."""
FIRST_SPAN, MAX_SPAN = HOUR, 2 * DAY
"""Where nothing is known each window is twice as long as the one before."""


class Listed(NamedTuple):
    """A window that was listed completely."""

    window: Window
    pages: list[RecordPage]

    @property
    def buffered_rows(self) -> int:
        return sum(page.buffered_rows for page in self.pages)

    def by_hour(self) -> Counter[datetime]:
        """How many of its records were created in which hour."""
        return sum((page.by_hour() for page in self.pages), Counter())


def raise_unless_listed(outcome: Listed | Exception) -> Listed:
    """The window; raises the error that is in its place."""
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


class Split(NamedTuple):
    """The window held too many pages, or took too long: list it again in two parts. If the API
    lists by time, `seen` is the range that its first page covers, and how many were created in each
    hour of it."""

    edge: datetime
    seen: tuple[Window, Counter[datetime]] | None
    is_too_long: bool = False


class Unlisted(NamedTuple):
    """A range that is not listed yet; the next window taken from it is at most `longest`."""

    whole: Window
    longest: timedelta


class AccountRange:
    """A range of one account, listed in windows that follow each other; one thread at a time may
    call it.

    Args:
        account: whose records are listed.
        whole: the creation times.
        known: how many records were created in an hour, where the destination has them: windows
            are sized accordingly, and records of other hours are flattened at once.
        page_size: of the listing.
        at_once: the first window may be all of it: a request each is enough for many accounts that
            have few records.
        known_to: until when an hour that is not known was listed and had none, see VolumeEstimate.
    """

    def __init__(
        self,
        account: str,
        whole: Window,
        known: Mapping[datetime, int],
        page_size: int,
        at_once: bool = False,
        known_to: datetime | None = None,
    ) -> None:
        self.account, self.whole = account, whole
        self.listed_to = whole.start
        """Everything created before was listed completely, and handed out."""
        self.in_flight = 0
        """Windows that are being listed."""
        self.has_answered = False
        self.is_over = False
        """Nothing is handed out any more."""
        self.rows_a_window = max(1, int(PAGE_FILL * page_size))
        self._volume = VolumeEstimate(known, known_to)
        self._until, self._longest = whole.end, timedelta.max
        first = MAX_SPAN if known else FIRST_SPAN
        self._unlisted = [Unlisted(whole, whole.span if at_once else first)]
        self._outcomes: dict[datetime, Listed | Exception] = {}

    @property
    def is_complete(self) -> bool:
        return self.listed_to >= self.whole.end

    @property
    def is_ready(self) -> bool:
        """Whether there is something to hand out."""
        return self.listed_to in self._outcomes

    @property
    def has_unlisted(self) -> bool:
        return bool(self._unlisted) and self._unlisted[0].whole.start < self._until

    def may_go_on(self, at_once: int, only_next: bool) -> bool:
        """Whether the next window is to be listed now, with fewer than `at_once` in flight;
        `only_next`: none but the one that is handed out next."""
        if not self.has_unlisted or self.in_flight >= at_once:
            return False
        return not only_next or self._unlisted[0].whole.start == self.listed_to

    def is_known(self, window: Window) -> bool:
        """Whether the destination has records of any of its hours."""
        return self._volume.is_known(window)

    def next_window(self) -> Window:
        """Take the next window, which is in flight from now on."""
        whole, longest = self._unlisted.pop(0)
        part = whole.first(min(longest, self._longest))
        window = self._volume.first(part, self.rows_a_window)
        if window.end < whole.end:
            rest = Unlisted(Window(window.end, whole.end), min(2 * longest, MAX_SPAN))
            self._unlisted.insert(0, rest)
        self.in_flight += 1
        return window

    def put(self, window: Window, outcome: Listed | Split | Exception) -> int:
        """Note what became of a window; the rows to buffer."""
        self.in_flight -= 1
        if window.start >= self._until:
            return 0  # it failed before that, or was dropped
        if isinstance(outcome, Exception):
            self._outcomes[window.start], self._until = outcome, window.start
            return 0
        self.has_answered = True
        if isinstance(outcome, Split):
            self._volume.doubt()
            if outcome.is_too_long:  # so others as long would be, too
                self._longest = min(self._longest, max(window.span / 2, MIN_SPAN))
            if outcome.seen is not None:
                self._volume.add(*outcome.seen)
            parts = Window(window.start, outcome.edge), Window(outcome.edge, window.end)
            unlisted = (Unlisted(part, MAX_SPAN) for part in parts)
            self._unlisted = sorted([*unlisted, *self._unlisted])
            return 0
        if self._unlisted:
            self._volume.add(window, outcome.by_hour())
        self._outcomes[window.start] = outcome
        return outcome.buffered_rows

    def take(self) -> Listed | Exception:
        """Hand out what is ready; an error is the last."""
        outcome = self._outcomes.pop(self.listed_to)
        if isinstance(outcome, Listed):
            self.listed_to = outcome.window.end
        return outcome

    def drop(self) -> int:
        """List nothing of it any more; the rows that were buffered."""
        rows = sum(one.buffered_rows for one in self._outcomes.values() if isinstance(one, Listed))
        self._outcomes.clear()
        self._until, self.is_over = self.whole.start, True
        return rows
