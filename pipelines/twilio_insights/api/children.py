"""From the fields of a record that are lists or objects to columns, or to rows of tables of their
own."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from msgspec import Raw

from pipelines.twilio_insights.codec import to_json
from pipelines.twilio_insights.resources import ChildField
from pipelines.twilio_insights.tables import LARGEST, Column, Table, fit

Child = tuple[Any, ...]
"""Key and values of a child row, in the order of its table's columns, without the parent's key."""
Read = Callable[[Any], tuple[Collection[Child], Any]]
"""From the value of a field to child rows, and what fits none."""

_EMPTY: tuple[Any, ...] = (None, [], {})
_EPOCH = datetime(1970, 1, 1)


class Children:
    """What a field with child rows says; records that say the same may share it.

    With no child rows it has the field's tombstone, with which the merge deletes the child rows of
    an older copy. `misfits` is what fits no child row, `text` the JSON with sorted keys.
    """

    __slots__ = ("misfits", "rows", "text")

    def __init__(self, reader: ChildReader, value: Any, text: Raw) -> None:
        self.text = text
        rows, misfits = ((), None) if value in _EMPTY else reader.read(value)
        self.rows: tuple[Child, ...] = tuple(rows) or (reader.tombstone,)
        self.misfits = None if misfits in _EMPTY else misfits


class ChildReader(NamedTuple):
    """Reads a field that becomes rows of a table."""

    name: str
    table: Table
    read: Read
    tombstone: Child

    def __call__(self, value: Any, text: Raw) -> Children:
        return Children(self, value, text)


class Members:
    """What is in an object, by the columns of its reader; `misfits` is what fits none of them."""

    __slots__ = ("misfits", "text", "values")

    def __init__(self, reader: ObjectReader, value: Any, text: Raw) -> None:
        self.text = text
        known, rest = reader.read(value)
        self.misfits = rest if rest not in _EMPTY and not reader.rest else None
        known[reader.rest] = None if rest in _EMPTY else to_json(rest)
        self.values = [known[column.name] for column in reader.columns]


class ObjectReader:
    """Reads a field that is an object, of which columns of the record's own table are made."""

    def __init__(self, name: str, columns: tuple[Column, ...]) -> None:
        self.name, self.columns = name, columns
        self.rest = next((c.name for c in columns if c.field == name), None)
        """The column for what no other takes."""
        self.read = _object_of([c for c in columns if c.name != self.rest], f"{name}.")

    def __call__(self, value: Any, text: Raw) -> Members:
        return Members(self, value, text)


FieldReader = ChildReader | ObjectReader
"""Reads a field from its value and its JSON."""


def reader_of(field: ChildField) -> ChildReader:
    """How the field is read, by its kind."""
    kinds: dict[str, Read] = {"values": _values, "counts": _counts, "moments": _moments}
    read = kinds.get(field.kind) or _objects(field.table)
    own = [c for c in field.table.columns[1:] if c.is_received or c.rest]
    empty = {"text": "", "bigint": 0}
    tombstone = (None if column.nullable else empty[column.type] for column in own)
    return ChildReader(field.name, field.table, read, tuple(tombstone))


def _object_of(
    columns: Sequence[Column], prefix: str = ""
) -> Callable[[Any], tuple[dict[str | None, Any], Any]]:
    """How what is in an object is read: the values by column, and the rest."""
    paths = {c: re.findall(r"\w+", c.field.removeprefix(prefix)) for c in columns}
    outer_names = {path[0] for path in paths.values() if len(path) > 1}

    def read(value: Any) -> tuple[dict[str | None, Any], Any]:
        known: dict[str | None, Any] = dict.fromkeys(column.name for column in columns)
        if not isinstance(value, dict):
            return known, value
        rest = dict(value)
        for name in outer_names & rest.keys():
            if isinstance(rest[name], dict):
                rest[name] = dict(rest[name])  # a copy: what fits a column is taken out of it
        for column, (*outer, name) in paths.items():
            if column.field.endswith("]"):
                held = value.get(outer[0])
                known[column.name] = isinstance(held, list) and name in held
                continue
            place = rest.get(outer[0]) if outer and outer[0] in outer_names else rest
            if isinstance(place, dict) and name in place:
                found = None if place[name] in _EMPTY else fit(place[name], column.type)
                if found is not None or place[name] in _EMPTY:
                    known[column.name] = found
                    del place[name]
        return known, {k: v for k, v in rest.items() if k not in outer_names or v not in _EMPTY}

    return read


def _values(value: Any) -> tuple[Collection[Child], Any]:
    """One row per text."""
    if not isinstance(value, list):
        return (), value
    texts = dict.fromkeys(one for one in value if isinstance(one, str))
    return [(text,) for text in texts], [one for one in value if not isinstance(one, str)]


def _objects(table: Table) -> Read:
    """One row per name; if the table has an index, one per element of a list. A name whose value is
    empty has one row without values."""
    columns = [c for c in table.columns if c.rest or (c.is_received and c.name not in table.key)]
    names, of_object = [c.name for c in columns], _object_of([c for c in columns if not c.rest])
    has_index = len(table.key) == 3  # besides the parent's key and the name

    def read(value: Any) -> tuple[Collection[Child], Any]:
        if not isinstance(value, dict):
            return (), value
        found = []
        for name, content in value.items():
            is_list = has_index and isinstance(content, list) and content
            for position, element in enumerate(content if is_list else [content]):
                known, rest = of_object(element)
                known[table.rest] = None if rest in _EMPTY else to_json(rest)
                index = (position,) if has_index else ()
                found.append((name, *index, *map(known.get, names)))
        return found, None

    return read


def _counts(value: Any) -> tuple[Collection[Child], Any]:
    """One row per name."""
    if not isinstance(value, dict):
        return (), value
    if {*map(type, value.values())} == {int} and max(map(abs, value.values())) <= LARGEST:
        return value.items(), None
    counts = {kind: fit(count, "bigint") for kind, count in value.items()}
    misfits = {k: v for k, v in value.items() if v is not None and counts[k] is None}
    return counts.items(), misfits


def _moments(value: Any) -> tuple[Collection[Child], Any]:
    """One row per list element; its time is None if the element is no time."""
    if not isinstance(value, dict):
        return (), value
    found, misfits = [], {}
    for name, content in value.items():
        moments = content if isinstance(content, list) else [content]
        times = [*map(_moment, moments)]
        found += [(name, index, at) for index, at in enumerate(times) if content is not None]
        if any(at is None and of is not None for at, of in zip(times, moments, strict=True)):
            misfits[name] = content
    return found, misfits


def _moment(milliseconds: Any) -> datetime | None:
    if isinstance(milliseconds, float) and milliseconds.is_integer():
        milliseconds = int(milliseconds)
    try:
        is_one = type(milliseconds) is int
        return _EPOCH + timedelta(milliseconds=milliseconds) if is_one else None
    except OverflowError:
        return None
