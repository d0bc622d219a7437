"""Listing a stretch of creation times in windows, several in flight, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import NamedTuple

from pipelines.twilio_insights.client import InsightsClient, Page
from pipelines.twilio_insights.errors import (
    BadAnswerError,
    ExpiredTokenError,
    UnavailableError,
)

OVERLAP = timedelta(seconds=1)
"""Each listing begins this much early: whether the API's bounds are inclusive is not documented."""
PAGES_PER_WINDOW = 2
"""Windows are sized to hold about so many pages, judged by those that came before."""
MAX_PAGES = 10
"""A window that turns out fuller is split, so that what is in memory stays bounded."""
ENDLESS = 2_000
"""Pages of a window that cannot be split any more, after which the API is taken to be broken."""
FIRST_SPAN = timedelta(hours=1)
MAX_SPAN = timedelta(days=2)
MIN_SPAN = timedelta(seconds=1)
LISTINGS = 3
"""A window whose page token expires is listed so often from its first page."""
_GROWTH = 4


class Window(NamedTuple):
    """Creation times from start, included, to end, excluded; whole seconds."""

    start: datetime
    end: datetime

    @property
    def span(self) -> timedelta:
        return self.end - self.start

    def halves(self) -> tuple[Window, Window]:
        middle = (self.start + self.span / 2).replace(microsecond=0)
        return Window(self.start, middle), Window(middle, self.end)


class Listed(NamedTuple):
    window: Window
    pages: list[Page]


def list_windows(
    client: InsightsClient, start: datetime, end: datetime, span: timedelta = FIRST_SPAN
) -> Iterator[Listed]:
    """Yield completely listed windows that follow each other from start to end.

    `max_concurrency` windows are in flight; the next is asked for when the consumer takes one,
    so a slow consumer slows the listing down.

    Raises:
        InsightsError: from the first window that could not be listed; earlier ones were yielded.
    """
    in_flight: deque[tuple[Window, Future[list[Page] | None]]] = deque()
    pool = ThreadPoolExecutor(client.settings.max_concurrency, thread_name_prefix="window")

    def submit(window: Window) -> tuple[Window, Future[list[Page] | None]]:
        return window, pool.submit(_list_window, client, window)

    try:
        while in_flight or start < end:
            while start < end and len(in_flight) < client.settings.max_concurrency:
                window = Window(start, min(start + span, end))
                in_flight.append(submit(window))
                start = window.end
            window, future = in_flight.popleft()
            pages = future.result()
            if pages is None:
                first, second = window.halves()
                in_flight.extendleft((submit(second), submit(first)))
                span = max(MIN_SPAN, min(span, first.span // 2 // MIN_SPAN * MIN_SPAN))
                continue
            span = _next_span(window, sum(len(page.rows) for page in pages), client)
            yield Listed(window, pages)
    finally:
        pool.shutdown(cancel_futures=True)


def span_for(rows: int, stretch: timedelta, page_size: int) -> timedelta:
    """The span of windows that hold about `PAGES_PER_WINDOW` pages, if rows are spread evenly."""
    span = stretch * (PAGES_PER_WINDOW * page_size / max(rows, 1))
    return max(MIN_SPAN, min(span, MAX_SPAN)) // MIN_SPAN * MIN_SPAN


def _next_span(window: Window, rows: int, client: InsightsClient) -> timedelta:
    fitting = span_for(rows, window.span, client.settings.page_size)
    return min(fitting, window.span * _GROWTH)


def _list_window(client: InsightsClient, window: Window) -> list[Page] | None:
    """All pages of a window, or None if there are too many and it can be split."""
    for attempt in range(LISTINGS):
        pages: list[Page] = []
        try:
            for page in client.list_pages(window.start - OVERLAP, window.end):
                pages.append(page)
                if client.progress.stop.is_set():
                    raise UnavailableError("stopped while it listed", "stop")
                if len(pages) == ENDLESS:
                    raise BadAnswerError(f"{ENDLESS} pages for {window.span}, and still more")
                if len(pages) == MAX_PAGES and page.next_url and window.span > 2 * MIN_SPAN:
                    return None
            break
        except ExpiredTokenError:
            if attempt == LISTINGS - 1:
                raise
    return pages
