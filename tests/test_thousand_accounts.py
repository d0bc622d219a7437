"""A thousand subaccounts, of which three fail in different ways, with runs that are killed."""

from __future__ import annotations

import signal
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from pipelines.simulator.account import Account
from pipelines.simulator.sample_data import subaccount_sid
from tests import expected
from tests.conftest import Command, Loaded, kill_when, summary

pytestmark = pytest.mark.programs

HOUR = timedelta(hours=1)
EACH = 4
"""Conferences of an account."""
NOT_JSON = 200, 0, "what is not a list"


@pytest.fixture
def thousand(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> list[Account]:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__ACCOUNTS", "all")
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__RETRY_BUDGET", "1s")
    found = []
    for number in range(1, 1001):
        account = loaded.account.add_subaccount(subaccount_sid(number), f"Branch {number}")
        for one in range(EACH):
            account.put(summary(EACH * number + one, (1 + number % 600) * HOUR))
        found.append(account)
    return found


def test_it_is_exact_for_each_account(
    thousand: list[Account], loaded: Loaded, tmp_path: Path, process: Command
) -> None:
    refused, down, odd = thousand[300], thousand[500], thousand[700]
    refused.advanced_features = False
    down.failure = 503, 20503, "Service unavailable"
    odd.failure = NOT_JSON
    asked = loaded.server.requests
    for requests in (400, 900):
        asked.clear()
        code, _ = kill_when(partial(has_more, asked, requests), tmp_path)
        assert code == -signal.SIGKILL
    done = process("run")
    assert done.returncode == 69
    for account in (refused, down, odd):
        assert account.sid in done.stdout
    failing = {account.sid for account in (refused, down, odd)}
    assert_exact(loaded, [one for one in thousand if one.sid not in failing])
    down.failure = odd.failure = None
    refused.advanced_features = True
    loaded.account.now += timedelta(days=1)
    assert process("run").returncode == 0
    assert_exact(loaded, thousand)
    idle = len(loaded.server.requests)
    assert process("run").returncode == 0
    assert len(loaded.server.requests) - idle <= 1_050


def has_more(requests: list[str], than: int) -> bool:
    return len(requests) > than


def assert_exact(loaded: Loaded, accounts: list[Account]) -> None:
    rows = [row for account in accounts for row in account.rows()]
    assert expected.of_warehouse(loaded.path) == expected.of_api(rows)
