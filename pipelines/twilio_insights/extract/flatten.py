"""From summaries as received to rows of the four tables, in Arrow, losing nothing.

A column whose values all have the right type is converted at once; only others are looked at
value by value, and what does not fit is kept in `extra_fields`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from itertools import chain, repeat
from operator import attrgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET, Raw, UnsetType

from pipelines.times import naive_utc
from pipelines.twilio_insights.api.children import CHILD_FIELDS, ChildField, Children
from pipelines.twilio_insights.api.summaries import Summary, as_summary
from pipelines.twilio_insights.codec import to_json
from pipelines.twilio_insights.tables import (
    CONFERENCE_SUMMARIES,
    FROM_TWILIO,
    LARGEST,
    PYTHON_TYPES,
    REST,
    TABLES,
    Column,
    ColumnType,
    Table,
    fit,
)

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "text": pa.string(),
    "bigint": pa.int64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "json": pa.string(),
}
Tables = dict[str, pa.Table]
"""Arrow tables by table name."""
Extras = defaultdict[int, dict[str, Any]]
"""What does not fit, by position of the row and name of the field."""

_NAMES = [*(column.name for column in FROM_TWILIO), *(field.name for field in CHILD_FIELDS)]
_values = attrgetter(*_NAMES)
_rows = attrgetter("rows")


def flatten(
    rows: Sequence[Summary | dict[str, Any]], digests: Sequence[int | None], fetched_at: datetime
) -> Tables:
    """Rows of the four tables, without load id, for summaries that have a SID, each once."""
    extras = Extras(dict)
    summaries: list[Summary] = []
    for index, (summary, unknown) in enumerate(map(as_summary, rows)):
        summaries.append(summary)
        if unknown:
            extras[index] |= unknown
    # Structs have values of the right types only, or none.
    convert = _column if any(type(row) is dict for row in rows) else _ordinary_column
    values = dict(zip(_NAMES, zip(*map(_values, summaries), strict=True), strict=True))
    root: dict[str, Any] = {c.name: convert(c, values[c.name], extras) for c in FROM_TWILIO}
    children = {
        field.table.name: _children(field, values["conference_sid"], values[field.name], extras)
        for field in CHILD_FIELDS
    }
    fetched = pa.scalar(naive_utc(fetched_at), ARROW_TYPES["timestamp"])
    root |= {"fetched_at": pa.repeat(fetched, len(rows)), "row_digest": digests}
    kept = [to_json(extras[index]) if index in extras else None for index in range(len(rows))]
    root[REST[CONFERENCE_SUMMARIES]] = kept if extras else pa.nulls(len(rows), pa.string())
    ordered = [root[column.name] for column in loaded_columns(CONFERENCE_SUMMARIES)]
    return {CONFERENCE_SUMMARIES.name: to_arrow(CONFERENCE_SUMMARIES, ordered)} | children


def _ordinary_column(column: Column, values: Sequence[Any], extras: Extras) -> pa.Array:
    try:
        if column.type == "timestamp":
            return _moments(values)
        if column.type != "json":
            return pa.array(values, ARROW_TYPES[column.type])
    except (pa.ArrowException, OverflowError):  # a text that is no time, or a field is missing
        pass
    return _column(column, values, extras)


def _moments(values: Sequence[str | None]) -> pa.Array:
    """Raises pa.ArrowInvalid, or OverflowError beyond the years 1 to 9999."""
    moments = pa.array(values, pa.string()).cast(pa.timestamp("us", "UTC"))
    pc.min_max(moments).as_py()
    return moments.cast(ARROW_TYPES["timestamp"])


def _column(column: Column, values: Sequence[Any], extras: Extras) -> pa.Array:
    types = {*map(type, values)}
    if UnsetType in types:
        return _column(column, [None if value is UNSET else value for value in values], extras)
    if column.type == "json":
        return pa.array([None if v is None else to_json(v) for v in values], pa.string())
    if types <= {PYTHON_TYPES[column.type], type(None)}:
        try:
            if column.type == "timestamp":
                return _moments(values)
            array = pa.array(values, ARROW_TYPES[column.type])
            least, most = pc.min_max(array).as_py().values() if column.type == "bigint" else (0, 0)
            if -LARGEST <= (least or 0) <= (most or 0) <= LARGEST:
                return array
        except (pa.ArrowInvalid, OverflowError):
            pass
    fitted = [fit(value, column.type) for value in values]
    for index, (value, fitting) in enumerate(zip(values, fitted, strict=True)):
        if fitting is None and value is not None:
            extras[index][column.name] = value
    return pa.array(fitted, ARROW_TYPES[column.type])


def _children(
    field: ChildField, sids: Sequence[str], found: Sequence[Children | UnsetType], extras: Extras
) -> pa.Table:
    """The child rows; a tombstone is marked as one."""
    missing = Children(field, None, Raw())
    children = [missing if one is UNSET else one for one in found]
    for index, one in enumerate(children):
        if one.misfits is not None:
            extras[index][field.name] = one.misfits
    by_sid = [*map(_rows, children)]
    rows = [*chain.from_iterable(by_sid)]
    repeats = chain.from_iterable(map(repeat, sids, map(len, by_sid)))
    tombstones = [True if row is field.tombstone else None for row in rows]
    return to_arrow(field.table, [[*repeats], *zip(*rows, strict=True), tombstones])


def loaded_columns(table: Table) -> list[Column]:
    """All columns but the load id, which the package adds."""
    return [column for column in table.columns if column.name != "_dlt_load_id"]


def to_arrow(table: Table, columns: Iterable[Any]) -> pa.Table:
    """The rows of a table, by the columns that are loaded."""
    fields = loaded_columns(table)
    arrays = [
        values if isinstance(values, pa.Array) else pa.array(values, ARROW_TYPES[field.type])
        for field, values in zip(fields, columns, strict=True)
    ]
    return pa.Table.from_arrays(arrays, [field.name for field in fields])


def schema(table: Table) -> pa.Schema:
    """The Arrow schema of a table."""
    return pa.schema([pa.field(c.name, ARROW_TYPES[c.type], c.nullable) for c in table.columns])


def pick(tables: Tables, sids: Collection[str]) -> Tables:
    """The rows of these conferences."""
    wanted = pa.array(list(sids), pa.string())
    return {
        name: table.filter(pc.is_in(table["conference_sid"], wanted))
        for name, table in tables.items()
    }


def join(parts: Sequence[Tables]) -> Tables:
    """All of their rows."""
    return {
        table.name: pa.concat_tables(found)
        for table in TABLES
        if (found := [part[table.name] for part in parts if table.name in part])
    }


def with_load_id(table: Table, rows: pa.Table, load_id: str) -> pa.Table:
    """The rows with the id of the package that writes them, in the order of the table's columns."""
    ids = pa.repeat(pa.scalar(load_id), len(rows))
    columns = [ids if c.name == "_dlt_load_id" else rows[c.name] for c in table.columns]
    return pa.Table.from_arrays(columns, schema=schema(table))
