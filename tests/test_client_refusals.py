"""What the client says of a refusal: its causes, whom it asked for, and nothing secret."""

from __future__ import annotations

import base64
import json
import re

import pytest

from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN, Account
from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.errors import (
    BadAnswerError,
    ExpiredTokenError,
    InsightsError,
    RefusedError,
    UnavailableError,
)
from pipelines.twilio_insights.resources import CONFERENCES
from tests.conftest import NOW, sid
from tests.faulty_server import (
    DAY,
    OTHER,
    Behaviour,
    answer,
    connect,
    listed,
    page,
    reset,
    rows,
    serving,
    settings,
)
from tests.faulty_server import account as account
from tests.faulty_server import no_backoff as no_backoff


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
