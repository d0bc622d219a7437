"""What a page of the API holds: each record once, and what cannot be one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import UNSET

from pipelines.times import as_utc, iso_seconds
from pipelines.twilio_insights.api.bounds import Oversized
from pipelines.twilio_insights.api.decoding import Record, digest
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.resources import FINAL, Resource

if TYPE_CHECKING:
    from pipelines.twilio_insights.extract.flatten import Tables
    from pipelines.twilio_insights.extract.volume import Window


class RowVersion(NamedTuple):
    """One version of a record, stored or received; a stored one has no `digest` if its package
    never completed. `rank` says how final it is, see `Resource.rank`."""

    digest: int | None
    rank: int

    @property
    def is_final(self) -> bool:
        return self.rank >= FINAL and self.digest is not None

    def yields_to(self, other: RowVersion) -> bool:
        """Whether the other says something else and is not less final."""
        return other.digest != self.digest and other.rank >= self.rank


class Rejected(NamedTuple):
    """An element that cannot be a record."""

    element: Any
    digest: int
    reason: str


class RecordPage:
    """The records of one page, by key, each as its most final element has it.

    If all of them will be written they are flattened at once, which leaves less in memory; most of
    those that are listed again will not be. On a page of what belongs to one record, its `parent`,
    nothing belongs to another.
    """

    def __init__(
        self, resource: Resource, page: Page, all_new: bool = False, parent: str | None = None
    ) -> None:
        self._resource = resource
        key, state, created = resource.key, resource.state, resource.created
        shown, moment_of = attrgetter(key, state, "account_sid"), attrgetter(created)
        self.fetched_at = page.fetched_at
        self._fetched_at: dict[str, datetime] = {}
        """Of records that another page had."""
        self.versions: dict[str, RowVersion] = {}
        self.rejected: list[Rejected] = []
        self.unloadable: list[str] = []
        """The keys of rejected elements that are records all the same."""
        self._rows: dict[str, Record | dict[str, Any]] = {}
        self._created: dict[str, str] = {}
        self._owner: Any = None
        """Of those that are not among `_owners`: mostly all have the same."""
        self._owners: dict[str, Any] = {}
        for row in page.rows:
            if isinstance(row, Record):
                sid, status, owner = shown(row)
            elif reason := _why_rejected(resource, row):
                self.rejected.append(Rejected(row, digest(row), reason))
                if isinstance(row, Oversized):
                    sid = _find(row, key)
                    if resource.pattern.fullmatch(sid):
                        self.unloadable.append(sid)
                        self._created[sid] = _find(row, created)
                        self._owners[sid] = _find(row, "account_sid")
                continue
            else:
                sid, status, owner = row[key], row.get(state), owner_of(row)
            if parent and not _set_parent(resource, row, parent):
                reason = f"another {_parent_key(resource)} than was asked for"
                self.rejected.append(Rejected(row, digest(row), reason))
                continue
            version = RowVersion(digest(row), resource.rank(status))
            if sid not in self.versions or version.rank > self.versions[sid].rank:
                self.versions[sid], self._rows[sid] = version, row
                self._owner = self._owner or owner
                if owner != self._owner:
                    self._owners[sid] = owner
        self._created |= {
            sid: str(row.get(created) if isinstance(row, dict) else moment_of(row))
            for sid, row in self._rows.items()
        }
        self._tables: Tables | None = None
        if all_new and self._rows:
            self._tables, self._rows = self.tables([*self.versions]), {}

    @property
    def buffered_rows(self) -> int:
        """The memory it takes, in flattened records, at the most."""
        rows = self._rows.values()
        return len(self.versions) + sum(7 if isinstance(row, Record) else 14 for row in rows)

    def absorb(self, other: RecordPage, keys: Iterable[str]) -> None:
        """Take over some records of another page, which is not flattened."""
        for key in keys:
            self.versions[key], self._rows[key] = other.versions[key], other._rows[key]
            self._fetched_at[key] = other.fetched_at

    @property
    def is_flat(self) -> bool:
        """Whether it holds rows of tables already."""
        return self._tables is not None

    def known_by(self) -> set[str | int]:
        """The keys of its records, and the digests of what is none."""
        return {*self.versions, *(element.digest for element in self.rejected)}

    def created_in(self, window: Window) -> list[datetime]:
        """When those of a window were created, as the page has them."""
        first, last = map(iso_seconds, window)
        found = []
        for text in self._created.values():
            if first <= text <= last:
                with suppress(ValueError, OverflowError):
                    found.append(as_utc(datetime.fromisoformat(text)))
        return found

    def created_at(self, key: str) -> datetime | None:
        """When a record was created, if that can be read."""
        with suppress(KeyError, ValueError, OverflowError):
            return as_utc(datetime.fromisoformat(self._created[key]))
        return None

    def owner(self, key: str) -> str:
        """The account that a record says it belongs to."""
        return str(self._owners.get(key, self._owner))

    def moment(self, key: str, field: str) -> datetime | None:
        """A time that a record has, if that can be read."""
        if self._tables is not None:
            rows = self._tables[self._resource.table.name]
            at = rows[field].to_pylist()[rows[self._resource.key].to_pylist().index(key)]
            return as_utc(at) if at else None
        row = self._rows[key]
        with suppress(ValueError, OverflowError):
            text = row.get(field) if isinstance(row, dict) else getattr(row, field)
            return as_utc(datetime.fromisoformat(text)) if isinstance(text, str) else None
        return None

    def created_since(self, moment: datetime) -> list[str]:
        """The keys of those that were created then or later."""
        first = iso_seconds(moment)
        return [key for key, text in self._created.items() if text >= first]

    def by_hour(self) -> Counter[datetime]:
        """How many of its records were created in which hour."""
        hours: Counter[datetime] = Counter()
        for text, rows in Counter(text[:13] for text in self._created.values()).items():
            with suppress(ValueError):
                hours[datetime.fromisoformat(f"{text}:00:00+00:00")] += rows
        return hours

    def tables(self, sids: Sequence[str]) -> Tables:
        """Rows of the tables for some of its records, at least one. What cannot be written as
        rows is none of its records any longer, but rejected."""
        from pipelines.twilio_insights.extract.flatten import select_rows

        if self._tables is None:
            return self._flatten(sids)
        if len(sids) == len(self.versions):
            return self._tables
        return select_rows(self._tables, self._resource.key, sids, [*self.versions])

    def _flatten(self, sids: Sequence[str]) -> Tables:
        """Whatever keeps one from becoming rows keeps no other: it is rejected."""
        from pipelines.twilio_insights.extract.flatten import concat, flatten

        rows = [self._rows[sid] for sid in sids]
        digests = [self.versions[sid].digest for sid in sids]
        moments = [self._fetched_at.get(sid, self.fetched_at) for sid in sids]
        try:
            return flatten(self._resource, rows, digests, moments)
        except MemoryError:
            raise
        except Exception as error:
            if len(sids) > 1:
                half = len(sids) // 2
                return concat([self._flatten(sids[:half]), self._flatten(sids[half:])])
            reason = f"{type(error).__name__}: {error}"
        self.rejected.append(Rejected(rows[0], digest(rows[0]), reason))
        self.unloadable.append(sids[0])
        del self.versions[sids[0]]
        return {}


def _why_rejected(resource: Resource, row: Any) -> str | None:
    if isinstance(row, Oversized):
        return row.reason
    if not isinstance(row, dict):
        return f"not an object but {type(row).__name__}"
    key = row.get(resource.key)
    if key is None:
        return f"no {resource.key}"
    if not isinstance(key, str) or not resource.pattern.fullmatch(key):
        return f"{resource.key} is not {resource.prefix} and 32 hex digits"
    return None


def _find(element: Oversized, field: str) -> str:
    """The first text of that name in an element that is not parsed; empty if there is none."""
    found = re.search(rb'"%b"\s*:\s*"([^"\\]*)"' % field.encode(), element.text)
    return found[1].decode(errors="replace") if found else ""


def _parent_key(resource: Resource) -> str:
    return resource.parent.key if resource.parent else ""


def _set_parent(resource: Resource, row: Any, parent: str) -> bool:
    """Set the parent's key in a record that has none; False if it has the key of another parent."""
    key = _parent_key(resource)
    found = row.get(key) if isinstance(row, dict) else getattr(row, key)
    if found is None or found is UNSET:
        if isinstance(row, dict):
            row[key] = parent
        else:
            setattr(row, key, parent)
    return found in (None, UNSET, parent)


def owner_of(row: Any) -> Any:
    """The account that an element of a page says it belongs to."""
    return row.get("account_sid") if isinstance(row, dict) else getattr(row, "account_sid", None)


def created_of(resource: Resource, element: Any) -> datetime | None:
    """When an element of a page says that it was created, if that can be read."""
    name, text = resource.created, None
    if isinstance(element, Oversized):
        text = _find(element, name)
    elif isinstance(element, dict | Record):
        text = element.get(name) if isinstance(element, dict) else getattr(element, name)
    with suppress(ValueError, OverflowError):
        return as_utc(datetime.fromisoformat(text)) if isinstance(text, str) else None
    return None
