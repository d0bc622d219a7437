"""Which copies a load package writes: those that differ from the stored and are not less final."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from pipelines.times import naive_utc
from pipelines.twilio_insights.client import Page
from pipelines.twilio_insights.drift import name_drift
from pipelines.twilio_insights.flatten import Received, Tables, digest, flatten, to_json
from pipelines.twilio_insights.progress import Progress
from pipelines.twilio_insights.stored import FINAL, Copy, Pending, StoredSummaries, rank_of
from pipelines.twilio_insights.tables import REFETCHES, REJECTED_ROWS, TABLES, Table

BATCH_ROWS = 10_000
"""Summaries handed to dlt at once: it costs about 2 ms a table however many they are."""
MAX_BACKOFF_HOURS = 24
MAX_DOUBTFUL = 100
"""More final summaries of one window that read otherwise are a change of Twilio's."""
_SID = re.compile("CF[0-9a-fA-F]{32}")


class LoadPackage:
    """Collects the rows of one dlt load package and hands them out as Arrow tables."""

    def __init__(
        self,
        load_id: str,
        stored: StoredSummaries,
        progress: Progress,
        account_sid: str,
        named: dict[str, str],
    ) -> None:
        self.written: set[str] = set()
        self.tables: set[str] = set()
        """Tables it has rows for."""
        self._account_sid = account_sid
        self._named = named
        self._load_id = load_id
        self._progress = progress
        self._stored = stored
        self._previous: set[str] = set()
        self._rejected = stored.rejected_digests()
        self._troubled = stored.troubled()
        self._batch: list[Tables] = []
        self._batch_rows = 0

    def take(self, pages: Iterable[Page], start: datetime, end: datetime) -> list[Pending]:
        """Take over what is to be written of the summaries created from start to end.

        Pages shift and windows overlap, so a SID may come more than once: the most final copy of
        a window counts, and none that the window before or this package had already.

        Gives back what is to be asked for by SID first: summaries that are final in the
        destination and read otherwise here may come from a replica that lags behind.
        """
        candidates: dict[str, Received] = {}
        for page in pages:
            for row in page.rows:
                one = Received(row, digest(row), page.fetched_at)
                if reason := _why_rejected(row):
                    self._reject(one, reason)
                    continue
                rival = candidates.setdefault(row["conference_sid"], one)
                if rank_of(one) > rank_of(rival):
                    candidates[row["conference_sid"]] = one
        fresh = candidates.keys() - self._previous - self.written
        self._previous = set(candidates)
        self._progress.rows_listed += len(fresh)
        stored = self._stored.copies(fresh, start, end)
        doubtful = [
            Pending(sid, copy, 0)
            for sid in fresh
            if (copy := stored.get(sid)) and copy.is_final and copy.yields_to(candidates[sid])
        ]
        if len(doubtful) <= MAX_DOUBTFUL:
            fresh -= {asked.conference_sid for asked in doubtful}
        else:
            doubtful = []
        for sid in fresh & self._troubled:
            if (copy := stored.get(sid)) and copy.is_final:
                continue  # unconfirmed: what this listing shows may be the copy that lags behind
            self.note_refetch(sid, 0, 200, candidates[sid].fetched_at, None, None)
            self._troubled.remove(sid)
        self._write(
            one
            for sid, one in candidates.items()
            if sid in fresh and self._differs(sid, one, stored.get(sid))
        )
        return doubtful

    def take_fetched(self, asked: Pending, answer: Page) -> None:
        """Take over the answer to a fetch by SID; a refusal is noted and asked for again later."""
        self._progress.rows_refetched += 1
        sid, now = asked.conference_sid, answer.fetched_at
        if not answer.rows and asked.copy is None:
            self._progress.not_found.append(sid)
        elif not answer.rows:
            hours = timedelta(hours=min(2**asked.attempts, MAX_BACKOFF_HOURS))
            outcome = "unconfirmed" if asked.copy and asked.copy.is_final else "gone"
            self.note_refetch(sid, asked.attempts + 1, answer.status, now, now + hours, outcome)
        elif sid in self._troubled:
            self.note_refetch(sid, 0, 200, now, None, None)
        for row in answer.rows:
            one = Received(row, digest(row), now)
            self._write([one] if self._differs(sid, one, asked.copy) else [])

    def note_unreadable(self, asked: Pending, now: datetime) -> None:
        """There was no usable answer: name it, and see that it is asked for again."""
        sid = asked.conference_sid
        self._progress.unreadable.append(sid)
        if asked.copy is not None and asked.copy.is_final:
            self.note_refetch(sid, asked.attempts, 0, now, None, "unconfirmed")
        else:
            self._progress.still_pending.add(sid)

    def note_refetch(
        self,
        sid: str,
        attempts: int,
        status: int,
        asked_at: datetime,
        due: datetime | None,
        outcome: str | None,
    ) -> None:
        moments = naive_utc(asked_at), due and naive_utc(due)
        self._add_row(REFETCHES, sid, attempts, status, *moments, outcome)

    def flush(self, at_least: int = 1) -> Tables | None:
        """Hand out what was collected, if it is `at_least` so many rows."""
        if self._batch_rows < at_least:
            return None
        batch: Tables = {}
        for table in TABLES:
            if parts := [part[table.name] for part in self._batch if table.name in part]:
                batch[table.name] = pa.concat_tables(parts)
        self._batch, self._batch_rows = [], 0
        self.tables |= batch.keys()
        self._progress.drift |= name_drift(batch, self._account_sid, self._named)
        return batch

    def _differs(self, sid: str, one: Received, stored: Copy | None) -> bool:
        """Count the copy, and tell whether to write it."""
        progress = self._progress
        if rank_of(one) < FINAL and (stored is None or stored.rank < FINAL):
            progress.still_pending.add(sid)
        if stored is None:
            progress.rows_new += 1
        elif stored.yields_to(one):
            progress.rows_updated += 1
            if stored.is_final:
                progress.final_changed.append(sid)
        else:
            progress.rows_unchanged += 1
            return False
        return True

    def _write(self, received: Iterable[Received]) -> None:
        if chosen := list(received):
            self.written.update(one.row["conference_sid"] for one in chosen)
            self._batch.append(flatten(chosen, self._load_id))
            self._batch_rows += len(chosen)

    def _reject(self, one: Received, reason: str) -> None:
        if one.digest not in self._rejected:
            self._rejected.add(one.digest)
            self._progress.rows_rejected += 1
            when, run_id = naive_utc(one.fetched_at), self._progress.run_id
            self._add_row(REJECTED_ROWS, one.digest, reason, to_json(one.row), when, run_id)

    def _add_row(self, table: Table, *values: Any) -> None:
        arrays = [[value] for value in (*values, self._load_id)]
        self._batch.append({table.name: pa.Table.from_arrays(arrays, schema=table.arrow_schema)})
        self._batch_rows += 1


def _why_rejected(row: Any) -> str | None:
    if not isinstance(row, dict):
        return f"not an object but {type(row).__name__}"
    sid = row.get("conference_sid")
    if not isinstance(sid, str) or not _SID.fullmatch(sid):
        return "no conference_sid" if sid is None else "conference_sid is not CF and 32 hex digits"
    return None
