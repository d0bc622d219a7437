"""The accounts that a run loads: which they are, how far each is loaded, and why one is not."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from pipelines.times import as_utc, naive_utc
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.errors import InsightsError, RefusedError
from pipelines.twilio_insights.extract.destination_state import Query
from pipelines.twilio_insights.extract.package import LoadPackage
from pipelines.twilio_insights.resources import Resource

log = logging.getLogger("conference_insights")

_TIMES = {"first_seen_at", "listed_to", "failing_since", "asked_at", "left_at"}
REFUSED_FOR = timedelta(hours=23)
"""How long an account that was refused is not asked again: once a day, whenever the run begins."""
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
MAX_SKEW = timedelta(hours=1)
"""A watermark further ahead of the API's clock than this was set by a wrong one."""


class AccountRow(NamedTuple):
    """A row of the table `accounts`, whose columns `tables.toml` describes; times are UTC without
    a zone."""

    account_sid: str
    friendly_name: str | None
    status: str | None
    first_seen_at: datetime
    listed_to: datetime | None
    last_error: str | None
    error_class: str | None
    failing_since: datetime | None
    asked_at: datetime | None
    followed_by: str
    left_at: datetime | None


_COLUMNS = ", ".join(AccountRow._fields)
_NEW_ROWS = ", ".join(
    f"unnest(%s::{'TIMESTAMP' if name in _TIMES else 'VARCHAR'}[]) AS {name}"
    for name in AccountRow._fields
)


def _new_row(
    account: str, followed_by: str, listed_to: datetime | None, now: datetime
) -> AccountRow:
    nothing = None, None, None, None
    return AccountRow(account, None, None, now, listed_to, *nothing, followed_by, None)


def _is_refusal(error: InsightsError) -> bool:
    return isinstance(error, RefusedError)


class Accounts:
    """The accounts of one run, and what the destination has of them.

    Args:
        client: its settings say which accounts are to be loaded.
        query: reads and writes the destination.
        resource: whose watermarks count.
    """

    def __init__(self, client: InsightsClient, query: Query, resource: Resource) -> None:
        self._client, self._query, self._resource = client, query, resource
        self._settings = client.settings
        self.own = self._settings.account_sid or ""
        """The account of the credentials."""
        self.followed = dict.fromkeys((self.own,))
        """Those that are to be loaded, each once, in their order."""
        self.failures: dict[str, InsightsError] = {}
        """Why some of them could not be read in this run."""
        self.fault: InsightsError | None = None
        """Why the accounts themselves could not be read."""
        self._stored = {
            row.account_sid: row
            for row in map(AccountRow._make, query(f"SELECT {_COLUMNS} FROM {{accounts}}"))
        }
        self._rows: dict[str, AccountRow] = dict(self._stored)
        self._known: dict[str, datetime] = {}
        self._settled = set[str]()
        """Those whose watermark a completed package has set."""
        self._elsewhere = set[str]()
        self._filters, self._region = self._settings.filters_text, self._settings.region
        for account, filters, region, listed_to, is_settled in query(
            "SELECT account_sid, filters, coalesce(region, ''), listed_to, "
            "_dlt_load_id IN (SELECT load_id FROM {_dlt_loads}) FROM {_watermarks} "
            "WHERE resource = %s",
            resource.name,
        ):
            self._rows.setdefault(account, _new_row(account, account, listed_to, listed_to))
            if region != self._region:
                self._elsewhere.add(account)
            elif filters == self._filters:
                self._known[account] = as_utc(listed_to)
                if is_settled:
                    self._settled.add(account)
        self._known_before = frozenset(self._rows)

    @property
    def others(self) -> set[str]:
        """Those in the destination that are loaded with other credentials, or were before."""
        return {*self._rows} - {*self.followed}

    @property
    def has_several(self) -> bool:
        return len(self.followed) > 1

    @property
    def is_own_alone(self) -> bool:
        """Whether nothing else than the account of the credentials is to be loaded."""
        return self._settings.accounts == "own"

    @property
    def are_partly_loaded(self) -> bool:
        """Whether some could be read, and others could not."""
        return 0 < len(self.failures) < len(self.followed)

    @property
    def known_before(self) -> set[str]:
        """Those that the destination had before this run."""
        return {*self._known_before}

    @property
    def failed(self) -> dict[str, str]:
        """Those that could not be read, with the class of the error."""
        return {account: type(error).__name__ for account, error in self.failures.items()}

    def is_elsewhere(self, account: str) -> bool:
        """Whether some of its records are in another region, whose API alone has them."""
        return account in self._elsewhere

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
                mine = (row for row in self._stored.values() if row.followed_by == self.own)
                names = {r.account_sid: (r.friendly_name, r.status) for r in mine if not r.left_at}
            self.followed = dict.fromkeys((self.own, *names))
        else:
            self.followed = dict.fromkeys(self._settings.listed_accounts or (self.own,))
        now = self._now()
        moment = naive_utc(now)
        for account in self.followed:
            former = self._rows.get(account) or _new_row(account, self.own, None, moment)
            name, status = names.get(account, (former.friendly_name, former.status))
            self._rows[account] = former._replace(
                friendly_name=name, status=status, followed_by=self.own, left_at=None
            )
        if self.fault is None:
            for row in list(self._rows.values()):
                is_mine = row.followed_by == self.own and row.account_sid not in self.followed
                if is_mine and row.left_at is None:
                    self._rows[row.account_sid] = row._replace(left_at=moment)
        return now

    def _now(self) -> datetime:
        try:
            return self._client.now()
        except InsightsError:
            if self.is_own_alone or not self._client.knows_time:
                raise
            return self._client.now()  # others may answer, and the error told the time

    def due(self, now: datetime) -> list[str]:
        """Those to be listed now: all but the refused ones that were asked within the last day, and
        all if they are the only ones. Those that failed are the last, so that they keep no other
        waiting, however many they are."""
        waiting = self._waiting(now)
        order = sorted(self.followed, key=lambda a: self._rows[a].asked_at or datetime.min)
        if len(waiting) == len(self.followed):
            return order
        for account in waiting:
            text = self._rows[account].last_error or "refused"
            self.failures[account] = RefusedError(f"{text} (asked again once a day)", 0)
        return [account for account in order if account not in waiting]

    def _waiting(self, now: datetime) -> set[str]:
        since, latest = naive_utc(now - REFUSED_FOR), naive_utc(now + MAX_SKEW)
        return {
            account
            for account in self.followed
            if (row := self._rows.get(account))
            and row.error_class == RefusedError.__name__
            and row.asked_at
            and since < row.asked_at < latest
        }

    def watermark(self, account: str) -> datetime | None:
        """Until when everything of the account was listed; None if it never was. Long ago if the
        package that wrote it was never completed, so that no first cursor hides what an earlier
        one had listed."""
        known = self._known.get(account)
        return LONG_AGO if known and account not in self._settled else known

    def take_over(self, watermarks: Mapping[str, datetime]) -> None:
        """Those that an earlier version kept elsewhere."""
        for account, listed_to in watermarks.items():
            moment = naive_utc(listed_to)
            self._rows.setdefault(account, _new_row(account, account, moment, moment))
            if account not in self._known and not self._filters and not self._region:
                self._known[account] = listed_to
                self._settled.add(account)

    @property
    def watermarks(self) -> dict[str, datetime]:
        """Of those that are not refused: until when everything was listed, if it ever was."""
        refused = RefusedError.__name__
        return {
            account: known
            for account in self.followed
            if (known := self._known.get(account))
            and not (self.has_several and self._rows[account].error_class == refused)
        }

    def at_risk(self, now: datetime) -> dict[str, datetime]:
        """The same of those that are asked now, refused before or not: what Twilio deletes of them
        is lost."""
        asked = self.followed.keys() - self._waiting(now)
        return {account: at for account, at in self._known.items() if account in asked}

    @property
    def loaded_to(self) -> datetime | None:
        """The earliest of these."""
        return min(self.watermarks.values(), default=None)

    def note_success(self, account: str) -> None:
        """It was listed completely."""
        self.failures.pop(account, None)
        self._rows[account] = self._rows[account]._replace(
            last_error=None, error_class=None, failing_since=None, asked_at=None
        )

    def note_failure(
        self, account: str, error: InsightsError, now: datetime, is_listed: bool = False
    ) -> None:
        """It could not be read; what was read before is loaded. One that could still be listed
        does not wait for a day."""
        if account in self.failures:
            return
        self.failures[account] = error
        moment = naive_utc(now)
        row = self._rows.get(account) or _new_row(account, self.own, None, moment)
        self._rows[account] = row._replace(
            last_error=str(error),
            error_class=type(error).__name__,
            failing_since=row.failing_since or moment,
            asked_at=None if is_listed else moment,
        )

    @property
    def decisive_failure(self) -> InsightsError | None:
        """The error that a run ends with, if any; where all accounts were to be found, one that is
        refused does not count."""
        refused = [error for error in self.failures.values() if _is_refusal(error)]
        may_be_refused = self._settings.accounts == "all" and len(refused) < len(self.followed)
        errors = [
            error
            for error in (self.fault, *self.failures.values())
            if error and not (may_be_refused and error is not self.fault and _is_refusal(error))
        ]
        errors.sort(key=_is_refusal)  # others come first
        return errors[0] if errors else None

    def describe_failures(self) -> list[str]:
        """Of those that could not be read: the name, since when, why, and the next step."""
        lines = []
        for account, error in self.failures.items():
            row = self._rows[account]
            name = f"{row.friendly_name} ({account})" if row.friendly_name else account
            since = f" since {row.failing_since:%Y-%m-%d %H:%M} UTC" if row.failing_since else ""
            lines.append(f"{name}, {type(error).__name__}{since}: {error}")
        return lines

    def write(
        self, package: LoadPackage, reached: Mapping[str, datetime], may_be_empty: bool
    ) -> None:
        """Have the package write the watermarks and what is new of the accounts; at once, where
        there is nothing else to write.

        Args:
            package: that is about to be finished.
            reached: everything created before was listed.
            may_be_empty: whether it may be done at once.
        """
        moved = {
            account: at
            for account, before in reached.items()
            if (at := self._further(account, before)) != self._known.get(account)
            or account not in self._settled
        }
        for account, at in moved.items():
            self._rows[account] = self._rows[account]._replace(listed_to=naive_utc(at))
        rows = [row for row in self._rows.values() if row != self._stored.get(row.account_sid)]
        if may_be_empty and package.is_empty and moved.keys() <= self._settled:
            self._write_now(moved, rows)
        else:
            for account, at in moved.items():
                package.note_watermark(account, at, self._filters, self._region)
            for row in rows:
                package.note_account(row)
        self._known |= moved
        self._settled |= moved.keys()
        self._stored = dict(self._rows)

    def _further(self, account: str, reached: datetime) -> datetime:
        """It never moves back, unless a wrong clock had set it."""
        known = self._known.get(account)
        if known is not None and known <= self._client.now() + MAX_SKEW:
            return max(known, reached)
        return reached

    def _write_now(self, moved: Mapping[str, datetime], rows: Collection[AccountRow]) -> None:
        at_once = defaultdict[datetime, list[str]](list)
        for account, at in moved.items():
            at_once[at].append(account)
        for at, accounts in at_once.items():
            self._query(
                "UPDATE {_watermarks} SET listed_to = %s WHERE resource = %s AND filters = %s "
                "AND coalesce(region, '') = %s AND account_sid IN (SELECT unnest(%s))",
                naive_utc(at),
                self._resource.name,
                self._filters,
                self._region,
                accounts,
            )
        if rows:
            columns = [list(values) for values in zip(*rows, strict=True)]
            changes = ", ".join(f"{n} = n.{n}" for n in AccountRow._fields[1:])
            values = ", ".join(f"n.{n}" for n in AccountRow._fields)
            self._query(
                f"MERGE INTO {{accounts}} AS a USING (SELECT {_NEW_ROWS}) AS n "
                f"ON a.account_sid = n.account_sid WHEN MATCHED THEN UPDATE SET {changes} "
                f"WHEN NOT MATCHED THEN INSERT ({_COLUMNS}) VALUES ({values})",
                *columns,
            )
