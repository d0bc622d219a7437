"""Windows of creation times, and how many summaries they are expected to hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
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
        """Its beginning, about so long, but not less than a second."""
        seconds = max(MIN_SPAN, span // MIN_SPAN * MIN_SPAN)
        return Window(self.start, min(self.end, self.start + seconds))

    def hours(self) -> Iterator[Window]:
        """The hours of the clock that it consists of; the first and the last may be shorter."""
        start = self.start
        while start < self.end:
            end = min(_hour(start) + HOUR, self.end)
            yield Window(start, end)
            start = end


class Traffic:
    """How many summaries were created in an hour: known, or as in the part of it that was listed,
    or as in that hour of the day before, or as in all hours on the average."""

    def __init__(self, known: Mapping[datetime, int]) -> None:
        self._rows = Counter(known)
        self._listed = dict.fromkeys(known, HOUR)
        self._known = frozenset(known)

    def is_known(self, window: Window) -> bool:
        """Whether any of its hours was known from the beginning."""
        return any(_hour(part.start) in self._known for part in window.hours())

    def add(self, window: Window, rows_by_hour: Mapping[datetime, int]) -> None:
        """Learn from what was listed of a window."""
        for part in window.hours():
            hour = _hour(part.start)
            if hour not in self._known:
                self._listed[hour] = self._listed.get(hour, timedelta()) + part.span
                self._rows[hour] += rows_by_hour.get(hour, 0)

    def first(self, window: Window, rows: int) -> Window:
        """Its beginning, in which about so many will have been created."""
        expected = 0.0
        average = self._rows.total() / (sum(self._listed.values(), timedelta()) / HOUR or 1)
        for part in window.hours():
            hour = _hour(part.start)
            listed = (at for at in (hour, hour - DAY) if at in self._listed)
            an_hour = next((self._rows[at] * (HOUR / self._listed[at]) for at in listed), average)
            here = an_hour * (part.span / HOUR)
            if expected + here > rows:
                return window.first(
                    part.start - window.start + HOUR * ((rows - expected) / an_hour)
                )
            expected += here
        return window


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
