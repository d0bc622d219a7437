"""What the destination holds already, asked in plain SQL, so that it is the only truth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pipelines.times import as_utc, naive_utc
from pipelines.twilio_insights.extract.records import RowVersion, rank
from pipelines.twilio_insights.settings import RETENTION

Query = Callable[..., list[tuple[Any, ...]]]
"""Runs a statement with its arguments, `%s` in the text, and gives the rows; `{name}` is a table of
the dataset, and there are no rows where one is missing."""


class Pending(NamedTuple):
    """A summary to ask for again, and how many 404 answers it has got so far."""

    conference_sid: str
    copy: RowVersion | None = None
    created: datetime | None = None
    attempts: int = 0


class DestinationState:
    """The summaries in the destination, and how far and how well they are loaded."""

    def __init__(self, query: Query) -> None:
        self._query = query
        # Where a package is not one transaction its tables are merged one after the other: until
        # all are, a root row may be newer than its children, so its digest must not count.
        unfinished = f"SELECT DISTINCT _dlt_load_id FROM {{conference_summaries}} {_UNFINISHED}"
        self._unfinished = {load_id for (load_id,) in query(unfinished)}
        self._was_empty = not query("SELECT 1 FROM {conference_summaries} LIMIT 1")
        self._written: set[int] = set()
        """Of what this run wrote into an empty destination: the hashes of the SIDs."""

    def loaded_packages(self) -> str | None:
        """What tells the packages that were completed from those of an older copy: their number
        and the highest id. Ids come from this machine's clock, so the last may not be highest."""
        rows = self._query("SELECT count(DISTINCT load_id), max(load_id) FROM {_dlt_loads}")
        return f"{rows[0][0]} to {rows[0][1]}" if rows and rows[0][0] else None

    def has_package(self, load_id: str) -> bool:
        return bool(self._query("SELECT 1 FROM {_dlt_loads} WHERE load_id = %s", load_id))

    def watermark(self, resource: str, account_sid: str) -> Watermark | None:
        """Until when everything of the account was listed; None if it never was."""
        rows = self._query(
            "SELECT listed_to, _dlt_load_id IN (SELECT load_id FROM {_dlt_loads}) "
            f"FROM {{_watermarks}} WHERE {_WATERMARK}",
            resource,
            account_sid,
        )
        return Watermark(as_utc(rows[0][0]), bool(rows[0][1])) if rows else None

    def move_watermark(self, resource: str, account_sid: str, listed_to: datetime) -> bool:
        """Move the account's watermark where nothing else is to be written; whether there is one
        to move."""
        if (known := self.watermark(resource, account_sid)) is None or not known.is_complete:
            return False
        moved = f"UPDATE {{_watermarks}} SET listed_to = %s WHERE {_WATERMARK}"
        self._query(moved, naive_utc(listed_to), resource, account_sid)
        return True

    def other_accounts(self, account_sid: str) -> set[str]:
        """Those that were listed with credentials of their own."""
        rows = self._query(
            "SELECT DISTINCT account_sid FROM {_watermarks} WHERE account_sid <> %s", account_sid
        )
        return {account for (account,) in rows}

    def named_drift(self, account_sid: str) -> set[str]:
        """What is not documented and was named already."""
        rows = self._query("SELECT name FROM {_drift} WHERE account_sid = %s", account_sid)
        return {name for (name,) in rows}

    def remember(self, sids: Iterable[str]) -> None:
        """Take note of what a package writes, so that it need not be looked up later."""
        if self._was_empty:
            self._written.update(map(hash, sids))

    def forget(self) -> None:
        """From now on all is looked up: what was remembered takes 90 MB for a million."""
        self._was_empty = False
        self._written.clear()

    def copies(
        self, sids: Collection[str], start: datetime, end: datetime
    ) -> dict[str, RowVersion]:
        """By SID; most were created from start to end, and are found at once."""
        if self._was_empty:
            sids = [sid for sid in sids if hash(sid) in self._written]  # some by accident
            if not sids:
                return {}
        between = "create_time >= %s AND create_time <= %s"
        found = self._copies(between, naive_utc(start), naive_utc(end))
        missing = [sid for sid in sids if sid not in found]
        # A list as one argument: a mark for each takes ten times as long.
        by_sid = "conference_sid IN (SELECT unnest(%s))"
        return found | (self._copies(by_sid, missing) if missing else {})

    def count_by_hour(self, start: datetime, end: datetime) -> dict[datetime, int]:
        """Summaries by the hour of their creation."""
        rows = self._query(
            "SELECT date_trunc('hour', create_time), count(*) FROM {conference_summaries} "
            "WHERE create_time >= %s AND create_time < %s GROUP BY 1",
            naive_utc(start),
            naive_utc(end),
        )
        return {as_utc(hour): count for hour, count in rows}

    def pending(self, now: datetime, other_accounts: Collection[str]) -> list[Pending]:
        """Not final, younger than the API's retention, and not waiting after a 404.

        Rows of `other_accounts`, which are loaded with credentials of their own, are left out.
        """
        # What an unfinished package wrote may lack its child rows, however final it is.
        condition = (
            f"({_PENDING} OR s._dlt_load_id NOT IN (SELECT load_id FROM {{_dlt_loads}}) "
            "OR r.outcome = 'unconfirmed') "
            f"AND {_AGE} >= %s AND (r.next_due_at IS NULL OR r.next_due_at <= %s)"
        )
        found = self._pending(condition, naive_utc(now - RETENTION), naive_utc(now))
        return [asked for account, asked in found if account not in other_accounts]

    def known(self, sids: Collection[str]) -> list[Pending]:
        """These, with what is known of them."""
        found = self._pending("s.conference_sid IN (SELECT unnest(%s))", list(sids))
        known = [asked for _, asked in found]
        return known + [Pending(sid) for sid in {*sids} - {asked.conference_sid for asked in known}]

    def _pending(self, condition: str, *arguments: Any) -> list[tuple[str, Pending]]:
        """With the account of each."""
        rows = self._query(
            f"SELECT {_COPY}, s.create_time, coalesce(r.attempts, 0), s.account_sid "
            "FROM {conference_summaries} AS s "
            "LEFT JOIN {_refetches} AS r ON r.conference_sid = s.conference_sid "
            f"WHERE {condition} ORDER BY s.create_time",
            *arguments,
        )
        copies = self._read(rows)
        return [
            (account, Pending(sid, copies[sid], created and as_utc(created), attempts))
            for sid, *_, created, attempts, account in rows
        ]

    def awaited(self, sids: Collection[str], ended_after: datetime) -> tuple[set[str], int]:
        """Those of them that are not final, but do not wait after a 404: the ones that ended, or
        else began, after that time, and how many did before."""
        rows = self._query(
            "SELECT s.conference_sid, coalesce(s.end_time, s.create_time, s.fetched_at) > %s "
            "FROM {conference_summaries} AS s "
            "LEFT JOIN {_refetches} AS r ON r.conference_sid = s.conference_sid "
            f"WHERE s.conference_sid IN (SELECT unnest(%s)) AND {_PENDING} "
            "AND r.next_due_at IS NULL",
            naive_utc(ended_after),
            list(sids),
        )
        found = {sid for sid, is_young in rows if is_young}
        return found, len(rows) - len(found)

    def count_pending(self, now: datetime) -> int:
        """All that is not final and young enough to still become so."""
        return self._count(f"{_PENDING} AND {_AGE} >= %s", now - RETENTION)

    def count_written(self, load_ids: Sequence[str]) -> int:
        marks = ", ".join(["%s"] * len(load_ids))
        sql = f"SELECT count(*) FROM {{conference_summaries}} WHERE _dlt_load_id IN ({marks})"
        return int(self._query(sql, *load_ids)[0][0])

    def expired(self, now: datetime) -> list[tuple[Any, ...]]:
        """SID, attempts and last asking of what answered 404 until Twilio's retention was over."""
        return self._query(
            "SELECT r.conference_sid, r.attempts, r.last_asked_at FROM {_refetches} AS r "
            "JOIN {conference_summaries} AS s ON s.conference_sid = r.conference_sid "
            f"WHERE r.outcome = 'gone' AND {_PENDING} AND {_AGE} < %s",
            naive_utc(now - RETENTION),
        )

    def unresolved(self) -> set[str]:
        """What had no good answer when it was asked for last: gone, expired or unconfirmed."""
        sql = "SELECT conference_sid FROM {_refetches} WHERE outcome IS NOT NULL"
        return {sid for (sid,) in self._query(sql)}

    def rejected_digests(self) -> set[int]:
        return {digest for (digest,) in self._query("SELECT row_digest FROM {_rejected_rows}")}

    def _copies(self, condition: str, *arguments: Any) -> dict[str, RowVersion]:
        sql = f"SELECT {_COPY} FROM {{conference_summaries}} AS s WHERE {condition}"
        return self._read(self._query(sql, *arguments))

    def _read(self, rows: Sequence[tuple[Any, ...]]) -> dict[str, RowVersion]:
        """By SID, of rows that begin with `_COPY`."""
        unfinished = self._unfinished
        return {
            sid: RowVersion(None if load_id in unfinished else digest, rank(state))
            for sid, digest, state, load_id, *_ in rows
        }

    def _count(self, condition: str, *moments: datetime) -> int:
        sql = f"SELECT count(*) FROM {{conference_summaries}} AS s WHERE {condition}"
        rows = self._query(sql, *map(naive_utc, moments))
        return int(rows[0][0]) if rows else 0


class Watermark(NamedTuple):
    """`is_complete`: the package that set it was completed."""

    listed_to: datetime
    is_complete: bool


_COPY = "s.conference_sid, s.row_digest, s.processing_state, s._dlt_load_id"
_PENDING = "(s.processing_state IS NULL OR s.processing_state NOT IN ('complete', 'timeout'))"
_AGE = "coalesce(s.create_time, s.fetched_at)"
_UNFINISHED = "WHERE _dlt_load_id NOT IN (SELECT load_id FROM {_dlt_loads})"
_WATERMARK = "resource = %s AND account_sid = %s AND filters = ''"
