"""Asking for single records, each by its SID."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Generator
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING

from pipelines.lifecycle import RETENTION
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.api.clock import FIRST, MAX_SKEW
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.errors import InsightsError, RefusedError, as_insights_error
from pipelines.twilio_insights.extract.acceptance import Acceptor
from pipelines.twilio_insights.extract.destination_state import Pending
from pipelines.twilio_insights.extract.lister import OVERLAP
from pipelines.twilio_insights.extract.package import BATCH_ROWS
from pipelines.twilio_insights.resources import Resource

if TYPE_CHECKING:
    from pipelines.twilio_insights.extract.flatten import Tables

MAX_CONSECUTIVE_FAILURES = 3
"""After this many failed fetches in a row the API counts as down."""


def fetch(
    client: InsightsClient,
    acceptor: Acceptor,
    due: list[Pending],
    give_up: int = MAX_CONSECUTIVE_FAILURES,
    others: Collection[str] = (),
) -> Generator[Tables, None, dict[str, InsightsError]]:
    """Ask for each by SID. One that cannot be had is named and left for the next run.

    Args:
        client: asks.
        acceptor: takes over the answers.
        due: what is asked for.
        give_up: after so many failures in a row an account is not asked any more.
        others: accounts that may have what is unknown to that of the credentials.

    Returns:
        By account, the error for which it was given up; without `others` also the last error of an
        account that never answered, if it was asked for a record that the destination lacks.
    """
    progress, in_a_row, answered = client.progress, Counter[str](), set[str]()
    given_up: dict[str, InsightsError] = {}
    errors: dict[str, InsightsError] = {}
    random.shuffle(due)  # so that some that always fail do not stand before the others for ever

    def one(asked: Pending) -> Page | Exception:
        if error := given_up.get(asked.account):
            return error
        try:
            return _ask(client, acceptor.package.resource, asked, others)
        except Exception as error:
            return as_insights_error(error, asked.key)

    pool = ThreadPoolExecutor(client.settings.max_concurrency, thread_name_prefix="refetch")
    try:
        asked_for = {pool.submit(one, asked): asked for asked in due}
        for done in as_completed([*asked_for]):  # some may wait long for their turn
            asked, answer = asked_for.pop(done), done.result()
            if asked.account in given_up:
                continue
            if isinstance(answer, Exception):
                in_a_row[asked.account] += 1
                error = errors[asked.account] = _error_of_api(answer)
                if rejects_credentials(error) or in_a_row[asked.account] == give_up:
                    given_up[asked.account] = error
                else:
                    acceptor.note_unreadable(asked, client.now())
                continue
            in_a_row[asked.account] = 0
            answered.add(asked.account)
            acceptor.accept_fetched(asked, answer)
            progress.on_change(progress)
            if batch := acceptor.package.flush(at_least=BATCH_ROWS):
                yield batch
            if client.stop.is_set():
                break
    finally:
        pool.shutdown(cancel_futures=True)
    return given_up if others else _silent(due, errors, answered) | given_up


def _silent(
    due: list[Pending], errors: dict[str, InsightsError], answered: set[str]
) -> dict[str, InsightsError]:
    """Accounts that never answered, if they were asked for a record that the destination lacks."""
    unknown = {asked.account for asked in due if asked.version is None}
    return {a: error for a, error in errors.items() if a in unknown and a not in answered}


def _error_of_api(error: Exception) -> InsightsError:
    """Raises one that comes from this machine."""
    if not isinstance(error, InsightsError):
        raise error
    return error


def rejects_credentials(error: InsightsError) -> bool:
    """401: every other request would get it too; a 403 may concern one record."""
    return isinstance(error, RefusedError) and error.status == 401


def _ask(
    client: InsightsClient, resource: Resource, asked: Pending, others: Collection[str]
) -> Page:
    """By SID; whether that serves what belongs to another account is not documented, so there it is
    listed by its SID."""
    now, own = client.now(), client.settings.account_sid or ""
    if asked.account not in ("", own):
        start, end = now - RETENTION, now
        if (created := asked.created) and FIRST <= created <= now + MAX_SKEW:  # else it cannot be
            start = end = created
        return client.find(resource, asked.key, asked.account, start - OVERLAP, end + 2 * OVERLAP)
    if not others or (asked.version is not None and asked.account):
        return client.fetch(resource, asked.key)
    page, faults = None, list[InsightsError]()
    for account in (own, *others):  # any may have it, and one that fails hides no other
        try:
            if account == own:
                page = client.fetch(resource, asked.key)
            else:
                page = client.find(resource, asked.key, account, now - RETENTION, now)
        except InsightsError as error:
            faults.append(error)
        else:
            if page.rows:
                return page
    # Those that are refused are known to be.
    if serious := [one for one in faults if page is None or not isinstance(one, RefusedError)]:
        raise serious[0]
    assert page is not None
    return page
