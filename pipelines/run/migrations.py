"""The tables of a warehouse before a run loads: made, or brought up from an earlier version."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import datetime
from typing import Any
from zlib import decompress

import duckdb

from pipelines.times import naive_utc
from pipelines.twilio_insights.codec import parse, to_json
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.twilio_insights.tables import REFETCHES, TABLES, Column, Table, fit
from pipelines.warehouse.file import DATASET, with_memory

_TYPES = {
    "text": "VARCHAR",
    "json": "VARCHAR",
    "bigint": "BIGINT",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMP",
}

_REFETCHES = f"{DATASET}.{REFETCHES.name}"
AT_ONCE = 100_000
"""Rows of which values are moved into a new column with one statement."""


def migrate_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Create tables and columns that are not there, in one transaction.

    Versions before there were several resources had a conference in each row of `_refetches`.
    Those before `_watermarks` kept it in dlt's state, loaded through a staging schema, and
    merged table by table: of a package that was lost half-way, child rows may be without parents.
    """
    present: dict[str, set[str]] = {}
    for table, column in connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = ? AND "
        "database_name = current_database()",
        [DATASET],
    ).fetchall():
        present.setdefault(table, set()).add(column)
    if is_former := "conference_sid" in present.get(REFETCHES.name, ()):
        present[REFETCHES.name] |= {"key"}
    new_tables = [table for table in TABLES if table.name not in present]
    new_columns = {
        table: [column for column in table.columns if column.name not in present[table.name]]
        for table in TABLES
        if table.name in present
    }
    if new_tables or any(new_columns.values()):
        steps = new_tables, new_columns, set(present), is_former
        with_memory(connection, lambda: _prepare(connection, *steps))


def _prepare(
    connection: duckdb.DuckDBPyConnection,
    new_tables: list[Table],
    new_columns: dict[Table, list[Column]],
    present: set[str],
    are_refetches_former: bool,
) -> None:
    connection.execute("BEGIN")
    try:
        if are_refetches_former:
            connection.execute(f"ALTER TABLE {_REFETCHES} RENAME COLUMN conference_sid TO key")
        for table in new_tables:
            defined = ", ".join(
                _definition(c) + (" NOT NULL" if not c.nullable else "") for c in table.columns
            )
            connection.execute(f"CREATE TABLE {DATASET}.{table.name} ({defined})")
        for table, columns in new_columns.items():
            for column in columns:
                connection.execute(
                    f"ALTER TABLE {DATASET}.{table.name} ADD COLUMN {_definition(column)}"
                )
            if table.rest and (whole := [c for c in columns if c.field.isidentifier()]):
                _move_values(connection, table, whole)
        if are_refetches_former:
            connection.execute(f"UPDATE {_REFETCHES} SET resource = ?", [CONFERENCES.name])
        connection.execute(f"UPDATE {DATASET}._watermarks SET region = '' WHERE region IS NULL")
        if "_dlt_loads" in present and "_watermarks" not in present:
            _take_over_state(connection)
            _delete_orphans(connection)
            connection.execute(f"DROP SCHEMA IF EXISTS {DATASET}_staging CASCADE")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _definition(column: Column) -> str:
    return f'"{column.name}" {_TYPES[column.type]}'


def _move_values(
    connection: duckdb.DuckDBPyConnection, table: Table, columns: list[Column]
) -> None:
    """Into new columns, of what was kept as JSON as long as they were not there."""
    name, rest = f"{DATASET}.{table.name}", table.rest
    like = " OR ".join(f"contains({rest}, '\"{column.field}\":')" for column in columns)
    (end,) = connection.execute(f"SELECT max(rowid) + 1 FROM {name}").fetchall()[0]
    unnested = ", ".join(f'unnest(?::{_TYPES[c.type]}[]) AS "{c.name}"' for c in columns)
    assigned = ", ".join(f'"{c.name}" = n."{c.name}"' for c in columns)
    moved = (
        f"UPDATE {name} SET {assigned}, "
        f"{rest} = n.{rest} FROM (SELECT unnest(?) AS row_id, unnest(?::VARCHAR[]) AS {rest}, "
        f"{unnested}) AS n WHERE {table.name}.rowid = n.row_id"
    )
    for start in range(0, end or 0, AT_ONCE):
        found = connection.execute(
            f"SELECT rowid, {rest} FROM {name} WHERE rowid >= ? AND rowid < ? AND ({like})",
            [start, start + AT_ONCE],
        ).fetchall()
        rows = []
        for row_id, text in found:
            if not isinstance(kept := parse(text.encode()), dict):
                continue  # a list, or a text, that was sent instead of an object
            values = [fit(kept.get(column.field), column.type) for column in columns]
            for column, value in zip(columns, values, strict=True):
                if value is not None:
                    del kept[column.field]
            rows.append((row_id, to_json(kept) if kept else None, *values))
        if rows:
            connection.execute(moved, [list(values) for values in zip(*rows, strict=True)])


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
            f"INSERT INTO {DATASET}._watermarks VALUES (?, ?, '', '', ?, ?)",
            [CONFERENCES.name, account, naive_utc(datetime.fromisoformat(listed_to)), load_id],
        )
    for name, sid in state.get("drift", {}).items():
        connection.execute(
            f"INSERT INTO {DATASET}._drift SELECT account_sid, ?, ?, ? "
            f"FROM {DATASET}.conference_summaries "
            "WHERE conference_sid = ? AND account_sid IS NOT NULL",
            [name, sid, load_id, sid],
        )


def _delete_orphans(connection: duckdb.DuckDBPyConnection) -> None:
    for child in CONFERENCES.children:
        connection.execute(
            f"DELETE FROM {DATASET}.{child.table.name} WHERE conference_sid NOT IN "
            f"(SELECT conference_sid FROM {DATASET}.conference_summaries)"
        )
