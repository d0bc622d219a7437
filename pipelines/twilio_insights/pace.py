"""How many requests may be under way at once: as many as the API bears."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

FEW = 2
"""So many at the beginning."""


class Pace:
    """Grows by one for each round of good answers, halves when the API says that it is too much."""

    def __init__(self, most: int, stop: threading.Event) -> None:
        self._most, self._stop = most, stop
        self._allowed = float(min(FEW, most))
        self._under_way = 0
        self._not_before = 0.0
        self._changed = threading.Condition()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn and take it; all wait while the API wants no requests."""
        with self._changed:
            while not self._stop.is_set():
                pause = self._not_before - time.monotonic()
                if pause <= 0 and self._under_way < int(self._allowed):
                    break
                self._changed.wait(min(pause, 1.0) if pause > 0 else 1.0)
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def faster(self) -> None:
        with self._changed:
            self._allowed = min(self._most, self._allowed + 1 / self._allowed)
            self._changed.notify_all()

    def slower(self, hold: float = 0.0) -> None:
        """Half as many; none at all for the seconds to `hold`."""
        with self._changed:
            self._allowed = max(1.0, self._allowed / 2)
            self._not_before = time.monotonic() + hold
            self._changed.notify_all()
