"""Listing the ranges of several accounts: some windows at once, ahead of their consumer."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from math import ceil

from pipelines.times import iso_seconds
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.errors import (
    BadAnswerError,
    ExpiredTokenError,
    QueryTimeoutError,
    TooLargeError,
    UnavailableError,
    as_insights_error,
)
from pipelines.twilio_insights.extract.package import SMALL_PAGE
from pipelines.twilio_insights.extract.records import RecordPage, owner_of
from pipelines.twilio_insights.extract.retention import list_pages
from pipelines.twilio_insights.extract.volume import HOUR, MIN_SPAN, Window
from pipelines.twilio_insights.extract.windows import AccountRange, Listed, Split
from pipelines.twilio_insights.resources import Resource

log = logging.getLogger("conference_insights")

OVERLAP = timedelta(seconds=1)
"""Each listing begins this much early: whether the API's bounds are inclusive is not documented."""
MAX_EXPIRED_TOKENS = 3
"""How often a window is listed from its first page when its page tokens expire."""
SHORTEST_QUERY = timedelta(minutes=1)
"""A longer window whose listing takes Twilio too long, or has too large a page, is listed in two
parts."""
SHORTEST_UNANSWERED = HOUR
"""The same if Twilio does not say so, but does not answer in time while it lists a second of it."""
MAX_READINGS = 5
"""How often the pages of a window that cannot be split are read until nothing is missing; after
that everything that was shown counts, with a warning."""
PREFETCH_ROWS, PREFETCH_ROWS_WHILE_LOADING = 15_000, 60_000
"""Most records listed, flattened and not yet consumed; more while a package is loaded, which
leaves the interpreter to the threads that list."""
SPARE_THREADS = 8
"""Besides those that have a request in flight, where there are several accounts: as many of these
may answer nothing, and be tried again after a while, without keeping the others waiting."""


class WindowedLister:
    """Iterates over completely listed windows of some ranges: those of each follow each other, and
    the ranges take turns, so that a large one keeps no other waiting.

    An error is the last of its range; the others go on. An iteration can be left, and another
    begun where it ended; PREFETCH_ROWS are listed meanwhile.

    Raises:
        Exception: something went wrong that belongs to no range.
    """

    def __init__(
        self,
        client: InsightsClient,
        resource: Resource,
        ranges: Iterable[AccountRange],
        filters: Mapping[str, str] | None = None,
    ) -> None:
        self._client, self._resource, self._filters = client, resource, filters or {}
        self._page_size = client.settings.page_size
        self._unlisted = deque(one for one in ranges if not one.is_complete)
        """Those with windows to list, the next in turn first."""
        self._ready = deque[AccountRange]()
        """Those with something to hand out."""
        self._open = len(self._unlisted)
        """How many have not handed out all."""
        self._buffered_rows, self._prefetch_rows = 0, PREFETCH_ROWS
        self._closed = False
        self._died: Exception | None = None
        self._lock = threading.RLock()
        # Each change wakes those that wait for it, not a dozen threads.
        self._to_hand_out = threading.Condition(self._lock)
        self._to_list = threading.Condition(self._lock)
        # Several at once would only take the interpreter from each other: 6 % more time.
        self._flattening = threading.Lock()
        self._at_once = client.settings.max_concurrency
        self._is_alone = self._open == 1
        threads = self._at_once + (0 if self._is_alone else SPARE_THREADS)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="window")
        for _ in range(threads):
            self._pool.submit(self._work)

    def __iter__(self) -> Iterator[tuple[AccountRange, Listed | Exception]]:
        while True:
            with self._lock:
                self._prefetch_rows = PREFETCH_ROWS
                self._to_hand_out.wait_for(lambda: self._died or self._ready or not self._open)
                if self._died:
                    raise self._died
                if not self._ready:
                    return
                found = self._ready.popleft()
                outcome = found.take()
                if isinstance(outcome, Listed):
                    self._buffered_rows -= outcome.buffered_rows
                if found.is_complete or isinstance(outcome, Exception):
                    self._end(found)
                elif found.is_ready:
                    self._ready.append(found)
                self._to_list.notify()
            yield found, outcome

    @property
    def is_done(self) -> bool:
        """Whether all was handed out."""
        return not self._open

    def drop(self, dropped: AccountRange) -> None:
        """List and hand out no more of a range."""
        with self._lock:
            self._end(dropped)
            self._to_list.notify()

    def prefetch_more(self) -> None:
        """Prefetch more until the next window is consumed, because a package is being loaded."""
        with self._lock:
            self._prefetch_rows = PREFETCH_ROWS_WHILE_LOADING
            self._to_list.notify()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._to_list.notify_all()
        self._pool.shutdown()

    def _end(self, ended: AccountRange) -> None:
        if not ended.is_over:
            self._open -= 1
            self._buffered_rows -= ended.drop()
            for queue in (self._ready, self._unlisted):
                if ended in queue:
                    queue.remove(ended)

    def _work(self) -> None:
        try:
            while task := self._next():
                self._take(*task)
        except Exception as error:  # or the consumer would wait for ever
            with self._lock:
                self._died = as_insights_error(error, "What follows")
                self._to_hand_out.notify()

    def _next(self) -> tuple[AccountRange, Window] | None:
        """The window to list next, after waiting until there is one; None: there is to be none."""
        with self._lock:
            while not self._closed:
                if (turn := self._in_turn()) is not None:
                    window = turn.next_window()
                    if not turn.has_unlisted:
                        self._unlisted.remove(turn)
                    self._to_list.notify()  # there may be more than one to list
                    return turn, window
                self._to_list.wait()
        return None

    def _in_turn(self) -> AccountRange | None:
        is_full = self._buffered_rows >= self._prefetch_rows
        if is_full and self._ready:
            return None
        for _ in range(len(self._unlisted)):
            turn = self._unlisted[0]
            self._unlisted.rotate(-1)
            # One that has never answered may never do so: it takes one thread.
            at_once = self._at_once if self._is_alone or turn.has_answered else 1
            if turn.may_go_on(at_once, only_next=is_full):
                return turn
        return None

    def _take(self, turn: AccountRange, window: Window) -> None:
        outcome: Listed | Split | Exception
        try:
            outcome = self._list(turn, window)
        except Exception as error:
            if self._is_too_long(turn, window, error):
                outcome = Split(_middle(window), None, is_too_long=True)
            else:  # the consumer, who waits for this window, gets it
                outcome = as_insights_error(error, " to ".join(map(iso_seconds, window)))
        with self._lock:
            was_ready = turn.is_ready
            self._buffered_rows += turn.put(window, outcome)
            if turn.has_unlisted and turn not in self._unlisted:
                self._unlisted.append(turn)
            if turn.is_ready and not was_ready:
                self._ready.append(turn)
                self._to_hand_out.notify()
            self._to_list.notify()

    def _is_too_long(self, turn: AccountRange, window: Window, error: Exception) -> bool:
        """Whether the parts of a window may be listed, where all of it cannot."""
        if isinstance(error, QueryTimeoutError | TooLargeError):
            return window.span > SHORTEST_QUERY
        is_slowness = isinstance(error, UnavailableError) and error.is_slowness
        if not is_slowness or window.span <= SHORTEST_UNANSWERED or self._client.stop.is_set():
            return False
        with suppress(Exception):  # what is wrong with the window is what the consumer gets
            end = window.start + MIN_SPAN
            for _ in self._client.list_pages(
                self._resource, window.start, end, turn.account, self._filters
            ):
                return True
        return False  # the API is down

    def _list(self, turn: AccountRange, window: Window) -> Listed | Split:
        before: set[str | int] | None = None
        earlier: list[RecordPage] = []
        expired = 0
        for _ in range(MAX_READINGS):
            try:
                pages = self._walk(turn, window)
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
            earlier = pages + earlier  # of equally final versions the first, the newest, is kept
        log.warning(
            "Each time that %s to %s was listed, %d times, summaries had disappeared meanwhile",
            *map(iso_seconds, window),
            MAX_READINGS,
        )
        return Listed(window, earlier)

    def _walk(self, turn: AccountRange, window: Window) -> list[RecordPage] | Split:
        all_new = not turn.is_known(window)
        pages: list[RecordPage] = []
        after, before = window.start - OVERLAP, window.end
        for page in list_pages(
            self._client, self._resource, after, before, turn.account, self._filters
        ):
            # Where pages are not filled, who knows how many the parts would have?
            is_full = page.next_url is not None and len(page.rows) >= self._page_size
            cut = is_full and window.span > MIN_SPAN
            is_flat = all_new and not cut and len(page.rows) >= SMALL_PAGE
            with self._flattening:
                pages.append(RecordPage(self._resource, page, is_flat))
            if self._closed or self._client.stop.is_set():
                raise UnavailableError("stopped while it listed", "stop")
            self._expect_own_rows(turn.account, page)
            if cut:
                return _cut(window, pages[-1], turn.rows_a_window)
        return pages

    def _expect_own_rows(self, account: str, page: Page) -> None:
        """An API, or a proxy, that ignores whose records it is to list would have each account
        listed completely without any of its records."""
        own = self._client.settings.account_sid
        if account != own and page.rows and all(owner_of(row) == own for row in page.rows):
            raise BadAnswerError(
                f"The list of account {account} has records of {own} only: does "
                f"{self._client.settings.base_url} ignore the parameter Subaccount?"
            )


def _cut(window: Window, page: RecordPage, rows: int) -> Split:
    """In parts that seem to hold the same, about `rows` or less; in the middle, if the API does
    not list by time."""
    times, edge = page.created_in(window), _middle(window)
    seen = None
    if len({*times}) > 1 and sorted(times) in (times, times[::-1]):
        covered = Window(min(times), max(times))
        total = len(times) * (window.span / covered.span)
        share = int(total / max(2, ceil(total / rows)))
        edge = times[min(share, len(times) - 1)]
        seen = covered, page.by_hour()
    edge = max(window.start + MIN_SPAN, min(edge, window.end - MIN_SPAN))
    return Split(edge.replace(microsecond=0), seen)


def _middle(window: Window) -> datetime:
    return (window.start + window.span / 2).replace(microsecond=0)
