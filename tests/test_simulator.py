"""The simulated API, proved with a client that is not ours: Twilio's own SDK."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN, Account
from pipelines.simulator.server import InsightsServer
from tests.conftest import NOW, ROOT, Command, sid, summary

HOUR = timedelta(hours=1)


class ToSimulator(TwilioHttpClient):
    """Sends what the SDK would send to Twilio to the simulator instead."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        target = url.replace("https://insights.twilio.com", self._url)
        return super().request(method, target, *args, **kwargs)


@pytest.fixture
def account() -> Account:
    account = Account(NOW)
    for number in range(60):
        account.put(summary(number, number * HOUR, friendly_name=f"room {number % 2}"))
    account.put(summary(100, HOUR, "in_progress"))
    return account


@pytest.fixture
def server(account: Account) -> Iterator[InsightsServer]:
    with InsightsServer(account) as insights:
        yield insights


@pytest.fixture
def sdk(server: InsightsServer) -> Any:
    client = Client(ACCOUNT_SID, AUTH_TOKEN, http_client=ToSimulator(server.url))
    return client.insights.v1.conferences


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
        client = Client(ACCOUNT_SID, "wrong", http_client=ToSimulator(server.url))
        with pytest.raises(TwilioRestException) as caught:
            client.insights.v1.conferences(sid(1)).fetch()
        assert (caught.value.status, caught.value.code) == (401, 20003)


def get(server: InsightsServer, path: str) -> tuple[int, Any, Any]:
    login = base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
    request = urllib.request.Request(server.url + path, headers={"Authorization": f"Basic {login}"})
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


def test_summaries_change_as_the_clock_moves(account: Account) -> None:
    account.put(summary(7, HOUR, friendly_name="later"), since=NOW + HOUR)
    assert [v.row["friendly_name"] for v in [account.get(sid(7))] if v and v.row] == ["room 1"]
    account.now += HOUR
    assert [v.row["friendly_name"] for v in [account.get(sid(7))] if v and v.row] == ["later"]


def test_it_serves_an_account_to_try_a_schedule_on(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_API_KEY", "SK1")  # the user's own
    monkeypatch.setenv("TWILIO_API_SECRET", "mine")
    serve = [sys.executable, "-m", "pipelines.simulator", "0"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, env=env) as server:
        assert server.stdout is not None
        printed = [server.stdout.readline().strip().partition("=") for _ in range(6)]
        settings = {name: value for name, _, value in printed}
        taken = settings["SOURCES__TWILIO_INSIGHTS__BASE_URL"].rpartition(":")[2]
        again = subprocess.run(
            [*serve[:-1], taken], env=env, capture_output=True, text=True, check=False
        )
        said = f"Port {taken} cannot be used, choose another: "
        assert (again.returncode, again.stderr.startswith(said)) == (1, True)
        assert command("run", **settings).returncode == 0
        assert (tmp_path / "simulated.duckdb").exists()
        assert command("doctor", **settings).returncode == 0
        server.send_signal(signal.SIGINT)
        assert server.wait(30) == 130
    assert (tmp_path / "simulated.published/current/insights.duckdb").exists()
