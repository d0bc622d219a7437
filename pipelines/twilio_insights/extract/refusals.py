"""Accounts that Twilio refuses are asked again once a day, unless the credentials are to blame."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from pipelines.times import naive_utc
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.api.clock import MAX_SKEW
from pipelines.twilio_insights.errors import InsightsError, RefusedError
from pipelines.twilio_insights.extract.stored_accounts import AccountRow
from pipelines.twilio_insights.resources import Resource

REFUSED_FOR = timedelta(hours=23)
"""How long an account that was refused is not asked again: once a day, whenever the run begins."""
SECOND = timedelta(seconds=1)


def is_refusal(error: InsightsError) -> bool:
    return isinstance(error, RefusedError)


def is_waiting(row: AccountRow, now: datetime) -> bool:
    """Whether the account was refused within the last day; one without `asked_at` does not wait."""
    since, latest = naive_utc(now - REFUSED_FOR), naive_utc(now + MAX_SKEW)
    is_refused = row.error_class == RefusedError.__name__
    return bool(is_refused and row.asked_at and since < row.asked_at < latest)


class Refusals:
    """Those of one run.

    Args:
        client: asks an account once more.
        resource: what is listed.
        rows: of the accounts; those that are not to wait get no `asked_at`.
    """

    def __init__(
        self, client: InsightsClient, resource: Resource, rows: dict[str, AccountRow]
    ) -> None:
        self._client, self._resource, self._rows = client, resource, rows
        self._answered = set[str]()
        self._confirmed = set[str]()
        """Another account answered after these were refused."""

    def note_answer(self, account: str) -> None:
        self._answered.add(account)

    def check(self, failures: Mapping[str, InsightsError]) -> None:
        """Have no account wait that was refused with credentials that may hold no longer, and none
        at all if no other answered."""
        refused = {a: e for a, e in failures.items() if isinstance(e, RefusedError)}
        asked = {a for a, e in refused.items() if e.status and self._rows[a].asked_at}
        new = asked - self._confirmed
        if new and self._credentials_hold(self._answered - failures.keys()):
            self._confirmed |= new
        elif new:
            for account in new if self._answered else refused:
                self._rows[account] = self._rows[account]._replace(asked_at=None)

    def _credentials_hold(self, answered: set[str]) -> bool:
        """Whether one of the accounts that answered in this run still does."""
        if not answered or self._client.stop.is_set():
            return False
        now = self._client.now()
        try:
            next(self._client.list_pages(self._resource, now - SECOND, now, min(answered)), None)
        except InsightsError:
            return False
        return True
