"""Asking again for records by SID, or by listing where that takes fewer requests."""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING

from pipelines.lifecycle import RETENTION
from pipelines.times import iso_seconds
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.errors import BadAnswerError, InsightsError, UnavailableError
from pipelines.twilio_insights.extract.acceptance import Acceptor
from pipelines.twilio_insights.extract.accounts import Accounts
from pipelines.twilio_insights.extract.destination_state import DestinationState, Pending
from pipelines.twilio_insights.extract.fetch import fetch
from pipelines.twilio_insights.extract.lister import OVERLAP, WindowedLister
from pipelines.twilio_insights.extract.package import BATCH_ROWS
from pipelines.twilio_insights.extract.volume import HOUR, Window
from pipelines.twilio_insights.extract.windows import (
    MAX_SPAN,
    AccountRange,
    Listed,
    raise_unless_listed,
)

if TYPE_CHECKING:
    from pipelines.twilio_insights.extract.flatten import Tables

log = logging.getLogger("conference_insights")

MAX_CONFIRMATIONS, SAMPLE = 100, 60
"""If more final records of a window differ than MAX_CONFIRMATIONS, only a SAMPLE of them is fetched
by SID: either Twilio has changed them all, or the replica that was listed lags behind."""


def refetch(
    client: InsightsClient,
    stored: DestinationState,
    acceptor: Acceptor,
    accounts: Accounts,
    due: list[Pending],
) -> Iterator[Tables]:
    """Ask for all of them again. What cannot be had of an account is noted as its failure."""
    resource, now, page_size = acceptor.package.resource, client.now(), client.settings.page_size
    # What is final here is unconfirmed, and no listing confirms it: it may lag behind.
    unconfirmed = [asked for asked in due if asked.version is not None and asked.version.is_final]
    pending = [asked for asked in due if asked.version is None or not asked.version.is_final]
    hours = stored.count_by_hour(now - RETENTION, now) if len(due) > 1 else {}
    if client.settings.filters:
        hours = {}  # a listing has more than what is due, and less
    of_account = defaultdict[str, list[Pending]](list)
    for asked in pending:
        # If `created` is in the future, nobody knows which window would list the record.
        if asked.created is not None and asked.created <= now:
            of_account[asked.account].append(asked)
    ranges = [
        AccountRange(
            account, window, hours[account], page_size, known_to=accounts.watermark(account)
        )
        for account, its in of_account.items()
        if account in hours
        for window in windows_to_list(its, hours[account], page_size)
    ]
    seen, faults = set[str](), dict[str, InsightsError]()
    with closing(WindowedLister(client, resource, ranges)) as lister:
        for turn, outcome in lister:
            try:
                listed = raise_unless_listed(outcome)
                yield from accept_window(client, acceptor, turn.account, listed)
            except InsightsError as error:
                faults.setdefault(turn.account, error)
                continue
            if client.stop.is_set():
                return
            seen.update(*(page.versions for page in listed.pages))
    # What cannot be listed may still be had by SID, unless the API does not answer at all.
    lost = {a for a, error in faults.items() if not _may_have_single_ones(error)}
    pending = [asked for asked in pending if asked.key not in seen]
    unconfirmed = [asked for asked in unconfirmed if asked.key not in acceptor.package.written]
    rest = [asked for asked in pending + unconfirmed if asked.account not in lost]
    others = [account for account in accounts.followed if account != accounts.own]
    faults |= yield from fetch(client, acceptor, rest, others=others)
    if client.stop.is_set():
        return  # nothing is wrong with them
    for account, fault in faults.items():
        accounts.note_failure(account or accounts.own, fault, now, is_listed=True)


def _may_have_single_ones(error: InsightsError) -> bool:
    """Whether an account may give by SID what it could not list."""
    is_slowness = isinstance(error, UnavailableError) and error.is_slowness
    return is_slowness or isinstance(error, BadAnswerError)


def windows_to_list(
    due: Sequence[Pending], rows_by_hour: dict[datetime, int], page_size: int
) -> list[Window]:
    """Where listing takes fewer requests than a fetch for each that is due.

    `rows_by_hour` are the rows that a listing of each hour is expected to give. Neighbouring hours
    are listed together as long as that takes no more requests than to ask for what they add.
    """

    def pages(first: datetime, last: datetime) -> int:
        rows = (count for hour, count in rows_by_hour.items() if first <= hour <= last)
        return sum(rows) // page_size + ceil((last - first + HOUR) / MAX_SPAN)

    waiting: dict[datetime, int] = defaultdict(int)
    for asked in due:
        if asked.created is not None:
            waiting[asked.created.replace(minute=0, second=0, microsecond=0)] += 1
    found: list[tuple[datetime, datetime]] = []
    for hour in sorted(waiting):
        if found:
            first, last = found[-1]
            added = pages(first, hour) - pages(first, last)
            if added <= min(pages(hour, hour), waiting[hour]):
                found[-1] = first, hour
                continue
        found.append((hour, hour))
    return [
        Window(first, last + HOUR)
        for first, last in found
        if pages(first, last) < sum(waiting[hour] for hour in waiting if first <= hour <= last)
    ]


def accept_window(
    client: InsightsClient, acceptor: Acceptor, account: str, listed: Listed
) -> Generator[Tables, None, bool]:
    """Take over a window; False if the run was stopped before all that is doubtful was asked for.

    Raises:
        InsightsError: 401, in answer to a fetch by SID.
    """
    window, pages = listed
    doubtful = acceptor.accept_window(pages, window.start - OVERLAP, window.end, account)
    sample = doubtful if len(doubtful) <= MAX_CONFIRMATIONS else random.sample(doubtful, SAMPLE)
    yield from _confirm(client, acceptor, sample)
    rest = [asked for asked in doubtful if asked not in sample]
    if rest and not client.stop.is_set():
        yield from _decide(client, acceptor, rest, window)
    if doubtful and client.stop.is_set():
        return False
    client.progress.pages += len(pages)
    client.progress.on_change(client.progress)
    if batch := acceptor.package.flush(at_least=BATCH_ROWS):
        yield batch
    return True


def _confirm(
    client: InsightsClient, acceptor: Acceptor, doubtful: list[Pending]
) -> Iterator[Tables]:
    """Ask for what is doubtful by SID, however many of them cannot be had.

    Raises:
        InsightsError: refused.
    """
    if doubtful:
        never = len(doubtful) + 1
        errors = yield from fetch(client, acceptor, doubtful, give_up=never)
        if errors:
            raise next(iter(errors.values()))


def _decide(
    client: InsightsClient, acceptor: Acceptor, rest: list[Pending], window: Window
) -> Iterator[Tables]:
    """What becomes of summaries of which a sample was asked for by SID."""
    asked = acceptor.confirmed.values()
    if not asked:  # nothing can be had by SID now
        for one in rest:
            acceptor.note_unreadable(one, client.now())
    elif all(asked):
        acceptor.accept_as_listed(rest)
    else:
        log.warning(
            "%d final summaries of %s to %s read otherwise in a listing, but by SID %d of %d do "
            "not: it lags behind, so all are asked for by SID",
            len(rest) + SAMPLE,
            *map(iso_seconds, window),
            [*asked].count(False),
            len(asked),
        )
        yield from _confirm(client, acceptor, rest)
