"""What an answer of the API holds: each conference once, and what cannot be one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from pipelines.times import as_utc, iso_seconds
from pipelines.twilio_insights.api.bounds import Oversized
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.api.summaries import SID, Summary, digest

if TYPE_CHECKING:
    from pipelines.twilio_insights.extract.flatten import Tables
    from pipelines.twilio_insights.extract.volume import Window

_RANKS = {"in_progress": 1, "timeout": 2, "complete": 3}
FINAL = _RANKS["timeout"]
_shown = attrgetter("conference_sid", "processing_state")
_created = attrgetter("create_time")


def rank(processing_state: Any) -> int:
    """How final a copy is: unknown or NULL, in_progress, timeout, complete."""
    return _RANKS.get(processing_state, 0) if isinstance(processing_state, str) else 0


class RowVersion(NamedTuple):
    """One copy of a summary, stored or received; a stored one has no `digest` if its package
    never completed."""

    digest: int | None
    rank: int

    @property
    def is_final(self) -> bool:
        return self.rank >= FINAL and self.digest is not None

    def yields_to(self, other: RowVersion) -> bool:
        """Whether the other copy says something else and is not less final."""
        return other.digest != self.digest and other.rank >= self.rank


class Rejected(NamedTuple):
    """An element that cannot be a conference."""

    element: Any
    digest: int
    reason: str


class RecordPage:
    """The conferences of one page, by SID, each as its most final element has it.

    If all of them will be written they are flattened at once, which leaves less in memory; most of
    those that are listed again will not be.
    """

    def __init__(self, page: Page, all_new: bool = False) -> None:
        self.fetched_at = page.fetched_at
        self.copies: dict[str, RowVersion] = {}
        self.rejected: list[Rejected] = []
        self._rows: dict[str, Summary | dict[str, Any]] = {}
        for row in page.rows:
            if isinstance(row, Summary):
                sid, state = _shown(row)
            elif reason := _why_rejected(row):
                self.rejected.append(Rejected(row, digest(row), reason))
                continue
            else:
                sid, state = row["conference_sid"], row.get("processing_state")
            copy = RowVersion(digest(row), rank(state))
            if sid not in self.copies or copy.rank > self.copies[sid].rank:
                self.copies[sid], self._rows[sid] = copy, row
        self._created = [
            str(row.get("create_time") if isinstance(row, dict) else _created(row))
            for row in self._rows.values()
        ]
        self._tables: Tables | None = None
        if all_new and self._rows:
            self._tables, self._rows = self.tables(self.copies), {}

    @property
    def buffered_rows(self) -> int:
        """The memory it takes, in flattened conferences, at the most."""
        rows = self._rows.values()
        return len(self.copies) + sum(7 if isinstance(row, Summary) else 14 for row in rows)

    def known_by(self) -> set[str | int]:
        """The SIDs of its conferences, and the digests of what is none."""
        return {*self.copies, *(element.digest for element in self.rejected)}

    def created_in(self, window: Window) -> list[datetime]:
        """When those of a window were created, as the page has them."""
        first, last = map(iso_seconds, window)
        found = []
        for text in self._created:
            if first <= text <= last:
                with suppress(ValueError, OverflowError):
                    found.append(as_utc(datetime.fromisoformat(text)))
        return found

    def by_hour(self) -> Counter[datetime]:
        """How many of its conferences were created in which hour."""
        hours: Counter[datetime] = Counter()
        for text, rows in Counter(text[:13] for text in self._created).items():
            with suppress(ValueError):
                hours[datetime.fromisoformat(f"{text}:00:00+00:00")] += rows
        return hours

    def tables(self, sids: Collection[str]) -> Tables:
        """Rows of the four tables for some of its conferences, at least one. What cannot be
        written as rows is none of its conferences any longer, but rejected."""
        from pipelines.twilio_insights.extract.flatten import pick

        if self._tables is not None:
            return pick(self._tables, sids) if len(sids) < len(self.copies) else self._tables
        return self._flatten([*sids])

    def _flatten(self, sids: list[str]) -> Tables:
        """Whatever keeps one from becoming rows keeps no other: it is rejected."""
        from pipelines.twilio_insights.extract.flatten import flatten, join

        rows, digests = [self._rows[sid] for sid in sids], [self.copies[sid].digest for sid in sids]
        try:
            return flatten(rows, digests, self.fetched_at)
        except MemoryError:
            raise
        except Exception as error:
            if len(sids) > 1:
                half = len(sids) // 2
                return join([self._flatten(sids[:half]), self._flatten(sids[half:])])
            reason = f"{type(error).__name__}: {error}"
        self.rejected.append(Rejected(rows[0], digest(rows[0]), reason))
        del self.copies[sids[0]]
        return {}


def _why_rejected(row: Any) -> str | None:
    if isinstance(row, Oversized):
        return row.reason
    if not isinstance(row, dict):
        return f"not an object but {type(row).__name__}"
    sid = row.get("conference_sid")
    if not isinstance(sid, str) or not SID.fullmatch(sid):
        return "no conference_sid" if sid is None else "conference_sid is not CF and 32 hex digits"
    return None
