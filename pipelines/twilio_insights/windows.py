"""Listing a stretch of creation times in windows: several at once, ahead of their consumer."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from pipelines.twilio_insights.answers import Answer
from pipelines.twilio_insights.client import InsightsClient
from pipelines.twilio_insights.errors import BadAnswerError, ExpiredTokenError, UnavailableError

OVERLAP = timedelta(seconds=1)
"""Each listing begins this much early: whether the API's bounds are inclusive is not documented."""
PAGES_PER_WINDOW = 3
"""Windows are sized to hold about so many pages."""
MAX_PAGES = 8
"""A window that turns out fuller is cut, so that what is in memory stays bounded."""
MAX_PARTS = 20
"""A burst seems to fill all of its window, so the parts are judged again."""
ENDLESS = 2_000
"""Pages of a window that cannot be cut any more, after which the API is taken to be broken."""
FIRST_SPAN, MAX_SPAN = timedelta(hours=1), timedelta(days=2)
MIN_SPAN = timedelta(seconds=1)
LISTINGS = 3
"""A window whose page token expires is listed so often from its first page."""
AHEAD = 2_000
"""Summaries listed and not yet consumed, about 4 kB each."""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_GROWTH = 4


class Window(NamedTuple):
    """Creation times from start, included, to end, excluded; whole seconds."""

    start: datetime
    end: datetime

    @property
    def span(self) -> timedelta:
        return self.end - self.start

    def cut(self, parts: int) -> list[Window]:
        """As many windows, or fewer if they would be shorter than a second."""
        span = max(MIN_SPAN, self.span // parts // MIN_SPAN * MIN_SPAN)
        edges = [self.start]
        while len(edges) < parts and edges[-1] + span < self.end:
            edges.append(edges[-1] + span)
        return [Window(*edge) for edge in pairwise([*edges, self.end])]


class Listed(NamedTuple):
    window: Window
    answers: list[Answer]

    @property
    def rows(self) -> int:
        return sum(len(answer.copies) for answer in self.answers)


class TooFull(NamedTuple):
    """A window is to be listed in so many parts."""

    parts: int


class Listing:
    """Iterates over completely listed windows that follow each other through the stretch.

    It can be left and gone on with; meanwhile it lists AHEAD. `known` is how many summaries were
    created in an hour, where the destination has them: listings are cut accordingly.

    Raises:
        InsightsError: from the first window that could not be listed; earlier ones were yielded.
    """

    def __init__(
        self, client: InsightsClient, stretch: Window, known: Mapping[datetime, int]
    ) -> None:
        self._client = client
        self._traffic = Traffic(known)
        self._consumed = self._begun = stretch.start
        self._end = self._until = stretch.end
        self._parts: list[Window] = []
        self._outcomes: dict[datetime, Listed | Exception] = {}
        self._ahead = 0
        self._closed = False
        self._changed = threading.Condition()
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
                self._ahead -= listed.rows
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
            except Exception as error:
                outcome = error
            with self._changed:
                if isinstance(outcome, TooFull):
                    self._parts = sorted([*self._parts, *window.cut(outcome.parts)])
                else:
                    self._outcomes[window.start] = outcome
                if isinstance(outcome, Listed):
                    self._ahead += outcome.rows
                    self._traffic.add(outcome)
                elif isinstance(outcome, Exception):
                    self._until = min(self._until, window.start)  # what follows is of no use now
                self._changed.notify_all()

    def _next_window(self) -> Window | None:
        def start() -> datetime:
            return self._parts[0].start if self._parts else self._begun

        def may_go_on() -> bool:
            enough = self._ahead >= AHEAD and start() > self._consumed
            return self._closed or (start() < self._until and not enough)

        with self._changed:
            self._changed.wait_for(may_go_on)
            if self._closed:
                return None
            if self._parts:
                return self._parts.pop(0)
            rows = PAGES_PER_WINDOW * self._client.settings.page_size
            window = Window(self._begun, min(self._traffic.end(self._begun, rows), self._end))
            self._begun = window.end
            return window

    def _list(self, window: Window) -> Listed | TooFull:
        for attempt in range(LISTINGS):
            answers: list[Answer] = []
            try:
                for page in self._client.list_pages(window.start - OVERLAP, window.end):
                    answers.append(Answer(page))
                    if self._closed or self._client.progress.stop.is_set():
                        raise UnavailableError("stopped while it listed", "stop")
                    if len(answers) == ENDLESS:
                        raise BadAnswerError(f"{ENDLESS} pages for {window.span}, and still more")
                    if page.next_url and window.span > 2 * MIN_SPAN:
                        pages = _pages(answers, window)
                        # After few pages of a busy hour it seems fuller than it is.
                        doubt = 1 + 2 / len(answers)
                        if len(answers) == MAX_PAGES or pages > MAX_PAGES * doubt:
                            parts = int(pages / PAGES_PER_WINDOW)
                            return TooFull(max(2, min(parts, MAX_PARTS)))
                break
            except ExpiredTokenError:
                if attempt == LISTINGS - 1:
                    raise
        return Listed(window, answers)


class Traffic:
    """How many summaries were created in an hour: known, or as in that hour of the day before, or
    as in all hours on the average."""

    def __init__(self, known: Mapping[datetime, int]) -> None:
        self._hours: dict[datetime, int] = dict(known)
        self._known = frozenset(known)
        self._rows = sum(known.values())
        self._longest = MAX_SPAN if known else FIRST_SPAN

    def add(self, listed: Listed) -> None:
        self._longest = min(MAX_SPAN, max(self._longest, listed.window.span * _GROWTH))
        for hour in _hours(listed.window):
            self._hours.setdefault(hour.start.replace(minute=0, second=0), 0)
        for answer in listed.answers:
            for moment, rows in answer.by_hour().items():
                if moment in self._hours and moment not in self._known:
                    self._hours[moment] += rows
                    self._rows += rows

    def end(self, start: datetime, rows: int) -> datetime:
        """When about so many will have been created since the start."""
        expected, latest = 0.0, start + self._longest
        for part in _hours(Window(start, latest)):
            hour = part.start.replace(minute=0, second=0)
            average = self._rows / max(len(self._hours), 1)
            an_hour = self._hours.get(hour, self._hours.get(hour - DAY, average))
            here = an_hour * (part.span / HOUR)
            if expected + here > rows:
                span = part.start - start + HOUR * ((rows - expected) / an_hour)
                return start + max(MIN_SPAN, span // MIN_SPAN * MIN_SPAN)
            expected += here
        return latest


def _hours(window: Window) -> Iterator[Window]:
    """The hours of the clock that a window consists of; the first and the last may be shorter."""
    start = window.start
    while start < window.end:
        end = min(start.replace(minute=0, second=0) + HOUR, window.end)
        yield Window(start, end)
        start = end


def _pages(answers: Sequence[Answer], window: Window) -> float:
    """How many pages a window has, if the API lists by time and they go on as they began."""
    edges = [edge for answer in answers for edge in answer.created]
    covered = max(edges) - min(edges) if edges else window.span
    return len(answers) * (window.span / max(covered, MIN_SPAN))
