"""The tables of a warehouse before a run loads: made, or brought up from an earlier version."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from zlib import decompress

from pipelines.times import naive_utc
from pipelines.twilio_insights.codec import parse, to_json
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.twilio_insights.tables import REFETCHES, TABLES, WATERMARKS, Column, Table, fit
from pipelines.warehouse.database import DATASET, Database
from pipelines.warehouse.views import MADE_WITH_VIEWS
from pipelines.warehouse.warehouse import WarehouseError, expect_columns

_TYPES = {
    "text": "VARCHAR",
    "json": "VARCHAR",
    "bigint": "BIGINT",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "timestamp": "TIMESTAMP",
}

_REFETCHES = f"{DATASET}.{REFETCHES.name}"
LOADED_BY = "_dlt_load_id"
_OF_DLT = {
    "_dlt_loads": ("load_id", "schema_name", "status", "inserted_at", "schema_version_hash"),
    "_dlt_version": (
        *("version", "engine_version", "inserted_at", "schema_name", "version_hash", "schema"),
    ),
}
_ADDED = {REFETCHES.name: {"resource", "key"}, WATERMARKS.name: {"region"}}
"""Columns that are never NULL, and that the first versions did not have."""
AT_ONCE = 100_000
"""Rows of which values are moved into a new column with one statement."""


def migrate_tables(database: Database) -> None:
    """Create the tables and columns that are missing, and convert those of earlier versions, in one
    transaction.

    Before there were several resources, a row of `_refetches` had only a conference's SID. Before
    there was a table `_watermarks`, watermarks were in dlt's state, and packages were merged table
    by table through a staging schema: one that was interrupted may have left orphaned child rows.

    Raises:
        WarehouseError: a table is another's, or one is gone, or a column of it.
    """
    present = {
        name.partition(".")[2]: set(columns) for name, columns in database.columns(DATASET).items()
    }
    _expect_own(present)
    if "_dlt_loads" not in present and _has_conferences(database, present):
        raise _gone("_dlt_loads")
    if is_former := "conference_sid" in present.get(REFETCHES.name, ()):
        present[REFETCHES.name] |= {"key"}  # the name that `_prepare` gives the column
    new_tables = [table for table in TABLES if table.name not in present]
    new_columns = {
        table: [column for column in table.columns if column.name not in present[table.name]]
        for table in TABLES
        if table.name in present
    }
    if new_tables or any(new_columns.values()):
        names = set(present)
        database.transact(lambda: _prepare(database, new_tables, new_columns, names, is_former))


def _expect_own(present: Mapping[str, Collection[str]]) -> None:
    for table in TABLES:
        has_load_id = LOADED_BY in {column.name for column in table.columns}  # in each version
        if has_load_id and LOADED_BY not in present.get(table.name, [LOADED_BY]):
            raise WarehouseError(
                f"The table {DATASET}.{table.name} is not of conference-insights: rename it"
            )
    of_each_version = [*CONFERENCES.tables]
    if "_dlt_pipeline_state" not in present:  # where a former version had the watermarks
        of_each_version.append(WATERMARKS)
    if "_dlt_loads" in present:
        for table in of_each_version:
            if table.name not in present:
                raise _gone(table.name)
    needed: dict[str, Collection[str]] = {**_OF_DLT, **MADE_WITH_VIEWS}
    for table in TABLES:
        added = _ADDED.get(table.name, ())
        needed[table.name] = [
            c.name for c in table.columns if not c.nullable and c.name not in added
        ]
    for name, columns in needed.items():
        expect_columns(f"{DATASET}.{name}", present.get(name, columns), columns)


def _has_conferences(database: Database, present: Collection[str]) -> bool:
    table = CONFERENCES.table.name
    return table in present and bool(database.execute(f"SELECT 1 FROM {DATASET}.{table} LIMIT 1"))


def _gone(table: str) -> WarehouseError:
    return WarehouseError(f"The table {DATASET}.{table} is gone: restore a backup")


def _prepare(
    database: Database,
    new_tables: list[Table],
    new_columns: dict[Table, list[Column]],
    present: set[str],
    are_refetches_former: bool,
) -> None:
    if are_refetches_former:
        database.execute(f"ALTER TABLE {_REFETCHES} RENAME COLUMN conference_sid TO key")
    for table in new_tables:
        defined = ", ".join(
            _definition(c) + (" NOT NULL" if not c.nullable else "") for c in table.columns
        )
        database.execute(f"CREATE TABLE {DATASET}.{table.name} ({defined})")
    for table, columns in new_columns.items():
        for column in columns:
            database.execute(f"ALTER TABLE {DATASET}.{table.name} ADD COLUMN {_definition(column)}")
        if table.rest and (whole := [c for c in columns if c.field.isidentifier()]):
            _move_values(database, table, whole)
    if are_refetches_former:
        database.execute(f"UPDATE {_REFETCHES} SET resource = ?", [CONFERENCES.name])
    database.execute(f"UPDATE {DATASET}._watermarks SET region = '' WHERE region IS NULL")
    if "_dlt_loads" in present and "_watermarks" not in present:
        _take_over_state(database)
        _delete_orphans(database)
        database.execute(f"DROP SCHEMA IF EXISTS {DATASET}_staging CASCADE")


def _definition(column: Column) -> str:
    return f'"{column.name}" {_TYPES[column.type]}'


def _move_values(database: Database, table: Table, columns: list[Column]) -> None:
    """Into new columns, of what was kept as JSON as long as they were not there."""
    name, rest, keys = f"{DATASET}.{table.name}", table.rest, table.key
    like = " OR ".join(f"{rest} LIKE '%\"{column.field}\":%'" for column in columns)
    found = (
        f"SELECT {', '.join(keys)}, {rest} FROM {name} "
        f"WHERE {keys[0]} > ? AND ({like}) ORDER BY {keys[0]} LIMIT {AT_ONCE}"
    )
    types = {c.name: _TYPES[c.type] for c in table.columns}
    new = (*keys, str(rest), *(column.name for column in columns))
    unnested = ", ".join(f'unnest(?::{types[name]}[]) AS "{name}"' for name in new)
    assigned = ", ".join(f'"{name}" = n."{name}"' for name in new[len(keys) :])
    same = " AND ".join(f"t.{key} IS NOT DISTINCT FROM n.{key}" for key in keys)
    moved = f"UPDATE {name} AS t SET {assigned} FROM (SELECT {unnested}) AS n WHERE {same}"
    last = ""
    while page := database.execute(found, [last]):
        if len(page) == AT_ONCE:  # of the last record there may be more
            page = [row for row in page if row[0] != page[-1][0]]
        last = page[-1][0]
        rows = []
        for *key, text in page:
            if not isinstance(kept := parse(text.encode()), dict):
                continue  # a list, or a text, that was sent instead of an object
            values = [fit(kept.get(column.field), column.type) for column in columns]
            for column, value in zip(columns, values, strict=True):
                if value is not None:
                    del kept[column.field]
            rows.append((*key, to_json(kept) if kept else None, *values))
        if rows:
            database.execute(moved, [list(values) for values in zip(*rows, strict=True)])


def _take_over_state(database: Database) -> None:
    """Watermarks and named drift, from the state of the last completed package."""
    rows = database.execute(
        f"SELECT s.state, l.load_id FROM {DATASET}._dlt_pipeline_state AS s "
        f"JOIN {DATASET}._dlt_loads AS l ON l.load_id = s._dlt_load_id "
        "ORDER BY l.inserted_at DESC, l.load_id DESC LIMIT 1"
    )
    if not rows:
        return
    ((text, load_id),) = rows
    sources: dict[str, Any] = json.loads(decompress(b64decode(text))).get("sources", {})
    state = sources.get("twilio_insights", {})
    watermarks: dict[str, str] = state.get("watermarks", {})
    for account, listed_to in watermarks.items():
        database.execute(
            f"INSERT INTO {DATASET}._watermarks VALUES (?, ?, '', '', ?, ?)",
            [CONFERENCES.name, account, naive_utc(datetime.fromisoformat(listed_to)), load_id],
        )
    for name, sid in state.get("drift", {}).items():
        database.execute(
            f"INSERT INTO {DATASET}._drift SELECT account_sid, ?, ?, ? "
            f"FROM {DATASET}.conference_summaries "
            "WHERE conference_sid = ? AND account_sid IS NOT NULL",
            [name, sid, load_id, sid],
        )


def _delete_orphans(database: Database) -> None:
    for child in CONFERENCES.children:
        database.execute(
            f"DELETE FROM {DATASET}.{child.table.name} WHERE conference_sid NOT IN "
            f"(SELECT conference_sid FROM {DATASET}.conference_summaries)"
        )
