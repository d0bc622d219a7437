"""Listing a stretch of creation times in windows: several at once, ahead of their consumer."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import NamedTuple

from pipelines.twilio_insights.answers import Answer
from pipelines.twilio_insights.client import InsightsClient
from pipelines.twilio_insights.errors import BadAnswerError, ExpiredTokenError, UnavailableError
from pipelines.twilio_insights.traffic import DAY, HOUR, MIN_SPAN, Traffic, Window

OVERLAP = timedelta(seconds=1)
"""Each listing begins this much early: whether the API's bounds are inclusive is not documented."""
PAGES_PER_WINDOW = 3
"""Windows are sized to hold about so many pages."""
MAX_PAGES = 8
"""A window that turns out fuller is cut, so that what is in memory stays bounded."""
MAX_PARTS = 20
"""A burst seems to fill all of its window, so the parts are judged again."""
FIRST_SPAN, MAX_SPAN = HOUR, 2 * DAY
"""Where nothing is known each window is twice as long as the one before."""
ENDLESS = 2_000
"""Pages of a window that cannot be cut any more, after which the API is taken to be broken."""
LISTINGS = 3
"""A window whose page token expires is listed so often from its first page."""
AHEAD = 40_000
"""Summaries listed, flattened and not yet consumed: listing goes on while a package is loaded."""


class Listed(NamedTuple):
    window: Window
    answers: list[Answer]

    @property
    def weight(self) -> int:
        return sum(answer.weight for answer in self.answers)

    def by_hour(self) -> Counter[datetime]:
        """How many of its summaries were created in which hour."""
        return sum((answer.by_hour() for answer in self.answers), Counter())

    def seen(self) -> Listed:
        """Cut to what its pages cover, if the API lists by time; whole if that is unknown."""
        first, last = self.window
        edges = [at for answer in self.answers for at in answer.created if first <= at <= last]
        start, end = (min(edges), max(edges)) if edges else self.window
        return Listed(Window(start, max(end, start + MIN_SPAN)), self.answers)


class TooFull(NamedTuple):
    """A window is to be listed in so many parts; `seen` is what was listed of it."""

    parts: float
    seen: Listed


class Stretch(NamedTuple):
    """Nothing of it is listed yet; its first window is to have no more than the span."""

    whole: Window
    longest: timedelta


class Listing:
    """Iterates over completely listed windows that follow each other through the stretch.

    It can be left and gone on with; meanwhile it lists AHEAD. `known` is how many summaries were
    created in an hour, where the destination has them: listings are cut accordingly, and the
    others are flattened at once.

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
        self._stretches = [Stretch(stretch, MAX_SPAN if known else FIRST_SPAN)]
        self._outcomes: dict[datetime, Listed | Exception] = {}
        self._ahead = 0
        self._closed = False
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
                self._changed.wait_for(lambda: self._consumed in self._outcomes)
                listed = self._outcomes[self._consumed]
                if isinstance(listed, Exception):
                    raise listed
                del self._outcomes[self._consumed]
                self._consumed = listed.window.end
                self._ahead -= listed.weight
                self._changed.notify_all()
            yield listed

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._pool.shutdown()

    def _work(self) -> None:
        while window := self._next_window():
            outcome: Listed | TooFull | Exception
            try:
                outcome = self._list(window)
            except Exception as error:  # the consumer, who waits for this window, raises it
                outcome = error
            with self._changed:
                if isinstance(outcome, TooFull):
                    seen = outcome.seen
                    self._traffic.add(seen.window, seen.by_hour())
                    stretch = Stretch(window, window.span / outcome.parts)
                    self._stretches = sorted([stretch, *self._stretches])
                else:
                    self._outcomes[window.start] = outcome
                if isinstance(outcome, Listed):
                    self._ahead += outcome.weight
                    self._traffic.add(window, outcome.by_hour())
                elif isinstance(outcome, Exception):
                    self._until = min(self._until, window.start)  # what follows is of no use now
                self._changed.notify_all()

    def _next_window(self) -> Window | None:
        def start() -> datetime:
            return self._stretches[0].whole.start if self._stretches else self._end

        def may_go_on() -> bool:
            enough = self._ahead >= AHEAD and start() > self._consumed
            return self._closed or (start() < self._until and not enough)

        with self._changed:
            self._changed.wait_for(may_go_on)
            if self._closed:
                return None
            whole, longest = self._stretches.pop(0)
            rows = PAGES_PER_WINDOW * self._client.settings.page_size
            window = self._traffic.first(whole.first(longest), rows)
            if window.end < whole.end:
                rest = Stretch(Window(window.end, whole.end), min(2 * longest, MAX_SPAN))
                self._stretches.insert(0, rest)
            return window

    def _list(self, window: Window) -> Listed | TooFull:
        all_new = not self._traffic.is_known(window)
        for attempt in range(LISTINGS):
            answers: list[Answer] = []
            try:
                for page in self._client.list_pages(window.start - OVERLAP, window.end):
                    with self._flattening:
                        answers.append(Answer(page, all_new))
                    if self._closed or self._client.progress.stop.is_set():
                        raise UnavailableError("stopped while it listed", "stop")
                    if len(answers) == ENDLESS:
                        raise BadAnswerError(f"{ENDLESS} pages for {window.span}, and still more")
                    if page.next_url and window.span > 2 * MIN_SPAN:
                        seen = Listed(window, answers).seen()
                        pages = len(answers) * (window.span / seen.window.span)
                        # After few pages of a busy hour it seems fuller than it is.
                        doubt = 1 + 2 / len(answers)
                        if len(answers) == MAX_PAGES or pages > MAX_PAGES * doubt:
                            parts = min(max(2, pages / PAGES_PER_WINDOW), MAX_PARTS)
                            return TooFull(parts, seen)
                break
            except ExpiredTokenError:
                if attempt == LISTINGS - 1:
                    raise
        return Listed(window, answers)
