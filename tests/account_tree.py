"""A tree of accounts that runs load, and what they asked for and stored of it."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from pipelines.simulator.account import ACCOUNT_SID, Account, Row
from tests import expected
from tests.conftest import Loaded, summary

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SUPPORT, SALES, LAB = (f"AC{digit * 32}" for digit in "123")
DOWN = 503, 20503, "Service unavailable"
ACCOUNTS = "SOURCES__TWILIO_INSIGHTS__ACCOUNTS"
FILTERS = "SOURCES__TWILIO_INSIGHTS__FILTERS__"
ROWS = "SELECT account_sid, friendly_name, error_class FROM conference_insights.accounts ORDER BY 1"
WATERMARKS = "SELECT account_sid, listed_to FROM conference_insights._watermarks ORDER BY ALL"
RUNS = "SELECT accounts, accounts_failed FROM conference_insights._runs ORDER BY started_at DESC"


@pytest.fixture
def tree(account: Account, loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """Three accounts with some conferences each, all of which are to be loaded."""
    monkeypatch.setenv(ACCOUNTS, "all")
    account.add_subaccount(SUPPORT, "Support")
    account.add_subaccount(SALES, "Sales")
    account.add_subaccount(LAB, "Lab", status="suspended")
    for number, one in enumerate(account.tree()):
        for conference in range(3):
            one.put(summary(100 * number + conference, (1 + conference) * 5 * HOUR))
    return loaded


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__RETRY_BUDGET", "1s")


def sub(loaded: Loaded, account: str) -> Account:
    return loaded.account.subaccounts[account]


def rows(loaded: Loaded, *left_out: str) -> list[Row]:
    accounts = (one for one in loaded.account.tree() if one.sid not in (LAB, *left_out))
    return [row for one in accounts for row in one.rows()]


def is_exact(loaded: Loaded, *left_out: str) -> bool:
    return expected.of_warehouse(loaded.path) == expected.of_api(rows(loaded, *left_out))


def listings(loaded: Loaded) -> list[dict[str, str]]:
    """The queries of the listings of conferences."""
    urls = map(urlsplit, loaded.server.requests)
    return [dict(parse_qsl(url.query)) for url in urls if url.path == "/v1/Conferences"]


def asked(loaded: Loaded) -> list[str]:
    """The accounts that were listed."""
    return [query.get("Subaccount", ACCOUNT_SID) for query in listings(loaded)]


def last_run(loaded: Loaded) -> tuple[int, dict[str, str]]:
    accounts, failed = loaded.query(RUNS)[0]
    return accounts, json.loads(failed or "{}")
