"""The warehouse file: opening and locking it, and the errors that it can cause."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from pipelines.files import expect_trusted, made_beside, where_supported
from pipelines.warehouse import error_texts
from pipelines.warehouse.database import DATASET
from pipelines.warehouse.duckdb_database import ROW_GROUP, WAREHOUSE, DuckDb, with_memory
from pipelines.warehouse.file import run_lock
from pipelines.warehouse.file.spilled import delete_spilled, spilled
from pipelines.warehouse.file.storage import (
    STORAGE_VERSION,
    is_of_former_version,
    is_ours,
    rebuild,
    rewrite,
)
from pipelines.warehouse.machine_errors import as_warehouse_error
from pipelines.warehouse.sql import quoted
from pipelines.warehouse.status_files import REFUSED, STATUS, StatusFiles
from pipelines.warehouse.warehouse import BusyError, Place, Recorded, Warehouse, WarehouseError

log = logging.getLogger("conference_insights")

LOCK_TIMEOUT = 5.0
"""Seconds that a run waits for another program to close the file."""
REPORT = f"{DATASET}._report"
"""Without this table, views and comments are applied again."""
_SETTINGS: dict[str, Any] = {
    "memory_limit": "120MB",  # what does not fit goes to `<file>.tmp`; else 80 % of all
    "preserve_insertion_order": False,  # saves memory, and no view relies on it
    "autoinstall_known_extensions": False,  # a file of SQLite's would have code fetched and run
    "autoload_known_extensions": False,
}


class DuckDbWarehouse(DuckDb, Warehouse):
    """An open warehouse file, whose connection dlt gets too."""

    def __init__(self, path: Path, connection: duckdb.DuckDBPyConnection, created: bool) -> None:
        super().__init__(connection)
        self.path, self.name, self.created = path, str(path), created
        self.working_folder = working_folder(path)

    def destination(self) -> Any:
        from pipelines.warehouse.file.one_transaction import destination_of  # brings dlt

        return destination_of(self.connection)

    def checkpoint(self) -> None:
        """Write the log into the file. DuckDB never does so on its own while dlt holds a cursor,
        and would keep all that a long run loads in memory and in the log."""
        with_memory(self.connection, lambda: self.connection.execute("CHECKPOINT"))

    def scrub(self) -> None:
        """DuckDB keeps what is in free blocks; only a file that is built anew has nothing of it."""
        self.connection.close()
        try:
            rebuild(self.path, forgetting=REPORT)
        except (duckdb.Error, OSError) as error:
            if error_texts.LOCK_HOLDER.search(str(error)):
                raise BusyError(f"{self.path} is held by another program; run again") from error
            raise as_warehouse_error(error, self.path) or WarehouseError(
                f"{self.path} cannot be written anew: {str(error).splitlines()[0]}"
            ) from error
        finally:
            self.connection = _connect(self.path)


class DuckDbFile(Place):
    """The path of a warehouse file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def path(self) -> Path:
        return self._path

    @property
    def name(self) -> str:
        return str(self.path)

    def read(self) -> AbstractContextManager[DuckDb]:
        return inspect_warehouse(self.path)

    def recorded(self, now: datetime) -> Recorded:  # noqa: ARG002  # the run took the time
        files = StatusFiles(self.path)
        content, refused = files.read(STATUS), files.read(REFUSED)
        size = self.path.stat().st_size if self.path.exists() else 0
        run = content.get("run")
        is_alive = run_lock.is_alive(run_lock_of(self.path), run) if run else None
        return Recorded(content, refused.get("run", {}), is_alive, size)

    def open(self) -> AbstractContextManager[DuckDbWarehouse]:
        return open_warehouse(self.path)

    def explain(self, error: BaseException) -> WarehouseError | None:
        return as_warehouse_error(error, self.path)


def working_folder(path: Path) -> Path:
    """dlt's files, beside the warehouse: two warehouses share none."""
    return path.with_name(f"{path.name}.dlt")


def run_lock_of(path: Path) -> Path:
    return working_folder(path) / "run.lock"


def expect_folder(path: Path) -> None:
    """Check that the folder of the file is there; of a link, that of its target.

    Raises:
        WarehouseError: it is not.
    """
    if not (folder := _real(path).parent).exists():
        raise WarehouseError(f"Cannot use {path}: make its folder, {folder}, first")


@contextmanager
def open_warehouse(path: Path) -> Iterator[DuckDbWarehouse]:
    """Hold the run lock and the file, created if there is none, while the block lasts.

    Raises:
        BusyError: another run, or another program, holds it.
        WarehouseError: the file or its folder cannot be used.
    """
    folder = working_folder(path)
    expect_folder(path)
    try:
        _expect_trusted(path)
        folder.mkdir(mode=0o700, exist_ok=True)
        with where_supported():
            folder.chmod(0o700)
        lock = run_lock_of(path).open("a+")
    except OSError as error:
        raise WarehouseError(f"Cannot use {path}: {error.strerror or error}") from None
    with lock:
        run_lock.take(lock, path, "another run")
        created = not path.exists()
        connection = _connect(path)
        delete_spilled(path)
        if is_of_former_version(connection) and is_ours(connection):
            connection.close()
            rewrite(path, forgetting=REPORT)
            connection = _connect(path)
        if path.stat().st_mode & 0o002:  # for others too, as a umask let an earlier version make it
            with where_supported():
                path.chmod(path.stat().st_mode & 0o755)
        warehouse = DuckDbWarehouse(path, connection, created)
        try:
            yield warehouse
        finally:
            warehouse.connection.close()
            lock.truncate(0)


@contextmanager
def inspect_warehouse(path: Path) -> Iterator[DuckDb]:
    """Open it read-only and change nothing.

    It takes the run lock too: while a process has the file open, even to read, no run can open it.

    Raises:
        BusyError: a run, or another program, holds it.
        WarehouseError: the file or its folder cannot be used.
    """
    try:
        _expect_trusted(path)
        lock = run_lock_of(path).open("r+")
    except FileNotFoundError:
        lock = None
    except OSError as error:
        raise WarehouseError(f"Cannot use {path}: {error.strerror or error}") from None
    with lock or nullcontext():
        if lock:
            run_lock.take(lock, path, "a command that only reads")
        if _is_held(path):
            _connect(path).close()  # fails, and DuckDB says who it is
        try:
            with _connect(path, read_only=True) as connection:
                yield DuckDb(connection)
        finally:
            if lock:
                lock.truncate(0)


def _expect_trusted(path: Path) -> None:
    """Check the file and, if it is a link, its target."""
    for file in {path, _real(path)}:
        expect_trusted(file, "", ".dlt", ".new", ".status.json", ".tmp", ".wal")
    if (path.exists() and not path.is_file()) or _real(path).is_symlink():
        raise OSError("it is no ordinary file, or a link to itself")


def _real(path: Path) -> Path:
    """The target of a link, whether or not it exists."""
    return Path(os.path.realpath(path))


def _is_held(path: Path) -> bool:
    """Whether another process has one of DuckDB's own locks on the file."""
    try:
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:  # no locks at all, as DuckDB will say
        return False
    return False


def _connect(path: Path, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """Open the file; wait a little for a program that holds it, as BI tools do for a query."""
    deadline = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            if not path.exists():
                with made_beside(_real(path)) as new:  # half a file could not be opened again
                    duckdb.connect(
                        new, config={"storage_compatibility_version": STORAGE_VERSION}
                    ).close()
            return _attach(path, read_only)
        except OSError as error:
            raise WarehouseError(f"Cannot create {path}: {error.strerror}") from None
        except duckdb.Error as error:
            held = error_texts.LOCK_HOLDER.search(str(error))
            if held is None:
                raise WarehouseError(_why_not(path, str(error))) from None
            if time.monotonic() > deadline:
                raise BusyError(
                    f"{path} is held by {Path(held['program'] or 'a program').name} (process "
                    f"{held['pid'] or 'in another container'}); "
                    "close it there and run again"
                ) from None
        time.sleep(0.1)


def _attach(path: Path, read_only: bool) -> duckdb.DuckDBPyConnection:
    """Open the file as the only database: to choose the size of row groups it is to be attached."""
    connection = duckdb.connect(config=_SETTINGS | {"temp_directory": str(spilled(path))})
    connection.execute(
        f"ATTACH {quoted(str(path))} AS {WAREHOUSE} "
        f"(READ_ONLY {read_only}, ROW_GROUP_SIZE {ROW_GROUP}); "
        f"USE {WAREHOUSE}; DETACH memory"  # and then it is the database of new cursors too
    )
    return connection


def _why_not(path: Path, error: str) -> str:
    wal = Path(f"{_real(path)}.wal")  # which DuckDB has beside the file, not beside a link to it
    if wal.exists() and error_texts.LOG_FAULT.search(error):
        return (
            f"{path} and its log {wal.name} do not belong together, as after a copy of both that "
            "was made at different moments, or the log is damaged. Restore a backup, or move "
            f"{wal} away and run again: the run goes on where the file ends, and lists again what "
            f"only the log had. DuckDB says: {error.splitlines()[0]}"
        )
    return f"DuckDB {duckdb.__version__} cannot open {path}: {error}"
