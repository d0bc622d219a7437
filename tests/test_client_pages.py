"""The pages of a list: read as they are, each once, to the end, at the configured origin only."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.simulator.account import Account
from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.errors import BadAnswerError, ForeignOriginError, UnavailableError
from pipelines.twilio_insights.resources import CONFERENCES
from tests.conftest import NOW
from tests.faulty_server import ALL, DAY, answer, connect, page, rows, serving, settings
from tests.faulty_server import account as account
from tests.faulty_server import no_backoff as no_backoff


def test_a_page_that_does_not_say_what_follows_is_not_the_last(account: Account) -> None:
    body = b'{"conferences": [], "meta": {"next_page": "x"}}'
    with serving(account, answer(200, body)) as server, pytest.raises(BadAnswerError):
        rows(connect(settings(server)))


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
