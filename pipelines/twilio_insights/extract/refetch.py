"""Asking again for records by SID, or by listing where that takes fewer requests."""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING

from pipelines.lifecycle import RETENTION
from pipelines.times import iso_seconds
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.errors import (
    BadAnswerError,
    InsightsError,
    RefusedError,
    as_insights_error,
)
from pipelines.twilio_insights.extract.acceptance import Acceptor
from pipelines.twilio_insights.extract.destination_state import DestinationState, Pending
from pipelines.twilio_insights.extract.package import BATCH_ROWS
from pipelines.twilio_insights.extract.volume import HOUR, Window
from pipelines.twilio_insights.extract.windows import OVERLAP, Listed, WindowedLister

if TYPE_CHECKING:
    from pipelines.twilio_insights.extract.flatten import Tables

log = logging.getLogger("conference_insights")

MAX_CONFIRMATIONS, SAMPLE = 100, 60
"""If more final records of a window differ than MAX_CONFIRMATIONS, only a SAMPLE of them is fetched
by SID: either Twilio has changed them all, or the replica that was listed lags behind."""
MAX_CONSECUTIVE_FAILURES = 3
"""After this many failed fetches in a row the API counts as down."""


def refetch(
    client: InsightsClient,
    stored: DestinationState,
    acceptor: Acceptor,
    due: list[Pending],
    now: datetime,
) -> Iterator[Tables]:
    """Ask for all of them again.

    Raises:
        InsightsError: 401, or MAX_CONSECUTIVE_FAILURES: the API is down; or a listing that cannot
            be used, raised after everything was fetched by SID.
    """
    resource = acceptor.package.resource
    seen, fault = set[str](), None
    hours = stored.count_by_hour(now - RETENTION, now) if len(due) > 1 else {}
    # What is final here is unconfirmed, and no listing confirms it: it may lag behind.
    unconfirmed = [asked for asked in due if asked.version is not None and asked.version.is_final]
    pending = [asked for asked in due if asked.version is None or not asked.version.is_final]
    for window in windows_to_list(pending, hours, client.settings.page_size):
        try:
            with closing(WindowedLister(client, resource, window, hours)) as listing:
                for listed in listing:
                    yield from accept_window(client, acceptor, listed)
                    if client.stop.is_set():
                        return
                    seen.update(*(page.versions for page in listed.pages))
        except BadAnswerError as error:
            fault = fault or error
    pending = [asked for asked in pending if asked.key not in seen]
    unconfirmed = [asked for asked in unconfirmed if asked.key not in acceptor.package.written]
    try:
        yield from fetch(client, acceptor, pending + unconfirmed)
    except InsightsError as error:
        raise (fault or error) from error.__cause__
    if fault:
        raise fault


def windows_to_list(
    due: Sequence[Pending], rows_by_hour: dict[datetime, int], page_size: int
) -> list[Window]:
    """Where listing takes fewer requests than a fetch for each that is due.

    `rows_by_hour` are the rows that a listing of each hour is expected to give. Neighbouring hours
    are listed together as long as that takes no more requests than to ask for what they add.
    """

    def pages(first: datetime, last: datetime) -> int:
        rows = (count for hour, count in rows_by_hour.items() if first <= hour <= last)
        return sum(rows) // page_size + 1

    waiting: dict[datetime, int] = defaultdict(int)
    for asked in due:
        if asked.created is not None:
            waiting[asked.created.replace(minute=0, second=0, microsecond=0)] += 1
    found: list[list[datetime]] = []
    for hour in sorted(waiting):
        if found and pages(found[-1][0], hour) - pages(*found[-1]) <= min(
            pages(hour, hour), waiting[hour]
        ):
            found[-1][1] = hour
        else:
            found.append([hour, hour])
    return [
        Window(first, last + HOUR)
        for first, last in found
        if pages(first, last) < sum(waiting[hour] for hour in waiting if first <= hour <= last)
    ]


def accept_window(
    client: InsightsClient, acceptor: Acceptor, listed: Listed
) -> Generator[Tables, None, bool]:
    """Take over a window; False if the run was stopped before all that is doubtful was asked for.

    Raises:
        InsightsError: 401, in answer to a fetch by SID.
    """
    window, pages = listed
    doubtful = acceptor.accept_window(pages, window.start - OVERLAP, window.end)
    sample = doubtful if len(doubtful) <= MAX_CONFIRMATIONS else random.sample(doubtful, SAMPLE)
    yield from fetch(client, acceptor, sample, len(sample) + 1)
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
        yield from fetch(client, acceptor, rest, len(rest) + 1)


def fetch(
    client: InsightsClient,
    acceptor: Acceptor,
    due: list[Pending],
    give_up: int = MAX_CONSECUTIVE_FAILURES,
) -> Iterator[Tables]:
    """Ask for each by SID. One that cannot be had is named and left for the next run."""
    progress, in_a_row = client.progress, 0
    random.shuffle(due)  # so that some that always fail do not stand before the others for ever

    def one(asked: Pending) -> Page | Exception:
        try:
            return client.fetch(acceptor.package.resource, asked.key)
        except Exception as error:
            return as_insights_error(error, asked.key)

    pool = ThreadPoolExecutor(client.settings.max_concurrency, thread_name_prefix="refetch")
    try:
        for asked, answer in zip(due, pool.map(one, due), strict=True):
            if isinstance(answer, Exception):
                in_a_row += 1
                refused = isinstance(answer, RefusedError) and answer.status == 401
                ours = not isinstance(answer, InsightsError)
                if asked.version is None or refused or ours or in_a_row == give_up:
                    raise answer
                acceptor.note_unreadable(asked, client.now())
                continue
            in_a_row = 0
            acceptor.accept_fetched(asked, answer)
            progress.on_change(progress)
            if batch := acceptor.package.flush(at_least=BATCH_ROWS):
                yield batch
            if client.stop.is_set():
                return
    finally:
        pool.shutdown(cancel_futures=True)
