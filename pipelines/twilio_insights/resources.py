"""The resources that are loaded, as `resources.toml` defines them."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pipelines.twilio_insights.tables import TABLES, Column, Table

FINAL = 100
"""The least rank of a record that is final."""
_TABLES = {table.name: table for table in TABLES}


@dataclass(frozen=True)
class ChildField:
    """A field of a record that becomes rows of a table of its own."""

    name: str
    table: Table
    kind: Literal["values", "objects", "counts", "moments"]


@dataclass(frozen=True, eq=False)
class Resource:
    """A kind of records of the API; `resources.toml` says what each attribute is."""

    name: str
    path: str
    envelope: str
    key: str
    prefix: str
    created: str
    state: str
    pending_states: tuple[str, ...]
    final_states: tuple[str, ...]
    table: Table
    children: tuple[ChildField, ...]
    filters: tuple[str, ...] = ()
    parent: Resource | None = None
    ended: str | None = None
    setting: str | None = None
    most_requests: str | None = None
    expected: str | None = None

    def rank(self, state: Any) -> int:
        """How final a record is by its state: 0 if that is unknown or missing, FINAL or more if it
        will not change."""
        return self._ranks.get(state, 0) if isinstance(state, str) else 0

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What its keys look like."""
        return re.compile(f"{self.prefix}[0-9a-fA-F]{{32}}")

    def path_of(self, parent: str) -> str:
        """The path of the records that belong to one of the parent resource, by its key."""
        return re.sub(r"{\w+}", quote(parent, safe=""), self.path)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Those that hold a field of the record."""
        received = (column for column in self.table.columns if column.is_received)
        return tuple(c for c in received if "." not in c.field and c.field not in self.objects)

    @cached_property
    def objects(self) -> dict[str, tuple[Column, ...]]:
        """Fields of the record that are objects, with the columns of what is in them; the column of
        the same name, if there is one, is for the rest."""
        names = (c.field.partition(".")[0] for c in self.table.columns if "." in c.field)
        return {
            name: tuple(c for c in self.table.columns if c.field.partition(".")[0] == name)
            for name in dict.fromkeys(names)
        }

    @property
    def rest(self) -> str:
        """The column for what no other takes."""
        if self.table.rest is None:
            raise ValueError(f"{self.table.name} has no column that is `rest`")
        return self.table.rest

    @cached_property
    def tables(self) -> tuple[Table, ...]:
        return self.table, *(child.table for child in self.children)

    @cached_property
    def _ranks(self) -> dict[str, int]:
        pending = {state: rank for rank, state in enumerate(self.pending_states, 1)}
        return pending | {state: rank for rank, state in enumerate(self.final_states, FINAL)}


def _resource(
    name: str,
    table: str,
    children: dict[str, Any] | None = None,
    parent: str | None = None,
    **entry: Any,
) -> Resource:
    fields = tuple(
        ChildField(field, _TABLES[child["table"]], child["kind"])
        for field, child in (children or {}).items()
    )
    for kind in ("pending_states", "final_states", "filters"):
        entry[kind] = tuple(entry.get(kind, ()))
    of = RESOURCES[parent] if parent else None
    return Resource(name, table=_TABLES[table], children=fields, parent=of, **entry)


_DEFINITIONS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
RESOURCES: dict[str, Resource] = {}
for _name, _entry in _DEFINITIONS.items():  # parents stand before their children
    RESOURCES[_name] = _resource(_name, **_entry)
CONFERENCES = RESOURCES["conferences"]
