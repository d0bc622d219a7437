"""The audit table `_runs`: one row a run, written when it starts and completed when it ends."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from dlt.destinations.sql_client import SqlClientBase

TABLE = "_runs"
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
    "pages": "BIGINT",
    "requests": "BIGINT",
    "retries": "VARCHAR",
    "rows_listed": "BIGINT",
    "rows_refetched": "BIGINT",
    "rows_new": "BIGINT",
    "rows_updated": "BIGINT",
    "rows_unchanged": "BIGINT",
    "rows_rejected": "BIGINT",
    "pending_before": "BIGINT",
    "pending_after": "BIGINT",
    "versions": "VARCHAR",
}


def open_row(client: SqlClientBase[Any], row: Mapping[str, Any]) -> None:
    """Insert a run as `running`; a row that a killed run left so is closed as `killed`."""
    if not client.has_dataset():
        client.create_dataset()
    table, columns = client.make_qualified_table_name(TABLE), COLUMNS.items()
    definition = ", ".join(f"{name} {kind}" for name, kind in columns)
    client.execute_sql(f"CREATE TABLE IF NOT EXISTS {table} ({definition})")
    client.execute_sql(f"UPDATE {table} SET outcome = 'killed' WHERE outcome = 'running'")
    full = {**row, "outcome": "running", "versions": _versions()}
    marks = ", ".join(["%s"] * len(full))
    client.execute_sql(f"INSERT INTO {table} ({', '.join(full)}) VALUES ({marks})", *full.values())


def close_row(client: SqlClientBase[Any], run_id: str, row: Mapping[str, Any]) -> None:
    """Complete the row of a run."""
    table = client.make_qualified_table_name(TABLE)
    changes = ", ".join(f"{name} = %s" for name in row)
    sql = f"UPDATE {table} SET {changes} WHERE run_id = %s"
    client.execute_sql(sql, *row.values(), run_id)


def _versions() -> str:
    packages = ("conference-insights", "dlt", "duckdb", "pyarrow")
    return json.dumps({"python": platform.python_version()} | {p: version(p) for p in packages})
