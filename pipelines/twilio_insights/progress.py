"""What one run has done so far: the only place where it is counted.

Names are those of the columns of `_runs`, which is filled from here, as is a run's last line.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4


@dataclass
class Progress:
    """Counts and position of one run, shared by its load packages and request threads."""

    command: str = ""
    run_id: str = field(default_factory=lambda: uuid4().hex[:16])
    seconds: float = 0.0
    requests: int = 0
    pages: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    """By kind: the status code, or the name of the fault."""
    rows_listed: int = 0
    rows_refetched: int = 0
    rows_new: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    rows_rejected: int = 0
    pending_before: int = 0
    pending_after: int = 0
    not_found: list[str] = field(default_factory=list)
    """Asked for by SID, but neither Twilio nor the warehouse knows them."""
    final_changed: list[str] = field(default_factory=list)
    """Summaries that were final in the warehouse and still changed."""

    window_from: datetime | None = None
    """Start of the stretch this run lists, lookback included."""
    window_to: datetime | None = None
    """Everything created before was listed completely; the next package starts here."""
    horizon: datetime | None = None
    complete: bool = False
    """The horizon is reached and what was pending has been asked for again."""
    still_pending: set[str] = field(default_factory=set)
    """Not final, and seen so by this run: there is no need to ask for them again."""

    stop: threading.Event = field(default_factory=threading.Event)
    """Set to end the run at the next window edge."""
    on_change: Callable[[Progress], None] = lambda _: None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count_request(self) -> None:
        with self._lock:
            self.requests += 1

    def count_retry(self, kind: str) -> None:
        with self._lock:
            self.retries[kind] += 1

    @property
    def share_listed(self) -> float:
        """How much of the stretch is listed, 0 to 1."""
        start, reached, end = self.window_from, self.window_to, self.horizon
        if start is None or reached is None or end is None or end <= start:
            return 0.0
        return (reached - start) / (end - start)
