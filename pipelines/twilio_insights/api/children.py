"""From `tags`, `tag_info` and `detected_issues` of a summary to rows of the child tables."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from msgspec import Raw

from pipelines.twilio_insights.codec import to_json
from pipelines.twilio_insights.tables import (
    CONFERENCE_DETECTED_ISSUES,
    CONFERENCE_TAG_INFO,
    CONFERENCE_TAGS,
    LARGEST,
    OURS,
    REST,
    Table,
    fit,
)

Child = tuple[Any, ...]
"""Key and values of a child row, in the order of its table's columns, without the SID."""

_REST = REST[CONFERENCE_TAG_INFO]
_OF_ELEMENT = {
    column.name: column.type
    for column in CONFERENCE_TAG_INFO.columns
    if column.name not in {*CONFERENCE_TAG_INFO.key, *OURS}
}
_FITTING = {name: kind for name, kind in _OF_ELEMENT.items() if name != _REST}
_EMPTY: tuple[Any, ...] = (None, [], {})


class Children:
    """What one such field says; summaries that say the same may share it.

    With no child rows it has the field's tombstone, with which the merge deletes the child rows of
    an older copy. `misfits` is what fits no child row, `text` the JSON with sorted keys.
    """

    __slots__ = ("misfits", "rows", "text")

    def __init__(self, field: ChildField, value: Any, text: Raw) -> None:
        self.text = text
        rows, misfits = ((), None) if value in _EMPTY else field.read(value)
        self.rows: tuple[Child, ...] = tuple(rows) or (field.tombstone,)
        self.misfits = None if misfits in _EMPTY else misfits


class ChildField(NamedTuple):
    """A field that becomes rows of a table. `read` gives child rows and what fits none."""

    name: str
    table: Table
    read: Callable[[Any], tuple[Collection[Child], Any]]
    tombstone: Child


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
                fitting = item.keys() & _FITTING.keys()
                known = {name: fit(item[name], _FITTING[name]) for name in fitting}
                rest = {k: v for k, v in item.items() if known.get(k) is None}
            known[_REST] = None if rest in _EMPTY else to_json(rest)
            found.append((tag, position, *map(known.get, _OF_ELEMENT)))
    return found, None


def _issues(value: Any) -> tuple[Collection[Child], Any]:
    if not isinstance(value, dict):
        return (), value
    if {*map(type, value.values())} == {int} and max(map(abs, value.values())) <= LARGEST:
        return value.items(), None
    counts = {kind: fit(count, "bigint") for kind, count in value.items()}
    misfits = {k: v for k, v in value.items() if v is not None and counts[k] is None}
    return counts.items(), misfits


CHILD_FIELDS = (
    ChildField("tags", CONFERENCE_TAGS, _tags, ("",)),
    ChildField("tag_info", CONFERENCE_TAG_INFO, _tag_info, ("", 0, *[None] * len(_OF_ELEMENT))),
    ChildField("detected_issues", CONFERENCE_DETECTED_ISSUES, _issues, ("", None)),
)
