"""From records as received to rows of their tables, in Arrow, losing nothing.

A column whose values all have the right type is converted at once; only others are looked at
value by value, and what does not fit is kept in the column for the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain, repeat
from operator import attrgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET, Raw, UnsetType

from pipelines.times import naive_utc
from pipelines.twilio_insights.api.children import ChildReader, Children, Members, ObjectReader
from pipelines.twilio_insights.api.decoding import Record, format_of
from pipelines.twilio_insights.codec import to_json
from pipelines.twilio_insights.resources import Resource
from pipelines.twilio_insights.tables import (
    LARGEST,
    PYTHON_TYPES,
    TABLES,
    Column,
    ColumnType,
    Table,
    fit,
)

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "text": pa.string(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "json": pa.string(),
}
Tables = dict[str, pa.Table]
"""Arrow tables by table name."""
Extras = defaultdict[int, dict[str, Any]]
"""What does not fit, by position of the row and name of the field."""

_rows = attrgetter("rows")


def flatten(
    resource: Resource,
    rows: Sequence[Record | dict[str, Any]],
    digests: Sequence[int | None],
    fetched_at: Sequence[datetime],
) -> Tables:
    """Rows of the resource's tables, without load id, for records that have a key, each once, with
    the digest of each and when it arrived."""
    records, extras, structs = format_of(resource), Extras(dict), list[Record]()
    for index, (record, unknown) in enumerate(map(records.as_record, rows)):
        structs.append(record)
        if unknown:
            extras[index] |= unknown
    # Structs have values of the right types only, or none.
    convert = _column if any(type(row) is dict for row in rows) else _ordinary_column
    values = records.columns(structs)
    root: dict[str, Any] = {c.name: convert(c, values[c.field], extras) for c in resource.columns}
    for reader in records.objects:
        root |= _members(reader, values[reader.name], extras)
    children = {
        reader.table.name: _children(reader, values[resource.key], values[reader.name], extras)
        for reader in records.readers
    }
    moments = {at: naive_utc(at) for at in {*fetched_at}}
    root |= {"fetched_at": [moments[at] for at in fetched_at], "row_digest": digests}
    kept = [to_json(extras[index]) if index in extras else None for index in range(len(rows))]
    root[resource.rest] = kept if extras else pa.nulls(len(rows), pa.string())
    ordered = [root[column.name] for column in loaded_columns(resource.table)]
    return {resource.table.name: to_arrow(resource.table, ordered)} | children


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
            extras[index][column.field] = value
    return pa.array(fitted, ARROW_TYPES[column.type])


def _members(
    reader: ObjectReader, found: Sequence[Members | UnsetType], extras: Extras
) -> dict[str, list[Any]]:
    """By column, what is in an object of each record."""
    missing = Members(reader, None, Raw())
    members = [missing if one is UNSET else one for one in found]
    for index, one in enumerate(members):
        if one.misfits is not None:
            extras[index][reader.name] = one.misfits
    columns = zip(*(one.values for one in members), strict=True)
    return {c.name: [*of] for c, of in zip(reader.columns, columns, strict=True)}


def _children(
    reader: ChildReader, keys: Sequence[str], found: Sequence[Children | UnsetType], extras: Extras
) -> pa.Table:
    """The child rows; a tombstone is marked as one."""
    missing = Children(reader, None, Raw())
    children = [missing if one is UNSET else one for one in found]
    for index, one in enumerate(children):
        if one.misfits is not None:
            extras[index][reader.name] = one.misfits
    by_key = [*map(_rows, children)]
    rows = [*chain.from_iterable(by_key)]
    repeats = chain.from_iterable(map(repeat, keys, map(len, by_key)))
    tombstones = [True if row is reader.tombstone else None for row in rows]
    return to_arrow(reader.table, [[*repeats], *zip(*rows, strict=True), tombstones])


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


def select_rows(tables: Tables, key: str, keys: Sequence[str], of: Sequence[str]) -> Tables:
    """The rows of the records with these keys, `of` all those that the tables were flattened from,
    in that order: each has rows in every table."""
    first = of.index(keys[0])
    end = first + len(keys)
    if [*keys] == of[first:end]:  # mostly, and then nothing is copied
        bounds = (of[first] if first else None), (of[end] if end < len(of) else None)
        return {name: _between(table, key, *bounds) for name, table in tables.items()}
    wanted = pa.array([*keys], pa.string())
    return {name: table.filter(pc.is_in(table[key], wanted)) for name, table in tables.items()}


def _between(table: pa.Table, key: str, first: str | None, after: str | None) -> pa.Table:
    """From the first row with a key, or the beginning, to the one before that of another, or to
    the end."""
    start = 0 if first is None else pc.index(table[key], first).as_py()
    end = len(table) if after is None else pc.index(table[key], after).as_py()
    return table.slice(start, end - start)


def concat(parts: Sequence[Tables]) -> Tables:
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
