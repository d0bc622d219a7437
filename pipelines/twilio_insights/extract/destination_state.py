"""What the destination holds already, asked in plain SQL, so that it is the only truth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from pipelines.lifecycle import RETENTION
from pipelines.times import as_utc, naive_utc
from pipelines.twilio_insights.extract.backoff import due_arguments, is_due
from pipelines.twilio_insights.extract.erasures import Erasures
from pipelines.twilio_insights.extract.records import RowVersion
from pipelines.twilio_insights.resources import Resource

SID_LENGTH = 34
"""Of Twilio's SIDs. The index of `postgres/indexes.py` has as much of an account's."""
Query = Callable[..., list[tuple[Any, ...]]]
"""Runs a statement with its arguments, `%s` in the text, and gives the rows; `{name}` is a table of
the dataset, and there are no rows where one is missing."""


class Pending(NamedTuple):
    """A record to ask for again, and how many 404 answers it has got so far."""

    key: str
    version: RowVersion | None = None
    created: datetime | None = None
    attempts: int = 0
    account: str = ""
    """Whose it is; blank: not known."""
    is_elsewhere: bool = False
    """Whether another region may have it, where it answers 404 here."""


class DestinationState:
    """The records of a resource in the destination, and how far and how well they are loaded."""

    def __init__(self, query: Query, resource: Resource) -> None:
        self._query, self._resource = query, resource
        self._records = f"{{{resource.table.name}}}"
        self._version = f"s.{resource.key}, s.row_digest, s.{resource.state}, s._dlt_load_id"
        self._created = f"coalesce(s.{resource.created}, s.fetched_at)"
        final = ", ".join(f"'{state}'" for state in resource.final_states)
        self._is_pending = f"(s.{resource.state} IS NULL OR s.{resource.state} NOT IN ({final}))"
        self._refetched = (
            f"{{_refetches}} AS r ON r.key = s.{resource.key} AND r.resource = '{resource.name}'"
        )
        # Where a package is not one transaction its tables are merged one after the other: until
        # all are, a root row may be newer than its children, so its digest must not count.
        self._unfinished = {
            load_id
            for (load_id,) in query(
                f"SELECT DISTINCT _dlt_load_id FROM {self._records} "
                "WHERE _dlt_load_id NOT IN (SELECT load_id FROM {_dlt_loads})"
            )
        }
        self._written: set[int] = set()
        """Of what this run wrote into an empty destination: the hashes of the keys."""

    @cached_property
    def _was_empty(self) -> bool:
        """Looked at when it first matters: another run of the same accounts may have loaded them
        before this one held them."""
        return not self._query(f"SELECT 1 FROM {self._records} LIMIT 1")

    def named_drift(self, account_sid: str) -> set[str]:
        """What is not documented and was named already."""
        rows = self._query("SELECT name FROM {_drift} WHERE account_sid = %s", account_sid)
        return {name for (name,) in rows}

    def remember(self, keys: Iterable[str]) -> None:
        """Take note of what a package writes, so that it need not be looked up later."""
        if self._was_empty:
            self._written.update(map(hash, keys))

    def forget(self) -> None:
        """From now on all is looked up: what was remembered takes 90 MB for a million."""
        self._was_empty = False
        self._written.clear()

    def versions(
        self, keys: Collection[str], start: datetime, end: datetime, account: str
    ) -> dict[str, RowVersion]:
        """By key; most are of the account and were created from start to end: found at once."""
        if self._was_empty:
            keys = [key for key in keys if hash(key) in self._written]  # some by accident
        if not keys:
            return {}
        found = self._versions(*self._within(start, end, account))
        missing = [key for key in keys if key not in found]
        return found | (self._versions(self._is_one_of, missing) if missing else {})

    def created_between(
        self, start: datetime, end: datetime, account: str
    ) -> Iterator[tuple[str, datetime]]:
        """The records of an account that were created from start, included, to end, excluded."""
        created = f"s.{self._resource.created}"
        condition, *arguments = self._within(start, end, account)
        rows = self._query(
            f"SELECT s.{self._resource.key}, {created} FROM {self._records} AS s "
            f"WHERE {condition} AND {created} < %s",
            *arguments,
            naive_utc(end),
        )
        return ((key, as_utc(at)) for key, at in rows)

    def _within(self, start: datetime, end: datetime, account: str) -> tuple[Any, ...]:
        """The condition for what is of the account and was created from start to end, both
        included, and its arguments."""
        created = f"s.{self._resource.created}"
        # An index takes the beginning alone: what the API gives as a SID may be of any length.
        begins = f"substr(s.account_sid, 1, {SID_LENGTH}) = %s"
        between = f"{created} >= %s AND {created} <= %s AND {begins} AND s.account_sid = %s"
        return between, naive_utc(start), naive_utc(end), account[:SID_LENGTH], account

    def count_by_hour(self, start: datetime, end: datetime) -> dict[str, dict[datetime, int]]:
        """Records of each account by the hour of their creation."""
        created = self._resource.created
        rows = self._query(
            f"SELECT account_sid, date_trunc('hour', {created}), count(*) FROM {self._records} "
            f"WHERE {created} >= %s AND {created} < %s GROUP BY 1, 2",
            naive_utc(start),
            naive_utc(end),
        )
        counts: dict[str, dict[datetime, int]] = {}
        for account, hour, count in rows:
            counts.setdefault(account, {})[as_utc(hour)] = count
        return counts

    def pending(self, now: datetime) -> list[Pending]:
        """Not final, younger than the API's retention, and not waiting after a 404."""
        # What an unfinished package wrote may lack its child rows, however final it is.
        condition = (
            f"({self._is_pending} OR s._dlt_load_id NOT IN (SELECT load_id FROM {{_dlt_loads}}) "
            "OR r.outcome = 'unconfirmed') "
            f"AND {self._created} >= %s AND {is_due('r')}"
        )
        return self._pending(condition, naive_utc(now - RETENTION), *due_arguments(now))

    def known(self, keys: Collection[str]) -> list[Pending]:
        """These, with what is known of them."""
        known = self._pending(self._is_one_of, list(keys))
        return known + [Pending(key) for key in {*keys} - {asked.key for asked in known}]

    def awaited(
        self, keys: Collection[str], ended_after: datetime, unreadable: Collection[str] = ()
    ) -> tuple[set[str], int]:
        """Which of these records may still become final in time.

        Left out are those that are final, that wait after a 404, or whose account is unreadable.

        Returns:
            The keys of those that ended (or, without an end, were created) after `ended_after`,
            and the number of the others.
        """
        ended = f"s.{self._resource.ended}, " if self._resource.ended else ""
        rows = self._query(
            f"SELECT s.{self._resource.key}, coalesce({ended}{self._created}) > %s, s.account_sid "
            f"FROM {self._records} AS s LEFT JOIN {self._refetched} "
            f"WHERE {self._is_one_of} AND {self._is_pending} AND r.next_due_at IS NULL",
            naive_utc(ended_after),
            list(keys),
        )
        ages = {key: is_young for key, is_young, account in rows if account not in unreadable}
        found = {key for key, is_young in ages.items() if is_young}
        return found, len(ages) - len(found)

    def count_pending(self, now: datetime) -> int:
        """All that is not final and young enough to still become so."""
        rows = self._query(
            f"SELECT count(*) FROM {self._records} AS s "
            f"WHERE {self._is_pending} AND {self._created} >= %s",
            naive_utc(now - RETENTION),
        )
        return int(rows[0][0]) if rows else 0

    def expired(self, now: datetime) -> list[tuple[Any, ...]]:
        """(key, attempts, last_asked_at) of records that answered 404 until they passed Twilio's
        retention."""
        return self._query(
            f"SELECT r.key, r.attempts, r.last_asked_at FROM {self._records} AS s "
            f"JOIN {self._refetched} "
            f"WHERE r.outcome = 'gone' AND {self._is_pending} AND {self._created} < %s",
            naive_utc(now - RETENTION),
        )

    def versions_by(
        self, column: str, values: Collection[str]
    ) -> Iterator[tuple[str, str, RowVersion]]:
        """Value of the column, key and version of the records that have one of these values."""
        rows = self._query(
            f"SELECT {self._version}, s.{column} FROM {self._records} AS s "
            f"WHERE s.{column} IN (SELECT unnest(%s))",
            list(values),
        )
        versions = self._read(rows)
        return ((row[-1], row[0], versions[row[0]]) for row in rows)

    def unresolved(self) -> set[str]:
        """What had no good answer when it was asked for last: gone, expired or unconfirmed."""
        sql = "SELECT key FROM {_refetches} WHERE outcome IS NOT NULL AND resource = %s"
        return {key for (key,) in self._query(sql, self._resource.name)}

    def erased(self) -> Erasures:
        return Erasures(self._query)

    def rejected_digests(self) -> set[int]:
        return {digest for (digest,) in self._query("SELECT row_digest FROM {_rejected_rows}")}

    @property
    def _is_one_of(self) -> str:
        """A list as one argument: a mark for each takes ten times as long."""
        return f"s.{self._resource.key} IN (SELECT unnest(%s))"

    def _pending(self, condition: str, *arguments: Any) -> list[Pending]:
        rows = self._query(
            f"SELECT {self._version}, s.{self._resource.created}, coalesce(r.attempts, 0), "
            f"s.account_sid FROM {self._records} AS s LEFT JOIN {self._refetched} "
            f"WHERE {condition} ORDER BY s.{self._resource.created}",
            *arguments,
        )
        versions = self._read(rows)
        return [
            Pending(key, versions[key], created and as_utc(created), attempts, account or "")
            for key, *_, created, attempts, account in rows
        ]

    def _versions(self, condition: str, *arguments: Any) -> dict[str, RowVersion]:
        sql = f"SELECT {self._version} FROM {self._records} AS s WHERE {condition}"
        return self._read(self._query(sql, *arguments))

    def _read(self, rows: Sequence[tuple[Any, ...]]) -> dict[str, RowVersion]:
        """By key, of rows that begin with the columns of a version."""
        unfinished, rank = self._unfinished, self._resource.rank
        return {
            key: RowVersion(None if load_id in unfinished else digest, rank(state))
            for key, digest, state, load_id, *_ in rows
        }


def loaded_packages(query: Query) -> str | None:
    """The completed load packages as a text, which differs for an older copy of the destination:
    their number and the highest id. Ids come from this machine's clock, so the last one need not
    be the highest. None: no package was completed."""
    rows = query("SELECT count(DISTINCT load_id), max(load_id) FROM {_dlt_loads}")
    return f"{rows[0][0]} to {rows[0][1]}" if rows and rows[0][0] else None
