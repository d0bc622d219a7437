"""Twilio and the warehouse compared, record by record; where that is asked for, made equal.

It reads as a backfill does, so that there is one way to list and to accept, and counts on the way.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict
from datetime import datetime

from pipelines.exit_codes import UNSOUND
from pipelines.lifecycle import RETENTION
from pipelines.run.destination import expect_existing, warehouse_place
from pipelines.run.packages import Packages
from pipelines.run.pipeline import (
    Backfill,
    follow_personal_data,
    opened,
)
from pipelines.run.post_load import run_post_load
from pipelines.run.retention_gap import check_retention_gap
from pipelines.times import naive_utc, parse_duration, parse_moment
from pipelines.twilio_insights.extract.accounts import Accounts
from pipelines.twilio_insights.extract.comparison import Comparison
from pipelines.twilio_insights.extract.scope import TimeRange
from pipelines.twilio_insights.progress import Progress
from pipelines.twilio_insights.resources import CONFERENCES

log = logging.getLogger("conference_insights")

MAX_NAMED = 3
"""Accounts that were not read."""


class DifferencesError(Exception):
    """The warehouse lacks something that Twilio has, or has it otherwise."""

    exit_code = UNSOUND


def reconcile(
    progress: Progress, scope: Backfill, stop: threading.Event, comparison: Comparison
) -> None:
    """Compare what Twilio lists of a range with the warehouse, and write what is missing or
    different if the comparison is to repair it.

    Raises:
        WarehouseError: nothing is loaded that could be compared.
        DifferencesError: something is missing or different, and was not written.
        Exception: as `run` does; `comparison` has what was compared until then.
    """
    place = warehouse_place()
    if not comparison.repair:
        expect_existing(place)
    with opened(progress, stop, None, comparison) as (packages, record, delivery):
        # What is written is as the setting says, and a later change of it is to find that out.
        rewrite_error = (
            follow_personal_data(packages, record, delivery) if comparison.repair else None
        )
        try:
            now, accounts = check_retention_gap(packages), packages.accounts
            chosen = scope.scope(now)
            assert isinstance(chosen, TimeRange)
            settings = packages.client.settings
            comparison.begin(
                chosen.window,
                now,
                {account: accounts.watermark(account) for account in accounts.followed},
                parse_duration(settings.lookback),
                {account: _reason(packages, account) for account in accounts.followed},
            )
            comparison.names = accounts.names
            extraction = packages.extraction
            while not (extraction.complete or extraction.fault or stop.is_set()):
                packages.load(chosen)
            if accounts.some_answer and not stop.is_set():
                packages.load_by_parent()
            _count_expired(packages, comparison, parse_moment(scope.since, now), now)
            packages.note_failures()
            fault = extraction.fault or accounts.decisive_failure
            is_cut = stop.is_set() or not accounts.some_answer
            stopped = "it was stopped" if stop.is_set() else ""
            comparison.cut_by = _cut_by(accounts, fault) or stopped
        finally:
            names = {name for name, *_ in comparison.found}
            progress.compared = {name: asdict(comparison.total(name)) for name in sorted(names)}
            if not comparison.repair:  # nothing is written, so these are no rows that were
                for counts in (progress, *progress.others.values()):
                    counts.rows_new = counts.rows_updated = 0
                progress.final_changed.clear()
        if comparison.repair:
            progress.pending_after = packages.stored.count_pending(now)
            run_post_load(packages.warehouse, delivery, now, record.phase, only_views=is_cut)
        if not stop.is_set():
            record.phase("compare")
            if error := fault or rewrite_error:
                raise error
            if comparison.faults:
                raise DifferencesError(_describe(comparison))


def _cut_by(accounts: Accounts, fault: Exception | None) -> str:
    """Why not everything was compared; empty if everything was."""
    failed = [*accounts.describe_failures()]
    if not failed:
        return str(fault or "")
    more = f"; and {len(failed) - MAX_NAMED:,} more" if len(failed) > MAX_NAMED else ""
    return f"not read: {'; '.join(failed[:MAX_NAMED])}{more}"


def _reason(packages: Packages, account: str) -> str:
    """Why Twilio may not list records of the account that the warehouse has; or empty."""
    if packages.client.settings.filters:
        return "the filters leave them out"
    return "another region may have them" if packages.accounts.is_elsewhere(account) else ""


def _describe(comparison: Comparison) -> str:
    found = comparison.total()
    names = ["unconfirmed", "rejected"]
    if not comparison.repair:  # a repair has written these
        names = ["missing", "different", *names]
    parts = [f"{number:,} {name}" for name in names if (number := getattr(found, name))]
    first = next((comparison.sids[name][0] for name in names if comparison.sids[name]), "")
    next_step = "run it again later" if comparison.repair else "`reconcile --repair` writes it"
    if found.rejected == comparison.faults:
        next_step = "see _rejected_rows"
    return f"The warehouse is not as Twilio: {', '.join(parts)}, the first {first}; {next_step}"


def _count_expired(
    packages: Packages, comparison: Comparison, since: datetime, now: datetime
) -> None:
    """What the warehouse has of the days before those that Twilio keeps."""
    sql = (
        f"SELECT account_sid, CAST({CONFERENCES.created} AS DATE), count(*) "
        f"FROM {{{CONFERENCES.table.name}}} WHERE {CONFERENCES.created} >= %s "
        f"AND {CONFERENCES.created} < %s AND account_sid IN (SELECT unnest(%s)) GROUP BY 1, 2"
    )
    bounds = naive_utc(since), naive_utc(now - RETENTION), [*packages.accounts.followed]
    if since < now - RETENTION:
        for account, day, number in packages.warehouse.query(sql, *bounds):
            comparison.expired(CONFERENCES, account, day, number)
