"""The Insights API over real HTTP on loopback.

Follows the OpenAPI description: list with all filters and paging, of subaccounts too, fetch by
SID, the same of participants, the list of accounts, Basic authentication, Twilio's error bodies,
the last 24 hours when no bound is given, and a `Date` header from the account's clock. What Twilio
leaves open can be chosen: the order of a listing, whether its bounds are inclusive, whether pages
move when a summary disappears, and whether a parent may fetch a subaccount's conference and its
participants by SID.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from pipelines.simulator.account import FORBIDDEN, Account
from pipelines.simulator.accounts import ACCOUNTS_PATH, accounts_page
from pipelines.simulator.paging import Paging
from pipelines.simulator.parameters import fits, parameter
from pipelines.simulator.participants import participants_body

LIST_PATH, SETTINGS_PATH = "/v1/Conferences", "/v1/Voice/Settings"
_ACCOUNT_PARAMETERS = {LIST_PATH: "Subaccount", SETTINGS_PATH: "SubaccountSid"}
_FILTERS = {
    "ConferenceSid": "conference_sid",
    "FriendlyName": "friendly_name",
    "Status": "status",
    "MixerRegion": "mixer_region",
    "EndReason": "end_reason",
    "Tags": "tags",
    "DetectedIssues": "detected_issues",
}


class InsightsHandler(BaseHTTPRequestHandler):
    """Answers one connection; tests subclass it to inject faults."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: InsightsServer

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        time.sleep(self.server.latency)
        self.respond(*self.answer())

    def answer(self) -> tuple[int, bytes]:
        """Status and body."""
        url = urlsplit(self.path)
        query, login = dict(parse_qsl(url.query)), self._login()
        own = next((a for a in self.server.account.tree() if login in a.logins), None)
        if own is None or own.status != "active":
            return _error(401, 20003, "Authenticate")
        try:
            if url.path == ACCOUNTS_PATH:
                if login in own.restricted_logins:
                    return _error(*self.server.restricted)
                return 200, accounts_page(own, query)
            account = own.reach(query.get(_ACCOUNT_PARAMETERS.get(url.path, ""), own.sid))
            if account is None:
                return _error(*FORBIDDEN)
            return self._of_account(account, url.path, query)
        except ValueError as error:
            return _error(400, 21481 if "PageToken" in str(error) else 17400, str(error))

    def _of_account(self, account: Account, path: str, query: dict[str, str]) -> tuple[int, bytes]:
        if path == SETTINGS_PATH and account.status == "active":
            settings = {
                "account_sid": account.sid,
                "advanced_features": account.advanced_features,
                "voice_trace": False,
            }
            return 200, orjson.dumps(settings | {"url": self.server.url + SETTINGS_PATH})
        sid, *below = path.removeprefix(f"{LIST_PATH}/").split("/")
        if self.server.fetches_of_subaccounts:
            account = next((a for a in account.tree() if a.get(sid)), account)
        if refusal := account.refusal():
            return _error(*refusal)
        if path == LIST_PATH:
            if account is not self.server.account:
                query |= {"Subaccount": account.sid}
            return 200, self.server.list_page(query)
        version, url = account.get(sid), self.server.url + path
        body = version and version.body
        if version and below:
            body = participants_body(account, sid, below, url, query)
        if body is None:
            return _error(404, 20404, f"The requested resource {path} was not found")
        return 200, body

    def respond(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        """Send status, headers and body."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, _timestamp: float | None = None) -> str:
        """The account's time, for the `Date` header."""
        return format_datetime(self.server.account.now, usegmt=True)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _login(self) -> tuple[str, str] | None:
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        login, _, password = base64.b64decode(credentials).decode().partition(":")
        return (login, password) if scheme == "Basic" else None


class InsightsServer(ThreadingHTTPServer):
    """Serves an account and its subaccounts on 127.0.0.1 while the `with` block lasts; port 0 takes
    a free one."""

    daemon_threads = True
    request_queue_size = 64

    newest_first = True
    inclusive = True
    pages_move = False
    fetches_of_subaccounts = False
    latency = 0.0
    restricted = (401, 20003, "Authenticate")
    """What a login that may not list accounts gets: status, Twilio's code, message."""

    def __init__(
        self, account: Account, port: int = 0, handler: type[InsightsHandler] = InsightsHandler
    ) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.account = account
        self.requests: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> InsightsServer:
        self._thread.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self.shutdown()
        self.server_close()

    def list_page(self, query: dict[str, str]) -> bytes:
        """The JSON body of one page; raises ValueError naming a parameter that is wrong."""
        paging = Paging.of(self.url + LIST_PATH, query)
        account = self.account.reach(query.get("Subaccount", self.account.sid))
        if account is None:
            raise ValueError("Invalid query parameter: Subaccount")
        oldest, newest = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        if not query.keys() & {"CreatedAfter", "CreatedBefore"}:
            oldest = account.now - timedelta(hours=24)
        after = parameter(query, "CreatedAfter", datetime.fromisoformat, oldest)
        before = parameter(query, "CreatedBefore", datetime.fromisoformat, newest)
        sids = account.created_between(after, before, self.inclusive)
        if self.newest_first:
            sids.reverse()
        if self.pages_move:
            sids = [sid for sid in sids if account.get(sid)]
        return paging.page("conferences", self._visible(account, sids, query, paging.start))

    @staticmethod
    def _visible(
        account: Account, sids: list[str], query: dict[str, str], start: int
    ) -> Iterator[tuple[int, bytes]]:
        for position in range(start, len(sids)):
            version = account.get(sids[position])
            if version and version.row is not None and fits(version.row, query, _FILTERS):
                yield position, version.body


def _error(status: int, code: int, message: str) -> tuple[int, bytes]:
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    body = {"code": code, "message": message, "more_info": more_info, "status": status}
    return status, orjson.dumps(body)
