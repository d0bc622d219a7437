"""What one run has done so far: the only place where it is counted.

Names are those of the columns of `_runs`, which is filled from here, as is a run's last line.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any
from uuid import uuid4

from pipelines.twilio_insights.errors import RUN_AGAIN, UnavailableError
from pipelines.twilio_insights.resources import Resource

log = logging.getLogger("conference_insights")


@dataclass(kw_only=True)
class RowCounts:
    """What became of the records of a resource."""

    rows_listed: int = 0
    rows_refetched: int = 0
    rows_new: int = 0
    rows_updated: int = 0
    rows_unchanged: int = 0
    rows_rejected: int = 0


@dataclass(kw_only=True)
class ByParentCounts(RowCounts):
    """The same of a resource that is listed by the records of another."""

    listings: int = 0
    """Records of the parent resource whose children were listed."""
    listings_due: int = 0
    """Those that were to be listed by this run."""
    waiting: int = 0
    """Those that the next runs are to list."""
    lost_from: str | None = None
    """When Twilio deletes the first of those, as ISO 8601 in UTC."""
    pending: int = 0
    """Records that are not final yet."""


@dataclass
class Progress(RowCounts):
    """Counts and position of one run, shared by its load packages and request threads; those of
    records are of the conferences, and `others` has those of other resources by name."""

    command: str = ""
    run_id: str = field(default_factory=lambda: uuid4().hex[:16])
    seconds: float = 0.0
    requests: int = 0
    pages: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    """By kind: the status code, or the name of the fault."""
    others: dict[str, ByParentCounts] = field(default_factory=dict)
    pending_before: int | None = None
    pending_after: int | None = None
    not_found: list[str] = field(default_factory=list)
    """Asked for by SID, but neither Twilio nor the warehouse knows them."""
    unreadable: list[str] = field(default_factory=list)
    """Asked for by SID, but there was no usable answer."""
    drift: dict[str, str] = field(default_factory=dict)
    """What the documentation does not know, seen for the first time, and the first SID."""
    final_changed: list[str] = field(default_factory=list)
    """Summaries that were final in the warehouse and still changed."""

    window_from: datetime | None = None
    """Start of the range this run lists, lookback included; the earliest of all accounts."""
    window_to: datetime | None = None
    """Everything created before was listed completely, of all accounts that could be listed."""
    share_listed: float = 0.0
    """How much of what this run lists is listed, 0 to 1."""
    account_sid: str | None = None
    """The account of the credentials."""
    accounts: int | None = None
    """How many accounts are to be loaded."""
    accounts_failed: dict[str, str] = field(default_factory=dict)
    """Those that could not be read, with the class of the error."""
    failures: list[str] = field(default_factory=list)
    """The same for people: the name, and since when."""
    filters: str | None = None
    """The filters of the listing, as JSON text without names of people; None for none."""
    personal_data: str | None = None
    """What is done to personal data, once nothing stored contradicts it."""
    hash_key_check: str | None = None
    """A hash of something known, which shows whether the key is still the same."""
    loaded_to: datetime | None = None
    """The watermark as the destination has it: all that was created before is loaded, of all
    accounts but those that are refused."""
    horizon: datetime | None = None
    gap_from: datetime | None = None
    gap_to: datetime | None = None
    """What was created between them was never listed, and Twilio no longer has it."""
    load_ids: list[str] = field(default_factory=list)
    """The load packages it wrote; rows have theirs in `_dlt_load_id`."""
    compared: dict[str, dict[str, int]] = field(default_factory=dict)
    """What a comparison with Twilio has found: the counts by name of the resource."""
    left_package: str | None = None
    """What became of what a stopped run had not loaded: finished, or set aside, and why."""
    on_change: Callable[[Progress], None] = lambda _: None
    without_package: dict[str, Any] = field(default_factory=dict)
    """While a load package is made: the counts without it, by column of `_runs`."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count_request(self) -> None:
        with self._lock:
            self.requests += 1

    def count_retry(self, fault: UnavailableError) -> None:
        """The first is told, except of a limit of requests, which is usual."""
        with self._lock:
            is_first = fault.kind != "429" and not self.retries.keys() - {"429"}
            self.retries[fault.kind] += 1
        if is_first:
            log.info("%s; trying again", str(fault).removesuffix(RUN_AGAIN))

    def counts(self, resource: Resource) -> RowCounts:
        """Those of a resource."""
        return self if resource.parent is None else self.counts_by_parent(resource)

    def counts_by_parent(self, resource: Resource) -> ByParentCounts:
        """Those of one that is listed by the records of another."""
        return self.others.setdefault(resource.name, ByParentCounts())

    @contextmanager
    def package(self) -> Iterator[None]:
        """What is read meanwhile counts if the block ends well: else it will be listed again."""
        counts = {one.name: getattr(self, one.name) for one in fields(RowCounts)}
        others, self.without_package = deepcopy(self.others), counts | {"resources": self.resources}
        try:
            yield
        except BaseException:
            vars(self).update(counts, others=others)
            raise
        finally:
            self.without_package = {}

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        """The counts of other resources than conferences, by name."""
        return {name: asdict(counts) for name, counts in self.others.items()}
