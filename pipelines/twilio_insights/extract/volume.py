"""Windows of creation times, and how many summaries they are expected to hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from math import ceil
from typing import NamedTuple

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MIN_SPAN = timedelta(seconds=1)


class Window(NamedTuple):
    """Creation times from start, included, to end, excluded; whole seconds."""

    start: datetime
    end: datetime

    @property
    def span(self) -> timedelta:
        return self.end - self.start

    def first(self, span: timedelta) -> Window:
        """Its first part, about this long, at least one second."""
        seconds = max(MIN_SPAN, span // MIN_SPAN * MIN_SPAN)
        return Window(self.start, min(self.end, self.start + seconds))

    def hours(self) -> Iterator[Window]:
        """The hours of the clock that it consists of; the first and the last may be shorter."""
        start = self.start
        while start < self.end:
            end = min(_hour(start) + HOUR, self.end)
            yield Window(start, end)
            start = end


class VolumeEstimate:
    """Estimated records per hour. Falls back from the stored count to the listed part of that
    hour, to the same hour of the day before, to the overall mean.

    Args:
        known: how many are stored of an hour.
        known_to: between the first of these hours and this time, all others were listed, and had
            none.
    """

    def __init__(self, known: Mapping[datetime, int], known_to: datetime | None = None) -> None:
        self._rows: dict[datetime, float] = {**known}
        self._listed = dict.fromkeys(known, HOUR)
        self._known = frozenset(known)
        self._from, self._to = min(known, default=None), known_to

    def is_known(self, window: Window) -> bool:
        """Whether any of its hours was known from the beginning."""
        return bool(self._known) and any(_hour(p.start) in self._known for p in window.hours())

    def add(self, window: Window, rows_by_hour: Mapping[datetime, int]) -> None:
        """Learn from what was listed of a window; the last part of an hour tells most."""
        for part in window.hours():
            hour = _hour(part.start)
            if hour not in self._known:
                self._listed[hour] = self._listed.get(hour, timedelta()) / 2 + part.span
                self._rows[hour] = self._rows.get(hour, 0) / 2 + rows_by_hour.get(hour, 0)

    def first(self, window: Window, rows: int) -> Window:
        """The first of the parts that the window is to be listed in. All parts are expected to hold
        the same number of records, `rows` at most. The whole window if nothing is known."""
        if not self._listed:
            return window
        average = sum(self._rows.values()) / (sum(self._listed.values(), timedelta()) / HOUR or 1)
        parts = [(part, self._rate(part, average) * (part.span / HOUR)) for part in window.hours()]
        total = sum(here for _, here in parts)
        share, expected = total / max(1, ceil(total / rows)), 0.0
        for part, here in parts:
            if expected + here > share:
                before = part.start - window.start
                return window.first(before + part.span * ((share - expected) / here))
            expected += here
        return window

    def _rate(self, part: Window, average: float) -> float:
        hour = _hour(part.start)
        for at in (hour, hour - DAY):
            if at in self._listed:
                return self._rows[at] * (HOUR / self._listed[at])
            if self._was_empty(at):
                return 0.0
        return average

    def _was_empty(self, hour: datetime) -> bool:
        if self._from is None or self._to is None:
            return False
        return self._from <= hour and hour + HOUR <= self._to

    def doubt(self) -> None:
        """There was more than expected: what is not known may not have been listed either."""
        self._to = None


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
