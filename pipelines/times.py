"""How times and durations are read from people and written to the API."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str, longest: timedelta = timedelta(days=366)) -> timedelta:
    """Read `90s`, `15m`, `2h` or `7d`; raises ValueError for anything else."""
    match = re.fullmatch(r"(\d{1,9})([smhd])", text.strip())
    if match is None:
        raise ValueError("not a duration; write for example 90s, 15m, 2h or 7d")
    duration = timedelta(**{_UNITS[match[2]]: int(match[1])})
    if duration > longest:
        raise ValueError(f"longer than {'a year' if longest.days == 366 else 'a century'}")
    return duration


def parse_moment(text: str, now: datetime) -> datetime:
    """Read a date (midnight UTC), an ISO 8601 time (UTC if it has no zone) or an age (`29d`).

    The result is cut to whole seconds, the API's resolution. Raises ValueError.
    """
    if re.fullmatch(r"\d+[smhd]", text.strip()):
        return now - parse_duration(text)
    try:
        return as_utc(datetime.fromisoformat(text.strip())).replace(microsecond=0)
    except (ValueError, OverflowError):
        raise ValueError(
            "not a time; write for example 2026-11-01, 2026-11-01T08:00:00Z or 29d"
        ) from None


def as_utc(moment: datetime) -> datetime:
    """Convert to UTC; a time without a zone is UTC already."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def naive_utc(moment: datetime) -> datetime:
    """As stored: UTC without a zone, which no session's time zone can shift."""
    return as_utc(moment).replace(tzinfo=None)


def machine_time() -> datetime:
    """This machine's clock, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def iso_seconds(moment: datetime) -> str:
    """Write `YYYY-MM-DDTHH:MM:SSZ`, the only form the API's documentation shows."""
    return as_utc(moment).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_duration(duration: timedelta) -> str:
    """`50 s`, `4 min`, `3 h 12 min`, `2 days 5 h`: two units at most."""
    seconds = int(max(duration, timedelta()).total_seconds())
    units = (("days" if seconds >= 172800 else "day", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for (unit, size), (smaller, part) in pairwise(units):
        if seconds >= size:
            rest = seconds % size // part
            return f"{seconds // size} {unit}" + (f" {rest} {smaller}" if rest and part > 1 else "")
    return f"{seconds} s"
