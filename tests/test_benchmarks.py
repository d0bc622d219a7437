"""The benchmark runs every program; at its real size it is run by hand."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from twilio.rest import Client

from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN
from tests.benchmarks.api import NOW, STRETCH, Traffic, served
from tests.conftest import ROOT
from tests.test_simulator import ToSimulator

pytestmark = pytest.mark.programs


def measured(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--rounds", "1", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_measures_every_program() -> None:
    found = measured("--size", "1000", "--goals", "fresh", "--goals", "scheduled")
    programs = [line.split(" | ")[1] for line in found.splitlines() if " | " in line]
    assert {"limit", "ours", "sdk", "rest_api"} <= set(programs)
    assert "500 new, in a warehouse of 300" in found
    assert "merge" in found


def test_it_measures_several_accounts() -> None:
    found = measured("--size", "200", "--goals", "idle", "--goals", "accounts")
    requests = {
        line.split(" | ")[0].strip("| "): int(asked[1])
        for line in found.splitlines()
        if (asked := re.search(r"(\d+) requests", line))
    }
    assert requests["5 idle subaccounts, 200 ms an answer"] in range(6, 50)
    assert requests["500 summaries in 5 accounts"] > 5
    assert "500 summaries in one account" in requests


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_its_accounts_have_what_the_traffic_says() -> None:
    with served(Traffic(100, subaccounts=2, idle=3)) as api:
        http = ToSimulator(api.environment["SOURCES__TWILIO_INSIGHTS__BASE_URL"])
        client = Client(ACCOUNT_SID, AUTH_TOKEN, http_client=http)
        counts, sids = [], set()
        for account in client.api.v2010.accounts.list(status="active"):
            found = client.insights.v1.conferences.list(
                subaccount=account.sid, created_after=f"{NOW - STRETCH:%Y-%m-%dT%H:%M:%SZ}"
            )
            assert {conference.account_sid for conference in found} <= {account.sid}
            counts.append(len(found))
            sids |= {conference.conference_sid for conference in found}
        assert (sorted(counts), len(sids)) == ([0, 0, 0, 100, 100, 100], 300)
