"""One load package: the rows that it writes, as Arrow tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipelines.times import naive_utc
from pipelines.twilio_insights.api.decoding import text_of
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.extract.backoff import backoff
from pipelines.twilio_insights.extract.destination_state import DestinationState
from pipelines.twilio_insights.extract.parent_listings import ParentListing
from pipelines.twilio_insights.extract.personal import PersonalData
from pipelines.twilio_insights.extract.records import RecordPage, Rejected, created_of
from pipelines.twilio_insights.progress import Progress
from pipelines.twilio_insights.resources import Resource
from pipelines.twilio_insights.tables import (
    ACCOUNTS,
    BOOKKEEPING,
    DRIFT,
    LISTINGS,
    REFETCHES,
    REJECTED_ROWS,
    WATERMARKS,
    Table,
)

if TYPE_CHECKING:
    from pipelines.twilio_insights.extract.flatten import Tables

BATCH_ROWS = 40_000
"""Records handed to dlt at once: each time costs some 10 ms a table."""
BATCH_BYTES = 50_000_000
"""The same for those with long texts."""
SMALL_PAGE, SMALL_PAGES = 500, 4_000
"""Pages with fewer records to write than SMALL_PAGE are collected, and flattened together once they
have SMALL_PAGES records in all, since each flattening costs some milliseconds."""


class LoadPackage:
    """Collects the rows of one dlt load package and hands them out as Arrow tables.

    Args:
        resource: of the records.
        stored: what the destination holds.
        progress: counts what is rejected, and lists what is new to the documentation.
        own: the account of the credentials.
        accounts: that are loaded.
        personal: what is done to personal data before anything is handed out.
    """

    def __init__(
        self,
        resource: Resource,
        stored: DestinationState,
        progress: Progress,
        own: str,
        accounts: Collection[str],
        personal: PersonalData,
    ) -> None:
        self.resource = resource
        self.written: set[str] = set()
        """The keys of the records that it writes."""
        self.bytes = 0
        """Of what was handed out."""
        self._own, self._accounts, self._personal = own, {own, *accounts}, personal
        self._stored, self._progress = stored, progress
        self._rejected, self.erased = stored.rejected_digests(), stored.erased()
        self._named: set[str] | None = None
        self._small: RecordPage | None = None
        """Records of small pages, to be flattened together."""
        self._batch: list[Tables] = []
        self._batch_rows = self._batch_bytes = 0
        self._notes: dict[tuple[Table, Any], tuple[Any, ...]] = {}
        """Single rows, by table and key: the last that is noted of a key counts."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write so far."""
        return not (self.written or self._notes)

    def write(self, page: RecordPage, keys: Sequence[str]) -> None:
        """Take over these records of a page, and what cannot be one, each once."""
        self.written.update(keys)
        if page.is_flat or len(keys) >= SMALL_PAGE:
            self._append(page, keys)
        else:
            self._reject(page.rejected, page.fetched_at)
            self._small = self._small or RecordPage(self.resource, Page([], page.fetched_at))
            self._small.absorb(page, keys)
            if len(self._small.versions) >= SMALL_PAGES:
                self._append_small()

    def _append_small(self) -> None:
        if self._small is not None:
            self._append(self._small, [*self._small.versions])
        self._small = None

    def _append(self, page: RecordPage, keys: Sequence[str]) -> None:
        if keys and (tables := page.tables(keys)):
            self._batch.append(tables)
            self._batch_bytes += sum(table.get_total_buffer_size() for table in tables.values())
            self._batch_rows += len(keys)
        self._reject(page.rejected, page.fetched_at)

    def _reject(self, elements: Sequence[Rejected], at: datetime) -> None:
        for element, digest, reason in elements:
            text, created = text_of(element), created_of(self.resource, element)
            is_erased = self.erased.covers_rejected(text, created)
            if digest not in self._rejected and not is_erased:
                self._rejected.add(digest)
                self._progress.counts(self.resource).rows_rejected += 1
                reason = self.erased.reason(self._personal.reason(reason))
                row = digest, reason, text, naive_utc(at), self._progress.run_id
                self._notes[REJECTED_ROWS, digest] = row

    def note_refetch(
        self,
        key: str,
        attempts: int,
        status: int,
        asked_at: datetime,
        due: datetime | None,
        outcome: str | None,
    ) -> None:
        """Note what became of asking for a record again."""
        moments = naive_utc(asked_at), due and naive_utc(due)
        row = self.resource.name, key, attempts, status, *moments, outcome
        self._notes[REFETCHES, key] = row

    def note_watermark(
        self, account_sid: str, listed_to: datetime, filters: str = "", region: str = ""
    ) -> None:
        """Note until when everything of an account is listed."""
        key = self.resource.name, account_sid, filters, region
        self._notes[WATERMARKS, key] = (*key, naive_utc(listed_to))

    def note_account(self, row: tuple[Any, ...]) -> None:
        """Note what is known of an account, as a row of its table."""
        self._notes[ACCOUNTS, row[0]] = row

    def note_listing(
        self,
        asked: ParentListing,
        status: int,
        at: datetime,
        unfinished: int,
        is_to_wait: bool,
    ) -> None:
        """Note what became of listing the records of one of the parent resource, and whether it is
        to wait before it is asked again, longer each time."""
        attempts = asked.attempts + 1 if is_to_wait else 0
        due = None if unfinished else asked.complete_from(at)
        if attempts:
            due = at + backoff(asked.attempts)
        row = asked.digest, naive_utc(at), unfinished, attempts, status, due and naive_utc(due)
        self._notes[LISTINGS, asked.key] = (self.resource.name, asked.key, *row, self._own)

    def note_drift(self, name: str, key: str) -> None:
        """Note what the documentation does not know, and the first record that has it."""
        self._notes[DRIFT, name] = (self._own, name, key)

    def flush(self, at_least: int) -> Tables | None:
        """Hand out the records collected so far, if there are `at_least` this many, or if they take
        BATCH_BYTES; None: not yet. Names what the documentation does not know."""
        if self._batch_rows < at_least and self._batch_bytes < BATCH_BYTES:
            return None
        from pipelines.twilio_insights.extract.drift import find_drift
        from pipelines.twilio_insights.extract.flatten import concat

        batch = self.erased.tables(concat(self._batch))
        self.bytes += self._batch_bytes
        self._batch, self._batch_rows, self._batch_bytes = [], 0, 0
        if self._named is None:
            self._named = self._stored.named_drift(self._own)
        found = find_drift(self.resource, batch, self._accounts, self._named, self._personal)
        for name, key in found.items():
            self._progress.drift[name] = key
            self.note_drift(name, key)
        return self._treated(batch)

    def finish(self) -> Tables | None:
        """Hand out the rest."""
        self._append_small()
        batch = self.flush(1) or {}
        if self._notes:
            from pipelines.twilio_insights.extract.flatten import to_arrow

            for table in BOOKKEEPING:
                if rows := [row for (of, _), row in self._notes.items() if of == table]:
                    noted = {table.name: to_arrow(table, zip(*rows, strict=True))}
                    batch |= self._treated(self.erased.tables(noted))
        return batch or None

    def _treated(self, tables: Tables) -> Tables:
        """The rows as they are written. Erasures are applied once more after hashing: an identity
        may have been erased by its hash."""
        return self.erased.tables(self._personal.tables(tables))


class UnwrittenPackage(LoadPackage):
    """Takes over what a load package would write, and hands out nothing."""

    @property
    def is_empty(self) -> bool:
        """Never, or what is known of accounts would be written at once."""
        return False

    def write(self, page: RecordPage, keys: Sequence[str]) -> None:
        pass

    def finish(self) -> None:
        pass
