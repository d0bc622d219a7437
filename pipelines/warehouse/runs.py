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
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb

from pipelines.exit_codes import BUSY
from pipelines.files import replace_file
from pipelines.warehouse.file import DATASET, BusyError, Warehouse, WarehouseError
from pipelines.warehouse.opened_copy import open_copy
from pipelines.warehouse.published import FILE, owner_file
from pipelines.warehouse.snapshot import read_rows, take_snapshot

log = logging.getLogger("conference_insights")

RUNS_TABLE = f"{DATASET}._runs"
STATUS_FORMAT = 1
"""Of the status files; those of another one are not read."""
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
    "versions": "VARCHAR",
}


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
        path: the warehouse file.
        counted: has attributes that are named like columns of `_runs`.
        stop: is set where somebody has stopped the run.
    """

    def __init__(self, path: Path, counted: Any, stop: threading.Event) -> None:
        self._path = path
        self._counted, self._stop = counted, stop
        self._started, self._clock = _now(), time.monotonic()
        self._outcome, self._phase = "refused", "start"
        self._last_good: dict[str, Any] | None = None
        self._holds: dict[str, Any] = {}
        self.settings: dict[str, str] = {}
        self._error: BaseException | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None

    def __enter__(self) -> RunRecord:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        refusal = self._path.with_name(f"{self._path.name}.refused.json")
        if self._outcome == "refused" and not (isinstance(error, BusyError) and refusal.exists()):
            self._error = error
            self._write("refused")

    def phase(self, name: str) -> None:
        """Record that the run begins its next step."""
        self._phase = name
        self._update()
        self._write("status")

    @contextmanager
    def kept_in(self, warehouse: Warehouse) -> Iterator[None]:
        """Keep the run's row: `running` until it ends; a killed run's row is closed as `killed`."""
        connection = warehouse.connection
        prepare_runs(connection)
        connection.execute(f"UPDATE {RUNS_TABLE} SET outcome = 'killed' WHERE outcome = 'running'")
        self._look(connection)
        row = self._row() | {"outcome": "running"}
        marks = ", ".join(f"${name}" for name in row)
        connection.execute(f"INSERT INTO {RUNS_TABLE} ({', '.join(row)}) VALUES ({marks})", row)
        self._connection, self._outcome, outcome = connection, "running", "failed"
        with suppress(OSError):
            self._path.with_name(f"{self._path.name}.refused.json").unlink(missing_ok=True)
        try:
            yield
            outcome = "ok"
        except StillPendingError:
            outcome = "pending"
            raise
        except BaseException as error:
            self._error = error
            raise
        finally:
            stopped = outcome == "ok" and self._stop.is_set()
            self._outcome = "stopped" if stopped else outcome
            try:
                self._update()
                self._look(connection)
            except duckdb.Error as error:  # must not hide the error of the run itself
                log.warning("The row of this run in _runs is not complete: %s", error)
            self._write("status")  # while the lock is held

    def _look(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._last_good = _last_good(connection)
        try:
            self._holds = take_snapshot(connection, self._counted.horizon or _now())
        except duckdb.Error as error:  # no reason for a run to fail
            log.warning("What the warehouse holds is not in the status: %s", error)

    def _update(self) -> None:
        row = self._row()
        changes = ", ".join(f"{name} = ${name}" for name in row)
        if self._connection:
            self._connection.execute(
                f"UPDATE {RUNS_TABLE} SET {changes} WHERE run_id = $run_id", row
            )

    def _row(self) -> dict[str, Any]:
        ended = None if self._outcome in ("running", "refused") else _now()
        self._counted.seconds = round(time.monotonic() - self._clock, 3)
        row = {name: getattr(self._counted, name, None) for name in COLUMNS} | {
            "outcome": self._outcome,
            "error_class": type(self._error).__name__ if self._error else None,
            "started_at": self._started,
            "ended_at": ended,
            "versions": _versions(),
        }
        return {name: _stored(value) for name, value in row.items()}

    def _write(self, kind: str) -> None:
        about = {"phase": self._phase, "pid": os.getpid(), "host": socket.gethostname()}
        error = {"error": str(self._error) if self._error else None}
        content: dict[str, Any] = {"format": STATUS_FORMAT, "run": self._row() | about | error}
        if kind == "status":
            content |= {"last_good": self._last_good, "holds": self._holds}
            content["settings"] = self.settings
        _replace(self._path.with_name(f"{self._path.name}.{kind}.json"), content)


def require_existing_warehouse(path: Path, copies: Path) -> None:
    """Check that a warehouse that an earlier run has loaded still exists.

    Its status file shows that, or, if that is gone with the same disk, its published copy.

    Raises:
        WarehouseError: it is gone, and a new one would lack what Twilio has deleted since.
    """
    if path.exists() and path.stat().st_size:  # DuckDB would start a new one in an empty file
        return
    witness, held = path.with_name(f"{path.name}.status.json"), 0
    with suppress(OSError, ValueError, LookupError, TypeError):
        if witness.is_file():
            held = json.loads(witness.read_text())["holds"]["rows"]["conference_summaries"]
    if not held and copies.parent != path.parent and (owner := owner_file(copies, path)):
        witness = owner
        with suppress(duckdb.Error), open_copy(copies / "current" / FILE) as copy:
            held = copy.execute("SELECT count(*) FROM analytics.conferences").fetchall()[0][0]
    if held:
        raise WarehouseError(
            f"{path} is gone. It held {held:,} conferences: restore a backup; or mount "
            f"its disk; or, to start over with what Twilio still has, delete {witness}"
        )


def renew_status(warehouse: Warehouse, published: Path) -> None:
    """Update what the warehouse holds in the status file, if a run has left one."""
    file = warehouse.path.with_name(f"{warehouse.path.name}.status.json")
    with suppress(OSError, ValueError, duckdb.Error):
        content = json.loads(file.read_text())
        if isinstance(content, dict) and content.get("format") == STATUS_FORMAT:
            content["holds"] = take_snapshot(warehouse.connection, _now())
            content["settings"]["published"] = str(published)
            _replace(file, content)


def _replace(file: Path, content: dict[str, Any]) -> None:
    try:
        replace_file(file, json.dumps(content, default=datetime.isoformat, indent=1))
    except OSError as error:
        if ".status." in file.name:  # else the error of the run itself tells it
            log.warning("Cannot write %s: %s", file, error.strerror)


def prepare_runs(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table, or add the columns that an earlier version did not have."""
    definition = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {DATASET}")
    connection.execute(f"CREATE TABLE IF NOT EXISTS {RUNS_TABLE} ({definition})")
    present = {name for name, *_ in connection.table(RUNS_TABLE).description}
    for name in COLUMNS.keys() - present:
        connection.execute(f"ALTER TABLE {RUNS_TABLE} ADD COLUMN {name} {COLUMNS[name]}")


def _last_good(connection: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
    rows = read_rows(
        connection,
        f"SELECT * FROM {RUNS_TABLE} WHERE outcome IN ('ok', 'pending') AND command <> 'backfill' "
        "ORDER BY started_at DESC LIMIT 1",
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
