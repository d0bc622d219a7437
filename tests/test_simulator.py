"""The simulated API, proved with a client that is not ours: Twilio's own SDK."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN, FORBIDDEN, Account
from pipelines.simulator.sample_data import busy_tree, subaccount_sid
from pipelines.simulator.server import InsightsServer
from tests.conftest import NOW, ROOT, Command, sid, summary

HOUR = timedelta(hours=1)


class ToSimulator(TwilioHttpClient):
    """Sends what the SDK would send to Twilio to the simulator instead."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        target = re.sub(r"https://(insights|api)\.twilio\.com", self._url, url)
        return super().request(method, target, *args, **kwargs)


@pytest.fixture
def account() -> Account:
    account = Account(NOW)
    for number in range(60):
        account.put(summary(number, number * HOUR, friendly_name=f"room {number % 2}"))
    account.put(summary(100, HOUR, "in_progress"))
    support = account.add_subaccount(subaccount_sid(1), "Customer support")
    for number in range(200, 203):
        support.put(summary(number, HOUR, mixer_region="ie1" if number == 200 else "us1"))
    return account


@pytest.fixture
def server(account: Account) -> Iterator[InsightsServer]:
    with InsightsServer(account) as insights:
        yield insights


@pytest.fixture
def sdk(server: InsightsServer) -> Any:
    return client(server).insights.v1.conferences


def client(server: InsightsServer, login: str = ACCOUNT_SID, password: str = AUTH_TOKEN) -> Any:
    return Client(login, password, http_client=ToSimulator(server.url))


def listed(found: Any) -> set[str]:
    return {conference.conference_sid for conference in found}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
class TestTwilioSdk:
    def test_lists_all_pages_between_two_times(self, sdk: Any, server: InsightsServer) -> None:
        found = list(
            sdk.stream(
                created_after="2026-11-18T14:30:00Z",
                created_before="2026-11-20T14:30:00Z",
                page_size=10,
            )
        )
        assert len(found) == 50
        assert listed(found) == {sid(n) for n in [*range(49), 100]}
        assert len(server.requests) == 5
        assert [c.create_time for c in found] == sorted(
            (c.create_time for c in found), reverse=True
        )

    def test_lists_the_last_24_hours_without_bounds(self, sdk: Any) -> None:
        assert listed(sdk.list()) == {sid(n) for n in [*range(25), 100]}

    @pytest.mark.parametrize(
        ("filters", "count"),
        [
            ({"conference_sid": sid(3)}, 1),
            ({"friendly_name": "room 1"}, 12),
            ({"status": "in_progress"}, 1),
            ({"tags": "high_jitter"}, 25),
            ({"tags": "low_mos"}, 0),
            ({"detected_issues": "call_quality"}, 16),
            ({"end_reason": "last_participant_left"}, 0),
            ({"mixer_region": "us1"}, 0),
            ({"subaccount": ACCOUNT_SID}, 26),
            ({"subaccount": subaccount_sid(1)}, 3),
            ({"subaccount": subaccount_sid(1), "mixer_region": "ie1"}, 1),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_filters(self, sdk: Any, filters: dict[str, str], count: int) -> None:
        assert len(sdk.list(**filters)) == count

    def test_fetches_one(self, sdk: Any) -> None:
        found = sdk(sid(5)).fetch()
        assert found.friendly_name == "room 1"
        assert found.detected_issues == {"call_quality": 2, "participant_behavior": 0}
        assert found.duration_seconds == 600

    def test_sees_a_404_with_twilios_code(self, sdk: Any) -> None:
        with pytest.raises(TwilioRestException) as caught:
            sdk(sid(999)).fetch()
        assert (caught.value.status, caught.value.code) == (404, 20404)

    def test_is_refused_with_a_wrong_token(self, server: InsightsServer) -> None:
        with pytest.raises(TwilioRestException) as caught:
            client(server, password="wrong").insights.v1.conferences(sid(1)).fetch()
        assert (caught.value.status, caught.value.code) == (401, 20003)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
class TestTwilioSdkInATree:
    def test_lists_the_active_accounts_page_by_page(
        self, account: Account, server: InsightsServer
    ) -> None:
        for number in range(2, 122):
            status = {7: "suspended", 8: "closed"}.get(number, "active")
            account.add_subaccount(subaccount_sid(number), f"Branch {number}", status)
        found = client(server).api.v2010.accounts.list(status="active")
        active = [a for a in account.tree() if a.status == "active"]
        assert {(a.sid, a.friendly_name) for a in found} == {
            (a.sid, a.friendly_name) for a in active
        }
        assert {a.owner_account_sid for a in found} == {ACCOUNT_SID}
        assert {a.auth_token for a in found} == {a.auth_token for a in active}
        assert {a.date_created for a in found} == {NOW}
        assert (len(found), len(server.requests)) == (120, 3)
        (named,) = client(server).api.v2010.accounts.list(friendly_name="Branch 8", page_size=1)
        assert (named.sid, named.status) == (subaccount_sid(8), "closed")

    def test_lists_what_each_account_has(self, server: InsightsServer) -> None:
        server.account = busy_tree(NOW, days=2, per_day=120)
        service = server.account.subaccounts[subaccount_sid(2)]
        service.advanced_features = True
        window = {"created_after": "2026-11-01T00:00:00Z", "page_size": 1000}
        counts = []
        for account in server.account.tree():
            found = client(server).insights.v1.conferences.list(subaccount=account.sid, **window)
            assert listed(found) == {row["conference_sid"] for row in account.rows()}
            assert {c.account_sid for c in found} == {account.sid}
            counts.append(len(found))
        own = client(server).insights.v1.conferences.list(**window)
        assert len(own) == counts[0] > 2 * counts[1] > 4 * counts[2] > 0

    def test_of_a_subaccount_sees_only_itself(
        self, account: Account, server: InsightsServer
    ) -> None:
        own, other = account.subaccounts[subaccount_sid(1)], account.add_subaccount("AC" + "2" * 32)
        sub = client(server, own.sid, own.auth_token)
        assert [a.sid for a in sub.api.v2010.accounts.list()] == [own.sid]
        conferences = sub.insights.v1.conferences
        assert len(conferences.list(page_size=2)) == len(conferences.list(subaccount=own.sid)) == 3
        assert conferences(sid(200)).fetch().account_sid == own.sid
        for forbidden in (ACCOUNT_SID, other.sid):
            with pytest.raises(TwilioException, match="Unable to fetch page"):
                conferences.list(subaccount=forbidden)
        with pytest.raises(TwilioRestException, match="404"):
            conferences(sid(1)).fetch()

    def test_of_a_parent_fetches_from_a_subaccount_if_so_chosen(
        self, sdk: Any, server: InsightsServer
    ) -> None:
        with pytest.raises(TwilioRestException, match="404"):
            sdk(sid(200)).fetch()
        server.fetches_of_subaccounts = True
        assert sdk(sid(200)).fetch().account_sid == subaccount_sid(1)


def get(
    server: InsightsServer, path: str, login: tuple[str, str] = (ACCOUNT_SID, AUTH_TOKEN)
) -> tuple[int, Any, Any]:
    basic = base64.b64encode(":".join(login).encode()).decode()
    request = urllib.request.Request(server.url + path, headers={"Authorization": f"Basic {basic}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response), response.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error), error.headers


def test_bounds_are_inclusive_or_exclusive_as_chosen(server: InsightsServer) -> None:
    path = "/v1/Conferences?CreatedAfter=2026-11-20T12:30:00Z&CreatedBefore=2026-11-20T13:30:00Z"
    assert len(get(server, path)[1]["conferences"]) == 3
    server.inclusive = False
    assert len(get(server, path)[1]["conferences"]) == 0


@pytest.mark.parametrize(
    ("query", "code"),
    [("PageSize=5000", 17400), ("CreatedAfter=yesterday", 17400), ("PageToken=XX", 21481)],
)
def test_wrong_parameters_get_a_400(server: InsightsServer, query: str, code: int) -> None:
    status, body, _ = get(server, f"/v1/Conferences?{query}")
    assert (status, body["status"], body["code"]) == (400, 400, code)


def test_the_date_is_the_accounts(server: InsightsServer) -> None:
    assert get(server, "/v1/Conferences")[2]["Date"] == "Fri, 20 Nov 2026 14:30:00 GMT"


def test_a_refused_subaccount_says_why_and_the_others_answer(
    account: Account, server: InsightsServer
) -> None:
    off, forbidden, down, suspended, closed = (
        account.add_subaccount(subaccount_sid(number), status=status)
        for number, status in enumerate(["active"] * 3 + ["suspended", "closed"], 2)
    )
    off.advanced_features = False
    forbidden.failure = FORBIDDEN
    down.failure = (503, 20503, "Service unavailable")
    answers = {
        sub: get(server, f"/v1/Conferences?Subaccount={sub}")[:2]
        for sub in [*account.subaccounts, subaccount_sid(99), "ACx"]
    }
    assert [(status, body.get("code")) for status, body in answers.values()] == [
        (200, None),
        (401, 17007),
        (403, 17000),
        (503, 20503),
        (403, 20005),
        (403, 20005),
        (403, 17000),
        (403, 17000),
    ]
    assert get(server, "/v1/Conferences")[0] == 200
    settings = get(server, f"/v1/Voice/Settings?SubaccountSid={off.sid}")[1]
    assert (settings["account_sid"], settings["advanced_features"]) == (off.sid, False)
    assert get(server, "/v1/Voice/Settings")[1]["advanced_features"] is True
    assert get(server, f"/v1/Voice/Settings?SubaccountSid={closed.sid}")[0] == 403
    own = (suspended.sid, suspended.auth_token)
    assert get(server, "/v1/Conferences", own)[1]["code"] == 20003


def test_a_restricted_login_may_not_list_accounts(account: Account, server: InsightsServer) -> None:
    key = ("SK" + "1" * 32, "secret")
    account.logins.add(key)
    account.restricted_logins.add(key)
    assert get(server, "/2010-04-01/Accounts.json", key)[1]["code"] == 20003
    server.restricted = FORBIDDEN
    assert get(server, "/2010-04-01/Accounts.json", key)[0] == 403
    assert get(server, f"/v1/Conferences?Subaccount={subaccount_sid(1)}", key)[0] == 200
    assert get(server, "/2010-04-01/Accounts.json")[0] == 200


def test_the_list_of_accounts_is_paged_as_in_2010(account: Account, server: InsightsServer) -> None:
    account.add_subaccount(subaccount_sid(2), "Field service")
    first = get(server, "/2010-04-01/Accounts.json?Status=active&PageSize=2")[1]
    path = "/2010-04-01/Accounts.json?Status=active&PageSize=2&Page="
    assert first["next_page_uri"] == f"{path}1&PageToken=PA{subaccount_sid(1)}"
    assert [a["sid"] for a in first["accounts"]] == [subaccount_sid(2), subaccount_sid(1)]
    last = get(server, first["next_page_uri"])[1]
    (parent,) = last.pop("accounts")
    assert (parent["sid"], parent["type"]) == (ACCOUNT_SID, "Full")
    assert last == {
        "first_page_uri": f"{path}0",
        "next_page_uri": None,
        "previous_page_uri": f"{path}0",
        "uri": first["next_page_uri"],
        "page": 1,
        "page_size": 2,
        "start": 2,
        "end": 2,
    }
    assert get(server, "/2010-04-01/Accounts.json?PageToken=PAx")[1]["code"] == 21481


def test_a_subaccount_has_the_clock_of_the_tree_and_rows_of_its_own(account: Account) -> None:
    support = account.subaccounts[subaccount_sid(1)]
    support.now += HOUR
    assert account.now == support.now == NOW + HOUR
    assert {row["account_sid"] for row in support.rows()} == {support.sid}
    support.put(summary(7, HOUR, account_sid="AC" + "9" * 32))
    support.put(summary(8, HOUR, account_sid=None))
    assert {row["account_sid"] for row in support.rows()} == {support.sid, "AC" + "9" * 32, None}


def test_summaries_change_as_the_clock_moves(account: Account) -> None:
    account.put(summary(7, HOUR, friendly_name="later"), since=NOW + HOUR)
    assert [v.row["friendly_name"] for v in [account.get(sid(7))] if v and v.row] == ["room 1"]
    account.now += HOUR
    assert [v.row["friendly_name"] for v in [account.get(sid(7))] if v and v.row] == ["later"]


@pytest.mark.thorough
def test_it_serves_an_account_to_try_a_schedule_on(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_API_KEY", "SK1")  # the user's own
    monkeypatch.setenv("TWILIO_API_SECRET", "mine")
    monkeypatch.setenv("DESTINATION_TYPE", "postgres")
    monkeypatch.setenv("PUBLISH__DIRECTORY", str(tmp_path / "mine"))
    serve = [sys.executable, "-m", "pipelines.simulator", "0", "--subaccounts", "3"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with ExitStack() as stack:
        server = stack.enter_context(
            subprocess.Popen(
                serve, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
            )
        )
        stack.callback(server.kill)
        assert server.stdout is not None
        printed = [server.stdout.readline().strip().partition("=") for _ in range(10)]
        settings = {name: value for name, _, value in printed}
        assert server.stderr is not None
        url = settings["SOURCES__TWILIO_INSIGHTS__BASE_URL"]
        assert server.stderr.readline() == f"Simulated Twilio answers on {url}; Ctrl-C ends it\n"
        taken = settings["SOURCES__TWILIO_INSIGHTS__BASE_URL"].rpartition(":")[2]
        again = subprocess.run(
            [*serve[:3], taken], env=env, capture_output=True, text=True, check=False
        )
        said = f"Port {taken} cannot be used, choose another: "
        assert (again.returncode, again.stderr.startswith(said)) == (1, True)
        few = {"SOURCES__TWILIO_INSIGHTS__PARTICIPANT_REQUESTS": "20"}
        assert command("run", **settings | few).returncode == 0
        with duckdb.connect(tmp_path / "simulated.duckdb", read_only=True) as connection:
            participants = connection.table("conference_insights.conference_participants")
            assert len(participants) > 20
        assert command("doctor", **settings).returncode == 0
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 130
    assert (tmp_path / "simulated.published/current/insights.duckdb").exists()
