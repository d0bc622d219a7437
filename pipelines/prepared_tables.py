"""The tables of a warehouse before a run loads: made, or brought up from an earlier version."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import datetime
from typing import Any
from zlib import decompress

import duckdb

from pipelines.times import naive_utc
from pipelines.twilio_insights.pages import RESOURCE
from pipelines.twilio_insights.tables import CHILDREN, TABLES, Table
from pipelines.warehouse.file import DATASET

_TYPES = {
    "text": "VARCHAR",
    "json": "VARCHAR",
    "bigint": "BIGINT",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMP",
}


def prepare_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create tables and columns that are not there, in one transaction.

    Versions before `_watermarks` kept it in dlt's state, loaded through a staging schema, and
    merged table by table: of a package that was lost half-way, child rows may be without parents.
    """
    present: dict[str, set[str]] = {}
    for table, column in connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = ? AND "
        "database_name = current_database()",
        [DATASET],
    ).fetchall():
        present.setdefault(table, set()).add(column)
    missing = [
        statement for table in TABLES for statement in _missing(table, present.get(table.name))
    ]
    if not missing:
        return
    connection.execute("BEGIN")
    try:
        connection.execute(";".join(missing))
        if "_dlt_loads" in present and "_watermarks" not in present:
            _take_over_state(connection)
            _delete_orphans(connection)
            connection.execute(f"DROP SCHEMA IF EXISTS {DATASET}_staging CASCADE")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _missing(table: Table, present: set[str] | None) -> list[str]:
    columns = [(c, f'"{c.name}" {_TYPES[c.type]}') for c in table.columns]
    if present is None:
        defined = ", ".join(d + (" NOT NULL" if not c.nullable else "") for c, d in columns)
        return [f"CREATE TABLE {DATASET}.{table.name} ({defined})"]
    return [
        f"ALTER TABLE {DATASET}.{table.name} ADD COLUMN {definition}"
        for column, definition in columns
        if column.name not in present
    ]


def _take_over_state(connection: duckdb.DuckDBPyConnection) -> None:
    """Watermarks and named drift, from the state of the last completed package."""
    row = connection.execute(
        f"SELECT s.state, l.load_id FROM {DATASET}._dlt_pipeline_state AS s "
        f"JOIN {DATASET}._dlt_loads AS l ON l.load_id = s._dlt_load_id ORDER BY l.rowid DESC"
    ).fetchone()
    if row is None:
        return
    text, load_id = row
    sources: dict[str, Any] = json.loads(decompress(b64decode(text))).get("sources", {})
    state = sources.get("twilio_insights", {})
    watermarks: dict[str, str] = state.get("watermarks", {})
    for account, listed_to in watermarks.items():
        connection.execute(
            f"INSERT INTO {DATASET}._watermarks VALUES (?, ?, '', ?, ?)",
            [RESOURCE, account, naive_utc(datetime.fromisoformat(listed_to)), load_id],
        )
    for name, sid in state.get("drift", {}).items():
        connection.execute(
            f"INSERT INTO {DATASET}._drift SELECT account_sid, ?, ?, ? "
            f"FROM {DATASET}.conference_summaries "
            "WHERE conference_sid = ? AND account_sid IS NOT NULL",
            [name, sid, load_id, sid],
        )


def _delete_orphans(connection: duckdb.DuckDBPyConnection) -> None:
    for child in CHILDREN:
        connection.execute(
            f"DELETE FROM {DATASET}.{child.name} WHERE conference_sid NOT IN "
            f"(SELECT conference_sid FROM {DATASET}.conference_summaries)"
        )
