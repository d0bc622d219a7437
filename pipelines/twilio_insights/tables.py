"""The tables and their columns, as `tables.toml` defines them.

The Arrow schemas, dlt's column hints and the comments in the database all come from there.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ColumnType = Literal["text", "bigint", "bool", "timestamp"]


@dataclass(frozen=True)
class Column:
    """One column; `personal` marks personal data, `values` are the documented ones."""

    name: str
    description: str
    type: ColumnType = "text"
    nullable: bool = True
    personal: bool = False
    values: tuple[str, ...] = ()

    @property
    def hints(self) -> dict[str, Any]:
        """dlt's hints for it."""
        hints = {"name": self.name, "data_type": self.type, "nullable": self.nullable}
        if self.type == "timestamp":
            hints |= {"timezone": False, "precision": 6}
        if self.name == "_tombstone":
            hints["hard_delete"] = True
        return hints | {"description": self.description}


@dataclass(frozen=True)
class Table:
    """`grain` says what one row is, `key` what identifies it."""

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]


def _table(name: str, grain: str, key: list[str], columns: dict[str, Any]) -> Table:
    defined = (Column(n, **c | {"values": (*c.get("values", ()),)}) for n, c in columns.items())
    return Table(name, grain, tuple(key), tuple(defined))


_DEFINITIONS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
TABLES = tuple(_table(name, **definition) for name, definition in _DEFINITIONS.items())
(
    CONFERENCE_SUMMARIES,
    CONFERENCE_TAGS,
    CONFERENCE_TAG_INFO,
    CONFERENCE_DETECTED_ISSUES,
    REFETCHES,
    REJECTED_ROWS,
    WATERMARKS,
    DRIFT,
) = TABLES
CHILDREN = (CONFERENCE_TAGS, CONFERENCE_TAG_INFO, CONFERENCE_DETECTED_ISSUES)
FROM_TWILIO = CONFERENCE_SUMMARIES.columns[:20]
