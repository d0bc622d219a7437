"""Limits how many requests are in flight, by what the API tolerates."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipelines.twilio_insights.errors import UnavailableError

INITIAL_CONCURRENCY = 2
"""Requests allowed in flight at first."""
_POLL_SECONDS = 0.05
"""How often a waiting thread checks the clock and whether the run is stopped."""


class ConcurrencyLimiter:
    """Additive increase, multiplicative decrease: one more request in flight after each round of
    good answers, half as many when the API throttles. All accounts share this limit; a Retry-After
    holds only the account that got it."""

    def __init__(self, most: int, stop: threading.Event) -> None:
        self._most, self._stop = most, stop
        self._allowed = float(min(INITIAL_CONCURRENCY, most))
        self._under_way = 0
        self._not_before: dict[str, float] = {}
        """By account."""
        self._closed = False
        self._changed = threading.Condition()

    @contextmanager
    def slot(self, account: str = "") -> Iterator[None]:
        """Be one of the requests in flight, after waiting while the API throttles the account, and
        for a place.

        Raises:
            UnavailableError: it is closed.
        """
        with self._changed:
            self._wait_until(
                lambda: (
                    self._not_before.get(account, 0.0) <= time.monotonic()
                    and self._under_way + 1 <= self._allowed
                )
            )
            if self._closed:
                raise UnavailableError("no request is wanted any more", "closed")
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def on_success(self) -> None:
        with self._changed:
            self._allowed = min(self._most, self._allowed + 1 / self._allowed)
            self._changed.notify_all()

    def on_throttle(self, hold: float = 0.0, account: str = "") -> None:
        """Halve the limit, and send no request of the account for `hold` seconds."""
        with self._changed:
            self._allowed = max(1.0, self._allowed / 2)
            until = max(self._not_before.get(account, 0.0), time.monotonic() + hold)
            self._not_before[account] = until
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Wait this long, or until the limiter is closed or the run stopped."""
        awake = time.monotonic() + seconds
        with self._changed:
            self._wait_until(lambda: awake <= time.monotonic())

    def close(self) -> None:
        """Wake whoever waits; no slot is given any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait_until(self, due: Callable[[], bool]) -> None:
        while not (due() or self._closed or self._stop.is_set()):
            self._changed.wait(_POLL_SECONDS)
