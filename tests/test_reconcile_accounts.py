"""`reconcile` compares each account by itself, and one that fails stops no other."""

from __future__ import annotations

import json
import threading

import pytest

from pipelines.run.pipeline import Backfill
from pipelines.run.reconcile import reconcile
from pipelines.simulator.account import ACCOUNT_SID, Account
from pipelines.simulator.server import InsightsServer
from pipelines.twilio_insights.errors import RefusedError, UnavailableError
from pipelines.twilio_insights.extract.comparison import Comparison
from pipelines.twilio_insights.progress import Progress
from tests.comparisons import DATASET, HOUR, SOURCE, compare, delete, kinds
from tests.comparisons import month as month
from tests.conftest import NOW, Command, Loaded, summary

pytestmark = pytest.mark.usefixtures("tables_only")

SUPPORT = "AC" + "1" * 32


@pytest.fixture
def two(account: Account, month: Loaded, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    monkeypatch.setenv(f"{SOURCE}ACCOUNTS", "all")
    monkeypatch.setenv(f"{SOURCE}RETRY_BUDGET", "1s")
    account.add_subaccount(SUPPORT, "Support")
    for number in range(500, 505):
        account.subaccounts[SUPPORT].put(summary(number, number * HOUR))
    month.run()
    return month


@pytest.mark.thorough
def test_accounts_are_compared_each(two: Loaded, command: Command) -> None:
    delete(two, 10, 501)
    found = compare()
    missing = {account: c.missing for (_, account, _), c in found.found.items() if c.missing}
    assert missing == {ACCOUNT_SID: 1, SUPPORT: 1}
    done = command("reconcile", "--repair")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "Support" in line]
    assert line.split() == [str((NOW - 501 * HOUR).date()), "Support", "5", "4", "1", "0"]


@pytest.mark.thorough
def test_an_account_that_fails_stops_no_other(two: Loaded, command: Command) -> None:
    delete(two, 10, 501)
    support = two.account.subaccounts[SUPPORT]
    support.failure = 503, 20503, "Service unavailable"
    comparison = Comparison()
    with pytest.raises(UnavailableError):
        reconcile(Progress("reconcile"), Backfill("29d"), threading.Event(), comparison)
    assert (kinds(comparison), not comparison.cut_by) == ({"missing": 1}, False)
    assert two.query(f"SELECT last_error FROM {DATASET}.accounts") == [(None,), (None,)]
    support.failure, support.advanced_features = None, False
    done = command("reconcile")
    assert done.returncode == 65, "one that is refused does not count where all are to be found"
    assert "Not everything" in done.stdout
    assert "Support" in done.stderr
    two.account.advanced_features = False
    with pytest.raises(RefusedError):
        compare()
    assert command("reconcile").returncode == 77


@pytest.mark.thorough
def test_a_record_that_two_listings_show_counts_once(
    two: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the list of the parent account has those of subaccounts is not documented."""
    real = InsightsServer.list_page

    def of_all(server: InsightsServer, query: dict[str, str]) -> bytes:
        page = json.loads(real(server, query))
        if "Subaccount" not in query:
            more = json.loads(real(server, query | {"Subaccount": SUPPORT}))
            page["conferences"] += more["conferences"]
        return json.dumps(page).encode()

    delete(two, 10, 501)
    apart = compare()
    assert kinds(apart) == {"missing": 2}
    monkeypatch.setattr(InsightsServer, "list_page", of_all)
    together = compare()
    assert together.found == apart.found
    assert (compare(repair=True).total().missing, compare().total().missing) == (2, 0)
