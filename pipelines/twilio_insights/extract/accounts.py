"""The accounts that a run loads: which they are, how far each is loaded, and why one is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from pipelines.times import naive_utc
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.api.clock import MAX_SKEW
from pipelines.twilio_insights.errors import (
    BadAnswerError,
    InsightsError,
    RefusedError,
    UnavailableError,
)
from pipelines.twilio_insights.extract.destination_state import Query
from pipelines.twilio_insights.extract.package import LoadPackage
from pipelines.twilio_insights.extract.refusals import Refusals, is_refusal, is_waiting
from pipelines.twilio_insights.extract.stored_accounts import StoredAccounts, new_row
from pipelines.twilio_insights.extract.volume import Window
from pipelines.twilio_insights.resources import Resource


class Accounts:
    """The accounts of one run, and what the destination has of them.

    Args:
        client: its settings say which accounts are to be loaded.
        query: reads and writes the destination.
        resource: whose watermarks count.
        is_shared: whether others may load other accounts into the destination.
    """

    def __init__(
        self, client: InsightsClient, query: Query, resource: Resource, is_shared: bool = False
    ) -> None:
        self._client, self._settings = client, client.settings
        self._is_shared = is_shared
        self.own = self._settings.account_sid or ""
        """The account of the credentials."""
        self.failures: dict[str, InsightsError] = {}
        """Why some of them could not be read in this run."""
        self.fault: InsightsError | None = None
        """Why the accounts themselves could not be read."""
        filters, region = self._settings.filters_text, self._settings.region
        self._stored = StoredAccounts(query, resource, filters, region)
        self._rows = self._stored.rows
        self._refusals = Refusals(client, resource, self._rows)
        self.known_before = frozenset(self._rows)
        """Those that the destination had before this run."""
        self.followed = dict.fromkeys(self._settings.listed_accounts or (self.own,))
        """Those that are to be loaded, each once, in their order; as long as Twilio has not listed
        them, those of the last time."""
        if self._settings.accounts == "all":
            mine = (row for row in self._rows.values() if row.followed_by == self.own)
            self.followed |= dict.fromkeys(row.account_sid for row in mine if not row.left_at)

    @property
    def others(self) -> set[str]:
        """Those in the destination that are loaded with other credentials, or were before; also
        those that another run has begun to load since this one began."""
        return {*self._rows, *self._stored.present()} - {*self.followed}

    @property
    def has_several(self) -> bool:
        return len(self.followed) > 1

    @property
    def is_own_alone(self) -> bool:
        """Whether nothing else than the account of the credentials is to be loaded."""
        return self._settings.accounts == "own"

    @property
    def some_answer(self) -> bool:
        """Whether not all of them failed."""
        return len(self.failures) < len(self.followed)

    @property
    def failed(self) -> dict[str, str]:
        """Those that could not be read, with the class of the error."""
        return {account: type(error).__name__ for account, error in self.failures.items()}

    @property
    def unreadable(self) -> set[str]:
        """Those that need not be asked again in this run."""
        return {a for a, e in self.failures.items() if not isinstance(e, BadAnswerError)}

    def is_elsewhere(self, account: str) -> bool:
        """Whether some of its records are in another region, whose API alone has them."""
        return account in self._stored.elsewhere

    def read(self) -> datetime:
        """Find out which accounts are to be loaded: if Twilio does not tell, those it told last;
        the API's time.

        Raises:
            InsightsError: the API does not tell what time it is.
        """
        names: dict[str, tuple[str | None, str | None]] = {}
        if self._settings.accounts == "all":
            try:
                found = self._client.accounts()
                names = {one.sid: (one.friendly_name, one.status) for one in found}
            except InsightsError as error:
                self.fault = error
            else:
                self.followed = dict.fromkeys((self.own, *names))
        now = self._now()
        moment = naive_utc(now)
        for account in self.followed:
            former = self._rows.get(account) or new_row(account, self.own, None, moment)
            name, status = names.get(account, (former.friendly_name, former.status))
            # One that is back, or was refused with other credentials, is asked at once.
            is_known = not former.left_at and former.followed_by == self.own
            asked_at = former.asked_at if is_known else None
            self._rows[account] = former._replace(
                friendly_name=name,
                status=status,
                followed_by=self.own,
                left_at=None,
                asked_at=asked_at,
            )
        # Of a list, another run may have the rest.
        knows_all = self._settings.accounts == "all" or not self._is_shared
        if self.fault is None and knows_all:
            for row in list(self._rows.values()):
                is_mine = row.followed_by == self.own and row.account_sid not in self.followed
                if is_mine and row.left_at is None:
                    self._rows[row.account_sid] = row._replace(left_at=moment)
        return now

    def _now(self) -> datetime:
        try:
            return self._client.now()
        except InsightsError:
            if self.is_own_alone or not self._client.clock.is_set:
                raise
            return self._client.now()  # others may answer, and the error told the time

    def due(self, now: datetime) -> list[str]:
        """The accounts to list now; those that failed come last, so they keep no other waiting.

        Accounts that were refused within the last day are left out and noted in `failures`, unless
        that would leave none.
        """
        waiting = self._waiting(now)
        order = sorted(self.followed, key=lambda a: self._rows[a].asked_at or datetime.min)
        if len(waiting) == len(self.followed):
            return order
        for account in waiting:
            text = self._rows[account].last_error or "refused"
            self.failures[account] = RefusedError(f"{text} (asked again once a day)", 0)
        return [account for account in order if account not in waiting]

    def _waiting(self, now: datetime) -> set[str]:
        rows = (row for account in self.followed if (row := self._rows.get(account)))
        return {row.account_sid for row in rows if is_waiting(row, now)}

    def watermark(self, account: str) -> datetime | None:
        """As the destination has it."""
        return self._stored.watermark(account)

    def take_over(self, watermarks: Mapping[str, datetime]) -> None:
        """Those that an earlier version kept elsewhere."""
        self._stored.take_over(watermarks)

    @property
    def watermarks(self) -> dict[str, datetime]:
        """Of those that are not refused: until when everything was listed, if it ever was."""
        refused = RefusedError.__name__
        return {
            account: known
            for account in self.followed
            if (known := self._stored.watermarks.get(account))
            and not (self.has_several and self._rows[account].error_class == refused)
        }

    def at_risk(self, now: datetime) -> dict[str, datetime]:
        """The watermarks of accounts that are asked now, refused before or not: what Twilio deletes
        after these is lost."""
        asked = self.followed.keys() - self._waiting(now)
        return {a: at for a in self.followed if a in asked and (at := self.watermark(a))}

    @property
    def loaded_to(self) -> datetime | None:
        """The earliest of these."""
        return min(self.watermarks.values(), default=None)

    def note_answer(self, account: str) -> None:
        """Some of it was listed, so the credentials held."""
        self._refusals.note_answer(account)

    def note_success(self, account: str) -> None:
        """It was listed completely."""
        self.failures.pop(account, None)
        self._rows[account] = self._rows[account]._replace(
            last_error=None, error_class=None, failing_since=None, asked_at=None
        )

    def note_listed(self, account: str, window: Window, is_first: bool) -> None:
        """All that was created in a window was listed: it is the first, or goes on in front of what
        was listed before."""
        row = self._rows[account]
        start, end = naive_utc(window.start), naive_utc(window.end)
        begins = is_first and row.listed_to is None
        if begins or (row.listed_from and start < row.listed_from <= end):
            self._rows[account] = row._replace(listed_from=start)

    def note_failure(
        self, account: str, error: InsightsError, now: datetime, is_listed: bool = False
    ) -> None:
        """It could not be read; what was read before is loaded. One that could still be listed
        does not wait for a day."""
        if account in self.failures:
            return
        self.failures[account] = error
        moment = naive_utc(now)
        row = self._rows.get(account) or new_row(account, self.own, None, moment)
        self._rows[account] = row._replace(
            last_error=str(error),
            error_class=type(error).__name__,
            failing_since=row.failing_since or moment,
            asked_at=None if is_listed else moment,
        )

    def note_unasked(self, accounts: Iterable[str]) -> None:
        """They are not to blame: so many others gave no answer that no more were asked."""
        for account in accounts:
            unasked = UnavailableError("not asked, as others gave no answer; run again", "closed")
            self.failures.setdefault(account, unasked)

    @property
    def decisive_failure(self) -> InsightsError | None:
        """The error that a run ends with, if any; where all accounts were to be found, one that is
        refused does not count."""
        refused = [error for error in self.failures.values() if is_refusal(error)]
        may_be_refused = self._settings.accounts == "all" and len(refused) < len(self.followed)
        errors = [
            error
            for error in (self.fault, *self.failures.values())
            if error and not (may_be_refused and error is not self.fault and is_refusal(error))
        ]
        errors.sort(key=is_refusal)  # others come first
        return errors[0] if errors else None

    @property
    def names(self) -> dict[str, str]:
        """Friendly names, of those that have one."""
        return {sid: row.friendly_name for sid, row in self._rows.items() if row.friendly_name}

    def describe_failures(self) -> dict[str, str]:
        """Of those that could not be read: by name and since when, why and the next step."""
        described = {}
        for account, error in self.failures.items():
            row = self._rows[account]
            name = f"{row.friendly_name} ({account})" if row.friendly_name else account
            since = f" since {row.failing_since:%Y-%m-%d %H:%M} UTC" if row.failing_since else ""
            described[f"{name}, {type(error).__name__}{since}"] = str(error)
        return described

    def write(
        self, package: LoadPackage, reached: Mapping[str, datetime], may_be_empty: bool
    ) -> None:
        """Have the package write what became of the accounts, see `StoredAccounts.write`.

        Args:
            package: that is about to be finished.
            reached: everything created before was listed.
            may_be_empty: whether that may be written without a package, if it has nothing else.
        """
        moved = {account: self._further(account, at) for account, at in reached.items()}
        self._refusals.check(self.failures)
        self._stored.write(package, moved, may_be_empty)

    def _further(self, account: str, reached: datetime) -> datetime:
        """It never moves back, unless a wrong clock had set it."""
        known = self._stored.watermarks.get(account)
        if known is not None and known <= self._client.now() + MAX_SKEW:
            return max(known, reached)
        return reached
