"""An account of any size and its subaccounts, served over HTTP from a process of its own.

A summary is put together when it is asked for, so that a million take little memory and a page
of a thousand about two milliseconds.
"""

from __future__ import annotations

import multiprocessing
import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import md5
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any

import orjson

from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN, Account, Row, SummaryVersion
from pipelines.simulator.sample_data import busy_account, subaccount_sid
from pipelines.simulator.server import InsightsServer

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
"""The API's clock, which stands until `later`."""
STRETCH = timedelta(days=29)
"""The conferences were created in these days before NOW."""
_BUSY = [1, 1, 1, 1, 2, 3, 6, 12, 22, 30, 28, 24, 20, 26, 30, 28, 22, 14, 8, 5, 4, 3, 2, 1]
_EPOCH, _DAY = datetime(1970, 1, 1, tzinfo=UTC), 86400


@dataclass(frozen=True)
class Traffic:
    """`old` summaries until a day before the API's clock, and `recent` ones in its last hour; those
    with the numbers `pending`, counted from the oldest, are not final until `later`."""

    old: int
    recent: int = 0
    pending: range = range(0)
    latency: float = 0.0
    """Seconds that each answer takes."""
    subaccounts: int = 0
    """Subaccounts that have as many summaries each."""
    idle: int = 0
    """Subaccounts that have none."""
    participants: int = 0
    """Of each conference; the conferences say that they have as many."""


class LargeAccount(Account):
    """Conferences by number, oldest first; busy days and quiet nights."""

    def __init__(self, traffic: Traffic, sid: str = ACCOUNT_SID) -> None:
        super().__init__(NOW, sid)
        self.pending = traffic.pending
        self._times = array("q", _times(traffic))
        numbers = range(len(self._times))
        self._sids = [f"CF{md5(f'{sid} {n}'.encode()).hexdigest()}" for n in numbers]
        known = numbers if traffic.participants else traffic.pending
        self._numbers = {self._sids[number]: number for number in known}
        self._people = _participants(traffic.participants)
        self._templates = _templates(final=True, participants=traffic.participants)
        self._unfinished = _templates(final=False)[0]

    def created_between(self, after: datetime, before: datetime, inclusive: bool) -> list[Any]:
        lower, upper = int(after.timestamp()), int(before.timestamp())
        return [*range(bisect_left(self._times, lower), bisect_right(self._times, upper))]

    def get(self, conference_sid: str | int) -> SummaryVersion | None:
        if isinstance(conference_sid, str):
            if conference_sid not in self._numbers:
                return None
            number = self._numbers[conference_sid]
        else:
            number = conference_sid
        sid, created = self._sids[number].encode(), self._times[number]
        templates = self._templates
        template, seconds = templates[number % len(templates)]
        if number in self.pending:
            template, seconds = self._unfinished
        times = (_iso(moment) for moment in (created, created + 5, created + seconds))
        values = (self.sid.encode(), sid, *times)
        return SummaryVersion(NOW, {}, template % dict(zip(_FILLED, values, strict=True)))

    def participants(self, conference_sid: str) -> list[tuple[Row, bytes]]:
        whose = {b"conference": conference_sid.encode(), b"account": self.sid.encode()}
        known = range(len(self._people))
        keys = (md5(f"{conference_sid} {n}".encode()).hexdigest().encode() for n in known)
        return [
            ({}, body % (whose | {b"sid": b"CP" + key}))
            for body, key in zip(self._people, keys, strict=True)
        ]


_FILLED = (b"account", b"sid", b"create", b"start", b"end")


def _iso(moment: int) -> bytes:
    first, dates, clock = _calendar()
    return (dates[moment // _DAY - first] + clock[moment % _DAY]).encode()


@cache
def _calendar() -> tuple[int, list[str], list[str]]:
    """The first day of STRETCH, counted from 1970, and the texts of dates and of times of day."""
    first = int((NOW - STRETCH).timestamp()) // _DAY
    dates = (_EPOCH + timedelta(days=first + day) for day in range(40))
    clock = [time.strftime("%H:%M:%SZ", time.gmtime(s)) for s in range(_DAY)]
    return first, [f"{date:%Y-%m-%dT}" for date in dates], clock


def _times(traffic: Traffic) -> Iterator[int]:
    """Creation times in seconds since 1970, ascending."""
    start = int((NOW - STRETCH).timestamp())
    hours = range(int(STRETCH.total_seconds() // 3600) - 24)
    weights = [_BUSY[(start // 3600 + hour) % 24] for hour in hours]
    total, before = sum(weights), 0
    made = 0
    for hour, weight in zip(hours, weights, strict=True):
        before += weight
        count = traffic.old * before // total - made
        yield from (start + hour * 3600 + 3600 * n // count for n in range(count))
        made += count
    now = int(NOW.timestamp())
    yield from (now - 3600 + 3500 * n // traffic.recent for n in range(traffic.recent))


@cache
def _templates(final: bool, participants: int = 0) -> list[tuple[bytes, int]]:
    """Bodies to fill in, and the seconds from creation to end, of a lively account's summaries."""
    account, templates = busy_account(NOW + timedelta(days=20), days=20, per_day=60), []
    for row in account.rows():
        if (row["processing_state"] == "complete" and row["end_time"] is not None) == final:
            created, ended = row["create_time"], row["end_time"]
            sid, row = row["conference_sid"], dict(row)
            row["unique_participants"] = participants or row["unique_participants"]
            seconds = 60
            if ended:
                length = datetime.fromisoformat(ended) - datetime.fromisoformat(created)
                seconds = int(length.total_seconds()) % _DAY
            row |= {"account_sid": "%(account)s", "create_time": "%(create)s"}
            row["start_time"] = row["start_time"] and "%(start)s"
            row["end_time"] = ended and "%(end)s"
            body = orjson.dumps(row).replace(sid.encode(), b"%(sid)s")
            templates.append((body, seconds))
    return templates


@cache
def _participants(number: int) -> list[bytes]:
    """Bodies to fill in."""
    account = busy_account(NOW + timedelta(days=20), days=20, per_day=60)
    found = (row for s in account.rows() for row, _ in account.participants(s["conference_sid"]))
    final = (row for row in found if row["processing_state"] == "complete")
    filled: dict[str, Any] = {"participant_sid": "%(sid)s", "conference_sid": "%(conference)s"}
    filled |= {"account_sid": "%(account)s", "url": "", "coached_participants": None}
    return [orjson.dumps(row | filled) for row in islice(final, number)]


def _serve(traffic: Traffic, wire: Connection[Any, Any]) -> None:
    _calendar()  # or the first request would wait for it
    account = LargeAccount(traffic)
    for number in range(traffic.subaccounts):
        account.adopt(LargeAccount(traffic, subaccount_sid(number)))
    for number in range(traffic.idle):
        account.add_subaccount(subaccount_sid(traffic.subaccounts + number))
    with InsightsServer(account) as server:
        server.latency = traffic.latency
        wire.send(server.url)
        with suppress(EOFError):
            while asked := wire.recv():
                if asked == "later":
                    account.now += timedelta(minutes=5)
                    account.pending = range(0)
                wire.send((len(server.requests), time.process_time()))
                server.requests.clear()


class Api:
    """The API, as a client of its process sees it."""

    def __init__(self, url: str, wire: Connection[Any, Any], traffic: Traffic) -> None:
        self.environment = {
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "SOURCES__TWILIO_INSIGHTS__BASE_URL": url,
        }
        if traffic.subaccounts or traffic.idle:
            self.environment["SOURCES__TWILIO_INSIGHTS__ACCOUNTS"] = "all"
        self._wire = wire

    def later(self) -> None:
        """Five minutes later: everything is final."""
        self._wire.send("later")
        self._wire.recv()

    def cost(self) -> tuple[int, float]:
        """Requests since it was asked last, and processor seconds since its start."""
        self._wire.send("cost")
        requests, seconds = self._wire.recv()
        return requests, seconds


@contextmanager
def served(traffic: Traffic) -> Iterator[Api]:
    processes = multiprocessing.get_context("spawn")
    here, there = processes.Pipe()
    process = processes.Process(target=_serve, args=(traffic, there), daemon=True)
    process.start()
    there.close()
    try:
        yield Api(here.recv(), here, traffic)
    finally:
        here.close()
        process.join(10)
