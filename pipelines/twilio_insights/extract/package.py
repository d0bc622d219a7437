"""Which copies a load package writes: those that differ from the stored and are not less final."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipelines.times import naive_utc
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.api.summaries import text_of
from pipelines.twilio_insights.extract.destination_state import DestinationState, Pending
from pipelines.twilio_insights.extract.records import FINAL, RecordPage, RowVersion
from pipelines.twilio_insights.progress import Progress
from pipelines.twilio_insights.tables import (
    DRIFT,
    REFETCHES,
    REJECTED_ROWS,
    WATERMARKS,
    Table,
)

if TYPE_CHECKING:
    from pipelines.twilio_insights.extract.flatten import Tables

BATCH_ROWS = 40_000
"""Summaries handed to dlt at once: it takes some 10 ms a table however many they are."""
BATCH_BYTES = 50_000_000
"""The same for those with long texts."""
MAX_BACKOFF_HOURS = 24


class LoadPackage:
    """Collects the rows of one dlt load package and hands them out as Arrow tables."""

    def __init__(
        self,
        stored: DestinationState,
        progress: Progress,
        account_sid: str,
        still_pending: set[str],
    ) -> None:
        self.written: set[str] = set()
        self._account_sid, self._still_pending = account_sid, still_pending
        self._progress = progress
        self._stored = stored
        self._previous: set[str] = set()
        self._doubtful: dict[str, RecordPage] = {}
        self.confirmed: dict[str, bool] = {}
        """Of what was doubtful in the last window: whether a fetch by SID showed the same."""
        self._rejected = stored.rejected_digests()
        self._unresolved = stored.unresolved()
        self._named: set[str] | None = None
        self._batch: list[Tables] = []
        self._batch_rows = 0
        self._batch_bytes = 0
        self.bytes = 0
        """Of what was handed out."""
        self._notes: dict[tuple[Table, Any], tuple[Any, ...]] = {}
        """Single rows, by table and key: the last that is noted of a key counts."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write so far."""
        return not (self.written or self._notes)

    def take(self, answers: Sequence[RecordPage], start: datetime, end: datetime) -> list[Pending]:
        """Take over what is to be written of the summaries created from start to end.

        Pages shift and windows overlap, so a SID may come more than once: the most final copy of
        a window counts, and none that the window before or this package had already.

        Gives back what is to be asked for by SID first: summaries that are final in the
        destination and read otherwise here may come from a replica that lags behind.
        """
        chosen: dict[str, RecordPage] = {}
        for answer in answers:
            for sid in answer.copies.keys() & chosen.keys():
                if answer.copies[sid].rank > chosen[sid].copies[sid].rank:
                    chosen[sid] = answer
            chosen = dict.fromkeys(answer.copies, answer) | chosen
        fresh = chosen.keys() - self._previous - self.written
        self._previous = set(chosen)
        self._progress.rows_listed += len(fresh)
        stored = self._stored.copies(fresh, start, end)
        doubtful = [
            Pending(sid, copy)
            for sid in fresh & stored.keys()
            if (copy := stored[sid]).is_final and copy.yields_to(chosen[sid].copies[sid])
        ]
        self._doubtful = {sid: chosen[sid] for sid, _, *_ in doubtful}
        self.confirmed.clear()
        fresh -= self._doubtful.keys()
        for sid in fresh & self._unresolved:
            if (known := stored.get(sid)) and known.is_final:
                continue  # unconfirmed: what this listing shows may be the copy that lags behind
            self.note_refetch(sid, 0, 200, chosen[sid].fetched_at, None, None)
            self._unresolved.remove(sid)
        for answer in answers:
            here = [sid for sid in answer.copies if sid in fresh and chosen[sid] is answer]
            self._write(answer, self._differing(answer, here, stored))
        return doubtful

    def accept_as_listed(self, doubtful: Sequence[Pending]) -> None:
        """Take over what is doubtful, but not asked for by SID."""
        for sid, stored, *_ in doubtful:
            answer = self._doubtful[sid]
            if sid in self._unresolved:
                self.note_refetch(sid, 0, 200, answer.fetched_at, None, None)
            known = {sid: stored} if stored else {}
            self._write(answer, self._differing(answer, [sid], known))

    def accept_fetched(self, asked: Pending, page: Page) -> None:
        """Take over the answer to a fetch by SID; a refusal is noted and asked for again later."""
        self._progress.rows_refetched += 1
        sid, now = asked.conference_sid, page.fetched_at
        if not page.rows and asked.copy is None:
            self._progress.not_found.append(sid)
        elif not page.rows:
            hours = timedelta(hours=min(2**asked.attempts, MAX_BACKOFF_HOURS))
            outcome = "unconfirmed" if asked.copy and asked.copy.is_final else "gone"
            self.note_refetch(sid, asked.attempts + 1, page.status, now, now + hours, outcome)
        elif sid in self._unresolved:
            self.note_refetch(sid, 0, 200, now, None, None)
        found = RecordPage(page)
        if listed := self._doubtful.get(sid):
            self.confirmed[sid] = found.copies.get(sid) == listed.copies[sid]
        known = dict.fromkeys(found.copies, asked.copy) if asked.copy else {}
        self._write(found, self._differing(found, found.copies, known))

    def note_unreadable(self, asked: Pending, now: datetime) -> None:
        """There was no usable answer: name it, and see that it is asked for again."""
        sid = asked.conference_sid
        self._progress.unreadable.append(sid)
        if asked.copy is not None and asked.copy.is_final:
            self.note_refetch(sid, asked.attempts, 0, now, None, "unconfirmed")
        else:
            self._still_pending.add(sid)

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
        self._notes[REFETCHES, sid] = (sid, attempts, status, *moments, outcome)

    def note_watermark(self, resource: str, account_sid: str, listed_to: datetime) -> None:
        key = resource, account_sid, ""
        self._notes[WATERMARKS, key] = (*key, naive_utc(listed_to))

    def note_drift(self, name: str, sid: str) -> None:
        self._notes[DRIFT, name] = (self._account_sid, name, sid)

    def flush(self, at_least: int) -> Tables | None:
        """Hand out the conferences that were collected, if they are `at_least` so many."""
        if self._batch_rows < at_least and self._batch_bytes < BATCH_BYTES:
            return None
        from pipelines.twilio_insights.extract.drift import find_drift
        from pipelines.twilio_insights.extract.flatten import join

        batch = join(self._batch)
        self.bytes += self._batch_bytes
        self._batch, self._batch_rows, self._batch_bytes = [], 0, 0
        if self._named is None:
            self._named = self._stored.named_drift(self._account_sid)
        for name, sid in find_drift(batch, self._account_sid, self._named).items():
            self._progress.drift[name] = sid
            self.note_drift(name, sid)
        return batch

    def finish(self) -> Tables | None:
        """Hand out the rest."""
        batch = self.flush(1) or {}
        if self._notes:
            from pipelines.twilio_insights.extract.flatten import to_arrow

            for table in (DRIFT, REFETCHES, REJECTED_ROWS, WATERMARKS):
                if rows := [row for (of, _), row in self._notes.items() if of == table]:
                    batch[table.name] = to_arrow(table, zip(*rows, strict=True))
        return batch or None

    def _differing(
        self, answer: RecordPage, sids: Collection[str], stored: Mapping[str, RowVersion]
    ) -> list[str]:
        """Count the copies, and give those to write; none that this package has written, or it
        would be there twice."""
        progress, written = self._progress, []
        for sid in sids:
            if sid in self.written:
                continue
            copy, former = answer.copies[sid], stored.get(sid)
            if copy.rank < FINAL and (former is None or former.rank < FINAL):
                self._still_pending.add(sid)
            if former is None:
                progress.rows_new += 1
            elif former.yields_to(copy):
                progress.rows_updated += 1
                if former.is_final:
                    progress.final_changed.append(sid)
            else:
                progress.rows_unchanged += 1
                continue
            written.append(sid)
        return written

    def _write(self, answer: RecordPage, sids: Collection[str]) -> None:
        if sids and (tables := answer.tables(sids)):
            self.written.update(sids)
            self._batch.append(tables)
            self._batch_bytes += sum(t.get_total_buffer_size() for t in tables.values())
            self._batch_rows += len(sids)
        self._reject(answer)

    def _reject(self, answer: RecordPage) -> None:
        for element, digest, reason in answer.rejected:
            if digest not in self._rejected:
                self._rejected.add(digest)
                self._progress.rows_rejected += 1
                when, run_id = naive_utc(answer.fetched_at), self._progress.run_id
                self._notes[REJECTED_ROWS, digest] = (
                    digest,
                    reason,
                    text_of(element),
                    when,
                    run_id,
                )
