"""The Insights API over real HTTP on loopback.

Follows the OpenAPI description: list with all filters and paging, fetch by SID, Basic
authentication, Twilio's error bodies, the last 24 hours when no bound is given, and a `Date`
header from the account's clock. What Twilio leaves open can be chosen: the order of a listing,
whether its bounds are inclusive, and whether pages move when a summary disappears.
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson

from pipelines.simulator.account import ACCOUNT_SID, Account, Row

T = TypeVar("T")

LIST_PATH, SETTINGS_PATH = "/v1/Conferences", "/v1/Voice/Settings"
_FILTERS = {
    "ConferenceSid": "conference_sid",
    "FriendlyName": "friendly_name",
    "Status": "status",
    "MixerRegion": "mixer_region",
    "EndReason": "end_reason",
    "Subaccount": "account_sid",
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
        parent, _, sid = url.path.rpartition("/")
        if not self._authorized():
            return _error(401, 20003, "Authenticate")
        features = self.server.account.advanced_features
        if url.path == SETTINGS_PATH:
            settings = {
                "account_sid": ACCOUNT_SID,
                "advanced_features": features,
                "voice_trace": False,
            }
            return 200, orjson.dumps(settings | {"url": self.server.url + SETTINGS_PATH})
        if not features:
            return _error(401, 17007, "Advanced Features not enabled")
        if url.path == LIST_PATH:
            try:
                return 200, self.server.list_page(dict(parse_qsl(url.query)))
            except ValueError as error:
                return _error(400, 21481 if "PageToken" in str(error) else 17400, str(error))
        version = self.server.account.get(sid) if parent == LIST_PATH else None
        if version is None:
            return _error(404, 20404, f"The requested resource {url.path} was not found")
        return 200, version.body

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

    def _authorized(self) -> bool:
        scheme, _, credentials = self.headers.get("Authorization", "").partition(" ")
        login, _, password = base64.b64decode(credentials).decode().partition(":")
        return scheme == "Basic" and (login, password) in self.server.account.logins


class InsightsServer(ThreadingHTTPServer):
    """Serves one account on 127.0.0.1 while the `with` block lasts; port 0 takes a free one."""

    daemon_threads = True
    request_queue_size = 64

    newest_first = True
    inclusive = True
    pages_move = False
    latency = 0.0

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
        """The envelope of one page; raises ValueError naming a parameter that is wrong."""
        size, number = _read(query, "PageSize", int, 50), _read(query, "Page", int, 0)
        start = _read(query, "PageToken", lambda token: int(token.removeprefix("PT")), 0)
        if not 1 <= size <= 1000:
            raise ValueError("Invalid query parameter: PageSize")
        oldest, newest = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        if not query.keys() & {"CreatedAfter", "CreatedBefore"}:
            oldest = self.account.now - timedelta(hours=24)
        after = _read(query, "CreatedAfter", datetime.fromisoformat, oldest)
        before = _read(query, "CreatedBefore", datetime.fromisoformat, newest)
        sids = self.account.created_between(after, before, self.inclusive)
        if self.newest_first:
            sids.reverse()
        if self.pages_move:
            sids = [sid for sid in sids if self.account.get(sid)]
        filters = {name: value for name, value in query.items() if name in _FILTERS}
        bodies: list[bytes] = []
        next_position = None
        for position in range(start, len(sids)):
            version = self.account.get(sids[position])
            if version is None or version.row is None or not _fits(version.row, filters):
                continue
            if len(bodies) == size:
                next_position = position
                break
            bodies.append(version.body)

        def link(page: int, position: int) -> str:
            rest = query | {"PageSize": str(size), "Page": str(page), "PageToken": f"PT{position}"}
            return f"{self.url}{LIST_PATH}?{urlencode(rest)}"

        meta = {
            "page": number,
            "page_size": size,
            "first_page_url": link(0, 0),
            "previous_page_url": link(number - 1, max(0, start - size)) if number else None,
            "url": link(number, start),
            "next_page_url": None if next_position is None else link(number + 1, next_position),
            "key": "conferences",
        }
        return b'{"meta":%s,"conferences":[%s]}' % (orjson.dumps(meta), b",".join(bodies))


def _read(query: dict[str, str], name: str, parse: Callable[[str], T], default: T) -> T:
    try:
        return parse(query[name]) if name in query else default
    except ValueError:
        raise ValueError(f"Invalid query parameter: {name}") from None


def _fits(row: Row, filters: dict[str, str]) -> bool:
    for name, wanted in filters.items():
        value = row.get(_FILTERS[name])
        if isinstance(value, dict):
            value = [kind for kind, count in value.items() if count]
        if wanted not in value if isinstance(value, list) else wanted != value:
            return False
    return True


def _error(status: int, code: int, message: str) -> tuple[int, bytes]:
    more_info = f"https://www.twilio.com/docs/errors/{code}"
    body = {"code": code, "message": message, "more_info": more_info, "status": status}
    return status, orjson.dumps(body)
