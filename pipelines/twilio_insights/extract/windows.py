"""Listing a range of creation times in windows: several at once, ahead of their consumer."""

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
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.errors import (
    BadAnswerError,
    ExpiredTokenError,
    UnavailableError,
    as_insights_error,
)
from pipelines.twilio_insights.extract.records import RecordPage
from pipelines.twilio_insights.extract.volume import DAY, HOUR, MIN_SPAN, VolumeEstimate, Window
from pipelines.twilio_insights.resources import Resource

log = logging.getLogger("conference_insights")

OVERLAP = timedelta(seconds=1)
"""Each listing begins this much early: whether the API's bounds are inclusive is not documented."""
PAGE_FILL = 0.9
"""The share of one page that a window is sized to fill: one page shows a single moment. Of several
pages, one may lack what moved to the page before it when something there disappeared."""
FIRST_SPAN, MAX_SPAN = HOUR, 2 * DAY
"""Where nothing is known each window is twice as long as the one before."""
MAX_PAGES = 2_000
"""A window that cannot be split further and has more pages than this means a broken API."""
MAX_EXPIRED_TOKENS = 3
"""How often a window is listed from its first page when its page tokens expire."""
MAX_READINGS = 5
"""How often the pages of a window that cannot be split are read until nothing is missing; after
that everything that was shown counts, with a warning."""
PREFETCH_ROWS, PREFETCH_ROWS_WHILE_LOADING = 15_000, 60_000
"""Most records listed, flattened and not yet consumed; more while a package is loaded, which
leaves the interpreter to the threads that list."""


class Listed(NamedTuple):
    window: Window
    pages: list[RecordPage]

    @property
    def buffered_rows(self) -> int:
        return sum(page.buffered_rows for page in self.pages)

    def by_hour(self) -> Counter[datetime]:
        """How many of its summaries were created in which hour."""
        return sum((page.by_hour() for page in self.pages), Counter())


class Split(NamedTuple):
    """The window held too many pages: list it again in two parts. If the API lists by time, `seen`
    is the range that its first page covers, and how many were created in each hour of it."""

    edge: datetime
    seen: tuple[Window, Counter[datetime]] | None


class Unlisted(NamedTuple):
    """A range that is not listed yet; the next window taken from it is at most `longest`."""

    whole: Window
    longest: timedelta


class WindowedLister:
    """Iterates over completely listed windows that follow each other through a range.

    An iteration can be left and another begun where it ended; PREFETCH_ROWS are listed meanwhile.
    `known` is how many summaries were created in an hour, where the destination has them: windows
    are sized accordingly, and summaries of other hours are flattened at once.

    Raises:
        InsightsError: from the first window that could not be listed; earlier ones were yielded.
    """

    def __init__(
        self,
        client: InsightsClient,
        resource: Resource,
        whole: Window,
        known: Mapping[datetime, int],
    ) -> None:
        self._client, self._resource = client, resource
        self._volume = VolumeEstimate(known)
        self._consumed = whole.start
        self.end = self._until = whole.end
        self._page_size = client.settings.page_size
        self._rows = max(1, int(PAGE_FILL * self._page_size))
        self._unlisted = [Unlisted(whole, MAX_SPAN if known else FIRST_SPAN)]
        self._outcomes: dict[datetime, Listed | Exception] = {}
        self._buffered_rows, self._prefetch_rows = 0, PREFETCH_ROWS
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
        while self._consumed < self.end:
            with self._changed:
                self._prefetch_rows = PREFETCH_ROWS
                self._changed.wait_for(lambda: self._died or self._consumed in self._outcomes)
                listed = self._outcomes.get(self._consumed, self._died)
                if not isinstance(listed, Listed):
                    raise listed or AssertionError
                del self._outcomes[self._consumed]
                self._consumed = listed.window.end
                self._buffered_rows -= listed.buffered_rows
                self._changed.notify_all()
            yield listed

    def prefetch_more(self) -> None:
        """Prefetch more until the next window is consumed, because a package is being loaded."""
        with self._changed:
            self._prefetch_rows = PREFETCH_ROWS_WHILE_LOADING
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
        outcome: Listed | Split | Exception
        try:
            outcome = self._list(window)
            seen = outcome.seen if isinstance(outcome, Split) else (window, outcome.by_hour())
        except Exception as error:  # the consumer, who waits for this window, raises it
            outcome = as_insights_error(error, " to ".join(map(iso_seconds, window)))
            seen = None
        with self._changed:
            if seen is not None:
                self._volume.add(*seen)
            if isinstance(outcome, Split):
                parts = Window(window.start, outcome.edge), Window(outcome.edge, window.end)
                unlisted = (Unlisted(part, MAX_SPAN) for part in parts)
                self._unlisted = sorted([*unlisted, *self._unlisted])
            else:
                self._outcomes[window.start] = outcome
            if isinstance(outcome, Listed):
                self._buffered_rows += outcome.buffered_rows
            elif isinstance(outcome, Exception):
                self._until = min(self._until, window.start)  # what follows is of no use now
            self._changed.notify_all()

    def _next_window(self) -> Window | None:
        def start() -> datetime:
            return self._unlisted[0].whole.start if self._unlisted else self.end

        def may_go_on() -> bool:
            enough = self._buffered_rows >= self._prefetch_rows and start() > self._consumed
            return self._closed or (start() < self._until and not enough)

        with self._changed:
            self._changed.wait_for(may_go_on)
            if self._closed:
                return None
            whole, longest = self._unlisted.pop(0)
            window = self._volume.first(whole.first(longest), self._rows)
            if window.end < whole.end:
                rest = Unlisted(Window(window.end, whole.end), min(2 * longest, MAX_SPAN))
                self._unlisted.insert(0, rest)
            return window

    def _list(self, window: Window) -> Listed | Split:
        before: set[str | int] | None = None
        earlier: list[RecordPage] = []
        expired = 0
        for _ in range(MAX_READINGS):
            try:
                pages = self._walk(window)
            except ExpiredTokenError:
                expired += 1
                if expired == MAX_EXPIRED_TOKENS:
                    raise
                continue
            if isinstance(pages, Split):
                return pages
            if len(pages) == 1 and not earlier:
                return Listed(window, pages)
            shown = {key for page in pages for key in page.known_by()}
            # What was shown before and still is was there all the time, so no page had moved.
            if before is not None and before <= shown:
                return Listed(window, pages + [a for a in earlier if not a.known_by() <= shown])
            before = shown
            earlier = pages + earlier  # of versions that are equally final the last one counts
        log.warning(
            "Each time that %s to %s was listed, %d times, summaries had disappeared meanwhile",
            *map(iso_seconds, window),
            MAX_READINGS,
        )
        return Listed(window, earlier)

    def _walk(self, window: Window) -> list[RecordPage] | Split:
        all_new = not self._volume.is_known(window)
        pages: list[RecordPage] = []
        for page in self._client.list_pages(self._resource, window.start - OVERLAP, window.end):
            # Where pages are not filled, who knows how many the parts would have?
            is_full = page.next_url is not None and len(page.rows) >= self._page_size
            cut = is_full and window.span > MIN_SPAN
            with self._flattening:
                pages.append(RecordPage(self._resource, page, all_new and not cut))
            if self._closed or self._client.stop.is_set():
                raise UnavailableError("stopped while it listed", "stop")
            if len(pages) == MAX_PAGES:
                raise BadAnswerError(f"{MAX_PAGES} pages for {window.span}, and still more")
            if cut:
                return self._cut(window, pages[-1])
        return pages

    def _cut(self, window: Window, page: RecordPage) -> Split:
        """In parts that seem to hold the same; in the middle, if the API does not list by time."""
        times, edge = page.created_in(window), window.start + window.span / 2
        seen = None
        if len({*times}) > 1 and sorted(times) in (times, times[::-1]):
            covered = Window(min(times), max(times))
            total = len(times) * (window.span / covered.span)
            share = int(total / max(2, ceil(total / self._rows)))
            edge = times[min(share, len(times) - 1)]
            seen = covered, page.by_hour()
        edge = max(window.start + MIN_SPAN, min(edge, window.end - MIN_SPAN))
        return Split(edge.replace(microsecond=0), seen)
