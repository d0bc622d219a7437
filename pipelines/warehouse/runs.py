"""The audit table `_runs`: one row a run, written when it starts and completed when it ends."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
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
    "final_changed": "VARCHAR",
    "versions": "VARCHAR",
}


def open_row(client: SqlClientBase[Any], run_id: str, command: str) -> None:
    """Insert a run as `running`; a row that a killed run left so is closed as `killed`."""
    if not client.has_dataset():
        client.create_dataset()
    table = client.make_qualified_table_name(TABLE)
    definition = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    client.execute_sql(f"CREATE TABLE IF NOT EXISTS {table} ({definition})")
    client.execute_sql(f"UPDATE {table} SET outcome = 'killed' WHERE outcome = 'running'")
    client.execute_sql(
        f"INSERT INTO {table} (run_id, command, outcome, started_at, versions) "
        "VALUES (%s, %s, 'running', %s, %s)",
        *(run_id, command, _stored(datetime.now(UTC)), _versions()),
    )


def close_row(client: SqlClientBase[Any], row: Mapping[str, Any]) -> None:
    """Complete the row of the run `run_id`."""
    table, row = client.make_qualified_table_name(TABLE), {**row, "ended_at": datetime.now(UTC)}
    changes = ", ".join(f"{name} = %s" for name in row)
    sql = f"UPDATE {table} SET {changes} WHERE run_id = %s"
    client.execute_sql(sql, *map(_stored, row.values()), row["run_id"])


def _stored(value: Any) -> Any:
    """Times in UTC without zone, collections as JSON text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    return json.dumps(value) if isinstance(value, dict | list) else value


def _versions() -> str:
    packages = ("conference-insights", "dlt", "duckdb", "pyarrow")
    return json.dumps({"python": platform.python_version()} | {p: version(p) for p in packages})
