"""What the destination holds already, asked in plain SQL, so that it is the only truth."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.destinations.sql_client import SqlClientBase

from pipelines.times import as_utc, naive_utc
from pipelines.twilio_insights.answers import Copy, rank
from pipelines.twilio_insights.settings import RETENTION
from pipelines.twilio_insights.tables import CHILDREN


class Pending(NamedTuple):
    """A summary to ask for again, and how many 404 answers it has got so far."""

    conference_sid: str
    copy: Copy | None = None
    created: datetime | None = None
    attempts: int = 0


class StoredSummaries:
    """The summaries in the destination, through the dlt pipeline's SQL client."""

    def __init__(self, client: SqlClientBase[Any]) -> None:
        self._client = client
        # Tables of a package are merged one after the other: until all are, a root row may be
        # newer than its children, so its digest must not count as stored.
        unfinished = (
            "SELECT DISTINCT _dlt_load_id FROM {conference_summaries} "
            "WHERE _dlt_load_id NOT IN (SELECT load_id FROM {_dlt_loads})"
        )
        self._unfinished = {load_id for (load_id,) in self._execute(unfinished)}

    def last_load_id(self) -> str | None:
        """The package completed last."""
        rows = self._execute("SELECT max(load_id) FROM {_dlt_loads}")
        return rows[0][0] if rows else None

    def copies(self, sids: Collection[str], start: datetime, end: datetime) -> dict[str, Copy]:
        """By SID; most were created from start to end, and are found at once."""
        between = "create_time >= %s AND create_time <= %s"
        found = self._copies(between, naive_utc(start), naive_utc(end))
        missing = [sid for sid in sids if sid not in found]
        # A list as one argument: a mark for each takes ten times as long.
        by_sid = "conference_sid IN (SELECT unnest(%s))"
        return found | (self._copies(by_sid, missing) if missing else {})

    def count_by_hour(self, start: datetime, end: datetime) -> dict[datetime, int]:
        """Summaries by the hour of their creation."""
        rows = self._execute(
            "SELECT date_trunc('hour', create_time), count(*) FROM {conference_summaries} "
            "WHERE create_time >= %s AND create_time < %s GROUP BY 1",
            naive_utc(start),
            naive_utc(end),
        )
        return {as_utc(hour): count for hour, count in rows}

    def pending(
        self, now: datetime, other_accounts: Collection[str], only: Collection[str] | None
    ) -> list[Pending]:
        """Not final, younger than the API's retention, and not waiting after a 404.

        Rows of `other_accounts`, which are loaded with credentials of their own, are left out.
        With `only` these SIDs, whatever is known of them.
        """
        # What an unfinished package wrote may lack its child rows, however final it is.
        condition = (
            f"({_PENDING} OR s._dlt_load_id NOT IN (SELECT load_id FROM {{_dlt_loads}}) "
            "OR r.outcome = 'unconfirmed') "
            f"AND {_AGE} >= %s AND (r.next_due_at IS NULL OR r.next_due_at <= %s)"
        )
        arguments: list[Any] = [naive_utc(now - RETENTION), naive_utc(now)]
        if only is not None:
            condition, arguments = "s.conference_sid IN (SELECT unnest(%s))", [list(only)]
        rows = self._execute(
            f"SELECT {_COPY}, s.create_time, coalesce(r.attempts, 0), s.account_sid "
            "FROM {conference_summaries} AS s "
            "LEFT JOIN {_refetches} AS r ON r.conference_sid = s.conference_sid "
            f"WHERE {condition} ORDER BY s.create_time",
            *arguments,
        )
        copies = self._read(rows)
        known = [
            Pending(sid, copies[sid], created and as_utc(created), attempts)
            for sid, *_, created, attempts, account in rows
            if only is not None or account not in other_accounts
        ]
        unknown = set(only or ()) - {asked.conference_sid for asked in known}
        return known + [Pending(sid) for sid in unknown]

    def count_pending(self, now: datetime) -> int:
        """All that is not final and young enough to still become so."""
        return self._count(f"{_PENDING} AND {_AGE} >= %s", now - RETENTION)

    def count_written(self, load_ids: Sequence[str]) -> int:
        marks = ", ".join(["%s"] * len(load_ids))
        sql = f"SELECT count(*) FROM {{conference_summaries}} WHERE _dlt_load_id IN ({marks})"
        return int(self._execute(sql, *load_ids)[0][0])

    def expired(self, now: datetime) -> list[tuple[Any, ...]]:
        """SID, attempts and last asking of what answered 404 until Twilio's retention was over."""
        return self._execute(
            "SELECT r.conference_sid, r.attempts, r.last_asked_at FROM {_refetches} AS r "
            "JOIN {conference_summaries} AS s ON s.conference_sid = r.conference_sid "
            f"WHERE r.outcome = 'gone' AND {_PENDING} AND {_AGE} < %s",
            naive_utc(now - RETENTION),
        )

    def troubled(self) -> set[str]:
        """What had no good answer when it was asked for last: gone, expired or unconfirmed."""
        sql = "SELECT conference_sid FROM {_refetches} WHERE outcome IS NOT NULL"
        return {sid for (sid,) in self._execute(sql)}

    def delete_orphans(self) -> None:
        """Delete child rows of conferences whose package was lost before they were merged."""
        orphan = "conference_sid NOT IN (SELECT conference_sid FROM {conference_summaries})"
        for child in CHILDREN:
            table = self._client.make_qualified_table_name(child.name)
            lost = f"FROM {table} WHERE _dlt_load_id NOT IN (SELECT load_id FROM {{_dlt_loads}})"
            # There seldom is one, and the deletion would read all SIDs to find that out.
            if self._execute(f"SELECT 1 {lost} LIMIT 1"):
                self._execute(f"DELETE {lost} AND {orphan}")

    def rejected_digests(self) -> set[int]:
        return {digest for (digest,) in self._execute("SELECT row_digest FROM {_rejected_rows}")}

    def _copies(self, condition: str, *arguments: Any) -> dict[str, Copy]:
        sql = f"SELECT {_COPY} FROM {{conference_summaries}} AS s WHERE {condition}"
        return self._read(self._execute(sql, *arguments))

    def _read(self, rows: Sequence[tuple[Any, ...]]) -> dict[str, Copy]:
        """By SID, of rows that begin with `_COPY`."""
        unfinished = self._unfinished
        return {
            sid: Copy(None if load_id in unfinished else digest, rank(state))
            for sid, digest, state, load_id, *_ in rows
        }

    def _count(self, condition: str, *moments: datetime) -> int:
        sql = f"SELECT count(*) FROM {{conference_summaries}} AS s WHERE {condition}"
        rows = self._execute(sql, *map(naive_utc, moments))
        return int(rows[0][0]) if rows else 0

    def _execute(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement whose `{table}` names are qualified; none if a table is missing."""
        names = ("conference_summaries", "_refetches", "_rejected_rows", "_dlt_loads")
        tables = {name: self._client.make_qualified_table_name(name) for name in names}
        try:
            rows = self._client.execute_sql(sql.format(**tables), *arguments)
        except DatabaseUndefinedRelation:  # nothing was loaded yet
            return []
        return cast(list[tuple[Any, ...]], rows or [])


_COPY = "s.conference_sid, s.row_digest, s.processing_state, s._dlt_load_id"
_PENDING = "(s.processing_state IS NULL OR s.processing_state NOT IN ('complete', 'timeout'))"
_AGE = "coalesce(s.create_time, s.fetched_at)"
