"""The record of a run: its row in `_runs`, and the status file beside the warehouse."""

from __future__ import annotations

import json
import logging
import os
import platform
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import version
from types import TracebackType
from typing import Any

from pipelines.exit_codes import BUSY
from pipelines.warehouse.database import DATASET, Database, StatementError
from pipelines.warehouse.run_times import correct_times, start_after_others
from pipelines.warehouse.snapshot import take_snapshot
from pipelines.warehouse.status_files import REFUSED, STATUS, StatusFiles
from pipelines.warehouse.warehouse import BusyError, Warehouse, WarehouseError, expect_columns

log = logging.getLogger("conference_insights")

RUNS_TABLE = f"{DATASET}._runs"
COLUMNS = {
    "run_id": "VARCHAR NOT NULL",
    "command": "VARCHAR NOT NULL",
    "outcome": "VARCHAR NOT NULL",
    "error_class": "VARCHAR",
    "started_at": "TIMESTAMP NOT NULL",
    "ended_at": "TIMESTAMP",
    "seconds": "DOUBLE PRECISION",
    "window_from": "TIMESTAMP",
    "window_to": "TIMESTAMP",
    "account_sid": "VARCHAR",
    "filters": "VARCHAR",
    "personal_data": "VARCHAR",
    "hash_key_check": "VARCHAR",
    "accounts": "BIGINT",
    "accounts_failed": "VARCHAR",
    "loaded_to": "TIMESTAMP",
    "pages": "BIGINT",
    "requests": "BIGINT",
    "retries": "VARCHAR",
    "rows_listed": "BIGINT",
    "rows_refetched": "BIGINT",
    "rows_new": "BIGINT",
    "rows_updated": "BIGINT",
    "rows_unchanged": "BIGINT",
    "rows_rejected": "BIGINT",
    "resources": "VARCHAR",
    "pending_before": "BIGINT",
    "pending_after": "BIGINT",
    "final_changed": "VARCHAR",
    "unreadable": "VARCHAR",
    "drift": "VARCHAR",
    "gap_from": "TIMESTAMP",
    "gap_to": "TIMESTAMP",
    "left_package": "VARCHAR",
    "load_ids": "VARCHAR",
    "compared": "VARCHAR",
    "versions": "VARCHAR",
}


UNSCHEDULED = "('backfill', 'reconcile', 'erase')"
"""Commands that do not bring the warehouse up to date; the view `stg_as_of` leaves them out too."""


class StillPendingError(Exception):
    """The timeout passed before everything was final; what is there was loaded and published."""

    exit_code = BUSY


class RunRecord:
    """Follows a run from before the warehouse is open until after it is closed.

    `<warehouse>.status.json` is replaced whole at every phase, so that monitors need not open the
    warehouse: `run` has the columns of `_runs` and phase, pid, host, error; `last_good` has the
    last complete scheduled run; `holds` what is in the warehouse, `settings` those of the run.
    A run that never held the warehouse leaves `<warehouse>.refused.json` instead, since the file
    belongs to the run that does.

    Args:
        files: None for a warehouse of a server, which has the row in `_runs` alone.
        counted: has attributes that are named like columns of `_runs`.
        stop: is set where somebody has stopped the run.
    """

    def __init__(self, files: StatusFiles | None, counted: Any, stop: threading.Event) -> None:
        self._files = files
        self._counted, self._stop = counted, stop
        self._started, self._clock = _now(), time.monotonic()
        self._outcome, self._phase = "refused", "start"
        self._last_good: dict[str, Any] | None = None
        self._holds: dict[str, Any] = {}
        self.settings: dict[str, str] = {}
        self._error: BaseException | None = None
        self._database: Database | None = None
        self._kept: dict[str, Any] = {}
        """The row as it is in the database."""

    def __enter__(self) -> RunRecord:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        files = self._files
        if self._outcome != "refused" or files is None:
            return
        if not (isinstance(error, BusyError) and files.path(REFUSED).exists()):
            self._error = error
            self._write(REFUSED)

    def phase(self, name: str) -> None:
        """Record that the run begins its next step."""
        self._phase = name
        self._update()
        self._write(STATUS)

    @contextmanager
    def kept_in(self, warehouse: Warehouse) -> Iterator[None]:
        """Keep the run's row: `running` until it ends; a killed run's row is closed as `killed`.

        Raises:
            StatementError, WarehouseError: the row cannot be written; what is loaded stays.
        """
        with warehouse.alone():
            prepare_runs(warehouse)
        running = f"SELECT run_id FROM {RUNS_TABLE} WHERE outcome = 'running'"
        for (run_id,) in warehouse.execute(running):
            if not warehouse.is_at_work(run_id):
                # One that ended since then has its outcome.
                warehouse.execute(
                    f"UPDATE {RUNS_TABLE} SET outcome = 'killed' "
                    "WHERE outcome = 'running' AND run_id = ?",
                    [run_id],
                )
        warehouse.hold_run(self._counted.run_id)
        self.look(warehouse)
        self._started = start_after_others(warehouse, self._counted.run_id, self._started)
        row = self._row() | {"outcome": "running"}
        marks = ", ".join(f"${name}" for name in row)
        warehouse.execute(f"INSERT INTO {RUNS_TABLE} ({', '.join(row)}) VALUES ({marks})", row)
        self._database, self._kept = warehouse, row
        self._outcome, outcome = "running", "failed"
        if self._files:
            with suppress(OSError):
                self._files.path(REFUSED).unlink(missing_ok=True)
        try:
            yield
            outcome = "ok"
        except StillPendingError:
            outcome = "pending"
            raise
        except BusyError as error:
            if self._counted.load_ids or not warehouse.is_shared:
                self._error = error
            else:  # a server whose accounts another run loads: this one did nothing
                warehouse.execute(f"DELETE FROM {RUNS_TABLE} WHERE run_id = ?", [row["run_id"]])
            raise
        except BaseException as error:
            self._error = error
            raise
        finally:
            stopped = outcome == "ok" and self._stop.is_set()
            self._outcome = "stopped" if stopped else outcome
            try:
                self._update()
            except (StatementError, WarehouseError) as error:
                # It must not hide the error of the run itself.
                log.warning("The row of this run in _runs is not complete: %s", error)
                self._outcome, self._error = "failed", self._error or error
            self.look(warehouse)
            self._write(STATUS)  # while the lock is held
        if self._error:  # the run itself ended well, but its row could not be written
            raise self._error

    def correct_times(self, now: datetime) -> None:
        """Put right what a clock that was far ahead left in `_runs`; `now` is the API's time."""
        began = _now() - timedelta(seconds=time.monotonic() - self._clock)
        database, run_id = self._database, self._counted.run_id
        if database and correct_times(database, run_id, began, now):
            self._started = start_after_others(database, run_id, began)
            self._update()

    def look(self, database: Database) -> None:
        """Take note of what is in the warehouse now, for the status file."""
        try:
            self._last_good = _last_good(database)
            self._holds = take_snapshot(database, self._counted.horizon or _now())
        except (StatementError, WarehouseError) as error:  # no reason for a run to fail
            log.warning("What the warehouse holds is not in the status: %s", error)

    def _update(self) -> None:
        if self._database is None:
            return
        row = self._row()
        # Only what has changed: the many other columns would take a statement longer than its work.
        new = {name: value for name, value in row.items() if value != self._kept[name]}
        if not new:
            return
        changes = ", ".join(f"{name} = ${name}" for name in new)
        update = f"UPDATE {RUNS_TABLE} SET {changes} WHERE run_id = $run_id"
        self._database.execute(update, new | {"run_id": row["run_id"]})
        self._kept = row

    def _row(self) -> dict[str, Any]:
        ended = None if self._outcome in ("running", "refused") else _now()
        self._counted.seconds = round(time.monotonic() - self._clock, 3)
        row = {name: getattr(self._counted, name, None) for name in COLUMNS}
        row |= self._counted.without_package  # this process may be killed before it is loaded
        row |= {
            "outcome": self._outcome,
            "error_class": type(self._error).__name__ if self._error else None,
            "started_at": self._started,
            "ended_at": ended,
            "versions": _versions(),
        }
        return {name: _stored(value) for name, value in row.items()}

    def _write(self, kind: str) -> None:
        if self._files is None:
            return
        about = {"phase": self._phase, "pid": os.getpid(), "host": socket.gethostname()}
        error = {"error": str(self._error) if self._error else None}
        content: dict[str, Any] = {"run": self._row() | about | error}
        if kind == STATUS:
            content |= {"last_good": self._last_good, "holds": self._holds}
            content["settings"] = self.settings
        self._files.write(kind, content)


def prepare_runs(database: Database) -> None:
    """Create the table, or add the columns that an earlier version did not have.

    Raises:
        WarehouseError: one that every version had is gone.
    """
    present = database.columns(DATASET).get(RUNS_TABLE)
    if present is None:
        database.create_schema(DATASET)
        database.create_table(RUNS_TABLE, COLUMNS)
        return
    expect_columns(RUNS_TABLE, present, [n for n, kind in COLUMNS.items() if "NOT" in kind])
    for name in COLUMNS.keys() - set(present):
        database.execute(f"ALTER TABLE {RUNS_TABLE} ADD COLUMN {name} {COLUMNS[name]}")


def read_record(database: Database, now: datetime) -> dict[str, Any]:
    """The content of a status file, of a warehouse that has none; of its last run `_runs` alone."""
    if RUNS_TABLE not in database.columns(DATASET):
        return {}
    runs = database.records(f"SELECT * FROM {RUNS_TABLE} ORDER BY started_at DESC LIMIT 1")
    return {
        "run": next((run | dict.fromkeys(("phase", "pid", "host", "error")) for run in runs), None),
        "last_good": _last_good(database),
        "holds": take_snapshot(database, now),
    }


def _last_good(database: Database) -> dict[str, Any] | None:
    rows = database.records(
        f"SELECT * FROM {RUNS_TABLE} WHERE outcome IN ('ok', 'pending') "
        f"AND command NOT IN {UNSCHEDULED} ORDER BY started_at DESC LIMIT 1",
    )
    return rows[0] if rows else None


def _now() -> datetime:
    return datetime.now(UTC)


def _stored(value: Any) -> Any:
    """Times in UTC without zone, collections as JSON text or, when empty, NULL."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, dict | list):
        return json.dumps(value) if value else None
    return value


@cache
def _versions() -> str:
    packages = ("conference-insights", "dlt", "duckdb", "pyarrow")
    return json.dumps({"python": platform.python_version()} | {p: version(p) for p in packages})
