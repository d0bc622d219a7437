"""What the destination has of accounts: their rows, and until when each was listed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from pipelines.times import as_utc, naive_utc
from pipelines.twilio_insights.extract.destination_state import Query
from pipelines.twilio_insights.extract.package import LoadPackage
from pipelines.twilio_insights.resources import Resource

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_TIMES = {"first_seen_at", "listed_from", "listed_to", "failing_since", "asked_at", "left_at"}


class AccountRow(NamedTuple):
    """A row of the table `accounts`, whose columns `tables.toml` describes; times are UTC without
    a zone."""

    account_sid: str
    friendly_name: str | None
    status: str | None
    first_seen_at: datetime
    listed_from: datetime | None
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


def new_row(
    account: str, followed_by: str, listed_to: datetime | None, now: datetime
) -> AccountRow:
    return AccountRow(
        account_sid=account,
        friendly_name=None,
        status=None,
        first_seen_at=now,
        listed_from=None,
        listed_to=listed_to,
        last_error=None,
        error_class=None,
        failing_since=None,
        asked_at=None,
        followed_by=followed_by,
        left_at=None,
    )


class StoredAccounts:
    """Rows and watermarks as the destination has them.

    Args:
        query: reads and writes the destination.
        resource: whose watermarks count.
        filters: of the watermarks, as JSON text; blank for none.
        region: of the watermarks; blank for US1.
    """

    def __init__(self, query: Query, resource: Resource, filters: str, region: str) -> None:
        self._query, self._resource = query, resource
        self._filters, self._region = filters, region
        found = query(f"SELECT {_COLUMNS} FROM {{accounts}}")
        self._written = {row.account_sid: row for row in map(AccountRow._make, found)}
        self.watermarks: dict[str, datetime] = {}
        """Everything created before was listed, in this region and with these filters."""
        self.without_filters: dict[str, datetime] = {}
        """The same without filters: what these let through was listed too."""
        self.elsewhere = set[str]()
        """Accounts that were listed in another region too."""
        self._settled = set[str]()
        """Those whose watermark a completed package has set."""
        self.rows = dict(self._written)
        """By account, also of those that an earlier version listed; changed by whoever knows more,
        and written with the next package."""
        for account, of_filters, of_region, listed_to, is_settled in query(
            "SELECT account_sid, filters, coalesce(region, ''), listed_to, "
            "_dlt_load_id IN (SELECT load_id FROM {_dlt_loads}) FROM {_watermarks} "
            "WHERE resource = %s",
            resource.name,
        ):
            self.rows.setdefault(account, new_row(account, account, listed_to, listed_to))
            if of_region != region:
                self.elsewhere.add(account)
            elif of_filters != filters:
                if not of_filters and is_settled:
                    self.without_filters[account] = as_utc(listed_to)
            else:
                self.watermarks[account] = as_utc(listed_to)
                if is_settled:
                    self._settled.add(account)

    def present(self) -> set[str]:
        """The accounts that the destination has now."""
        return {account for (account,) in self._query("SELECT account_sid FROM {accounts}")}

    def watermark(self, account: str) -> datetime | None:
        """Until when everything of the account was listed; None if it never was. Long ago if the
        package that wrote it was never completed, so that `created_after` hides nothing that an
        earlier one had listed."""
        known = self.watermarks.get(account)
        if known and account not in self._settled:
            known = LONG_AGO
        found = (known, self.without_filters.get(account))
        return max((at for at in found if at), default=None)

    def take_over(self, watermarks: Mapping[str, datetime]) -> None:
        """Those that an earlier version kept elsewhere."""
        for account, listed_to in watermarks.items():
            moment = naive_utc(listed_to)
            self.rows.setdefault(account, new_row(account, account, moment, moment))
            if account not in self.watermarks and not self._filters and not self._region:
                self.watermarks[account] = listed_to
                self._settled.add(account)

    def write(
        self,
        package: LoadPackage,
        reached: Mapping[str, datetime],
        may_be_empty: bool,
    ) -> None:
        """Have the package write the watermarks and what is new of the accounts; at once, where
        there is nothing else to write.

        Args:
            package: that is about to be finished.
            reached: the watermarks of those that were listed.
            may_be_empty: whether they may be written without a package, if it has nothing else.
        """
        moved = {
            account: at
            for account, at in reached.items()
            if at != self.watermarks.get(account) or account not in self._settled
        }
        for account, at in moved.items():
            self.rows[account] = self.rows[account]._replace(listed_to=naive_utc(at))
        new = [row for row in self.rows.values() if row != self._written.get(row.account_sid)]
        if may_be_empty and package.is_empty and moved.keys() <= self._settled:
            self._write_now(moved, new)
        else:
            for account, at in moved.items():
                package.note_watermark(account, at, self._filters, self._region)
            for row in new:
                package.note_account(row)
        self.watermarks |= moved
        self._settled |= moved.keys()
        self._written = dict(self.rows)

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
