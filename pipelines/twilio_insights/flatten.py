"""From summaries as received to rows of the four tables, in Arrow, losing nothing.

A column whose values all have the right type is converted at once; only others are looked at
value by value, and what does not fit is kept in `extra_fields`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.times import naive_utc
from pipelines.twilio_insights.codec import to_json
from pipelines.twilio_insights.tables import (
    CONFERENCE_DETECTED_ISSUES,
    CONFERENCE_SUMMARIES,
    CONFERENCE_TAG_INFO,
    CONFERENCE_TAGS,
    FROM_TWILIO,
    TABLES,
    Column,
    ColumnType,
    Table,
)

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "text": pa.string(),
    "bigint": pa.int64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us"),
}
Tables = dict[str, pa.Table]
"""Arrow tables by table name."""
Child = tuple[Any, ...]
"""Key and values of a child row, in the order of its table's columns."""
Extras = defaultdict[int, dict[str, Any]]
"""What does not fit, by position of the row and name of the field."""

_KNOWN = {column.name for column in FROM_TWILIO} | {"tags", "tag_info", "detected_issues"}
_TEXT_TAG_INFO = ("severity", "reason", "participant_identity")
_PYTHON_TYPES: dict[ColumnType, type] = {
    "text": str,
    "bigint": int,
    "bool": bool,
    "timestamp": str,
}
_EMPTY: tuple[Any, ...] = (None, [], {})
LARGEST = 2**31
"""No count, and no duration in seconds, is larger; a few that are would overflow every sum."""


def flatten(
    rows: Sequence[dict[str, Any]], digests: Sequence[int | None], fetched_at: datetime
) -> Tables:
    """Rows of the four tables, without load id, for summaries that have a SID, each once."""
    extras = Extras(dict)
    for index, row in enumerate(rows):
        for field in () if _KNOWN.issuperset(row) else row.keys() - _KNOWN:
            extras[index][field] = row[field]
    children = {}
    for table, field, read, tombstone in _CHILDREN:
        columns = zip(*_children(rows, field, read, tombstone, extras), strict=True)
        children[table.name] = to_arrow(table, columns)
    root = [_column(column, rows, extras) for column in FROM_TWILIO]
    root.append(pa.repeat(pa.scalar(naive_utc(fetched_at), ARROW_TYPES["timestamp"]), len(rows)))
    root.append(digests)
    root.append([to_json(extras[index]) if index in extras else None for index in range(len(rows))])
    return {CONFERENCE_SUMMARIES.name: to_arrow(CONFERENCE_SUMMARIES, root)} | children


def _column(column: Column, rows: Sequence[dict[str, Any]], extras: Extras) -> pa.Array:
    values = [row.get(column.name) for row in rows]
    if column.name == "links":
        return pa.array([None if v is None else to_json(v) for v in values], pa.string())
    if {*map(type, values)} <= {_PYTHON_TYPES[column.type], type(None)}:
        try:
            if column.type == "timestamp":
                moments = pa.array(values, pa.string()).cast(pa.timestamp("us", "UTC"))
                pc.min_max(moments).as_py()  # an OverflowError beyond the years 1 to 9999
                return moments.cast(ARROW_TYPES["timestamp"])
            array = pa.array(values, ARROW_TYPES[column.type])
            least, most = pc.min_max(array).as_py().values() if column.type == "bigint" else (0, 0)
            if -LARGEST <= (least or 0) <= (most or 0) <= LARGEST:
                return array
        except (pa.ArrowInvalid, OverflowError):
            pass
    fitted = [_fit(value, column.type) for value in values]
    for index, (value, fit) in enumerate(zip(values, fitted, strict=True)):
        if fit is None and value is not None:
            extras[index][column.name] = value
    return pa.array(fitted, ARROW_TYPES[column.type])


def _fit(value: Any, kind: ColumnType) -> Any:
    """The value as the column's type, or None if that would change or lose something."""
    if kind == "timestamp":
        try:
            return naive_utc(datetime.fromisoformat(value))
        except (TypeError, ValueError, OverflowError):
            return None
    if kind == "bigint":
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return value if type(value) is int and abs(value) <= LARGEST else None
    return value if type(value) is _PYTHON_TYPES[kind] else None


def _children(
    rows: Sequence[dict[str, Any]],
    field: str,
    read: Callable[[Any], tuple[Collection[Child], Any]],
    tombstone: Child,
    extras: Extras,
) -> list[Child]:
    """SID, child row and NULL; for a conference without child rows SID, `tombstone` and True.

    With a tombstone the merge deletes the child rows of an older copy.
    """
    result: list[Child] = []
    for index, row in enumerate(rows):
        value, sid = row.get(field), row["conference_sid"]
        found, misfits = ((), None) if value in _EMPTY else read(value)
        if misfits not in _EMPTY:
            extras[index][field] = misfits
        if found:
            result += [(sid, *child, None) for child in found]
        else:
            result.append((sid, *tombstone, True))
    return result


def _tags(value: Any) -> tuple[Collection[Child], Any]:
    if not isinstance(value, list):
        return (), value
    tags = dict.fromkeys(tag for tag in value if isinstance(tag, str))
    return [(tag,) for tag in tags], [tag for tag in value if not isinstance(tag, str)]


def _tag_info(value: Any) -> tuple[Collection[Child], Any]:
    """One row an object, one row a list element; a tag without details keeps one empty row."""
    if not isinstance(value, dict):
        return (), value
    found = []
    for tag, info in value.items():
        for position, item in enumerate(info if isinstance(info, list) and info else [info]):
            known, rest = {}, item
            if isinstance(item, dict):
                known = {k: item[k] for k in _TEXT_TAG_INFO if isinstance(item.get(k), str)}
                rest = {k: v for k, v in item.items() if k not in known}
            details = None if rest in _EMPTY else to_json(rest)
            found.append((tag, position, *map(known.get, _TEXT_TAG_INFO), details))
    return found, None


def _issues(value: Any) -> tuple[Collection[Child], Any]:
    if not isinstance(value, dict):
        return (), value
    if {*map(type, value.values())} == {int} and max(map(abs, value.values())) <= LARGEST:
        return value.items(), None
    counts = {kind: _fit(count, "bigint") for kind, count in value.items()}
    misfits = {k: v for k, v in value.items() if v is not None and counts[k] is None}
    return counts.items(), misfits


_CHILDREN: tuple[tuple[Table, str, Callable[[Any], tuple[Collection[Child], Any]], Child], ...] = (
    (CONFERENCE_TAGS, "tags", _tags, ("",)),
    (CONFERENCE_TAG_INFO, "tag_info", _tag_info, ("", 0, None, None, None, None)),
    (CONFERENCE_DETECTED_ISSUES, "detected_issues", _issues, ("", None)),
)


def to_arrow(table: Table, columns: Iterable[Any]) -> pa.Table:
    """The columns of a table, all but the load id, which its package adds."""
    fields = [column for column in table.columns if column.name != "_dlt_load_id"]
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
