"""Reading a resource that is listed by the records of another: one listing for each of them."""

from __future__ import annotations

from collections.abc import Iterator
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
from pipelines.twilio_insights.resources import RESOURCES, Resource

if TYPE_CHECKING:
    from pipelines.twilio_insights.extract.flatten import Tables


class ByParent:
    """What one run reads of such a resource, one load package after the other.

    Args:
        client: its progress is shared by the packages of a run.
        resource: that is read; it has a parent.
        stored: what the destination holds of it.
        package_rows: end a package after this many records.
    """

    def __init__(
        self,
        client: InsightsClient,
        resource: Resource,
        stored: DestinationState,
        package_rows: int,
    ) -> None:
        self._client, self._resource, self._stored = client, resource, stored
        self._package_rows, self._failures = package_rows, 0
        self._unreadable = set[str]()
        self.complete = False
        """The last package ended with all that was to be read."""
        self.fault: InsightsError | None = None
        """Why it did not; what was finished before is loaded all the same."""

    def package(self) -> Iterator[Tables]:
        """Yield what the next load package writes, nothing if there is nothing to write."""
        client, resource, parent = self._client, self._resource, self._resource.parent or ""
        progress, now = client.progress, client.now()
        account = client.settings.account_sid or ""
        package = LoadPackage(resource, self._stored, progress, account)
        acceptor = Acceptor(package, self._stored, progress, set())
        due = self._stored.parents_to_list(now, RESOURCES[parent])
        due = [asked for asked in due if asked.key not in self._unreadable]
        pool = ThreadPoolExecutor(client.settings.max_concurrency, thread_name_prefix="children")
        try:
            for asked, found in zip(due, pool.map(self._list, due), strict=True):
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
        finally:
            pool.shutdown(cancel_futures=True)
        if batch := package.finish():
            yield batch

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
        self._unreadable.add(asked.key)
        self._client.progress.unreadable.append(asked.key)
