"""The hours of the report's time zone, as a table that views join.

Engines disagree on time zones, and a reader's own must not change a number. So the views look up
what Python's `zoneinfo` says, and stay portable SQL.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pipelines.warehouse.database import DATASET, Database

FIRST_HOUR = datetime(2020, 1, 1, tzinfo=UTC)
"""Twilio has no summaries from before."""
COLUMNS = {
    "utc_hour": "TIMESTAMP",
    "local_hour": "TIMESTAMP",
    "local_hour_after": "TIMESTAMP",
    "change_minute": "BIGINT",
}
_QUARTER, _DAY = timedelta(minutes=15), timedelta(days=1)


def write_report_hours(database: Database, zone: ZoneInfo, year: int) -> None:
    """Replace `_report_hours`: one row per UTC hour from 2020 to the end of the year after `year`.

    In zones that are whole hours from UTC each hour is one local hour. In others, and where clocks
    change, it is `local_hour` before and `local_hour_after` from `change_minute` on.
    """
    import pyarrow as pa  # few runs need it, and it takes time

    types = (pa.timestamp("s"), pa.timestamp("s"), pa.timestamp("s"), pa.int64())
    table = pa.table(
        [pa.array(column, kind) for column, kind in zip(_columns(zone, year), types, strict=True)],
        names=[*COLUMNS],
    )
    name = f"{DATASET}._report_hours"
    database.execute(f"DELETE FROM {name}")
    database.append(name, table)
    database.prepare_lookup("_report_hours", "utc_hour")  # views look up an hour a conference


def _columns(zone: ZoneInfo, year: int) -> tuple[list[int | None], ...]:
    utc, local, after, minutes = (list[Any]() for _ in range(4))
    for start, end, offset in read_hours(zone, year):
        if not (start % 60 or end % 60 or offset % 60):
            whole = range(start * 60, end * 60, 3600)
            utc.extend(whole)
            local.extend(range((start + offset) * 60, (end + offset) * 60, 3600))
            nothing = [None] * len(whole)
            after.extend(nothing)
            minutes.extend(nothing)
            continue
        for minute in range(start, end, 15):
            hour, here = minute // 60 * 3600, (minute + offset) // 60 * 3600
            if not utc or utc[-1] != hour:
                utc.append(hour)
                local.append(here)
                after.append(None)
                minutes.append(None)
            elif after[-1] is None and local[-1] != here:
                after[-1], minutes[-1] = here, minute % 60
    return utc, local, after, minutes


def read_hours(zone: ZoneInfo, year: int) -> Iterator[tuple[int, int, int]]:
    """Start, end and offset from UTC of the times between two changes of the clocks, in minutes.

    They are those of this machine's time zone data, from 2020 to the end of the year after `year`.
    """
    first, last = FIRST_HOUR, datetime(year + 2, 1, 1, tzinfo=UTC)

    def offset(moment: datetime) -> timedelta:
        return moment.astimezone(zone).utcoffset() or timedelta()

    def minutes(moment: datetime) -> int:
        return int(moment.timestamp() // 60)

    def span(end: datetime) -> tuple[int, int, int]:
        return minutes(start), minutes(end), round(away / timedelta(minutes=1))

    start = day = first
    away = offset(start)
    while day < last:
        after = day + _DAY
        if (then := offset(after)) != away:
            change = day
            while offset(change) != then:
                change += _QUARTER
            yield span(change)
            start, away = change, then
        day = after
    yield span(last)
