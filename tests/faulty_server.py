"""The simulated API with other answers than its own, and a client that lists what it has."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN, Account
from pipelines.simulator.server import InsightsHandler, InsightsServer
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.extract.records import RecordPage
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.twilio_insights.settings import Settings
from tests.conftest import NOW, sid, summary

DAY = timedelta(days=1)
OTHER = "AC" + "9" * 32
ALL = [sid(number) for number in range(5)]
Behaviour = Callable[[InsightsHandler], bool]
"""Answers the request itself and says True, or leaves it to the simulator."""


@contextmanager
def serving(account: Account, *faults: Behaviour | None) -> Iterator[InsightsServer]:
    """The simulator, whose first answers are replaced by `faults`, one each; None is no fault."""
    left = list(faults)

    class Faulty(InsightsHandler):
        def do_GET(self) -> None:
            fault = left.pop(0) if left else None
            if fault is None or not fault(self):
                super().do_GET()

    with InsightsServer(account, handler=Faulty) as server:
        yield server


def settings(server: InsightsServer, **values: Any) -> Settings:
    return Settings(account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, base_url=server.url, **values)


def answer(
    status: int, body: bytes = b"{}", content_type: str = "application/json", **headers: str
) -> Behaviour:
    def respond(handler: InsightsHandler) -> bool:
        handler.server.requests.append(handler.path)
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)
        return True

    return respond


def page(next_url: str) -> bytes:
    return json.dumps({"conferences": [], "meta": {"next_page_url": next_url}}).encode()


def cut(handler: InsightsHandler) -> bool:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
    handler.wfile.write(b'Content-Length: 1000\r\n\r\n{"conferences": [')
    handler.close_connection = True
    return True


def reset(handler: InsightsHandler) -> bool:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True
    return True


_open: list[InsightsClient] = []


def connect(*arguments: Any, **options: Any) -> InsightsClient:
    _open.append(InsightsClient(*arguments, **options))
    return _open[-1]


@pytest.fixture
def account() -> Account:
    account = Account(NOW)
    for number in range(5):
        account.put(summary(number, timedelta(hours=number + 1)))
    return account


@pytest.fixture(autouse=True)
def no_backoff(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("pipelines.twilio_insights.api.client.MAX_BACKOFF", 0.01)
    yield
    while _open:
        _open.pop().__exit__()


def rows(client: InsightsClient) -> list[str]:
    pages = client.list_pages(CONFERENCES, NOW - DAY, NOW)
    return sorted(sid for page in pages for sid in RecordPage(CONFERENCES, page).versions)


def listed(client: InsightsClient, account: str | None = None, **filters: str) -> list[Any]:
    pages = client.list_pages(CONFERENCES, NOW - DAY, NOW, account, filters)
    return [row for page in pages for row in page.rows]
