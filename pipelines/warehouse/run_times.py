"""The times of the rows of `_runs`: by them they are in order, whatever a machine's clock said."""

from __future__ import annotations

from datetime import datetime, timedelta

from pipelines.times import as_utc, naive_utc
from pipelines.warehouse.database import DATASET, Database

MAX_AHEAD = timedelta(days=1)
"""A time that is further ahead of two clocks that agree is of a wrong one."""
TICK = timedelta(microseconds=1)
_TABLE = f"{DATASET}._runs"


def start_after_others(database: Database, run_id: str, now: datetime) -> datetime:
    """The start to record for this run: `now`, or just after the last start of another run, if a
    clock that was ahead has put that into the future."""
    ((last,),) = database.execute(
        f"SELECT max(started_at) FROM {_TABLE} WHERE run_id <> ?", [run_id]
    )
    return max(now, as_utc(last) + TICK) if last else now


def correct_times(database: Database, run_id: str, began: datetime, now: datetime) -> bool:
    """Move the runs that are far ahead to before this one began, in their order. Return whether
    there are any.

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
    shift = ahead[-1][1] - naive_utc(began) + TICK
    plausible = f"SELECT max(started_at) FROM {_TABLE} WHERE started_at <= ?"
    previous = database.execute(plausible, [limit])[0][0] or datetime.min
    for other, started, ended in ahead:
        previous = max(started - shift, previous + TICK)
        if ended and ended > limit:
            ended -= shift
        database.execute(
            f"UPDATE {_TABLE} SET started_at = ?, ended_at = ? WHERE run_id = ?",
            [previous, ended, other],
        )
    return True
