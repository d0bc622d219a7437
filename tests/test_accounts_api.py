"""The list of accounts: paged to its end, at its own origin only, and no auth token of it stays."""

from __future__ import annotations

import gc
import json
import logging
import sys
import time
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest

from pipelines.simulator.account import ACCOUNT_SID, Account
from pipelines.simulator.server import InsightsHandler, InsightsServer
from pipelines.twilio_insights.api import client as client_module
from pipelines.twilio_insights.api.accounts import ListedAccount
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.errors import (
    BadAnswerError,
    ForeignOriginError,
    InsightsError,
    RefusedError,
    UnavailableError,
)
from pipelines.twilio_insights.progress import Progress
from tests.conftest import NOW
from tests.faulty_server import Behaviour, answer, cut, serving, settings

DRAWKCAB = ""
"""The auth token in every row, backwards: as it is, it is in nothing but what is sent."""
PATH = "/2010-04-01/Accounts.json"


def ac(number: int) -> str:
    return f"AC{number:032x}"


def row(number: int, **values: Any) -> dict[str, Any]:
    return {
        "sid": ac(number),
        "friendly_name": f"Customer {number}",
        "status": "active",
        "auth_token": DRAWKCAB[::-1],
        "owner_account_sid": ACCOUNT_SID,
        "subresource_uris": {"calls": f"/2010-04-01/Accounts/{ac(number)}/Calls.json"},
    } | values


def listing(rows: list[Any], following: Any = None, **more: Any) -> bytes:
    page = {"accounts": rows, "next_page_uri": following, "page": 0, "uri": PATH}
    return json.dumps(page | more).encode()


def page(*rows: Any, following: Any = None) -> Behaviour:
    return lambda handler: answer(200, listing([*rows], following))(handler)


def listed(*numbers: int) -> list[ListedAccount]:
    return [ListedAccount(ac(number), f"Customer {number}", "active") for number in numbers]


@pytest.fixture(autouse=True)
def _of_each_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "DRAWKCAB", uuid4().hex)
    monkeypatch.setattr(client_module, "MAX_BACKOFF", 0.01)


def ask(server: InsightsServer, progress: Progress | None = None) -> list[ListedAccount]:
    with InsightsClient(settings(server, request_deadline="2s"), progress) as client:
        return client.accounts()


def ask_served(*faults: Behaviour) -> list[ListedAccount]:
    with serving(Account(NOW), *faults) as server:
        return ask(server)


def test_it_pages_to_the_end_with_the_credentials() -> None:
    seen: list[str] = []

    def first(handler: InsightsHandler) -> bool:
        seen.append(handler.headers["Authorization"])
        return page(row(1), row(2), following=f"{PATH}?Page=1&PageToken=PA2")(handler)

    with serving(Account(NOW), first, page(row(3))) as server:
        assert ask(server) == listed(1, 2, 3)
        assert server.requests == [
            f"{PATH}?Status=active&PageSize=1000",
            f"{PATH}?Page=1&PageToken=PA2",
        ]
    assert seen[0].startswith("Basic ")


def test_what_is_no_active_account_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    odd: list[Any] = [None, 7, [], "AC", {}, row(1, sid=None), row(1, sid="AC1"), row(1, sid=[1])]
    states = [row(2, status=status) for status in ("suspended", "closed", "asleep", None, [1])]
    names = [row(4, friendly_name=None), row(5, friendly_name={"x": 1})]
    own = row(0, sid=ACCOUNT_SID, friendly_name="Parent")
    with caplog.at_level(logging.DEBUG):
        found = ask_served(page(*odd, *states, own, row(3), row(3), *names))
    assert found == [
        ListedAccount(ACCOUNT_SID, "Parent", "active"),
        *listed(3),
        ListedAccount(ac(4), None, "active"),
        ListedAccount(ac(5), None, "active"),
    ]
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"][
        1:
    ]
    assert told.startswith(f"{len(odd)} rows of the list of accounts are skipped")


def test_no_text_makes_a_page_unreadable() -> None:
    body = listing([row(1), row(2)]).replace(b"Customer 1", rb"\ud800 \ud83d\ude00 " + b"\xff")
    found = ask_served(answer(200, body))
    assert [account.friendly_name for account in found] == [
        "\ufffd \U0001f600 \ufffd",
        "Customer 2",
    ]


@pytest.mark.parametrize(
    "following",
    [
        "https://evil.example/2010-04-01/Accounts.json",
        "//evil.example/",
        "https://api.twilio.com/2010-04-01/Accounts.json",
        "https://insights.twilio.com/2010-04-01/Accounts.json",
        "http://127.0.0.1:1/",
    ],
)
def test_credentials_never_go_to_another_origin(following: str) -> None:
    with serving(Account(NOW), page(row(1), following=following)) as server:
        with pytest.raises(ForeignOriginError, match="nothing was sent there"):
            ask(server)
        assert len(server.requests) == 1


def test_a_redirect_is_not_followed() -> None:
    with pytest.raises(ForeignOriginError, match=r"List of accounts: .*redirect"):
        ask_served(answer(302, Location="http://127.0.0.1:1/"))


def test_a_page_loop_is_noticed() -> None:
    with pytest.raises(BadAnswerError, match="same next_page_url twice after 2 pages of accounts"):
        ask_served(*[page(row(1), following=f"{PATH}?Page=1")] * 3)


def test_pages_without_end_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_PAGES", 3)
    endless = [page(row(n), following=f"{PATH}?Page={n}") for n in range(9)]
    with serving(Account(NOW), *endless) as server:
        with pytest.raises(BadAnswerError, match="3 pages of accounts, and still more"):
            ask(server)
        assert len(server.requests) == 3


@pytest.mark.parametrize("fault", [answer(429), answer(503, b""), answer(200, b"{"), cut])
def test_a_passing_fault_is_retried(fault: Behaviour) -> None:
    progress = Progress()
    with serving(Account(NOW), fault, page(row(1))) as server:
        assert ask(server, progress) == listed(1)
    assert (progress.requests, progress.retries.total()) == (2, 1)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_may_not_list_accounts_is_told_the_next_step(status: int) -> None:
    body = json.dumps({"code": 20003, "message": "Authenticate", "status": status}).encode()
    with pytest.raises(RefusedError, match=f"{status}, code 20003") as caught:
        with serving(Account(NOW), answer(status, body)) as server:
            key = {"api_key_sid": f"SK{'0' * 32}", "api_key_secret": "secret"}
            with InsightsClient(settings(server, **key)) as client:
                client.accounts()
    told = str(caught.value)
    assert ACCOUNT_SID in told
    for part in ("standard or restricted", "auth token", "Main API key", "INSIGHTS__ACCOUNTS"):
        assert part in told
    assert "Advanced Features" not in told


SHAPES = [b"{}", b"[]", b"null", b'{"accounts": {}, "next_page_uri": null}', b'{"accounts": []}']
SHAPES += [listing([], 5), b'{"accounts": [], "meta": {"next_page_url": null}}']


@pytest.mark.parametrize("shape", [*SHAPES, None])
def test_another_answer_names_the_setting(shape: bytes | None) -> None:
    fault = answer(404, b'{"code": 20404}') if shape is None else answer(200, shape)
    with pytest.raises(BadAnswerError, match="SOURCES__TWILIO_INSIGHTS__ACCOUNTS_URL"):
        ask_served(fault)


def test_an_answer_that_is_not_json_is_told_of_the_list() -> None:
    html = answer(200, b"<html>", "text/html")
    with pytest.raises(UnavailableError, match="is it Twilio's list of accounts"):
        ask_served(*[html] * 3)


def test_where_nobody_answers_the_setting_is_named() -> None:
    with serving(Account(NOW)) as server:
        config = settings(server, retry_budget="1s", max_concurrency=1)
        with serving(Account(NOW)) as gone:
            closed = gone.url
    config.base_url = closed
    with InsightsClient(config) as client, pytest.raises(UnavailableError, match="accounts_url"):
        client.accounts()


def test_too_many_rows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.twilio_insights.api.bounds.MAX_ELEMENTS", 2)
    with pytest.raises(BadAnswerError, match="more than 2 elements"):
        ask_served(page(row(1), row(2), row(3)))


def traces() -> int:
    """How many texts with the token live objects refer to."""
    gc.unfreeze()  # what was imported may keep it too
    objects = [*gc.get_objects(), *sys._current_frames().values()]
    gc.freeze()
    kept: dict[int, str | bytes] = {}
    seen = {id(objects)}
    while objects:
        found = gc.get_referents(*objects)
        objects = []
        for one in found:
            kind = type(one)
            if kind is str or kind is bytes or kind is bytearray:
                if len(one) >= len(DRAWKCAB):
                    kept[id(one)] = one
            elif not gc.is_tracked(one) and (kind is dict or kind is tuple) and id(one) not in seen:
                seen.add(id(one))
                objects.append(one)
        del found
    token = DRAWKCAB[::-1]
    return sum(
        token in one if isinstance(one, str) else token.encode() in one for one in kept.values()
    )


def half_sent(handler: InsightsHandler) -> bool:
    """The connection ends within the third account."""
    body = listing([row(n) for n in range(4)])
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
    handler.wfile.write(b"Content-Length: %d\r\n\r\n" % len(body) + body[:-400])
    handler.close_connection = True
    return True


def fine(handler: InsightsHandler) -> bool:
    return page(row(1), row(2, sid=None), [DRAWKCAB[::-1]])(handler)


def begun(handler: InsightsHandler) -> bool:
    return page(row(8), following=f"{PATH}?Page=1")(handler)


def secretive(status: int, kind: str = "application/json") -> Behaviour:
    """An error that repeats the token wherever it can."""

    def respond(handler: InsightsHandler) -> bool:
        token = DRAWKCAB[::-1]
        body = {"code": 20500, "message": token, "title": token, token: token, "auth_token": token}
        return answer(status, json.dumps(body).encode(), kind)(handler)

    return respond


def cut_off(handler: InsightsHandler) -> bool:
    return answer(200, listing([row(n) for n in range(4)])[:-200])(handler)


def shapeless(handler: InsightsHandler) -> bool:
    return answer(200, listing([row(n) for n in range(4)], 5))(handler)


def looped(handler: InsightsHandler) -> bool:
    return page(row(1), following=f"{PATH}?Status=active&PageSize=1000")(handler)


def gone(handler: InsightsHandler) -> bool:
    return answer(404, listing([row(1)]))(handler)


FAULTS = [
    fine,
    cut_off,
    half_sent,
    secretive(503),
    secretive(503, "text/html"),
    secretive(403),
    secretive(403, "text/html"),
    shapeless,
    looped,
    gone,
]


@pytest.mark.thorough
def test_no_auth_token_stays(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    kept: list[object] = []
    with caplog.at_level(1), ExitStack() as stack:
        for fault in FAULTS:
            faults = [begun, *[fault] * 8]
            server = stack.enter_context(serving(Account(NOW), *faults))
            client = stack.enter_context(InsightsClient(settings(server)))
            kept.append(client)
            try:
                told.append(repr(client.accounts()))
            except InsightsError as error:
                kept.append(error)  # as who tells it later
                told += [str(error), repr(error)]
            told += [repr(client), str(client.__dict__)]
        assert len(kept) == 2 * len(FAULTS) - 1
        # The server, which is in this process, may be about to forget what it has sent.
        deadline = time.monotonic() + 20
        while traces():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        kept.append(DRAWKCAB[::-1])
        assert traces() > 0  # which would be found
    assert not [text for text in [*told, caplog.text] if DRAWKCAB[::-1] in text]


def test_a_list_without_any_account_is_no_answer() -> None:
    with pytest.raises(BadAnswerError, match="no active account"):
        ask_served(page(row(1, sid="AC1")))
