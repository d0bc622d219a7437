"""A fault that may pass is no end: the client waits and asks again, within bounds."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from pipelines.simulator.account import Account
from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.api.concurrency import ConcurrencyLimiter
from pipelines.twilio_insights.errors import QueryTimeoutError, UnavailableError
from tests.faulty_server import (
    ALL,
    OTHER,
    Behaviour,
    answer,
    connect,
    cut,
    listed,
    reset,
    rows,
    serving,
    settings,
)
from tests.faulty_server import account as account
from tests.faulty_server import no_backoff as no_backoff


def dripping(handler: InsightsHandler, head: bytes, drop: bytes) -> bool:
    stop = threading.Event()
    with suppress(OSError):
        handler.wfile.write(head)
        for _ in range(100):
            handler.wfile.write(drop)
            stop.wait(0.1)
    handler.close_connection = True
    return True


def drip(handler: InsightsHandler) -> bool:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
    return dripping(handler, head, b" ")


def drip_headers(handler: InsightsHandler) -> bool:
    return dripping(handler, b"HTTP/1.1 200 OK\r\nX: ", b"x")


def informing(handler: InsightsHandler) -> bool:
    return dripping(handler, b"", b"HTTP/1.1 103 Early Hints\r\n\r\n")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (answer(429, Retry_After="0"), "429"),
        (answer(429, Retry_After="Fri, 20 Nov 2026 14:30:00 GMT"), "429"),
        (answer(429), "429"),
        (answer(500, b"<html>oops</html>", "text/html"), "500"),
        (answer(503, b""), "503"),
        (cut, "RemoteProtocolError"),
        (reset, "RemoteProtocolError"),
        (answer(200, b'{"conferences": ['), "malformed"),
        (answer(200, b"<html>hello</html>", "text/html"), "malformed"),
        (drip, "ReadTimeout"),
        (drip_headers, "ReadTimeout"),
        (informing, "ReadTimeout"),
        (answer(200, b"not gzip", Content_Encoding="gzip"), "DecodingError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_passing_fault_is_retried_and_counted(
    account: Account, fault: Behaviour, kind: str
) -> None:
    with serving(account, fault) as server:
        client = connect(settings(server, request_deadline="1s"))
        assert rows(client) == ALL
        assert client.progress.retries == {kind: 1}
        assert client.progress.requests == 2


def test_retry_after_is_waited_for(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(ConcurrencyLimiter, "sleep", lambda _, seconds: waited.append(seconds))
    monkeypatch.setattr(ConcurrencyLimiter, "on_throttle", lambda *_: None)
    date = "Fri, 20 Nov 2026 14:30:40 GMT"
    with serving(account, answer(429, Retry_After="7"), answer(429, Retry_After=date)) as server:
        assert rows(connect(settings(server))) == ALL
    assert waited == pytest.approx([7, 40], abs=0.011)


def test_the_retry_budget_bounds_all_waiting(account: Account) -> None:
    with serving(account, answer(429, Retry_After="100")) as server:
        with pytest.raises(UnavailableError, match="429"):
            rows(connect(settings(server, retry_budget="90s")))
        assert len(server.requests) == 1


def test_the_first_failed_attempt_is_told(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "conference_insights")
    with serving(account, answer(429, b""), *[answer(503, b"")] * 2) as server:
        assert rows(connect(settings(server))) == ALL
    told = [line for line in caplog.messages if "trying again" in line]
    assert told == ["Twilio answered 503; trying again"]


def test_a_lasting_fault_ends_after_bounded_retries(account: Account) -> None:
    with serving(account, *[answer(503)] * 50) as server:
        with pytest.raises(UnavailableError, match="503"):
            rows(connect(settings(server)))
        assert len(server.requests) == 8


def throttling(seconds: int) -> Behaviour:
    """Wants no requests for the other account for so long."""

    def respond(handler: InsightsHandler) -> bool:
        return OTHER in handler.path and answer(429, Retry_After=str(seconds))(handler)

    return respond


def test_an_account_that_is_throttled_holds_up_no_other(account: Account) -> None:
    with serving(account, *[throttling(30)] * 20) as server:
        client = connect(settings(server, max_concurrency=1))
        began = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(listed, client, OTHER)]
            while not client.progress.retries:
                assert time.monotonic() - began < 20
                time.sleep(0.01)
            waiting.append(pool.submit(listed, client, OTHER))
            for _ in range(3):
                assert len(listed(client)) == 5
            assert not any(one.done() for one in waiting)
            client.cancel()
        assert time.monotonic() - began < 25
        assert {type(one.exception()) for one in waiting} == {UnavailableError}
        assert len([request for request in server.requests if OTHER in request]) == 1


@pytest.mark.thorough
def test_an_account_that_fails_uses_up_no_retries_of_another(account: Account) -> None:
    with serving(account, *[throttling(1)] * 3, answer(429, Retry_After="1")) as s:
        client = connect(settings(s, retry_budget="2s"))
        with pytest.raises(UnavailableError):
            listed(client, OTHER)
        with pytest.raises(UnavailableError):
            listed(client, OTHER)
        assert len(listed(client)) == 5
    assert client.progress.retries == {"429": 2}


def test_a_query_that_times_out_is_told_apart_after_three_attempts(account: Account) -> None:
    body = b'{"code": 17008, "message": "Query Timeout"}'
    for status in (400, 500, 504):
        with serving(account, *[answer(status, body)] * 9) as server:
            with pytest.raises(QueryTimeoutError, match=f"{status}, code 17008: Query Timeout"):
                rows(connect(settings(server)))
            assert len(server.requests) == 3
        with serving(account, *[answer(status, body)] * 2) as server:
            client = connect(settings(server))
            assert rows(client) == ALL
            assert client.progress.retries == {"QueryTimeout": 2}
