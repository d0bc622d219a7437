"""The times of the rows of `_runs`: by them they are in order, whatever a machine's clock said."""

from __future__ import annotations

from datetime import datetime, timedelta

from pipelines.times import as_utc, naive_utc
from pipelines.warehouse.database import DATASET, Database

MAX_AHEAD = timedelta(days=1)
"""A time that is further ahead of two clocks that agree is of a wrong one."""
TICK = timedelta(microseconds=1)
_TABLE = f"{DATASET}._runs"


def start_of_last(database: Database, run_id: str, now: datetime) -> datetime:
    """When this run began, `now` by this machine's clock: after all others in any case, even if one
    of them had a clock that was ahead."""
    ((last,),) = database.execute(
        f"SELECT max(started_at) FROM {_TABLE} WHERE run_id <> ?", [run_id]
    )
    return max(now, as_utc(last) + TICK) if last else now


def correct_times(database: Database, run_id: str, began: datetime, now: datetime) -> bool:
    """Move the runs that are far ahead to before this one began, in their order; whether there are
    any.

    Args:
        began: when this one did, by this machine's clock.
        now: by the API's clock. Where the two clocks do not agree nothing is done.
    """
    limit = naive_utc(max(now, began) + MAX_AHEAD)
    ahead = database.execute(
        f"SELECT run_id, started_at, ended_at FROM {_TABLE} "
        "WHERE started_at > ? AND run_id <> ? ORDER BY started_at",
        [limit, run_id],
    )
    if not ahead or abs(now - began) > MAX_AHEAD:
        return False
    by = ahead[-1][1] - naive_utc(began) + TICK
    right = f"SELECT max(started_at) FROM {_TABLE} WHERE started_at <= ?"
    before = database.execute(right, [limit])[0][0] or datetime.min
    for other, started, ended in ahead:
        before = max(started - by, before + TICK)
        if ended and ended > limit:
            ended -= by
        database.execute(
            f"UPDATE {_TABLE} SET started_at = ?, ended_at = ? WHERE run_id = ?",
            [before, ended, other],
        )
    return True
