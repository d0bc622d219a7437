"""Formats figures: 1,234, 8.3 %, 12 min, Mon 9 Nov; the name of a column tells its unit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

NONE, SPACE = "\N{EN DASH}", "\N{NO-BREAK SPACE}"
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_LARGE = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"))


def count(number: float | None) -> str:
    """1,234, 12.3 million."""
    if number is None:
        return NONE
    for size, name in _LARGE:
        if abs(number) >= max(size, 10**7):
            return f"{number / size:,.1f}{SPACE}{name}"
    return f"{number:,.{0 if number == round(number) else 1}f}"


def pluralize(number: int, thing: str) -> str:
    """1 conference, 2 conferences."""
    return f"{count(number)} {thing}{'' if number == 1 else 's'}"


def list_some(names: Sequence[str], most: int, number: int | None = None) -> str:
    """At `most` so many names, and how many more there are of `number`, or of those given."""
    shown = names[:most]
    more = (number or len(names)) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def percent(value: float | None) -> str:
    """8.3 %; only all and nothing read 100 % and 0 %."""
    if value is None:
        return NONE
    digits = 0 if value in (0, 100) else 2 if 99.9 < value < 100 or 0 < value < 0.1 else 1
    return f"{value:,.{digits}f}{SPACE}%"


def whole_percent(value: float) -> str:
    """8 %."""
    return f"<1{SPACE}%" if 0 < value < 0.5 else f"{value:.0f}{SPACE}%"


def duration(seconds: float | None) -> str:
    """45 s, 8.2 min, 12 min, 2.5 h."""
    if seconds is None:
        return NONE
    size, unit = (1, "s") if seconds < 60 else (60, "min") if seconds < 7200 else (3600, "h")
    length = seconds / size
    return f"{length:,.{1 if length < 10 and size > 1 else 0}f}{SPACE}{unit}"


def day(of: date) -> str:
    """Mon 9 Nov."""
    return f"{of:%a} {of.day} {of:%b}"


def days(first: date, last: date) -> str:
    """Fri 13 Nov to Thu 19 Nov 2026, with a dash."""
    if first == last:
        return f"{day(last)} {last.year}"
    year = f" {first.year}" if first.year != last.year else ""
    return f"{day(first)}{year} {NONE} {day(last)} {last.year}"


def as_local(utc: datetime, zone: str) -> datetime:
    """The same moment in the zone, or as it is where the zone's calendar has none."""
    try:
        return utc.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
    except OverflowError:
        return utc


def moment(utc: datetime | None, zone: str) -> str:
    """Fri 20 Nov, 14:30, in the zone."""
    local = as_local(utc, zone) if utc else None
    return f"{day(local)}, {local:%H:%M}" if local else NONE


def humanize(name: str | None, otherwise: str = "none") -> str:
    """`high_jitter` as `high jitter`, `01-05 min` as `1-5 min`."""
    return otherwise if name is None else re.sub(r"\b0(?=\d)", "", name.replace("_", " "))


def truncate(text: str, room: float) -> str:
    """No wider than `room` characters of mean width."""
    for number, letter in enumerate(text):
        is_thin, is_wide = letter in " fijlrt.,:;'|!()[]", letter in "mwMW@%"
        room -= 2 if letter >= "\u2e80" else 0.65 if is_thin else 1.6 if is_wide else 1.2
        if room < 0:
            return f"{text[: max(1, number - 1)]}…"
    return text


def heading(column: str) -> str:
    """A column's name without its unit; the values of `percent_with_…` have the % sign."""
    return humanize(column.removesuffix("_seconds").removeprefix("is_").replace("percent_w", "w"))


def format_value(column: str, value: Any, zone: str) -> str:
    """A value by its column's name and its type; times are UTC, except local hours."""
    if value is None or isinstance(value, str):
        return NONE if value is None else value
    if column == "weekday":
        return WEEKDAYS[value - 1]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{day(value)}, {value:%H:%M}" if column == "hour" else moment(value, zone)
    if isinstance(value, date):
        return day(value)
    if column == "mos":
        return f"{value:.1f}"
    return (percent if "percent" in column else duration if "seconds" in column else count)(value)
