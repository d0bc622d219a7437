"""Reading a resource that is listed by the records of another: one listing for each of them."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from pipelines.times import iso_seconds
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.errors import InsightsError, as_insights_error
from pipelines.twilio_insights.extract.acceptance import Acceptor
from pipelines.twilio_insights.extract.accounts import Accounts
from pipelines.twilio_insights.extract.comparison import Comparison
from pipelines.twilio_insights.extract.destination_state import Query
from pipelines.twilio_insights.extract.fetch import MAX_CONSECUTIVE_FAILURES, rejects_credentials
from pipelines.twilio_insights.extract.package import BATCH_ROWS, LoadPackage
from pipelines.twilio_insights.extract.parent_listings import ParentListing, ParentListings
from pipelines.twilio_insights.extract.records import RecordPage
from pipelines.twilio_insights.resources import RESOURCES

if TYPE_CHECKING:
    from pipelines.twilio_insights.extract.flatten import Tables

log = logging.getLogger("conference_insights")

AHEAD = 8
"""Listings, for each request in flight, that may wait to be taken over."""
MAX_MISSES = 5
"""After so many 404 answers, and no other, another account is not asked any more in this run."""


class ByParent:
    """What one run reads of such a resource, one load package after the other.

    Args:
        client: its progress is shared by the packages of a run.
        listings: what the destination knows of the resource.
        accounts: that are loaded; what cannot be had of one is noted as its failure.
        package_rows: end a package after this many records, or listings. None: everything is one.
        only: list what belongs to these, due or not; otherwise all that are due.
        comparison: takes note of what is listed.
    """

    def __init__(
        self,
        client: InsightsClient,
        listings: ParentListings,
        accounts: Accounts,
        package_rows: int | None = None,
        only: Sequence[str] = (),
        comparison: Comparison | None = None,
    ) -> None:
        self._client, self._listings, self._accounts = client, listings, accounts
        self._comparison = comparison
        self._resource, self._package_rows, self._only = listings.resource, package_rows, only
        self._counts = client.progress.counts_by_parent(self._resource)
        self._in_a_row, self._misses = Counter[str](), Counter[str]()
        self._served = {accounts.own}
        """Accounts of which something was found, by this run or an earlier one."""
        self._given_up = set(accounts.unreadable)
        """Those that are not asked any more."""
        self._answers = self._list_all()
        """Goes on from one package to the next, so that each parent is asked for once a run."""
        self.complete = False
        """The last package ended with all that was to be read, or could be."""

    def package(self) -> Iterator[Tables]:
        """Yield what the next load package writes, nothing if there is nothing to write."""
        client, stored, progress = self._client, self._listings.records, self._client.progress
        accounts, limit, begun = self._accounts, self._package_rows, self._counts.listings
        acceptor = Acceptor(self._resource, stored, client, accounts, set(), self._comparison)
        package = acceptor.package
        for asked, found in self._answers:
            if client.stop.is_set():
                break
            if isinstance(found, Exception):
                self._note_failure(package, asked, found)
            elif found:
                self._take_over(acceptor, asked, found)
            if self._comparison and not isinstance(found, list):
                self._comparison.not_compared["there was no usable answer"] += 1
            progress.on_change(progress)
            if batch := package.flush(at_least=BATCH_ROWS):
                yield batch
            rows = max(len(package.written), self._counts.listings - begun)
            if limit and rows >= limit:
                break
        else:
            self.complete = True
        if limit:  # else the listing of the parents, in the same package, has done so
            accounts.write(package, {}, may_be_empty=True)
        if batch := package.finish():
            yield batch

    def close(self) -> None:
        """No request is made any more."""
        self._answers.close()

    def note_waiting(self) -> None:
        """Count what is left for the next runs."""
        now, counts = self._client.now(), self._counts
        counts.waiting, lost_from = self._listings.waiting(now)
        counts.lost_from = iso_seconds(lost_from) if lost_from else None
        counts.pending = self._listings.records.count_pending(now)

    def _take_over(self, acceptor: Acceptor, asked: ParentListing, pages: list[Page]) -> None:
        account, status = asked.account, pages[-1].status
        self._in_a_row[account] = 0
        found = [RecordPage(self._resource, page, parent=asked.key) for page in pages]
        listed, unfinished, absent = acceptor.accept_listing(found, asked)
        missing = max(absent, asked.expected - listed, 0)
        self._counts.listings += 1
        if status == 404 and self._accounts.is_elsewhere(account):
            return  # another region may have them, and is to be asked
        if status == 404:
            self._note_miss(account)
        else:
            self._served.add(account)
        is_to_wait = missing > 0 or status == 404
        acceptor.package.note_listing(
            asked, status, pages[-1].fetched_at, unfinished + missing, is_to_wait
        )

    def _note_miss(self, account: str) -> None:
        """Whether Twilio serves them to the credentials of another account is not documented."""
        self._misses[account] += 1
        if self._misses[account] == MAX_MISSES and account not in self._served:
            self._given_up.add(account)
            log.warning(
                "Account %s: Twilio has no %s of it for the credentials of %s (404 for the first "
                "%d); load it with credentials of its own",
                account,
                self._resource.name,
                self._accounts.own,
                MAX_MISSES,
            )

    def _note_failure(self, package: LoadPackage, asked: ParentListing, error: Exception) -> None:
        """Name it, and leave it for a later run; an account that fails each time is given up."""
        if not isinstance(error, InsightsError):
            raise error
        account, now = asked.account, self._client.now()
        self._in_a_row[account] += 1
        is_refused = rejects_credentials(error)
        if is_refused or self._in_a_row[account] == MAX_CONSECUTIVE_FAILURES:
            self._given_up.add(account)
            self._accounts.note_failure(account, error, now, is_listed=True)
        else:
            self._client.progress.unreadable.append(asked.key)
        if not is_refused:
            # It may be this one that is wrong: it must not stand before the others for ever.
            package.note_listing(asked, getattr(error, "status", 0), now, 0, is_to_wait=True)

    def _list_all(self) -> Generator[tuple[ParentListing, list[Page] | Exception | None]]:
        client, resource = self._client, self._resource
        most = None if self._only else client.settings.most_requests(resource)
        due = self._listings.due(client.now(), most, self._only)
        self._served |= self._listings.served(client.now())
        self._counts.listings_due = len(due)
        workers = client.settings.max_concurrency
        pool = ThreadPoolExecutor(workers, thread_name_prefix=resource.name)
        asked_for = deque[tuple[ParentListing, Future[list[Page] | Exception | None]]]()
        try:
            for asked in due:
                asked_for.append((asked, pool.submit(self._list, asked)))
                if len(asked_for) > AHEAD * workers:  # those after them wait, not in memory
                    listed, answer = asked_for.popleft()
                    yield listed, answer.result()
            for listed, answer in asked_for:
                yield listed, answer.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _list(self, asked: ParentListing) -> list[Page] | Exception | None:
        """None: the account is given up."""
        if asked.account in self._given_up or self._client.stop.is_set():
            return None
        try:
            return [*self._client.list_children(self._resource, asked.key, asked.account)]
        except Exception as error:
            return as_insights_error(error, asked.key)


def readers(
    client: InsightsClient,
    query: Query,
    accounts: Accounts,
    package_rows: int | None = None,
    only: Sequence[str] = (),
    comparison: Comparison | None = None,
) -> Iterator[ByParent]:
    """One for each such resource that is to be loaded; the arguments are those of `ByParent`, and
    `query` reads the destination."""
    for one in RESOURCES.values():
        if one.parent and client.settings.loads(one):
            listings = ParentListings(query, one, one.parent, accounts.own, accounts.followed)
            if comparison and not (only := _chosen(client, listings, comparison)):
                continue
            yield ByParent(client, listings, accounts, package_rows, only, comparison)


def _chosen(
    client: InsightsClient, listings: ParentListings, comparison: Comparison
) -> Sequence[str]:
    """What is compared: what belongs to these."""
    assert comparison.window
    resource, now = listings.resource, client.now()
    most, also_new = client.settings.most_requests(resource), comparison.repair
    keys, more, waiting = listings.within(*comparison.window, now, most, also_new)
    if more:
        comparison.not_compared[
            f"more than {resource.most_requests}, {most:,}: raise it, or give a shorter range"
        ] = more
    if waiting:
        comparison.not_compared["they wait for a run, which lists them first"] = waiting
    return keys
