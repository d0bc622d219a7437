"""The client against real HTTP: what it sends, what it accepts, when it gives up, what it says."""

from __future__ import annotations

import base64
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN, Account
from pipelines.simulator.server import InsightsHandler, InsightsServer
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.api.concurrency import ConcurrencyLimiter
from pipelines.twilio_insights.errors import (
    BadAnswerError,
    ExpiredTokenError,
    ForeignOriginError,
    InsightsError,
    QueryTimeoutError,
    RefusedError,
    UnavailableError,
)
from pipelines.twilio_insights.extract.records import RecordPage
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.twilio_insights.settings import Settings
from tests.conftest import NOW, sid, summary

DAY = timedelta(days=1)
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


def cut(handler: InsightsHandler) -> bool:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
    handler.wfile.write(b'Content-Length: 1000\r\n\r\n{"conferences": [')
    handler.close_connection = True
    return True


def reset(handler: InsightsHandler) -> bool:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True
    return True


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
def _no_backoff(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("pipelines.twilio_insights.api.client.MAX_BACKOFF", 0.01)
    yield
    while _open:
        _open.pop().__exit__()


def rows(client: InsightsClient) -> list[str]:
    pages = client.list_pages(CONFERENCES, NOW - DAY, NOW)
    return sorted(sid for page in pages for sid in RecordPage(CONFERENCES, page).versions)


ALL = [sid(number) for number in range(5)]


def test_it_pages_to_the_end_with_both_bounds_and_basic_auth(account: Account) -> None:
    seen: list[str] = []

    def login(handler: InsightsHandler) -> bool:
        seen.append(handler.headers["Authorization"])
        return False

    with serving(account, login) as s:
        assert rows(connect(settings(s, page_size=2))) == ALL
        assert len(s.requests) == 3
        assert "CreatedAfter=2026-11-19T14%3A30%3A00Z" in s.requests[0]
        assert "CreatedBefore=2026-11-20T14%3A30%3A00Z" in s.requests[0]
        assert "PageSize=2" in s.requests[0]
    assert base64.b64decode(seen[0].split()[1]).decode() == f"{ACCOUNT_SID}:{AUTH_TOKEN}"


def test_an_api_key_is_the_login_where_there_is_one(account: Account) -> None:
    account.logins = {("SK" + "1" * 32, "s3cret")}
    with serving(account) as server:
        key = {"api_key_sid": "SK" + "1" * 32, "api_key_secret": "s3cret"}
        assert rows(connect(settings(server, **key))) == ALL


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


def test_a_page_that_does_not_say_what_follows_is_not_the_last(account: Account) -> None:
    body = b'{"conferences": [], "meta": {"next_page": "x"}}'
    with serving(account, answer(200, body)) as server, pytest.raises(BadAnswerError):
        rows(connect(settings(server)))


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_names_both_causes_and_is_not_retried(account: Account, status: int) -> None:
    body = json.dumps({"code": 20003, "message": "Authenticate", "status": status}).encode()
    with serving(account, answer(status, body)) as server:
        with pytest.raises(RefusedError, match=rf"{status}, code 20003: Authenticate") as caught:
            rows(connect(settings(server)))
        assert len(server.requests) == 1
    assert re.search("credentials.*region", str(caught.value))
    assert "Advanced Features" in str(caught.value)


@pytest.mark.parametrize("kind", ["text/html", "text/plain", "application/json"])
def test_a_refusal_that_is_not_json_is_not_twilios(account: Account, kind: str) -> None:
    with serving(account, answer(403, b"<html>Request blocked.</html>", kind)) as server:
        with pytest.raises(BadAnswerError, match="firewall") as caught:
            rows(connect(settings(server)))
        assert len(server.requests) == 1
    assert "credentials" not in str(caught.value)


def test_a_refusal_without_a_word_may_be_twilios(account: Account) -> None:
    with serving(account, answer(401, b"", "text/plain")) as server, pytest.raises(RefusedError):
        rows(connect(settings(server)))


def page(next_url: str) -> bytes:
    return json.dumps({"conferences": [], "meta": {"next_page_url": next_url}}).encode()


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/v1/Conferences",
        "http://127.0.0.1:1/v1/Conferences",
        "//localhost/v1/Conferences",
        "https://insights.twilio.com@evil.example/",
        "https://insights.twilio.com.evil.example/",
        "https://insights.evil.example/",
        "https://someone@insights.twilio.com/",
        "https://insights.twilio.com:8443/",
        "http://insights.twilio.com/",
        "https://api.twilio.com/",
    ],
)
def test_credentials_never_go_to_another_origin(account: Account, target: str) -> None:
    with serving(account, answer(200, page(target))) as server:
        with pytest.raises(ForeignOriginError, match="nothing was sent there"):
            rows(connect(settings(server)))
        assert len(server.requests) == 1


@pytest.mark.parametrize("host", ["insights.twilio.com", "insights.dublin.ie1.twilio.com"])
def test_a_next_page_at_another_host_of_the_product_is_had_from_the_configured(
    account: Account, host: str
) -> None:
    with serving(account) as server:
        client = connect(settings(server, page_size=2))
        server.url = f"https://{host}"
        assert rows(client) == ALL
        assert len(server.requests) == 3


def test_a_next_page_of_nothing_is_the_end(account: Account) -> None:
    with serving(account, answer(200, page(""))) as server:
        assert rows(connect(settings(server))) == []
        assert len(server.requests) == 1


def test_user_info_in_the_next_page_is_refused(account: Account) -> None:
    with serving(account) as server:
        target = server.url.replace("://", "://someone:else@") + "/v1/Conferences?Page=1"
        with (
            serving(account, answer(200, page(target))) as other,
            pytest.raises(ForeignOriginError),
        ):
            rows(connect(settings(other)))
        assert server.requests == []


def test_a_redirect_is_not_followed(account: Account) -> None:
    with serving(account) as target:
        elsewhere = f"{target.url}/v1/Conferences"
        with serving(account, answer(302, Location=elsewhere)) as server:
            with pytest.raises(ForeignOriginError, match="redirect"):
                rows(connect(settings(server)))
        assert target.requests == []


def test_a_listing_without_end_is_given_up(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.twilio_insights.api.client.MAX_PAGES", 2)
    with serving(account) as server, pytest.raises(BadAnswerError, match="2 pages of"):
        rows(connect(settings(server, page_size=1)))


def test_a_page_loop_is_noticed(account: Account) -> None:
    def loop(handler: InsightsHandler) -> bool:
        return answer(200, page(f"{handler.server.url}/v1/Conferences?Page=1"))(handler)

    with serving(account, loop, loop, loop) as server:
        with pytest.raises(BadAnswerError, match="same next_page_url twice"):
            rows(connect(settings(server)))
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"conferences": {}, "meta": {}}', b'{"conferences": []}', b"null"]
)
def test_json_of_another_shape_is_refused(account: Account, body: bytes) -> None:
    with (
        serving(account, *[answer(200, body)] * 5) as server,
        pytest.raises((BadAnswerError, UnavailableError), match="Insights API"),
    ):
        rows(connect(settings(server)))


def test_a_decompression_bomb_is_refused(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    monkeypatch.setattr("pipelines.twilio_insights.api.transport.MAX_BODY_BYTES", 1 << 20)
    bomb = answer(200, gzip.compress(b" " * (4 << 20)), Content_Encoding="gzip")
    with serving(account, bomb) as server, pytest.raises(BadAnswerError, match="more than"):
        rows(connect(settings(server)))


def test_a_fetch_gives_the_row_or_none(account: Account) -> None:
    with serving(account) as server:
        client = connect(settings(server))
        assert client.fetch(CONFERENCES, sid(3)).rows[0]["conference_sid"] == sid(3)
        assert client.fetch(CONFERENCES, sid(99)).rows == []


def test_a_fetch_answered_with_another_conference_is_refused(account: Account) -> None:
    with (
        serving(account, answer(200, json.dumps(summary(4, DAY)).encode())) as server,
        pytest.raises(BadAnswerError, match="another record"),
    ):
        connect(settings(server)).fetch(CONFERENCES, sid(3))


def test_a_400_on_the_list_tells_what_twilio_said(account: Account) -> None:
    body = b'{"code": 17400, "message": "Invalid query parameter"}'
    with (
        serving(account, answer(400, body)) as server,
        pytest.raises(BadAnswerError, match="400, code 17400: Invalid query parameter"),
    ):
        rows(connect(settings(server)))


def test_an_expired_page_token_is_told_apart(account: Account) -> None:
    body = b'{"code": 21481, "message": "Invalid PageToken"}'
    with serving(account, None, answer(400, body)) as server, pytest.raises(ExpiredTokenError):
        rows(connect(settings(server, page_size=2)))


def test_the_clock_is_the_servers(account: Account) -> None:
    with serving(account) as server:
        assert connect(settings(server)).now() == NOW


def test_no_secret_is_in_any_representation_or_message(account: Account) -> None:
    with serving(account, *[reset] * 8, answer(401)) as server:
        config = settings(server)
        client = connect(config)
        said = [repr(client), str(client.__dict__), repr(config)]
        for _ in range(2):
            with pytest.raises((UnavailableError, RefusedError)) as caught:
                rows(client)
            said += [str(caught.value), repr(caught.value)]
    encoded = base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
    assert not [text for text in said if AUTH_TOKEN in text or encoded in text]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12345678901234567890123", 12345678901234567890123),
        ("-9223372036854775809", -9223372036854775809),
        ("1e999", "1e999"),
        ("9" * 5000, "9" * 5000),
        ("NaN", "NaN"),
        ("0.1", 0.1),
        (r'"\ud800x"', "\ufffdx"),
        (r'"\ud83d\ude00"', "\U0001f600"),
        (r'"\u0000"', "\0"),
        ('"a\tb"', "a\tb"),
    ],
)
def test_no_value_is_rounded_or_ends_a_page(account: Account, text: str, value: Any) -> None:
    body = f'{{"conferences": [{{"x": {text}}}], "meta": {{"next_page_url": null}}}}'
    with serving(account, answer(200, body.encode())) as server:
        (page,) = connect(settings(server)).list_pages(CONFERENCES, NOW - DAY, NOW)
    assert page.rows == [{"x": value}]


def test_bytes_that_are_no_utf_8_end_no_page(account: Account) -> None:
    body = b'{"conferences": [{"x": "\xff"}], "meta": {"next_page_url": null}}'
    with serving(account, answer(200, body)) as server:
        (page,) = connect(settings(server)).list_pages(CONFERENCES, NOW - DAY, NOW)
    assert page.rows == [{"x": "\ufffd"}]


@pytest.mark.parametrize(
    "content_type", ["application/JSON", "Application/Problem+Json; charset=utf-8", "text/json"]
)
def test_json_by_another_name_is_json(account: Account, content_type: str) -> None:
    body = b'{"conferences": [{"x": 1}], "meta": {"next_page_url": null}}'
    with serving(account, answer(200, body, content_type)) as server:
        (page,) = connect(settings(server)).list_pages(CONFERENCES, NOW - DAY, NOW)
    assert page.rows == [{"x": 1}]


@pytest.mark.parametrize("target", ["http://[::1", "https://x:99999999/", "http://\0/"])
def test_a_next_page_that_is_no_url_is_refused(account: Account, target: str) -> None:
    with serving(account, answer(200, page(target))) as server, pytest.raises(BadAnswerError):
        rows(connect(settings(server)))


def test_the_clock_is_not_taken_from_an_error_page(account: Account) -> None:
    def gateway(handler: InsightsHandler) -> bool:
        date = "Sat, 01 Jan 2050 00:00:00 GMT"
        handler.date_time_string = lambda _timestamp=None: date  # type: ignore[method-assign]
        return answer(503, b"<html>", "text/html")(handler)

    with serving(account, None, *[gateway] * 8) as server:
        client = connect(settings(server))
        assert client.now() == NOW
        with pytest.raises(UnavailableError):
            rows(client)
        assert client.now() - NOW < timedelta(minutes=1)


def test_a_date_beyond_all_calendars_is_ignored(account: Account) -> None:
    def undated(handler: InsightsHandler) -> bool:
        handler.date_time_string = lambda _timestamp=None: "Fri, 31 Dec 9999 23:59:59 -2300"  # type: ignore[method-assign]
        return False

    with serving(account, undated) as server:
        assert abs(connect(settings(server)).now() - datetime.now(UTC)) < timedelta(minutes=1)


OTHER = "AC" + "9" * 32


def listed(client: InsightsClient, account: str | None = None, **filters: str) -> list[Any]:
    pages = client.list_pages(CONFERENCES, NOW - DAY, NOW, account, filters)
    return [row for page in pages for row in page.rows]


def test_another_account_and_filters_are_asked_for_by_twilios_names(account: Account) -> None:
    row = summary(7, DAY / 2, friendly_name="Board & co/1")
    account.add_subaccount(OTHER).put(row)
    with serving(account) as server:
        client = connect(settings(server, page_size=1))
        found = listed(client, OTHER, friendly_name="Board & co/1", tags="high_jitter")
        assert [row.conference_sid for row in found] == [sid(7)]
        (request,) = server.requests
        query = dict(parse_qsl(urlsplit(request).query))
        assert query == {
            "CreatedAfter": "2026-11-19T14:30:00Z",
            "CreatedBefore": "2026-11-20T14:30:00Z",
            "PageSize": "1",
            "Subaccount": OTHER,
            "FriendlyName": "Board & co/1",
            "Tags": "high_jitter",
        }
        assert listed(client, ACCOUNT_SID)
        assert "Subaccount" not in server.requests[1]


@pytest.mark.parametrize("said", ["Board & co/1", "Board%20%26%20co/1", "board+%26+co%2f1", "{x}"])
def test_a_filter_by_name_is_in_no_message(
    account: Account, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = "Board & co/1"
    said = said.format(x="x" * 190 + name)
    refused = json.dumps({"code": 17400, "message": f"Invalid FriendlyName: {said}"}).encode()
    strange = page(f"http://x:{said}/")
    faults = [answer(400, refused), answer(200, strange), answer(503, refused), answer(200, b"{}")]
    with caplog.at_level(1):
        for fault in faults:
            with serving(account, *[fault] * 8) as server, pytest.raises(InsightsError) as caught:
                listed(connect(settings(server)), OTHER, friendly_name=name)
            assert "Board" not in str(caught.value)
    assert "Board" not in caplog.text


ERRORS = [answer(403, b"{}"), answer(404), answer(200, page("http://127.0.0.1:1")), answer(302)]
ERRORS += [answer(503), answer(200, b"x"), reset, answer(403, b"<html>", "text/html")]


@pytest.mark.parametrize("fault", ERRORS, ids=range(len(ERRORS)))
@pytest.mark.parametrize("asked", ["list", "find"])
def test_an_error_names_the_account_that_was_asked_for(
    account: Account, fault: Behaviour, asked: str
) -> None:
    with serving(account, *[fault] * 8) as server, pytest.raises(InsightsError) as caught:
        client = connect(settings(server))
        if asked == "list":
            listed(client, OTHER)
        else:
            client.find(CONFERENCES, sid(1), OTHER, NOW - DAY, NOW)
    assert str(caught.value).count(OTHER) == 1


def test_the_refusal_of_another_account_names_its_own_causes(account: Account) -> None:
    with serving(account, answer(403, b'{"code": 17000}')) as server:
        with pytest.raises(RefusedError, match=f"refused account {OTHER}") as caught:
            listed(connect(settings(server)), OTHER)
    told = str(caught.value)
    for part in ("closed", "suspended", f"no subaccount of {ACCOUNT_SID}", "Advanced Features"):
        assert part in told
    assert "credentials" not in told


def test_one_record_of_another_account_is_found_by_listing(account: Account) -> None:
    account.add_subaccount(OTHER).put(summary(7, DAY / 2))
    with serving(account) as server:
        client = connect(settings(server))
        found = client.find(CONFERENCES, sid(7), OTHER, NOW - DAY, NOW)
        assert ([row.conference_sid for row in found.rows], found.status) == ([sid(7)], 200)
        query = dict(parse_qsl(urlsplit(server.requests[0]).query))
        assert (query["ConferenceSid"], query["Subaccount"]) == (sid(7), OTHER)
        assert {"CreatedAfter", "CreatedBefore"} <= query.keys()
        for number in (8, 1):  # unknown, and another account's
            absent = client.find(CONFERENCES, sid(number), OTHER, NOW - DAY, NOW)
            assert (absent.rows, absent.status, absent.fetched_at) == ([], 404, NOW)


def test_an_empty_page_before_the_record_is_not_its_absence(account: Account) -> None:
    def empty(handler: InsightsHandler) -> bool:
        return answer(200, page(f"{handler.server.url}{handler.path}&PageToken=PT0"))(handler)

    with serving(account, empty) as server:
        found = connect(settings(server)).find(CONFERENCES, sid(3), ACCOUNT_SID, NOW - DAY, NOW)
    assert [row.conference_sid for row in found.rows] == [sid(3)]
    assert found.next_url is None


@pytest.mark.parametrize("row", [summary(4, DAY), {}, None, "x", {"conference_sid": [sid(3)]}])
def test_a_listing_of_other_records_than_the_one_asked_for_is_refused(
    account: Account, row: Any
) -> None:
    body = json.dumps({"conferences": [row], "meta": {"next_page_url": None}}).encode()
    with (
        serving(account, answer(200, body)) as server,
        pytest.raises(BadAnswerError, match="another record"),
    ):
        connect(settings(server)).find(CONFERENCES, sid(3), OTHER, NOW - DAY, NOW)


def test_an_odd_record_is_found_too(account: Account) -> None:
    account.put(summary(7, DAY / 2, duration_seconds="long"))
    with serving(account) as server:
        found = connect(settings(server)).find(CONFERENCES, sid(7), ACCOUNT_SID, NOW - DAY, NOW)
    assert found.rows[0]["duration_seconds"] == "long"


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


def test_a_refusal_tells_the_time(account: Account) -> None:
    account.logins.clear()
    with serving(account) as server:
        client = connect(settings(server))
        with pytest.raises(RefusedError):
            client.now()
        assert client.now() == NOW
        assert len(server.requests) == 1


@pytest.mark.parametrize("refusal", ["", "no date"])
def test_a_refusal_that_tells_no_time_is_raised(account: Account, refusal: str) -> None:
    def undated(handler: InsightsHandler) -> bool:
        handler.date_time_string = lambda _timestamp=None: "soon"  # type: ignore[method-assign]
        return answer(401, b"{}" if refusal else b"")(handler)

    with serving(account, undated) as server, pytest.raises(RefusedError):
        connect(settings(server)).now()
