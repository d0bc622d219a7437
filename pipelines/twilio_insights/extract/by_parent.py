"""Reading a resource that is listed by the records of another: one listing for each of them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.errors import InsightsError, RefusedError, as_insights_error
from pipelines.twilio_insights.extract.acceptance import Acceptor
from pipelines.twilio_insights.extract.destination_state import DestinationState, ParentListing
from pipelines.twilio_insights.extract.package import BATCH_ROWS, LoadPackage
from pipelines.twilio_insights.extract.records import RecordPage
from pipelines.twilio_insights.extract.refetch import MAX_CONSECUTIVE_FAILURES
from pipelines.twilio_insights.resources import Resource

if TYPE_CHECKING:
    from pipelines.twilio_insights.extract.flatten import Tables


class ByParent:
    """What one run reads of such a resource, one load package after the other.

    Args:
        client: its progress is shared by the packages of a run.
        resource: that is read.
        parent: the one whose records it is listed by.
        stored: what the destination holds of it.
        package_rows: end a package after this many records.
    """

    def __init__(
        self,
        client: InsightsClient,
        resource: Resource,
        parent: Resource,
        stored: DestinationState,
        package_rows: int,
    ) -> None:
        self._client, self._resource, self._stored = client, resource, stored
        self._parent, self._package_rows, self._failures = parent, package_rows, 0
        self._listings = self._list_all()
        """Goes on from one package to the next, so that each parent is asked for once a run."""
        self.complete = False
        """The last package ended with all that was to be read."""
        self.fault: InsightsError | None = None
        """Why it did not; what was finished before is loaded all the same."""

    def package(self) -> Iterator[Tables]:
        """Yield what the next load package writes, nothing if there is nothing to write."""
        client, resource, progress = self._client, self._resource, self._client.progress
        account, now = client.settings.account_sid or "", client.now()
        package = LoadPackage(resource, self._stored, progress, account)
        acceptor = Acceptor(package, self._stored, progress, set())
        try:
            for asked, found in self._listings:
                if isinstance(found, Exception):
                    self._count_failure(asked, found)
                    continue
                self._failures = 0
                pages = [RecordPage(resource, page) for page in found]
                unfinished = acceptor.accept_listing(pages, now)
                package.note_listing(asked, found[-1].status, found[-1].fetched_at, unfinished)
                progress.on_change(progress)
                if batch := package.flush(at_least=BATCH_ROWS):
                    yield batch
                if client.stop.is_set() or len(package.written) >= self._package_rows:
                    break
            else:
                self.complete = True
        except InsightsError as error:
            self.fault = error
        if batch := package.finish():
            yield batch

    def close(self) -> None:
        """No request is made any more."""
        self._listings.close()

    def _list_all(self) -> Generator[tuple[ParentListing, list[Page] | Exception], None, None]:
        due = self._stored.parents_to_list(self._client.now(), self._parent)
        workers = self._client.settings.max_concurrency
        pool = ThreadPoolExecutor(workers, thread_name_prefix="children")
        try:
            yield from zip(due, pool.map(self._list, due), strict=True)
        finally:
            pool.shutdown(cancel_futures=True)

    def _list(self, asked: ParentListing) -> list[Page] | Exception:
        try:
            return [*self._client.list_children(self._resource, asked.key)]
        except Exception as error:
            return as_insights_error(error, asked.key)

    def _count_failure(self, asked: ParentListing, error: Exception) -> None:
        """Name it and leave it for the next run.

        Raises:
            InsightsError: refused, or too many one after the other: the API is down.
        """
        self._failures += 1
        is_ours = not isinstance(error, InsightsError)
        if is_ours or isinstance(error, RefusedError) or self._failures == MAX_CONSECUTIVE_FAILURES:
            raise error
        self._client.progress.unreadable.append(asked.key)
