"""The days of a copy whose rows are made anew, since something on them changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import duckdb

from pipelines.warehouse.copy.changed import ONLY_CHANGED
from pipelines.warehouse.copy.in_memory import KEY, InMemory
from pipelines.warehouse.database import ANALYTICS
from pipelines.warehouse.duckdb_database import COPY, IN_MEMORY

BY_DAY = (
    "completeness_by_day",
    "concurrency_peaks",
    "conference_kpis_daily",
    "conference_length",
    "conference_length_buckets",
    "conference_quality",
    "participant_quality",
    "region_mismatch",
)
"""Views whose rows of a day depend on the conferences of that day alone."""
RUNNING = "concurrency_by_hour"
"""The view whose rows of a day depend on all conferences that had not ended before it."""
_OF_RUNNING = {
    "conferences": (
        "least(created_date, CAST(start_time AS DATE))",
        f"{KEY}, account_sid, created_date, created_hour, start_time, end_time, completeness, "
        "is_not_started, max_concurrent_participants",
    ),
    "participants": (
        "CAST(join_time AS DATE)",
        "participant_sid, account_sid, join_time, leave_time, participant_completeness",
    ),
}
"""Of the views that it reads: the first day that a row has to do with, and the columns that it
depends on."""


class Days(NamedTuple):
    """Conditions, as SQL: for the rows of views by day (`created`) and of the view of what ran
    (`running`) that are made anew, and for conferences that had `not_ended` before those days."""

    created: str
    running: str
    not_ended: str


def find_days(connection: duckdb.DuckDBPyConnection, staging: InMemory, changed: InMemory) -> Days:
    """Compare what changed with the attached copy, in which nothing is replaced yet."""
    former = {name: f"{IN_MEMORY}.former_{name}" for name in _OF_RUNNING}
    for name, (_, columns) in _OF_RUNNING.items():
        rows = f"SELECT {columns} FROM {COPY}.{ANALYTICS}.{name} {ONLY_CHANGED}"
        connection.execute(f"CREATE OR REPLACE TABLE {former[name]} AS {rows}")
    found = connection.execute(
        f"SELECT created_date FROM {changed.of(f'{ANALYTICS}.conferences')} UNION "
        f"SELECT created_date FROM {former['conferences']}"
    ).fetchall()
    created = "".join(f", DATE '{day}'" for (day,) in found if day)
    since = _running_since(connection, staging, changed, former)
    return Days(
        created=f"WHERE created_date IN (NULL{created}) OR created_date IS NULL",
        running=f"WHERE running_date >= {since}",
        not_ended=f"WHERE end_time >= {since} - 1 OR end_time IS NULL",
    )


def _running_since(
    connection: duckdb.DuckDBPyConnection,
    staging: InMemory,
    changed: InMemory,
    former: Mapping[str, str],
) -> str:
    """The first day to make anew, as SQL: nothing that ran before it differs from the copy, whether
    days are UTC's or the report's, and the copy has rows up to it. It is `-infinity` if the copy or
    the view has no rows."""
    of_copy = f"SELECT max(running_date) AS day FROM {COPY}.{ANALYTICS}.{RUNNING}"
    of_view = f"SELECT max(as_of_date) FROM {staging.of(f'{ANALYTICS}.stg_as_of')}"
    first = "CAST('-infinity' AS DATE)"
    days = [f"SELECT coalesce(day, {first}) FROM ({of_copy} UNION ALL {of_view})"]
    for name, (day, columns) in _OF_RUNNING.items():
        is_now = f"SELECT {columns} FROM {changed.of(f'{ANALYTICS}.{name}')}"
        was = f"FROM {former[name]}"
        for one, other in ((is_now, was), (was, is_now)):  # rows that are new, rows that are gone
            days.append(f"SELECT {day} FROM ({one} EXCEPT {other})")
    # Its days begin less than a day before or after those of UTC.
    found = connection.execute(
        f"SELECT CAST(min(day) - 1 AS VARCHAR) FROM ({' UNION ALL '.join(days)}) AS found (day)"
    ).fetchall()
    return f"CAST('{found[0][0]}' AS DATE)"
