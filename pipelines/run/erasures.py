"""Erasing in a warehouse: deletions and the row that tells of them are one transaction; what leaves
nothing of them elsewhere follows, and is done again by the next command if it was killed."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from pipelines import times
from pipelines.lifecycle import RETENTION
from pipelines.run.erasable import Change, Chosen, of_conferences, of_identity
from pipelines.times import as_utc, format_duration, iso_seconds, naive_utc
from pipelines.twilio_insights.extract.erasures import KEPT, digest_of, new_salt
from pipelines.twilio_insights.extract.personal import KEEP, PersonalData
from pipelines.twilio_insights.tables import ERASURES, WATERMARKS
from pipelines.warehouse.database import DATASET, Database
from pipelines.warehouse.warehouse import Warehouse

log = logging.getLogger("conference_insights")

TABLE = f"{DATASET}.{ERASURES.name}"


@dataclass(frozen=True)
class Subject:
    """What an erasure is about: conferences by their SIDs, an identity, or all that were created
    before a time, or that are older than an age: `with_age_resolved` makes that a time."""

    conferences: tuple[str, ...] = ()
    identity: str | None = None
    created_before: datetime | None = None
    older_than: timedelta | None = None

    def with_age_resolved(self, database: Database) -> Subject:
        """The same with `older_than` as `created_before`, counted from now or, if that is earlier,
        from the last listing: by a clock that is far ahead everything would be erased."""
        if self.older_than is None:
            return self
        now = times.machine_time()
        listed = _last_listed(database) or now
        if (apart := now - listed) > RETENTION:
            log.warning(
                "Nothing was listed for %s, by this machine's clock: ages count from %s, when "
                "something was. Run first; or, if there are no more runs, write a lesser age",
                format_duration(apart),
                iso_seconds(listed),
            )
        return replace(self, created_before=min(now, listed) - self.older_than)

    def changes(
        self, database: Database, personal: PersonalData
    ) -> Iterator[tuple[str, str | None, Iterable[Change]]]:
        """Kind, text and changes of each erasure."""
        for sid in dict.fromkeys(self.conferences):
            yield "conference", sid, of_conferences(database, Chosen.one(sid))
        if self.identity is not None:
            yield "identity", self.identity, of_identity(database, personal, self.identity)
        if self.created_before:
            changes = of_conferences(database, Chosen.older(self.created_before))
            yield "older_than", None, changes

    def count(self, database: Database, personal: PersonalData) -> Counter[str]:
        """How many rows or values would go, by table."""
        found = Counter[str]()
        for _, _, changes in self.changes(database, personal):
            for change in changes:
                found[change.table] += change.count(database)
        return +found


def erase_rows(
    warehouse: Warehouse, subject: Subject, personal: PersonalData, run_id: str
) -> Counter[str]:
    """Delete it, and see to it that it does not come back; how many rows or values, by table.

    Of an age there is nothing to note where nothing was so old.
    """
    total = Counter[str]()
    # Not before the last listing: by a clock that is behind, the digest would be deleted too early.
    erased_at = times.machine_time()
    erased_at = max(erased_at, _last_listed(warehouse) or erased_at)

    def do() -> None:
        total.clear()
        for kind, text, changes in subject.changes(warehouse, personal):
            found, salt = Counter[str](), new_salt()
            for change in changes:
                if number := change.count(warehouse):
                    found[change.table] += number
                    change.make(warehouse)
            total.update(found)
            if text is None and not found:
                continue
            row = {
                "erasure_id": salt,
                "erased_at": naive_utc(erased_at),
                "kind": kind,
                "digest": digest_of(text, salt) if text is not None else None,
                "created_before": subject.created_before and naive_utc(subject.created_before),
                "counts": json.dumps(found),
                "run_id": run_id,
            }
            marks = ", ".join(f"${name}" for name in row)
            warehouse.execute(f"INSERT INTO {TABLE} ({', '.join(row)}) VALUES ({marks})", row)

    warehouse.transact(do)
    return total


def finish_erasures(warehouse: Warehouse, forget: Callable[[], None]) -> None:
    """Have nothing left anywhere of what was erased, if that is not done yet.

    Args:
        forget: leaves nothing of what was deleted, wherever else it was kept.
    """
    unfinished = f"SELECT erasure_id FROM {TABLE} WHERE finished_at IS NULL"
    if found := [salt for (salt,) in warehouse.execute(unfinished)]:
        warehouse.checkpoint()
        forget()
        warehouse.execute(
            f"UPDATE {TABLE} SET finished_at = ? WHERE erasure_id IN (SELECT unnest(?))",
            [naive_utc(times.machine_time()), found],
        )


def delete_expired_digests(database: Database, now: datetime) -> None:
    """Delete the digests that identify what was erased, once Twilio can no longer serve it: by the
    API's time, `now`, and by this machine's."""
    sure = naive_utc(min(now, times.machine_time()))
    database.execute(
        f"UPDATE {TABLE} SET digest = NULL WHERE digest IS NOT NULL AND erased_at < ?",
        [sure - KEPT],
    )


def _last_listed(database: Database) -> datetime | None:
    """The API's time, when a run last listed something."""
    ((listed,),) = database.execute(f"SELECT max(listed_to) FROM {DATASET}.{WATERMARKS.name}")
    return listed and as_utc(listed)


def erased_state(database: Database, personal: PersonalData) -> str:
    """A short digest of all erasures and of how personal data is masked; empty if nothing was ever
    erased and personal data is kept.

    A copy or a lake with another digest may still have what was erased, for example because it was
    not in the settings when that was done.
    """
    ((count, last),) = database.execute(f"SELECT count(*), max(erasure_id) FROM {TABLE}")
    if not count and personal.mode == KEEP.mode:
        return ""
    text = repr((count, last, personal.mode, personal.key_check))
    return sha256(text.encode()).hexdigest()[:8]
