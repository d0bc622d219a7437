"""What Twilio has and what the destination has, side by side: counted by account and day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta

from pipelines.lifecycle import RETENTION, SHOWN_WITHIN
from pipelines.twilio_insights.extract.records import RecordPage, RowVersion
from pipelines.twilio_insights.extract.volume import Window
from pipelines.twilio_insights.resources import FINAL, Resource

_TOO_OLD = "Twilio deletes them after 30 days"
MAX_NAMED = 10
"""SIDs that are kept of each finding; all of them may be a million."""


@dataclass(kw_only=True)
class Compared:
    """How many records, of some account and day."""

    at_twilio: int = 0
    in_warehouse: int = 0
    missing: int = 0
    different: int = 0
    unconfirmed: int = 0
    """A listing has another copy of what is final here, and Twilio does not show it by SID now."""
    rejected: int = 0
    """Twilio shows them, and they cannot become rows."""
    new: int = 0
    """Not here yet, and the next run loads them."""
    changed: int = 0
    """Pending here, and Twilio has a later copy, which the next run asks for."""
    ahead: int = 0
    """Here is a more final copy than Twilio shows."""
    only_here: int = 0
    explained: int = 0
    """Those of them that cannot be expected at Twilio."""
    erased: int = 0
    """They were erased here, and are not to come back."""

    @property
    def faults(self) -> int:
        return self.missing + self.different + self.unconfirmed + self.rejected

    @property
    def is_equal(self) -> bool:
        """Whether there is nothing to say."""
        return not any(getattr(self, one.name) for one in fields(self)[2:])

    def __add__(self, other: Compared) -> Compared:
        names = [one.name for one in fields(self)]
        return Compared(**{name: getattr(self, name) + getattr(other, name) for name in names})


class Comparison:
    """Takes note of each record that is listed, and of those that are here alone.

    Args:
        repair: whether what is missing or different is written; otherwise nothing is.
    """

    def __init__(self, repair: bool = False) -> None:
        self.repair = repair
        self.found = defaultdict[tuple[str, str, date], Compared](Compared)
        """By resource, account and day of the creation in UTC; of participants, of that of their
        conference."""
        self.sids = defaultdict[str, list[str]](list)
        """The first of each finding, by the name of its count."""
        self.reasons = Counter[str]()
        """Why some are only here: how many of them, by the reason."""
        self.window: Window | None = None
        """What is compared; None: nothing yet."""
        self.cut_by = "an error ended it"
        """Why not all could be compared; empty if all was."""
        self.not_compared = Counter[str]()
        """Conferences whose participants were not, by the reason."""
        self.names: dict[str, str] = {}
        """Of accounts, by their SIDs."""
        self._listed_to: Mapping[str, datetime | None] = {}
        self._now, self._lookback = datetime.max, timedelta()
        self._reason_of_account: dict[str, str] = {}

    def begin(
        self,
        window: Window,
        now: datetime,
        listed_to: Mapping[str, datetime | None],
        lookback: timedelta,
        reasons: Mapping[str, str],
    ) -> None:
        """Note what is to be compared.

        Args:
            window: of creation times.
            now: the API's time.
            listed_to: the accounts, with their watermarks.
            lookback: how far before these the next run lists again.
            reasons: why records of some accounts may be only here.
        """
        self.window, self._now, self._lookback = window, now, lookback
        self._listed_to, self._reason_of_account = listed_to, dict(reasons)

    @property
    def faults(self) -> int:
        """What is missing or different, and was not to be written, or could not be."""
        total = self.total()
        return total.unconfirmed + total.rejected if self.repair else total.faults

    def total(self, resource: str | None = None) -> Compared:
        found = (one for (name, *_), one in self.found.items() if resource in (None, name))
        return sum(found, Compared())

    def listed(
        self,
        resource: Resource,
        account: str,
        page: RecordPage,
        key: str,
        former: RowVersion | None,
        parent_created: datetime | None = None,
        is_awaited: bool = False,
    ) -> None:
        """A record that Twilio shows, and the version of it that is here.

        Args:
            parent_created: when the parent was created, for a record listed by its parent.
            is_awaited: whether the next run lists those of this parent in any case.
        """
        version, at = page.versions[key], parent_created or page.created_at(key)
        if (found := self._at(resource, account, at)) is None:
            return
        found.at_twilio += 1
        found.in_warehouse += former is not None
        if former is None:
            is_new = is_awaited if parent_created else self._is_new(resource, account, page, key)
            self._note(found, "new" if is_new else "missing", key)
        elif former.digest != version.digest:
            if former.rank > version.rank:
                kind = "ahead"
            else:
                kind = "different" if former.rank >= FINAL else "changed"
            self._note(found, kind, key)

    def doubtful(self, resource: Resource, account: str, key: str, at: datetime | None) -> None:
        """One that is final here, and listed otherwise, but could not be had by SID."""
        if (found := self._at(resource, account, at)) is not None:
            found.at_twilio += 1
            found.in_warehouse += 1
            self._note(found, "unconfirmed", key)

    def rejected(
        self, resource: Resource, account: str, key: str, at: datetime | None, is_here: bool
    ) -> None:
        """One that Twilio shows and that cannot be loaded, be an earlier copy of it here or not."""
        if (found := self._at(resource, account, at)) is not None:
            found.at_twilio += 1
            found.in_warehouse += is_here
            self._note(found, "rejected", key)

    def erased(self, resource: Resource, account: str, at: datetime | None) -> None:
        """One that Twilio shows and that was erased here; whom it was about is not kept."""
        if (found := self._at(resource, account, at)) is not None:
            found.at_twilio += 1
            found.erased += 1

    def only_here(self, resource: Resource, account: str, key: str, at: datetime | None) -> None:
        """One that is here and that Twilio did not list."""
        if (found := self._at(resource, account, at)) is None:
            return
        found.in_warehouse += 1
        is_old = at and at < self._now - RETENTION + timedelta(days=1)
        if reason := _TOO_OLD if is_old else self._reason_of_account.get(account):
            found.explained += 1
            self.reasons[reason] += 1
        self._note(found, "only_here", key)

    def expired(self, resource: Resource, account: str, day: date, number: int) -> None:
        """Some that are too old for Twilio to list them."""
        self.found[resource.name, account, day] += Compared(
            in_warehouse=number, only_here=number, explained=number
        )
        self.reasons[_TOO_OLD] += number

    def _at(self, resource: Resource, account: str, at: datetime | None) -> Compared | None:
        """The counts that it belongs to; None: it is from the seconds around the range, which a
        listing has too."""
        if self.window is None or (at and not self.window.start <= at < self.window.end):
            return None
        # One that does not tell when it was created is counted with the first day.
        return self.found[resource.name, account, (at or self.window.start).date()]

    def _note(self, found: Compared, kind: str, key: str) -> None:
        setattr(found, kind, getattr(found, kind) + 1)
        if len(self.sids[kind]) < MAX_NAMED:
            self.sids[kind].append(key)

    def _is_new(self, resource: Resource, account: str, page: RecordPage, key: str) -> bool:
        """Whether it may not have been shown when the account was listed, and will be listed by the
        next run in any case."""
        created, listed_to = page.created_at(key), self._listed_to.get(account)
        if created is None or listed_to is None or created < listed_to - self._lookback:
            return False
        ended = page.moment(key, resource.ended) if resource.ended else None
        is_running = ended is None and page.versions[key].rank < FINAL
        return is_running or max(created, ended or created) >= listed_to - SHOWN_WITHIN
