"""What the destination knows of a resource that is listed by the records of another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from pipelines.lifecycle import EXPIRES_SOON, RETENTION, SHOWN_WITHIN
from pipelines.times import as_utc, naive_utc
from pipelines.twilio_insights.extract.backoff import due_arguments, is_due
from pipelines.twilio_insights.extract.destination_state import DestinationState, Query
from pipelines.twilio_insights.extract.records import RowVersion
from pipelines.twilio_insights.resources import Resource

_IS_NEW = "(l.parent_digest IS NULL OR l.parent_digest <> s.row_digest)"
"""Whether the children of a record were not listed as it is now."""


class ParentListing(NamedTuple):
    """A record whose children are to be listed."""

    key: str
    digest: int
    account: str
    expected: int
    """How many children it says that it has, at least."""
    attempts: int
    """How often it was asked in vain, as it is now."""
    known: Mapping[str, RowVersion]
    """The children that the destination has, by their keys."""
    created: datetime | None
    is_awaited: bool
    """Whether a run lists them again in any case."""
    ended: datetime
    """When it ended, or began if it does not tell."""

    def complete_from(self, listed_at: datetime) -> datetime | None:
        """When Twilio shows all of its children, if that was still to come when they were listed:
        `expected` does not count a phone that joins again."""
        # An end far ahead is a wrong one, and would have them listed for ever.
        if abs(listed_at - self.ended) < SHOWN_WITHIN:
            return self.ended + SHOWN_WITHIN
        return None


_IS_UNFINISHED = "(l.unfinished > 0 OR l.last_status <> 200 OR l.next_due_at IS NOT NULL)"
"""Whether those of a record that were listed as it is now are to be listed again."""


class ParentListings:
    """Which records of the parent resource are to be listed, and the children that are loaded.

    Args:
        query: reads the destination.
        resource: of the children.
        parent: of the records that they are listed by.
        own: the account of the credentials, whose a record is that does not say it.
        accounts: only records of these count.
    """

    def __init__(
        self,
        query: Query,
        resource: Resource,
        parent: Resource,
        own: str,
        accounts: Collection[str],
    ) -> None:
        self._query, self.resource, self._parent = query, resource, parent
        self._own, self._accounts = own, [*accounts]
        self.records = DestinationState(query, resource)
        """The children."""
        final = ", ".join(f"'{state}'" for state in parent.final_states)
        self._created = f"coalesce(s.{parent.created}, s.fetched_at)"
        self._from_final_parents = (
            f"FROM {{{parent.table.name}}} AS s "
            f"LEFT JOIN {{_listings}} AS l ON l.parent_key = s.{parent.key} "
            # Those of older records are not needed.
            f"AND l.resource = '{resource.name}' AND l.listed_at >= %s "
            f"WHERE s.{parent.state} IN ({final}) AND {self._created} >= %s "
            "AND s._dlt_load_id IN (SELECT load_id FROM {_dlt_loads}) "
            "AND coalesce(s.account_sid, %s) IN (SELECT unnest(%s))"
        )

    def due(self, now: datetime, most: int | None, only: Sequence[str] = ()) -> list[ParentListing]:
        """Final records whose children were not listed as they are now, or are not all there and
        final, or may not have been shown yet, and that need not wait.

        Three kinds take turns: those that were not listed as they are now, and those that are asked
        again, both the newest first; and what Twilio deletes soon, the oldest first. So the latest
        days are complete first, and yet nothing is lost while there are too many.

        Args:
            now: the API's time.
            most: how many, at the most; None: all.
            only: these, whether they are due or not.
        """
        is_again = (
            f"(NOT {_IS_NEW} AND {_IS_UNFINISHED} "
            f"AND ({is_due('l')} "
            f"OR l.last_status <> 200 AND l.asked_by <> '{self._own}'))"
        )
        newest_first, due = f"ORDER BY {self._created} DESC", due_arguments(now)
        limit = "" if most is None else f" LIMIT {most}"
        if only:
            named = f"s.{self._parent.key} IN (SELECT unnest(%s)) {newest_first}"
            kinds = [self._select(named, now, [*only])]
        else:
            soon = f"({_IS_NEW} OR {is_again}) AND {self._created} < %s ORDER BY {self._created}"
            kinds = [
                self._select(f"{_IS_NEW} {newest_first}{limit}", now),
                self._select(f"{is_again} {newest_first}{limit}", now, *due),
                self._select(soon + limit, now, *due, naive_utc(now - RETENTION + EXPIRES_SOON)),
            ]
        in_turn = chain.from_iterable(zip_longest(*kinds))
        rows = list({row[0]: row for row in in_turn if row}.values())[:most]
        known = self._children([key for key, *_, listed_at in rows if listed_at])
        return [
            ParentListing(
                key,
                digest,
                account or self._own,
                expected,
                attempts,
                known[key],
                as_utc(at),
                bool(again),
                as_utc(ended),
            )
            for key, digest, account, expected, attempts, at, again, ended, _ in rows
        ]

    def within(
        self, start: datetime, end: datetime, now: datetime, most: int | None, also_new: bool
    ) -> tuple[list[str], int, int]:
        """The final records of a range whose children were listed as they are now, the newest
        first; how many more than `most` there are, and how many still wait to be listed.

        Args:
            also_new: take those that wait too.
        """
        within = f"{self._from_final_parents} AND {self._created} >= %s AND {self._created} < %s "
        bounds = *self._bounds(now), naive_utc(start), naive_utc(end)
        taken = f"{within} AND {'TRUE' if also_new else f'NOT {_IS_NEW}'}"
        ((number, waiting),) = self._query(
            f"SELECT count(*), count(CASE WHEN {_IS_NEW} THEN 1 END) {within}", *bounds
        ) or [(0, 0)]
        rows = self._query(
            f"SELECT s.{self._parent.key} {taken} ORDER BY {self._created} DESC"
            + ("" if most is None else f" LIMIT {most}"),
            *bounds,
        )
        waiting = 0 if also_new else waiting
        return [key for (key,) in rows], number - waiting - len(rows), waiting

    def served(self, now: datetime) -> set[str]:
        """Accounts of which these credentials were shown something."""
        if len(self._accounts) == 1:
            return set()
        rows = self._query(
            f"SELECT DISTINCT coalesce(s.account_sid, '{self._own}') {self._from_final_parents} "
            f"AND l.last_status = 200 AND l.asked_by = '{self._own}'",
            *self._bounds(now),
        )
        return {account for (account,) in rows}

    def waiting(self, now: datetime) -> tuple[int, datetime | None]:
        """How many are final and were not listed as they are now, but for those that Twilio does
        not have; and when it deletes the first of them."""
        rows = self._query(
            f"SELECT count(*), min({self._created}) {self._from_final_parents} "
            f"AND ({_IS_NEW} OR l.last_status NOT IN (200, 404))",
            *self._bounds(now),
        )
        number, oldest = rows[0] if rows else (0, None)
        is_created = oldest is not None and oldest <= naive_utc(now)
        return number, as_utc(oldest) + RETENTION if is_created else None

    def _bounds(self, now: datetime) -> tuple[Any, ...]:
        oldest = naive_utc(now - RETENTION)
        return oldest, oldest, self._own, self._accounts

    def _select(self, condition: str, now: datetime, *arguments: Any) -> list[tuple[Any, ...]]:
        expected = f"coalesce(s.{of}, 0)" if (of := self.resource.expected) else "0"
        ended = f"s.{self._parent.ended}, " if self._parent.ended else ""
        return self._query(
            f"SELECT s.{self._parent.key}, s.row_digest, s.account_sid, {expected}, "
            "CASE WHEN l.parent_digest = s.row_digest THEN l.attempts ELSE 0 END, "
            f"{self._created}, {_IS_NEW} OR {_IS_UNFINISHED}, "
            f"coalesce({ended}{self._created}), l.listed_at "
            f"{self._from_final_parents} AND {condition}",
            *self._bounds(now),
            *arguments,
        )

    def _children(self, parents: Sequence[str]) -> dict[str, dict[str, RowVersion]]:
        """By parent and key."""
        found: dict[str, dict[str, RowVersion]] = defaultdict(dict)
        if parents:
            for parent, key, version in self.records.versions_by(self._parent.key, parents):
                found[parent][key] = version
        return found
