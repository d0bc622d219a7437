"""The storage version of the warehouse file; a file of an earlier version is rewritten."""

from __future__ import annotations

import logging
import os
import re
import stat
from pathlib import Path
from typing import Any

import duckdb

from pipelines.files import made_beside, where_supported
from pipelines.warehouse.database import DATASET
from pipelines.warehouse.duckdb_database import ROW_GROUP
from pipelines.warehouse.file.spilled import spilled
from pipelines.warehouse.sql import quoted

log = logging.getLogger("conference_insights")

STORAGE_VERSION = "v1.4.0"
"""From it on a file knows its log: DuckDB refuses one that belongs to another state of the file, as
after both were copied at different moments. Into an older file it would replay that in silence."""


def is_of_former_version(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the file has a storage version before STORAGE_VERSION."""
    (version,) = connection.execute(
        "SELECT tags['storage_version'] FROM duckdb_databases() "
        "WHERE database_name = current_database()"
    ).fetchall()[0]
    found, wanted = (
        [int(number) for number in re.findall(r"\d+", text)] for text in (version, STORAGE_VERSION)
    )
    return found < wanted


def is_ours(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether a run has been in the file: another program's is not rewritten."""
    return bool(
        connection.execute(
            "SELECT 1 FROM duckdb_tables() WHERE schema_name = ? "
            "AND table_name IN ('_runs', '_dlt_loads')",
            [DATASET],
        ).fetchall()
    )


def rebuild(path: Path, forgetting: str) -> None:
    """Write the file anew, in STORAGE_VERSION and without one table, and put it in place of this.

    Raises:
        duckdb.Error, OSError: all is as before.
    """
    settings: dict[str, Any] = {"memory_limit": "300MB", "temp_directory": str(spilled(path))}
    path = path.resolve()  # not to replace a link
    status = path.stat()
    with made_beside(path) as new:
        with duckdb.connect(config=settings) as connection:
            connection.execute(f"ATTACH {quoted(str(path))} AS former")
            connection.execute(
                f"ATTACH {quoted(str(new))} AS renewed "
                f"(STORAGE_VERSION '{STORAGE_VERSION}', ROW_GROUP_SIZE {ROW_GROUP})"
            )
            connection.execute("COPY FROM DATABASE former TO renewed")
            connection.execute(f"DROP TABLE IF EXISTS renewed.{forgetting}")
            connection.execute("DETACH former; DETACH renewed")
        if path.with_name(f"{path.name}.wal").exists():  # it would be read into the new file
            raise OSError(f"{path.name}.wal could not be written into its file")
        with where_supported():
            new.chmod(stat.S_IMODE(status.st_mode))
        if (new.stat().st_uid, new.stat().st_gid) != (status.st_uid, status.st_gid):
            os.chown(new, status.st_uid, status.st_gid)


def rewrite(path: Path, forgetting: str) -> None:
    """Rewrite the file in STORAGE_VERSION without one table; if that fails, it is used as it is."""
    log.info("Rewriting %s in storage version %s", path, STORAGE_VERSION)
    try:
        rebuild(path, forgetting)
    except (duckdb.Error, OSError) as error:
        log.warning("%s keeps its storage version: %s", path, str(error).splitlines()[0])
