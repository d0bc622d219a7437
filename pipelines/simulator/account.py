"""A simulated account: conferences whose summaries change as its own clock moves, and subaccounts
that have their own conferences and its clock."""

from __future__ import annotations

import re
import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

Row = dict[str, Any]

ACCOUNT_SID = "AC" + "d" * 32
AUTH_TOKEN = "simulated-auth-token"
FORBIDDEN = (403, 17000, "Forbidden to access data")
BASE_URL = "https://insights.twilio.com/v1/Conferences"

_PROPERTIES = dict.fromkeys(
    re.findall(
        r"\w+",
        "conference_sid account_sid friendly_name create_time start_time end_time duration_seconds "
        "connect_duration_seconds status max_participants max_concurrent_participants "
        "unique_participants end_reason ended_by mixer_region mixer_region_requested "
        "recording_enabled detected_issues tags tag_info processing_state url links",
    )
)


class SummaryVersion(NamedTuple):
    """A summary as it reads from `since` on; `row` None: the API no longer knows it."""

    since: datetime
    row: Row | None
    body: bytes


class ParticipantsVersion(NamedTuple):
    """The participants of a conference as they read from `since` on, with their bodies."""

    since: datetime
    rendered: list[tuple[Row, bytes]]


class Account:
    """Summaries with the versions they go through, and a clock that stands until it is moved.

    Bodies are rendered when they are put, so that serving a page only joins them.
    """

    def __init__(
        self,
        now: datetime,
        sid: str = ACCOUNT_SID,
        friendly_name: str = "Head office",
        status: str = "active",
    ) -> None:
        self.sid, self.friendly_name, self.status = sid, friendly_name, status
        self.auth_token = AUTH_TOKEN if sid == ACCOUNT_SID else f"canary-auth-token-of-{sid}"
        self.logins = {(sid, self.auth_token)}
        self.restricted_logins: set[tuple[str, str]] = set()
        """Those of `logins` that may not list accounts, as standard and restricted keys."""
        self.advanced_features = True
        self.failure: tuple[int, int, str] | None = None
        """Status, Twilio's code and message that every request for its conferences gets."""
        self.retention: timedelta | None = None
        """A summary is deleted this long after its creation."""
        self.parent: Account | None = None
        self.subaccounts: dict[str, Account] = {}
        self.created = self._now = now.astimezone(UTC).replace(microsecond=0)
        self._versions: dict[str, list[SummaryVersion]] = {}
        self._by_time: list[tuple[datetime, str]] = []
        self.participants_sampler: Callable[[Account, str], Iterable[Row]] | None = None
        """Makes up, as they read now, the participants of a conference that none were put for."""
        self._participants: dict[str, list[ParticipantsVersion]] = {}
        self._lock = threading.Lock()

    @property
    def now(self) -> datetime:
        """The time that the whole tree has."""
        return self.parent.now if self.parent else self._now

    @now.setter
    def now(self, moment: datetime) -> None:
        if self.parent:
            self.parent.now = moment
        self._now = moment

    def add_subaccount(self, sid: str, friendly_name: str = "", status: str = "active") -> Account:
        """Open a subaccount, which has no conferences yet."""
        return self.adopt(Account(self.now, sid, friendly_name, status))

    def adopt(self, account: Account) -> Account:
        """Make an account one of the subaccounts."""
        account.parent = self
        self.subaccounts[account.sid] = account
        return account

    def tree(self) -> Iterator[Account]:
        """The account itself and all its subaccounts."""
        yield self
        yield from tuple(self.subaccounts.values())  # which a test may be adding to

    def reach(self, sid: str) -> Account | None:
        """The account of that SID, if it is this one or a subaccount of it."""
        return self if sid == self.sid else self.subaccounts.get(sid)

    def refusal(self) -> tuple[int, int, str] | None:
        """Status, Twilio's code and message where its conferences cannot be had."""
        if self.status != "active":
            return 403, 20005, "Account not active"
        off = 401, 17007, "Advanced Features not enabled"
        return self.failure or (None if self.advanced_features else off)

    def put(self, row: Row, since: datetime | None = None) -> None:
        """Make the summary read `row` from `since` (default: now) on.

        A row of `running_row` becomes this account's; any other `account_sid` stays.
        """
        row = self._owned(row)
        sid, created = row["conference_sid"], datetime.fromisoformat(row["create_time"])
        with self._lock:
            if sid not in self._versions:
                insort(self._by_time, (created, sid))
            self._add(sid, SummaryVersion(since or self.now, row, orjson.dumps(row)))

    def put_participants(
        self, conference_sid: str, rows: Iterable[Row], since: datetime | None = None
    ) -> None:
        """Make the conference's participants read `rows` from `since` (default: now) on.

        A row of `participant_row` becomes this account's; any other `account_sid` stays.
        """
        version = ParticipantsVersion(since or self.now, self._rendered(rows))
        with self._lock:
            versions = self._participants.setdefault(conference_sid, [])
            insort(versions, version, key=lambda v: v.since)

    def participants(self, conference_sid: str) -> list[tuple[Row, bytes]]:
        """Those of a conference as they read now, with their bodies."""
        if versions := self._participants.get(conference_sid):
            return next((v.rendered for v in reversed(versions) if v.since <= self.now), [])
        sampler = self.participants_sampler
        return self._rendered(sampler(self, conference_sid)) if sampler else []

    def forget(self, conference_sid: str) -> None:
        """From now on, answer 404 for the summary and list it no more."""
        with self._lock:
            self._add(conference_sid, SummaryVersion(self.now, None, b""))

    def get(self, conference_sid: str) -> SummaryVersion | None:
        """The summary as it reads now, if it can be seen."""
        for version in reversed(self._versions.get(conference_sid, ())):
            if version.since <= self.now:
                return None if version.row is None or self._is_over(version.row) else version
        return None

    def last_version(self, conference_sid: str) -> SummaryVersion:
        """The summary as it reads in the end, with the time from which on it does."""
        return next(v for v in reversed(self._versions[conference_sid]) if v.row is not None)

    def rows(self) -> list[Row]:
        """Everything that can be seen now."""
        return [v.row for sid in self._versions if (v := self.get(sid)) and v.row is not None]

    def created_between(self, after: datetime, before: datetime, inclusive: bool) -> list[str]:
        """SIDs created between two times, oldest first, whether they can be seen or not."""
        first, last = (bisect_left, bisect_right) if inclusive else (bisect_right, bisect_left)
        with self._lock:
            lower = first(self._by_time, after, key=lambda entry: entry[0])
            upper = last(self._by_time, before, key=lambda entry: entry[0])
            return [sid for _, sid in self._by_time[lower:upper]]

    def _owned(self, row: Row) -> Row:
        is_default = row.get("account_sid") == ACCOUNT_SID != self.sid
        return row | {"account_sid": self.sid} if is_default else row

    def _rendered(self, rows: Iterable[Row]) -> list[tuple[Row, bytes]]:
        return [(row, orjson.dumps(row)) for row in map(self._owned, rows)]

    def _is_over(self, row: Row) -> bool:
        kept = self.retention
        return kept is not None and datetime.fromisoformat(row["create_time"]) < self.now - kept

    def _add(self, sid: str, version: SummaryVersion) -> None:
        insort(self._versions.setdefault(sid, []), version, key=lambda v: v.since)


def running_row(sid: str, created: datetime) -> Row:
    """All 23 properties of a conference that is going on."""
    return _PROPERTIES | {
        "conference_sid": sid,
        "account_sid": ACCOUNT_SID,
        "create_time": iso(created),
        "status": "in_progress",
        "max_participants": 250,
        "processing_state": "in_progress",
        "url": f"{BASE_URL}/{sid}",
        "links": {"conference_participants": f"{BASE_URL}/{sid}/Participants"},
    }


def iso(moment: datetime) -> str:
    """Write a time the way the API does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
