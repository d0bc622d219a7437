"""What time it is for a run: by the API's clock, unless that is wrong."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

from pipelines.times import iso_seconds, machine_time
from pipelines.twilio_insights.progress import Progress

log = logging.getLogger("conference_insights")

FIRST, LAST = datetime(2022, 1, 26, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""There was no API before; a clock that says another time is wrong."""
MAX_APART = timedelta(days=1)
MAX_SKEW = timedelta(hours=1)
"""What was noted and is further ahead of the API's clock than this was set by a wrong one."""
MAX_PAUSE = timedelta(days=60)
"""A time that is later than this after the run before is doubted."""


class Clock:
    """The time that a run goes by: the API's; this machine's if that is outside FIRST to LAST; or,
    if the API's is implausible, the likelier of the two.

    It is implausible if it is more than MAX_APART from this machine's clock, and also more than
    MAX_APART before or MAX_PAUSE after the time up to which the warehouse is loaded. Then the run
    goes by the clock that is nearer to that time. Being nearer is not enough alone: after a long
    pause, the clock of a machine that stood still would always be nearer.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._set: tuple[datetime, float] | None = None
        self._warned = False

    @property
    def is_set(self) -> bool:
        return self._set is not None

    def now(self) -> datetime:
        """In whole seconds; this machine's time as long as the API has not told its own."""
        if self._set is None:
            return machine_time()
        date, received = self._set
        return (date + timedelta(seconds=time.monotonic() - received)).replace(microsecond=0)

    def at(self, date: datetime | None) -> datetime:
        """When an answer with this `Date` came; sets the clock."""
        if date is None:
            return self.now()
        here, reached = machine_time(), self._progress.loaded_to
        believed = date
        if not FIRST <= date < LAST:
            believed = here
        elif (
            abs(date - here) > MAX_APART
            and reached is not None
            and FIRST <= reached < LAST
            and not -MAX_APART <= date - reached <= MAX_PAUSE
        ):
            believed = min(date, here, key=lambda clock: abs(clock - reached))
        if abs(date - here) > MAX_APART and not self._warned:
            self._warned = True
            whose = "Twilio's" if believed is date else "this machine's"
            times = iso_seconds(date), iso_seconds(here), whose
            log.warning("Twilio's clock says %s, this machine's %s: this run uses %s", *times)
        self._set = believed, time.monotonic()
        return believed
