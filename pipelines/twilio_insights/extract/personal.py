"""What is done to personal data before it is written or named: it is kept, hashed or dropped.

Which columns may hold some stands in `tables.toml`. Digests of rows stay over what was received.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING

from pipelines.twilio_insights.codec import to_json
from pipelines.twilio_insights.resources import RESOURCES
from pipelines.twilio_insights.settings import Settings
from pipelines.twilio_insights.tables import TABLES, Column

if TYPE_CHECKING:
    from pipelines.twilio_insights.extract.flatten import Tables

PREFIX = "hashed:"
_HEX_DIGITS = 32
COLUMNS = {table.name: [c for c in table.columns if c.personal] for table in TABLES}
_NAMES = {column.name for columns in COLUMNS.values() for column in columns}
_FIELDS = {part for t in TABLES for c in t.columns for part in c.field.split(".")} | {
    child.name for resource in RESOURCES.values() for child in resource.children
}
"""Names that Twilio documents, so that they tell of nobody."""


@dataclass(frozen=True)
class PersonalData:
    """`mode` is `keep`, `hash` or `drop`; equal values have equal hashes as long as the key is the
    same."""

    mode: str = "keep"
    hash_key: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> PersonalData:
        return cls(settings.personal_data, settings.hash_key)

    @cached_property
    def _key(self) -> bytes:
        return blake2b((self.hash_key or "").encode()).digest()

    @property
    def key_check(self) -> str | None:
        """What shows later whether the key is still the same; None where none is used."""
        return self.value("conference_insights") if self.mode == "hash" else None

    def value(self, text: str) -> str | None:
        """What is written instead of a text; None for what is dropped."""
        if self.mode == "keep":
            return text
        if self.mode == "drop":
            return None
        digest = blake2b(text.encode(), digest_size=_HEX_DIGITS // 2, key=self._key)
        return PREFIX + digest.hexdigest()

    def of_column(self, column: Column, text: str | None) -> str | None:
        """What is written instead of a column's value. JSON stays JSON; what is dropped from a
        column that cannot be NULL is the null of JSON."""
        if not text or self.mode == "keep":
            return text
        masked = self.value(text)
        if column.is_json and (masked or not column.nullable):
            return to_json(masked)
        return masked

    def tables(self, tables: Tables) -> Tables:
        """What is written instead of these rows."""
        return tables if self.mode == "keep" else changed(tables, self.of_column)

    def drift(self, name: str) -> str:
        """The same of a name of what the documentation does not know: `extra_fields = field`, where
        only the names of documented fields tell of nobody."""
        kind, _, field = name.partition(" = ")
        is_personal = kind.rpartition(": ")[2] in _NAMES and field not in _FIELDS
        if self.mode == "keep" or not is_personal or (self.mode == "hash" and is_hash(field)):
            return name
        return f"{kind} = {self.value(field) or '(dropped)'}"

    def reason(self, text: str) -> str:
        """The same of why something failed: behind a colon there may be what it failed at."""
        return text if self.mode == "keep" else text.partition(":")[0]


KEEP = PersonalData()


def changed(tables: Tables, change: Callable[[Column, str | None], str | None]) -> Tables:
    """The rows with other values in the personal columns."""
    import pyarrow as pa

    found = dict(tables)
    for name, rows in tables.items():
        for column in COLUMNS[name]:
            if rows[column.name].null_count < len(rows):
                values = [change(column, value) for value in rows[column.name].to_pylist()]
                position = rows.column_names.index(column.name)
                array = pa.array(values, pa.string())
                found[name] = found[name].set_column(position, column.name, array)
    return found


def is_hash(text: str) -> bool:
    return text.startswith(PREFIX) and len(text) == len(PREFIX) + _HEX_DIGITS


def unmasked(column: Column, mode: str) -> str:
    """A condition for rows that still have something to be hashed or dropped."""
    name, quote = f'"{column.name}"', '"' if column.is_json else ""
    if mode == "drop":
        return f"{name} IS NOT NULL" if column.nullable else f"{name} <> 'null'"
    before, length = f"{quote}{PREFIX}", len(PREFIX) + _HEX_DIGITS + 2 * len(quote)
    is_hashed = f"substr({name}, 1, {len(before)}) = '{before}' AND length({name}) = {length}"
    return f"{name} <> '' AND NOT ({is_hashed})"
