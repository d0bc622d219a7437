"""The API of the simulated accounts over real HTTP, with every fault it can be told to have."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import socket
import threading
import time
from base64 import b64encode
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.simulation.account import ACCOUNT_SID, DAY, NEIGHBOUR, Account, Conference, Version
from tests.simulation.participants import Person

TOKEN = "canary-0d1e2f-auth-token"
LOGINS = {
    "Basic " + b64encode(f"{sid}:{TOKEN}".encode()).decode(): sid
    for sid in (ACCOUNT_SID, NEIGHBOUR)
}
LIST, ACCOUNTS_PATH = "/v1/Conferences", "/2010-04-01/Accounts.json"
PARTICIPANTS = "/Participants"

PASSING = [
    "429",
    "429-after",
    "500",
    "503-html",
    "html-200",
    "cut",
    "reset",
    "bad-json",
    "bad-gzip",
    "empty",
    "hang",
    "drip",
    "expired-token",
    "stale",
    "vanish",
    "far-date",
    "no-date",
]
"""Faults of one answer, after which the run is to end well."""
MALFORMED = {"html-200", "bad-json", "empty"}
"""Those of them that are no JSON: of one request only two are borne."""
LASTING = {
    "down": {69},
    "refused": {77},
    "foreign": {69},
    "redirect": {69},
    "loop": {69},
    "bomb": {69},
    "wrong-shape": {69},
    "token-always-expired": {69},
}
"""Faults of all further answers, and how a run that meets one in a listing ends."""


class Plan:
    """What happens to which request of one run, counted from 0."""

    def __init__(self) -> None:
        self.lag = 0
        self.passing: dict[int, str] = {}
        self.lasting: tuple[int, str] | None = None
        self.signal: tuple[int, int] | None = None
        """Request and signal: SIGKILL or SIGTERM."""
        self.fetching = False
        """Whether only fetches by SID count for that."""
        self.process: int | None = None
        self.of_account: tuple[str, str] | None = None
        """An account, and what is wrong with it alone: `refused` or `down`."""


class Api(ThreadingHTTPServer):
    """Serves one account; `struck` counts the faults that were really met."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        account: Account,
        dice: random.Random,
        evil_port: int,
        people: dict[str, list[Person]],
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.account, self.evil_port, self.people = account, evil_port, people
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.newest_first = dice.random() < 0.7
        self.by_sid = dice.random() < 0.2
        # Positions in a list that grows or shrinks meanwhile shift.
        self.offset_tokens = dice.random() < 0.6
        self.largest_page = dice.choice([13, 1000, 1000])
        self.inclusive = dice.random() < 0.5
        self.seconds_a_request = dice.choice([0, 0, 1, 7])
        self.struck: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.begin(Plan())
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def begin(self, plan: Plan) -> None:
        """Start a run: what was logged of the last one is forgotten."""
        self.plan, self.count, self.fetches = plan, 0, 0
        self.met_of_account = False
        self.met: list[tuple[str, bool]] = []
        """Faults met by the run, and whether in a listing."""
        self.stale: set[str] = set()
        self.stale_people: set[str] = set()
        """Conferences whose participants were listed by a replica that lags behind."""
        self.bad_requests: list[str] = []

    def handle_error(self, *_: Any) -> None:
        """A peer that was killed is no news."""

    def next_fault(self, path: str, listing: bool) -> tuple[str | None, int]:
        with self._lock:
            number, self.count = self.count, self.count + 1
            self.account.now += self.seconds_a_request
            plan, fault = self.plan, self.plan.passing.get(number)
            if plan.lasting and number >= plan.lasting[0]:
                fault = plan.lasting[1]
            if fault in (
                "expired-token",
                "token-always-expired",
                "loop",
                "foreign",
                "vanish",
            ) and not (listing and path == LIST):
                fault = None
            self.fetches += not listing
            reached = (0 if listing else self.fetches) if plan.fetching else number
            if plan.signal and reached == plan.signal[0] and plan.process:
                os.kill(plan.process, plan.signal[1])
                if plan.signal[1] == signal.SIGKILL:
                    self.struck["kill: listing" if listing else "kill: fetching"] += 1
                else:
                    self.struck["SIGTERM"] += 1
            return fault, random.Random(f"{self.plan.lag} {number}").getrandbits(30)

    def strike(self, fault: str, listing: bool) -> None:
        with self._lock:
            self.struck[fault] += 1
            self.met.append((fault, listing))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Api
    own = ""
    """The account of the credentials."""

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_GET(self) -> bool:
        url = urlsplit(self.path)
        query = dict(parse_qsl(url.query))
        # One that lists a single conference takes the place of a fetch by SID.
        listing = url.path == ACCOUNTS_PATH or (url.path == LIST and "ConferenceSid" not in query)
        self.own = LOGINS.get(self.headers["Authorization"], "")
        if not self.own:
            return self._send(401, b'{"code": 20003}')
        fault, number = None, 0
        if self.own == ACCOUNT_SID:
            fault, number = self.server.next_fault(url.path, listing)
        if url.path == LIST and not {"CreatedAfter", "CreatedBefore"} <= query.keys():
            self.server.bad_requests.append(self.path)
        spoil = getattr(self, "_" + (fault or "").replace("-", "_"), None)
        if fault and spoil and spoil(query):
            self.server.strike(fault, listing)
            return True
        if (kind := self._fault_of_account(url.path, query)) is not None:
            self.server.met_of_account |= listing
            return self._refused(query) if kind == "refused" else self._down(query)
        lag = 0
        if fault == "stale":
            lag = 1 + number % DAY
        date = self.server.account.now
        if fault == "far-date":
            date += 400 * DAY
        if fault in ("far-date", "no-date"):
            self.server.strike(fault, listing)
        status, body = self._answer(url.path, query, lag)
        return self._send(status, body, date=None if fault == "no-date" else date)

    def _fault_of_account(self, path: str, query: dict[str, str]) -> str | None:
        account, kind = self.server.plan.of_account or ("", "")
        asked = query.get("Subaccount", self.own)
        if path.endswith(PARTICIPANTS):
            asked = self.server.account.by_sid[path.split("/")[-2]].account
        if path == ACCOUNTS_PATH or asked != account:
            return None
        self.server.struck[f"{kind}: one account"] += 1
        return kind

    def _answer(self, path: str, query: dict[str, str], lag: int) -> tuple[int, bytes]:
        api, account = self.server, self.server.account
        if path == ACCOUNTS_PATH:
            return 200, self._accounts(int(query.get("Page", 0)))
        if path.endswith(PARTICIPANTS):
            return self._participants(path, query, lag)
        if path != LIST:
            known = account.by_sid.get(path.rpartition("/")[2])
            if known and known.account != self.own:
                known = None
            version = known and self._see(known, lag)
            return (200, version.body) if version else (404, b'{"code": 20404, "status": 404}')
        after, before = _seconds(query["CreatedAfter"]), _seconds(query["CreatedBefore"])
        found = self._ordered(after, before, query)
        shown = [self._see(conference, lag) for conference in found]
        if api.offset_tokens:
            shown = [version for version in shown if version]
        start, size = int(query.get("PageToken", 0)), min(int(query["PageSize"]), api.largest_page)
        there = [position for position in range(start, len(shown)) if shown[position]]
        page = [version for at in there[:size] if (version := shown[at])]
        url = None
        if len(there) > size:
            url = f"{api.url}{LIST}?{urlencode(query | {'PageToken': str(there[size])})}"
        rows = b",".join(version.body for version in page)
        meta = json.dumps({"next_page_url": url}).encode()
        return 200, b'{"meta":%s,"conferences":[%s]}' % (meta, rows)

    def _participants(self, path: str, query: dict[str, str], lag: int) -> tuple[int, bytes]:
        """Of the conferences of all accounts, two on a page."""
        api, conference = self.server, self.server.account.by_sid[path.split("/")[-2]]
        now = api.account.now
        everyone = api.people[conference.sid]
        shown = [version for person in everyone if (version := person.at(now - lag))]
        if shown != [version for person in everyone if (version := person.at(now))]:
            api.strike("stale", True)
            api.stale_people.add(conference.sid)
        if conference.at(now) is None:
            return 404, b'{"code": 20404, "status": 404}'
        start = int(query.get("PageToken", 0))
        url = None
        if len(shown) > start + 2:
            url = f"{api.url}{path}?{urlencode(query | {'PageToken': str(start + 2)})}"
        rows = b",".join(version.body for version in shown[start : start + 2])
        meta = json.dumps({"next_page_url": url}).encode()
        return 200, b'{"meta":%s,"participants":[%s]}' % (meta, rows)

    def _accounts(self, page: int) -> bytes:
        sids = self.server.account.sids
        more = f"{ACCOUNTS_PATH}?Status=active&Page={page + 1}" if len(sids) > page + 1 else None
        account = {"sid": sids[page], "friendly_name": f"Account {page}", "status": "active"}
        body = {"accounts": [account | {"auth_token": TOKEN}], "next_page_uri": more}
        return json.dumps(body).encode()

    def _ordered(self, after: int, before: int, query: dict[str, str]) -> list[Conference]:
        account, sid = query.get("Subaccount", self.own), query.get("ConferenceSid")
        found = [
            conference
            for conference in self.server.account.created_between(
                after, before, self.server.inclusive
            )
            if conference.account == account and sid in (None, conference.sid)
        ]
        if self.server.by_sid:
            return sorted(found, key=lambda conference: conference.sid)
        return found[::-1] if self.server.newest_first else found

    def _see(self, conference: Conference, lag: int) -> Version | None:
        now = self.server.account.now
        fresh = conference.at(now)
        seen = conference.at(now, lag) or fresh
        if seen is not fresh:
            self.server.strike("stale", True)
            self.server.stale.add(conference.sid)
        return seen

    def _send(
        self,
        status: int,
        body: bytes,
        kind: str = "application/json",
        date: int | None = 0,
        **headers: str,
    ) -> bool:
        self.send_response_only(status)
        if date is not None:
            moment = datetime.fromtimestamp(date or self.server.account.now, UTC)
            self.send_header("Date", format_datetime(moment, usegmt=True))
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        return True

    # One method a fault: true if it replaced the answer.

    def _429(self, _: Any) -> bool:
        return self._send(429, b'{"code": 20429, "message": "Too many requests"}')

    def _429_after(self, _: Any) -> bool:
        return self._send(429, b"{}", Retry_After="0")

    def _500(self, _: Any) -> bool:
        return self._send(500, b"{}")

    def _503_html(self, _: Any) -> bool:
        return self._send(503, b"<html>", "text/html", date=self.server.account.now + 900 * DAY)

    def _html_200(self, _: Any) -> bool:
        return self._send(200, b"<html>welcome</html>", "text/html")

    def _cut(self, query: dict[str, str]) -> bool:
        _, body = self._answer(urlsplit(self.path).path, query, 0)
        self._head(len(body))
        self.wfile.write(body[: len(body) // 2])
        self.close_connection = True
        return True

    def _reset(self, _: Any) -> bool:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True
        return True

    def _bad_json(self, query: dict[str, str]) -> bool:
        _, body = self._answer(urlsplit(self.path).path, query, 0)
        return self._send(200, body[: len(body) // 2])

    def _bad_gzip(self, _: Any) -> bool:
        return self._send(200, b"no gzip", Content_Encoding="gzip")

    def _empty(self, _: Any) -> bool:
        return self._send(200, b"")

    def _hang(self, _: Any) -> bool:
        time.sleep(1.4)
        self.close_connection = True
        return True

    def _drip(self, _: Any) -> bool:
        self._head(1000)
        self.close_connection = True
        with suppress(OSError):  # it hangs up as soon as it has had enough
            for _ in range(14):
                time.sleep(0.1)
                self.wfile.write(b" ")
        return True

    def _expired_token(self, query: dict[str, str]) -> bool:
        return "PageToken" in query and self._send(400, b'{"code": 21481, "status": 400}')

    _token_always_expired = _expired_token

    def _vanish(self, query: dict[str, str]) -> bool:
        """What stood first on the page before is deleted before this page is shown."""
        now = self.server.account.now
        after, before = _seconds(query["CreatedAfter"]), _seconds(query["CreatedBefore"])
        if int(query.get("PageToken", 0)):
            passed = [c for c in self._ordered(after, before, query) if c.at(now)]
            passed[0].gone = now
            self.server.strike("vanish", True)
        return False

    def _down(self, _: Any) -> bool:
        return self._send(503, b"{}")

    def _refused(self, _: Any) -> bool:
        return self._send(401, b'{"code": 20003, "message": "Authenticate"}')

    def _foreign(self, _: Any) -> bool:
        return self._page(f"http://127.0.0.1:{self.server.evil_port}{LIST}?Page=1")

    def _loop(self, _: Any) -> bool:
        return self._page(f"{self.server.url}{LIST}?Page=1&CreatedAfter=x&CreatedBefore=y")

    def _redirect(self, _: Any) -> bool:
        return self._send(302, b"", Location=f"http://127.0.0.1:{self.server.evil_port}/")

    def _bomb(self, _: Any) -> bool:
        return self._send(200, _BOMB, Content_Encoding="gzip")

    def _wrong_shape(self, _: Any) -> bool:
        return self._send(200, b'{"conferences": {}}')

    def _page(self, url: str) -> bool:
        meta = {"next_page_url": url}
        return self._send(200, json.dumps({"meta": meta, "conferences": []}).encode())

    def _head(self, length: int) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n"
        self.wfile.write(head.encode() + b"\r\n")


_BOMB = gzip.compress(b" " * (9 << 20))


def _seconds(moment: str) -> int:
    return int(datetime.strptime(moment, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
