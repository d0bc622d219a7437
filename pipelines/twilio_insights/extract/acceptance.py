"""Which records a load package writes: those that differ from the stored and are not less final."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.extract.accounts import Accounts
from pipelines.twilio_insights.extract.backoff import backoff
from pipelines.twilio_insights.extract.comparison import Comparison
from pipelines.twilio_insights.extract.destination_state import DestinationState, Pending
from pipelines.twilio_insights.extract.lister import OVERLAP
from pipelines.twilio_insights.extract.package import LoadPackage, UnwrittenPackage
from pipelines.twilio_insights.extract.parent_listings import ParentListing
from pipelines.twilio_insights.extract.personal import PersonalData
from pipelines.twilio_insights.extract.records import RecordPage, RowVersion
from pipelines.twilio_insights.resources import FINAL, Resource

EDGE = timedelta(seconds=2)
"""What was created this long before the end of a window may be in the next one too."""


class Acceptor:
    """Takes over what was listed or fetched, and has a new load package write what differs.

    Args:
        resource: of the records.
        stored: what the destination holds.
        client: its progress counts the records.
        accounts: that are loaded.
        still_pending: gets the keys of what is not final yet.
        comparison: takes note of what is listed; if it is not to repair, nothing is written.
    """

    def __init__(
        self,
        resource: Resource,
        stored: DestinationState,
        client: InsightsClient,
        accounts: Accounts,
        still_pending: set[str],
        comparison: Comparison | None,
    ) -> None:
        progress, personal = client.progress, PersonalData.of(client.settings)
        kind = LoadPackage if comparison is None or comparison.repair else UnwrittenPackage
        self.package = kind(resource, stored, progress, accounts.own, accounts.followed, personal)
        self.confirmed: dict[str, bool] = {}
        """Of what was doubtful in the last window: whether a fetch by SID showed the same."""
        self._stored, self._progress, self._still_pending = stored, progress, still_pending
        self._comparison, self._accounts = comparison, accounts
        self._resource, self._counts = resource, progress.counts(resource)
        self._previous: dict[str, set[str]] = {}
        """By account: what the last window had that the next one may have too."""
        self._doubtful: dict[str, RecordPage] = {}
        self._unresolved = stored.unresolved()

    def accept_window(
        self, pages: Sequence[RecordPage], start: datetime, end: datetime, account: str
    ) -> list[Pending]:
        """Take over what is to be written of an account's records created from start to end.

        Pages shift and windows overlap, so a key may come more than once: the most final version of
        a window counts, and none that the window before or this package had already.

        Gives back what is to be asked for by SID first: records that are final in the destination
        and read otherwise here may come from a replica that lags behind.
        """
        chosen, first = _most_final(pages), start + OVERLAP
        # A set's own difference: that of a dict's keys would go through all that is written.
        fresh = set(chosen) - self.package.written
        if self._comparison is None:
            fresh -= self._previous.get(account, set())
        else:  # each counts in its own window, also where another package has the one beside it
            fresh &= self._compared(chosen, first, end, account)
        self._previous[account] = {key for page in pages for key in page.created_since(end - EDGE)}
        self._counts.rows_listed += len(fresh)
        stored = self._stored.versions(fresh, start, end, account)
        doubtful = [
            Pending(key, version, chosen[key].created_at(key), account=account)
            for key in fresh & stored.keys()
            if (version := stored[key]).is_final and version.yields_to(chosen[key].versions[key])
        ]
        self._doubtful = {asked.key: chosen[asked.key] for asked in doubtful}
        self.confirmed.clear()
        fresh -= self._doubtful.keys()
        for key in fresh & self._unresolved:
            if (known := stored.get(key)) and known.is_final:
                continue  # unconfirmed: what this listing shows may be the one that lags behind
            self.package.note_refetch(key, 0, 200, chosen[key].fetched_at, None, None)
            self._unresolved.remove(key)
        for page in pages:
            here = [key for key in page.versions if key in fresh and chosen[key] is page]
            self.package.write(page, self._differing(page, here, stored, account))
        if self._comparison is not None:
            loaded = dict(self._stored.created_between(first, end, account))
            rejected = _unloadable(pages, chosen)
            compared = self._compared(rejected, first, end, account)
            self._compare_rejected({key: rejected[key] for key in compared}, loaded, account)
            for key, created in loaded.items():
                if key not in chosen and key not in rejected:
                    self._comparison.only_here(self._resource, account, key, created)
        return doubtful

    def accept_as_listed(self, doubtful: Sequence[Pending]) -> None:
        """Take over what is doubtful, but not asked for by SID."""
        for asked in doubtful:
            key = asked.key
            page = self._doubtful[key]
            if key in self._unresolved:
                self.package.note_refetch(key, 0, 200, page.fetched_at, None, None)
            known = {key: asked.version} if asked.version else {}
            self.package.write(page, self._differing(page, [key], known, asked.account))

    def accept_listing(
        self, pages: Sequence[RecordPage], asked: ParentListing
    ) -> tuple[int, int, int]:
        """Take over the children of one parent record; `asked.known` has the stored versions.

        Returns:
            How many were listed; how many of these are not final; and how many stored ones that
            are not final were not listed.
        """
        chosen, known = _most_final(pages), asked.known
        fresh = set(chosen) - self.package.written
        self._counts.rows_listed += len(fresh)
        for page in pages:
            here = [key for key in page.versions if key in fresh and chosen[key] is page]
            self.package.write(page, self._differing(page, here, known, asked.account, asked))
        if self._comparison is not None:
            rejected = _unloadable(pages, chosen)
            self._compare_rejected(rejected, known, asked.account, asked)
            for key in known.keys() - chosen.keys() - rejected.keys():
                self._comparison.only_here(self._resource, asked.account, key, asked.created)
        unfinished = sum(not page.versions[key].is_final for key, page in chosen.items())
        absent = sum(not version.is_final for key, version in known.items() if key not in chosen)
        return len(chosen), unfinished, absent

    def accept_fetched(self, asked: Pending, page: Page) -> None:
        """Take over the answer to a fetch by SID. If there is no such record (404 or 400), note
        that; one that the destination has is asked for again later."""
        self._counts.rows_refetched += 1
        key, now = asked.key, page.fetched_at
        if not page.rows and asked.version is None:
            self._progress.not_found.append(key)
        elif not page.rows:
            outcome = "unconfirmed" if asked.version and asked.version.is_final else "gone"
            due = None if asked.is_elsewhere else now + backoff(asked.attempts)
            self.package.note_refetch(key, asked.attempts + 1, page.status, now, due, outcome)
            self._note_doubtful(asked)
        elif key in self._unresolved:
            self.package.note_refetch(key, 0, 200, now, None, None)
        found = RecordPage(self._resource, page)
        if listed := self._doubtful.get(key):
            self.confirmed[key] = found.versions.get(key) == listed.versions[key]
        known = dict.fromkeys(found.versions, asked.version) if asked.version else {}
        self.package.write(found, self._differing(found, found.versions, known, asked.account))

    def note_unreadable(self, asked: Pending, now: datetime) -> None:
        """There was no usable answer: name it, and see that it is asked for again."""
        self._progress.unreadable.append(asked.key)
        self._note_doubtful(asked)
        if asked.version is not None and asked.version.is_final:
            self.package.note_refetch(asked.key, asked.attempts, 0, now, None, "unconfirmed")
        else:
            self._still_pending.add(asked.key)

    def _compared(
        self, listed: Mapping[str, RecordPage], start: datetime, end: datetime, account: str
    ) -> set[str]:
        """Those of a window that are compared in it, and with this account: it may be that its
        list shows records of another one, whose own list does too."""
        others = self._accounts.followed.keys() - {account}
        moments = ((key, page.created_at(key)) for key, page in listed.items())
        found = {key for key, at in moments if at is None or start <= at < end}
        return {key for key in found if listed[key].owner(key) not in others}

    def _compare_rejected(
        self,
        rejected: Mapping[str, RecordPage],
        here: Collection[str],
        account: str,
        parent: ParentListing | None = None,
    ) -> None:
        assert self._comparison
        for key, page in rejected.items():
            if key in here or not self._is_erased(page, key, account, parent):
                at = parent.created if parent else page.created_at(key)
                self._comparison.rejected(self._resource, account, key, at, key in here)

    def _note_doubtful(self, asked: Pending) -> None:
        if self._comparison is not None:
            self._comparison.doubtful(self._resource, asked.account, asked.key, asked.created)

    def _differing(
        self,
        page: RecordPage,
        keys: Collection[str],
        stored: Mapping[str, RowVersion],
        account: str,
        parent: ParentListing | None = None,
    ) -> list[str]:
        """Count the versions, and give the keys of those to write; none that this package has
        written, or it would be there twice."""
        counts, written = self._counts, []
        for key in keys:
            if key in self.package.written:
                continue
            version, former = page.versions[key], stored.get(key)
            if former is None and self._is_erased(page, key, account, parent):
                continue
            if self._comparison is not None:
                of = (parent.created, parent.is_awaited) if parent else ()
                self._comparison.listed(self._resource, account, page, key, former, *of)
            if version.rank < FINAL and (former is None or former.rank < FINAL):
                self._still_pending.add(key)
            if former is None:
                counts.rows_new += 1
            elif former.yields_to(version):
                counts.rows_updated += 1
                if former.is_final:
                    self._progress.final_changed.append(key)
            else:
                counts.rows_unchanged += 1
                continue
            written.append(key)
        return written

    def _is_erased(
        self, page: RecordPage, key: str, account: str, parent: ParentListing | None
    ) -> bool:
        """Whether one that is not here is not to come back."""
        if not self.package.erased.has_any:
            return False
        created = parent.created if parent else page.created_at(key)
        is_erased = self.package.erased.covers(parent.key if parent else key, created)
        if is_erased and self._comparison is not None:
            self._comparison.erased(self._resource, account, created)
        return is_erased


def _unloadable(
    pages: Sequence[RecordPage], chosen: Mapping[str, RecordPage]
) -> dict[str, RecordPage]:
    """By key, the page of what is rejected, but for what another element shows better."""
    return {key: page for page in pages for key in page.unloadable if key not in chosen}


def _most_final(pages: Sequence[RecordPage]) -> dict[str, RecordPage]:
    """By key, the page with its most final version."""
    chosen: dict[str, RecordPage] = {}
    for page in pages:
        for key in page.versions.keys() & chosen.keys():
            if page.versions[key].rank > chosen[key].versions[key].rank:
                chosen[key] = page
        chosen = dict.fromkeys(page.versions, page) | chosen
    return chosen
