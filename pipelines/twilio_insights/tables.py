"""The tables and their columns, as `tables.toml` defines them.

The Arrow schemas, dlt's column hints, the struct that an ordinary summary is decoded into and the
comments in the database all come from there.
"""

from __future__ import annotations

import tomllib
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pipelines.times import naive_utc
from pipelines.twilio_insights.codec import to_json

ColumnType = Literal["text", "bigint", "double", "bool", "timestamp", "json"]
PYTHON_TYPES: dict[ColumnType, type] = {
    "text": str,
    "bigint": int,
    "double": float,
    "bool": bool,
    "timestamp": str,
}
"""What a value has to be to fit, as it is received; anything fits `json`."""
ADDED = {"fetched_at", "row_digest", "_dlt_load_id", "_tombstone"}
"""Columns that this program or dlt adds; Twilio does not send them."""
LARGEST = 2**31
"""The largest integer that is stored as one. No real count or duration in seconds is larger, and a
few larger ones would overflow every sum."""


@dataclass(frozen=True)
class Column:
    """One column; `personal` marks personal data, `values` are the documented ones; a `rest` keeps,
    as a JSON object, what no other column of the table takes."""

    name: str
    description: str
    field: str
    """Twilio's name for it; `object.name` of a field of an object, `list[text]` of whether a list
    has a text."""
    type: ColumnType = "text"
    nullable: bool = True
    personal: bool = False
    rest: bool = False
    values: tuple[str, ...] = ()

    @property
    def is_received(self) -> bool:
        """Whether it holds what Twilio sends, as it is."""
        return not self.rest and self.name not in ADDED

    @property
    def is_json(self) -> bool:
        """Whether its values are JSON text."""
        return self.rest or self.type == "json"

    @property
    def comment(self) -> str:
        """What it means, and which values it may have."""
        documented = f" Documented: {', '.join(self.values)}." if self.values else ""
        return self.description + documented

    @property
    def hints(self) -> dict[str, Any]:
        """dlt's hints for it."""
        kind = "text" if self.type == "json" else self.type
        hints = {"name": self.name, "data_type": kind, "nullable": self.nullable}
        if self.type == "timestamp":
            hints |= {"timezone": False, "precision": 6}
        if self.name == "_tombstone":
            hints["hard_delete"] = True
        return hints | {"description": self.description}


@dataclass(frozen=True, eq=False)  # notes are kept by table: a hash of all columns takes long
class Table:
    """`grain` says what one row is, `key` what identifies it."""

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @cached_property
    def rest(self) -> str | None:
        """The name of the column for what no other takes."""
        return next((column.name for column in self.columns if column.rest), None)


def _table(name: str, grain: str, key: list[str], columns: dict[str, Any]) -> Table:
    defined = (
        Column(n, **{"field": n} | c | {"values": (*c.get("values", ()),)})
        for n, c in columns.items()
    )
    return Table(name, grain, tuple(key), tuple(defined))


_DEFINITIONS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
TABLES = tuple(_table(name, **definition) for name, definition in _DEFINITIONS.items())
ACCOUNTS, REFETCHES, REJECTED_ROWS, WATERMARKS, DRIFT, LISTINGS, ERASURES = BOOKKEEPING = tuple(
    table for table in TABLES if table.name == "accounts" or table.name.startswith("_")
)
"""What tells how far and how well the others are loaded."""


def fit(value: Any, kind: ColumnType) -> Any:
    """The value as the column's type, or None if that would change or lose something."""
    if kind == "json":
        return None if value is None else to_json(value)
    if kind == "timestamp":
        try:
            return naive_utc(datetime.fromisoformat(value))
        except (TypeError, ValueError, OverflowError):
            return None
    if kind == "bigint":
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return value if type(value) is int and abs(value) <= LARGEST else None
    if kind == "double" and type(value) is int:
        with suppress(OverflowError):  # no double is as large
            if int(double := float(value)) == value:
                return double
        return None
    return value if type(value) is PYTHON_TYPES[kind] else None
