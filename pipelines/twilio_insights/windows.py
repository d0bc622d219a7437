"""Listing a stretch of creation times in windows: several at once, ahead of their consumer."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple

from pipelines.times import iso_seconds
from pipelines.twilio_insights.answers import Answer
from pipelines.twilio_insights.client import InsightsClient
from pipelines.twilio_insights.errors import (
    BadAnswerError,
    ExpiredTokenError,
    UnavailableError,
    as_insights_error,
)
from pipelines.twilio_insights.traffic import DAY, HOUR, MIN_SPAN, Traffic, Window

log = logging.getLogger("conference_insights")

OVERLAP = timedelta(seconds=1)
"""Each listing begins this much early: whether the API's bounds are inclusive is not documented."""
FULL = 0.9
"""Windows are sized to fill so much of one page, which shows all of it at one moment. Of several
pages one may lack what moved to the page before, when something that was on that disappeared."""
FIRST_SPAN, MAX_SPAN = HOUR, 2 * DAY
"""Where nothing is known each window is twice as long as the one before."""
ENDLESS = 2_000
"""Pages of a window that cannot be cut any more, after which the API is taken to be broken."""
LISTINGS = 3
"""A window whose page token expires is listed so often from its first page."""
WALKS = 5
"""So often at most the pages of a window that cannot be cut are read, until nothing is missing;
then all that was shown counts, with a warning."""
AHEAD, AHEAD_OF_A_LOAD = 15_000, 60_000
"""Summaries listed, flattened and not yet consumed, at most; more while a package is loaded, which
leaves the interpreter to the threads that list."""


class Listed(NamedTuple):
    window: Window
    answers: list[Answer]

    @property
    def weight(self) -> int:
        return sum(answer.weight for answer in self.answers)

    def by_hour(self) -> Counter[datetime]:
        """How many of its summaries were created in which hour."""
        return sum((answer.by_hour() for answer in self.answers), Counter())


class TooFull(NamedTuple):
    """A window is to be cut at the edge. If the API lists by time, `seen` is what its first page
    covers, and how many were created there."""

    edge: datetime
    seen: tuple[Window, Counter[datetime]] | None


class Stretch(NamedTuple):
    """Nothing of it is listed yet; its first window is to have no more than the span."""

    whole: Window
    longest: timedelta


class Listing:
    """Iterates over completely listed windows that follow each other through the stretch.

    It can be left and gone on with; meanwhile it lists AHEAD of its consumer. `known` is how many
    summaries were created in an hour, where the destination has them: listings are cut
    accordingly, and the others are flattened at once.

    Raises:
        InsightsError: from the first window that could not be listed; earlier ones were yielded.
    """

    def __init__(
        self, client: InsightsClient, stretch: Window, known: Mapping[datetime, int]
    ) -> None:
        self._client = client
        self._traffic = Traffic(known)
        self._consumed = stretch.start
        self._end = self._until = stretch.end
        self._page_size = client.settings.page_size
        self._rows = max(1, int(FULL * self._page_size))
        self._stretches = [Stretch(stretch, MAX_SPAN if known else FIRST_SPAN)]
        self._outcomes: dict[datetime, Listed | Exception] = {}
        self._ahead, self._most_ahead = 0, AHEAD
        self._closed = False
        self._died: Exception | None = None
        self._changed = threading.Condition()
        # Several at once would only take the interpreter from each other: 6 % more time.
        self._flattening = threading.Lock()
        workers = client.settings.max_concurrency
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="window")
        for _ in range(workers):
            self._pool.submit(self._work)

    def __iter__(self) -> Iterator[Listed]:
        while self._consumed < self._end:
            with self._changed:
                self._most_ahead = AHEAD
                self._changed.wait_for(lambda: self._died or self._consumed in self._outcomes)
                listed = self._outcomes.get(self._consumed, self._died)
                if not isinstance(listed, Listed):
                    raise listed or AssertionError
                del self._outcomes[self._consumed]
                self._consumed = listed.window.end
                self._ahead -= listed.weight
                self._changed.notify_all()
            yield listed

    def go_ahead(self) -> None:
        """List more until the next window is consumed: a package is loaded now."""
        with self._changed:
            self._most_ahead = AHEAD_OF_A_LOAD
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._pool.shutdown()

    def _work(self) -> None:
        try:
            while window := self._next_window():
                self._take(window)
        except Exception as error:  # or the consumer would wait for ever
            with self._changed:
                self._died = as_insights_error(error, "What follows")
                self._changed.notify_all()

    def _take(self, window: Window) -> None:
        outcome: Listed | TooFull | Exception
        try:
            outcome = self._list(window)
            seen = outcome.seen if isinstance(outcome, TooFull) else (window, outcome.by_hour())
        except Exception as error:  # the consumer, who waits for this window, raises it
            outcome = as_insights_error(error, " to ".join(map(iso_seconds, window)))
            seen = None
        with self._changed:
            if seen is not None:
                self._traffic.add(*seen)
            if isinstance(outcome, TooFull):
                parts = Window(window.start, outcome.edge), Window(outcome.edge, window.end)
                stretches = (Stretch(part, MAX_SPAN) for part in parts)
                self._stretches = sorted([*stretches, *self._stretches])
            else:
                self._outcomes[window.start] = outcome
            if isinstance(outcome, Listed):
                self._ahead += outcome.weight
            elif isinstance(outcome, Exception):
                self._until = min(self._until, window.start)  # what follows is of no use now
            self._changed.notify_all()

    def _next_window(self) -> Window | None:
        def start() -> datetime:
            return self._stretches[0].whole.start if self._stretches else self._end

        def may_go_on() -> bool:
            enough = self._ahead >= self._most_ahead and start() > self._consumed
            return self._closed or (start() < self._until and not enough)

        with self._changed:
            self._changed.wait_for(may_go_on)
            if self._closed:
                return None
            whole, longest = self._stretches.pop(0)
            window = self._traffic.first(whole.first(longest), self._rows)
            if window.end < whole.end:
                rest = Stretch(Window(window.end, whole.end), min(2 * longest, MAX_SPAN))
                self._stretches.insert(0, rest)
            return window

    def _list(self, window: Window) -> Listed | TooFull:
        before: set[str | int] | None = None
        earlier: list[Answer] = []
        expired = 0
        for _ in range(WALKS):
            try:
                answers = self._walk(window)
            except ExpiredTokenError:
                expired += 1
                if expired == LISTINGS:
                    raise
                continue
            if isinstance(answers, TooFull):
                return answers
            if len(answers) == 1 and not earlier:
                return Listed(window, answers)
            shown = {key for answer in answers for key in answer.known_by()}
            # What was shown before and still is was there all the time, so no page had moved.
            if before is not None and before <= shown:
                return Listed(window, answers + [a for a in earlier if not a.known_by() <= shown])
            before = shown
            earlier = answers + earlier  # of copies that are equally final the last one counts
        log.warning(
            "Each time that %s to %s was listed, %d times, summaries had disappeared meanwhile",
            *map(iso_seconds, window),
            WALKS,
        )
        return Listed(window, earlier)

    def _walk(self, window: Window) -> list[Answer] | TooFull:
        all_new = not self._traffic.is_known(window)
        answers: list[Answer] = []
        for page in self._client.list_pages(window.start - OVERLAP, window.end):
            # Where pages are not filled, who knows how many the parts would have?
            is_full = page.next_url is not None and len(page.rows) >= self._page_size
            cut = is_full and window.span > MIN_SPAN
            with self._flattening:
                answers.append(Answer(page, all_new and not cut))
            if self._closed or self._client.progress.stop.is_set():
                raise UnavailableError("stopped while it listed", "stop")
            if len(answers) == ENDLESS:
                raise BadAnswerError(f"{ENDLESS} pages for {window.span}, and still more")
            if cut:
                return self._cut(window, answers[-1])
        return answers

    def _cut(self, window: Window, answer: Answer) -> TooFull:
        """In parts that seem to hold the same; in the middle, if the API does not list by time."""
        times, edge = answer.created_in(window), window.start + window.span / 2
        seen = None
        if len({*times}) > 1 and sorted(times) in (times, times[::-1]):
            covered = Window(min(times), max(times))
            total = len(times) * (window.span / covered.span)
            share = int(total / max(2, ceil(total / self._rows)))
            edge = times[min(share, len(times) - 1)]
            seen = covered, answer.by_hour()
        edge = max(window.start + MIN_SPAN, min(edge, window.end - MIN_SPAN))
        return TooFull(edge.replace(microsecond=0), seen)
