"""From summaries as received to rows of the four tables, in Arrow, losing nothing.

A column whose values all have the right type is converted at once; only others are looked at
value by value, and what does not fit is kept in `extra_fields`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.times import naive_utc
from pipelines.twilio_insights.errors import (
    BadAnswerError,
)
from pipelines.twilio_insights.tables import (
    ARROW_TYPES,
    CONFERENCE_DETECTED_ISSUES,
    CONFERENCE_SUMMARIES,
    CONFERENCE_TAG_INFO,
    CONFERENCE_TAGS,
    FROM_TWILIO,
    Column,
    ColumnType,
    Table,
)

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


class Received(NamedTuple):
    """One element of an answer, with the digest of all it said."""

    row: Any
    digest: int
    fetched_at: datetime


def digest(row: Any) -> int:
    """64 bits over the element, whatever the order of its keys."""
    hashed = blake2b(to_json(row).encode(), digest_size=8)
    return int.from_bytes(hashed.digest(), "big", signed=True)


def to_json(value: Any) -> str:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # an integer beyond 64 bits
        pass
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    except RecursionError:
        raise BadAnswerError("The API sent JSON that is nested hundreds of levels deep") from None


def flatten(received: Sequence[Received], load_id: str) -> Tables:
    """Rows of the four tables for summaries that have a SID, each conference once."""
    rows, extras = [one.row for one in received], Extras(dict)
    for index, row in enumerate(rows):
        for field in () if _KNOWN.issuperset(row) else row.keys() - _KNOWN:
            extras[index][field] = row[field]
    children = {
        CONFERENCE_TAGS: _children(rows, "tags", _tags, extras),
        CONFERENCE_TAG_INFO: _children(rows, "tag_info", _tag_info, extras),
        CONFERENCE_DETECTED_ISSUES: _children(rows, "detected_issues", _issues, extras),
    }
    root = [_column(column, rows, extras) for column in FROM_TWILIO]
    root.append(pa.array([naive_utc(one.fetched_at) for one in received], pa.timestamp("us")))
    root.append(pa.array([one.digest for one in received], pa.int64()))
    kept = [to_json(extras[index]) if index in extras else None for index in range(len(rows))]
    root.append(pa.array(kept, pa.string()))
    tables = {CONFERENCE_SUMMARIES.name: _table(CONFERENCE_SUMMARIES, root, load_id)}
    return tables | {table.name: _child_table(table, c, load_id) for table, c in children.items()}


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
            return pa.array(values, ARROW_TYPES[column.type])
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
        return value if type(value) is int and -(2**63) <= value < 2**63 else None
    return value if type(value) is _PYTHON_TYPES[kind] else None


def _children(
    rows: Sequence[dict[str, Any]],
    field: str,
    read: Callable[[Any], tuple[Iterable[Child], Any]],
    extras: Extras,
) -> list[tuple[str, Child | None]]:
    """SID and child row; where there are none, SID and None.

    That becomes a tombstone, with which the merge deletes the child rows of an older copy.
    """
    result: list[tuple[str, Child | None]] = []
    for index, row in enumerate(rows):
        value = row.get(field)
        found, misfits = ((), None) if value in _EMPTY else read(value)
        if misfits not in _EMPTY:
            extras[index][field] = misfits
        result.extend((row["conference_sid"], child) for child in found or (None,))
    return result


def _tags(value: Any) -> tuple[Iterable[Child], Any]:
    if not isinstance(value, list):
        return (), value
    tags = dict.fromkeys(tag for tag in value if isinstance(tag, str))
    return [(tag,) for tag in tags], [tag for tag in value if not isinstance(tag, str)]


def _tag_info(value: Any) -> tuple[Iterable[Child], Any]:
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


def _issues(value: Any) -> tuple[Iterable[Child], Any]:
    if not isinstance(value, dict):
        return (), value
    counts = {kind: _fit(count, "bigint") for kind, count in value.items()}
    misfits = {k: v for k, v in value.items() if v is not None and counts[k] is None}
    return counts.items(), misfits


def _child_table(table: Table, rows: list[tuple[str, Child | None]], load_id: str) -> pa.Table:
    arrays = [pa.array([sid for sid, _ in rows], pa.string())]
    for position, column in enumerate(table.columns[1:-2]):
        filler = None if column.nullable else {"text": "", "bigint": 0}[column.type]
        values = [filler if child is None else child[position] for _, child in rows]
        arrays.append(pa.array(values, ARROW_TYPES[column.type]))
    tombstones = pa.array([True if child is None else None for _, child in rows], pa.bool_())
    return _table(table, arrays, load_id, tombstones)


def _table(table: Table, arrays: list[pa.Array], load_id: str, *last: pa.Array) -> pa.Table:
    load_ids = pa.repeat(pa.scalar(load_id), len(arrays[0]))
    return pa.Table.from_arrays([*arrays, load_ids, *last], schema=table.arrow_schema)
