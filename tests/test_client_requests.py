"""The client asks for just what it is to: records of any account, all or one, and the time."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN, Account
from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.errors import BadAnswerError, UnavailableError
from pipelines.twilio_insights.resources import CONFERENCES
from tests.conftest import NOW, sid, summary
from tests.faulty_server import (
    ALL,
    DAY,
    OTHER,
    answer,
    connect,
    listed,
    page,
    rows,
    serving,
    settings,
)
from tests.faulty_server import account as account
from tests.faulty_server import no_backoff as no_backoff


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


def test_the_clock_is_the_servers(account: Account) -> None:
    with serving(account) as server:
        assert connect(settings(server)).now() == NOW


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
