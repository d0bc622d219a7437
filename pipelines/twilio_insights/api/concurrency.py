"""How many requests may be under way at once: as many as the API bears."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipelines.twilio_insights.errors import UnavailableError

FEW = 2
"""So many at the beginning."""
_GLANCE = 0.05
"""Seconds between looks at the clock and at what stops a run."""


class ConcurrencyLimiter:
    """Grows by one for each round of good answers, halves when the API says that it is too much."""

    def __init__(self, most: int, stop: threading.Event) -> None:
        self._most, self._stop = most, stop
        self._allowed = float(min(FEW, most))
        self._under_way = 0
        self._not_before = 0.0
        self._closed = False
        self._changed = threading.Condition()

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Wait for a turn and take it; all wait while the API wants no requests.

        Raises:
            UnavailableError: it is closed.
        """
        with self._changed:
            self._wait_until(
                lambda: (
                    self._not_before <= time.monotonic() and self._under_way + 1 <= self._allowed
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

    def on_throttle(self, hold: float = 0.0) -> None:
        """Half as many; none at all for the seconds to `hold`."""
        with self._changed:
            self._allowed = max(1.0, self._allowed / 2)
            self._not_before = max(self._not_before, time.monotonic() + hold)
            self._changed.notify_all()

    def sleep(self, seconds: float) -> None:
        """Wait so long, or until the end."""
        awake = time.monotonic() + seconds
        with self._changed:
            self._wait_until(lambda: awake <= time.monotonic())

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _wait_until(self, due: Callable[[], bool]) -> None:
        while not (due() or self._closed or self._stop.is_set()):
            self._changed.wait(_GLANCE)
