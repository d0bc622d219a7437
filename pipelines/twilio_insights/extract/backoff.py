"""How long what answered 404 is not asked for again."""

from __future__ import annotations

from datetime import datetime, timedelta

from pipelines.times import naive_utc
from pipelines.twilio_insights.api.clock import MAX_SKEW

LONGEST = timedelta(hours=24)


def backoff(attempts: int) -> timedelta:
    """How long to wait after a 404 that follows so many earlier ones: 1, 2, 4 … 24 hours."""
    return min(timedelta(hours=2 ** min(attempts, 10)), LONGEST)


def is_due(table: str) -> str:
    """The condition, as SQL, for what waits no longer; its arguments are `due_arguments`."""
    due = f"{table}.next_due_at"
    return f"({due} IS NULL OR {due} <= %s OR {due} > %s)"


def due_arguments(now: datetime) -> tuple[datetime, datetime]:
    """The arguments of `is_due`. A due time further ahead than the longest wait was set by a wrong
    clock, so it counts as due."""
    return naive_utc(now), naive_utc(now + LONGEST + MAX_SKEW)
