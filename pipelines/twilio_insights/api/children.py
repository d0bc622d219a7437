"""From the fields of a record that have tables of their own to rows of these."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from msgspec import Raw

from pipelines.twilio_insights.codec import to_json
from pipelines.twilio_insights.resources import ChildField
from pipelines.twilio_insights.tables import LARGEST, Table, fit

Child = tuple[Any, ...]
"""Key and values of a child row, in the order of its table's columns, without the parent's key."""
Read = Callable[[Any], tuple[Collection[Child], Any]]
"""From the value of a field to child rows, and what fits none."""

_EMPTY: tuple[Any, ...] = (None, [], {})


class Children:
    """What one such field says; records that say the same may share it.

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


def reader_of(field: ChildField) -> ChildReader:
    """How the field is read, by its kind."""
    read = {"values": _values, "objects": _objects, "counts": _counts}[field.kind]
    own = [c for c in field.table.columns[1:] if c.is_received or c.rest]
    empty = {"text": "", "bigint": 0}
    tombstone = (None if column.nullable else empty[column.type] for column in own)
    return ChildReader(field.name, field.table, read(field.table), tuple(tombstone))


def _values(_: Table) -> Read:
    def read(value: Any) -> tuple[Collection[Child], Any]:
        if not isinstance(value, list):
            return (), value
        texts = dict.fromkeys(one for one in value if isinstance(one, str))
        return [(text,) for text in texts], [one for one in value if not isinstance(one, str)]

    return read


def _objects(table: Table) -> Read:
    """One row an object, one row a list element; a name without any keeps one empty row."""
    names = [c.name for c in table.columns if c.rest or (c.is_received and c.name not in table.key)]
    types = {c.name: c.type for c in table.columns if c.name in names and not c.rest}

    def read(value: Any) -> tuple[Collection[Child], Any]:
        if not isinstance(value, dict):
            return (), value
        found = []
        for name, content in value.items():
            elements = content if isinstance(content, list) and content else [content]
            for position, element in enumerate(elements):
                known, rest = dict[str | None, Any](), element
                if isinstance(element, dict):
                    known |= {n: fit(element[n], types[n]) for n in element.keys() & types.keys()}
                    rest = {k: v for k, v in element.items() if known.get(k) is None}
                known[table.rest] = None if rest in _EMPTY else to_json(rest)
                found.append((name, position, *map(known.get, names)))
        return found, None

    return read


def _counts(_: Table) -> Read:
    def read(value: Any) -> tuple[Collection[Child], Any]:
        if not isinstance(value, dict):
            return (), value
        if {*map(type, value.values())} == {int} and max(map(abs, value.values())) <= LARGEST:
            return value.items(), None
        counts = {kind: fit(count, "bigint") for kind, count in value.items()}
        misfits = {k: v for k, v in value.items() if v is not None and counts[k] is None}
        return counts.items(), misfits

    return read
