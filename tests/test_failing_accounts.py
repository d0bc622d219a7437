"""An account that is refused or gives no answer stops no other, is named, and is asked again."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import duckdb
import pytest

from pipelines.simulator.account import ACCOUNT_SID
from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.errors import (
    BadAnswerError,
    InsightsError,
    RefusedError,
    UnavailableError,
)
from tests.account_tree import (
    ACCOUNTS,
    DAY,
    DOWN,
    HOUR,
    LAB,
    ROWS,
    SALES,
    SUPPORT,
    WATERMARKS,
    asked,
    is_exact,
    last_run,
    sub,
)
from tests.account_tree import impatient as impatient
from tests.account_tree import tree as tree
from tests.conftest import NOW, Loaded, summary

pytestmark = pytest.mark.usefixtures("tables_only")


@pytest.mark.thorough
def test_failures_stop_no_other_account(
    tree: Loaded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__RETRY_BUDGET", "1s")
    sub(tree, SUPPORT).advanced_features = False
    sub(tree, SALES).failure = 503, 20503, "Service unavailable"
    with pytest.raises(UnavailableError, match="20503"):
        tree.run()
    assert is_exact(tree, SUPPORT, SALES)
    failed = {SUPPORT: "RefusedError", SALES: "UnavailableError"}
    assert last_run(tree) == (3, failed)
    assert tree.query(ROWS)[:2] == [
        (SUPPORT, "Support", "RefusedError"),
        (SALES, "Sales", "UnavailableError"),
    ]
    sub(tree, SALES).failure = None
    tree.account.now += HOUR
    done = tree.run()
    assert SUPPORT not in asked(tree), "a refused one is asked once a day"
    assert is_exact(tree, SUPPORT)
    (named,) = done.failures
    assert named == f"Support ({SUPPORT}), RefusedError since {NOW:%Y-%m-%d %H:%M} UTC"
    assert f"Not loaded: {named}: Twilio refused account {SUPPORT}" in caplog.text
    sub(tree, SUPPORT).advanced_features = True
    tree.account.now += DAY
    tree.run()
    assert is_exact(tree)
    assert last_run(tree) == (3, {})
    assert {error for *_, error in tree.query(ROWS)} == {None}


def test_an_account_that_is_named_and_refused_is_an_error_of_each_run(
    tree: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ACCOUNTS, f"{SUPPORT},{LAB}")
    for _ in range(2):
        with pytest.raises(RefusedError, match=LAB):
            tree.run()
        assert is_exact(tree, ACCOUNT_SID, SALES)
        tree.account.now += HOUR
    assert LAB not in asked(tree)


def test_where_all_are_refused_the_run_is(tree: Loaded) -> None:
    for one in tree.account.tree():
        one.advanced_features = False
    for _ in range(2):
        with pytest.raises(RefusedError):
            tree.run()
        assert {SUPPORT, SALES, ACCOUNT_SID} <= {*asked(tree)}, "there is nothing else to ask"
        tree.account.now += HOUR


@pytest.mark.thorough
def test_a_refused_account_waits_though_no_other_is_complete_in_the_first_package(
    tree: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.run.packages.PACKAGE_ROWS", 300)
    for number in range(3000):
        tree.account.put(summary(1000 + number, number * HOUR / 5))
    sub(tree, SALES).status = "suspended"
    sub(tree, SUPPORT).advanced_features = False
    assert len(tree.run().load_ids) > 2
    tree.account.now += HOUR
    tree.run()
    assert SUPPORT not in asked(tree)
    assert is_exact(tree, SUPPORT, SALES)


@pytest.mark.thorough
def test_those_that_wait_are_asked_if_no_other_answered(tree: Loaded) -> None:
    everyone = [tree.account, sub(tree, SUPPORT), sub(tree, SALES)]
    for refused in everyone:
        for one in everyone:
            one.advanced_features = one is not refused
        with suppress(RefusedError):
            tree.run()
        tree.account.now += HOUR
    everyone[-1].advanced_features = True
    tree.run()
    assert last_run(tree) == (3, {})
    assert is_exact(tree)


def test_after_wrong_credentials_no_account_waits(
    tree: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as wrong:
        wrong.setenv("TWILIO_AUTH_TOKEN", "f" * 32)
        with pytest.raises(RefusedError):
            tree.run()
    tree.account.now += HOUR
    assert tree.run().accounts_failed == {}
    assert is_exact(tree)


@pytest.mark.parametrize("accounts", ["all", f"{ACCOUNT_SID},{SUPPORT},{SALES}"])
@pytest.mark.parametrize("answered", [1, 2])
def test_no_account_waits_because_the_credentials_were_revoked_during_a_run(
    tree: Loaded, answered: int, accounts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ACCOUNTS, accounts)
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__MAX_CONCURRENCY", "1")
    answer, left = InsightsHandler.answer, [answered]

    def revoked(handler: InsightsHandler) -> tuple[int, bytes]:
        left[0] -= handler.path.startswith("/v1/Conferences")
        return answer(handler) if left[0] >= 0 else (401, b'{"code": 20003}')

    with monkeypatch.context() as during, suppress(RefusedError):
        during.setattr(InsightsHandler, "answer", revoked)
        tree.run()
    assert left[0] < 0
    tree.account.now += HOUR
    tree.run()
    assert is_exact(tree)


def test_who_was_refused_with_other_credentials_is_asked_at_once(
    tree: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as other:
        other.setenv("TWILIO_ACCOUNT_SID", SUPPORT)
        other.setenv("TWILIO_AUTH_TOKEN", next(iter(sub(tree, SUPPORT).logins))[1])
        other.setenv(ACCOUNTS, f"{SUPPORT},{ACCOUNT_SID}")
        with pytest.raises(RefusedError):
            tree.run()
    assert is_exact(tree, ACCOUNT_SID, SALES)
    tree.run()
    assert is_exact(tree)


def test_a_parent_without_the_feature_may_have_subaccounts_with_it(tree: Loaded) -> None:
    tree.account.advanced_features = False
    done = tree.run()
    assert is_exact(tree, ACCOUNT_SID)
    assert done.accounts_failed == {ACCOUNT_SID: "RefusedError"}


def test_if_twilio_does_not_list_the_accounts_those_that_are_known_are_loaded(
    tree: Loaded,
) -> None:
    tree.run()
    tree.account.restricted_logins = set(tree.account.logins)
    sub(tree, SALES).put(summary(5, HOUR))
    with pytest.raises(RefusedError, match="List of accounts"):
        tree.run()
    assert is_exact(tree)
    assert not tree.query("FROM conference_insights.accounts WHERE left_at IS NOT NULL")


@pytest.mark.thorough
def test_a_refused_account_that_comes_back_is_asked_at_once(tree: Loaded) -> None:
    sub(tree, SALES).advanced_features = False
    tree.run()
    for status in ("suspended", "active"):
        sub(tree, SALES).status = status
        sub(tree, SALES).advanced_features = True
        tree.account.now += HOUR
        tree.run()
    assert is_exact(tree)


@pytest.mark.thorough
@pytest.mark.fresh
def test_what_was_loaded_is_published_though_one_account_failed(
    tree: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ACCOUNTS, f"{SUPPORT},{SALES}")
    sub(tree, SUPPORT).advanced_features = False
    with pytest.raises(RefusedError):
        tree.run()
    copy = tree.path.with_name("warehouse.published") / "current/insights.duckdb"
    with duckdb.connect(copy, read_only=True) as connection:
        found = connection.execute("SELECT account_sid, pending FROM analytics.accounts").fetchall()
    assert sorted(found) == [(SUPPORT, 0), (SALES, 0)]


@pytest.mark.thorough
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("failure", [DOWN, (200, 0, "what is not a list")])
def test_the_own_account_stops_no_other(
    tree: Loaded, failure: tuple[int, int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.account.failure = failure
    monkeypatch.setenv(ACCOUNTS, f"{SUPPORT},{SALES}")
    tree.run()
    assert is_exact(tree, ACCOUNT_SID)
    sub(tree, SALES).put(summary(5, HOUR))
    monkeypatch.setenv(ACCOUNTS, f"{ACCOUNT_SID},{SALES}")
    with pytest.raises(InsightsError, match=failure[2] if failure == DOWN else "200"):
        tree.run()
    assert is_exact(tree, ACCOUNT_SID)


@pytest.mark.thorough
@pytest.mark.usefixtures("impatient")
def test_those_that_failed_come_last(tree: Loaded) -> None:
    """However many there are, they keep the others waiting only until they are known."""
    down = [tree.account.add_subaccount(f"AC{n:02d}" + "e" * 30) for n in range(16)]
    for number, one in enumerate(down):
        one.put(summary(1000 + number, HOUR))
        one.failure = DOWN
    for _ in range(4):  # four times five give no answer
        with pytest.raises(UnavailableError):
            tree.run()
        tree.account.now += HOUR
        loaded = {a for a, listed_to in tree.query(WATERMARKS)}
        assert {*last_run(tree)[1]} >= {one.sid for one in tree.account.tree()} - loaded - {LAB}
    sub(tree, SALES).put(summary(5, HOUR))
    with pytest.raises(UnavailableError):
        tree.run()
    assert is_exact(tree, *(one.sid for one in down))


def test_a_wrong_clock_makes_no_refused_account_wait(tree: Loaded) -> None:
    tree.account.now += 365 * DAY
    sub(tree, SALES).advanced_features = False
    tree.run()
    tree.account.now -= 365 * DAY
    sub(tree, SALES).advanced_features = True
    tree.run()
    assert is_exact(tree)


@pytest.mark.thorough
def test_what_a_refused_account_has_lost_is_named(
    tree: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    tree.run()
    sub(tree, SALES).advanced_features = False
    tree.account.now += HOUR
    tree.run()
    lost = f"LOST: what was created by {SALES}"
    for days, is_named in ((40, True), (0, False), (1, True)):
        sub(tree, SALES).advanced_features = days == 1
        tree.account.now += days * DAY
        caplog.clear()
        assert bool(tree.run().gap_from and lost in caplog.text) is is_named


@pytest.mark.thorough
def test_an_account_whose_records_may_not_be_fetched_is_still_listed(
    tree: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a restricted key, which may list without reading single ones."""
    tree.account.put(summary(70, 5 * DAY, "in_progress"))
    tree.run()
    answer = InsightsHandler.answer

    def refused(handler: InsightsHandler) -> tuple[int, bytes]:
        is_one = "/v1/Conferences/" in handler.path
        return (401, b'{"code": 20003}') if is_one else answer(handler)

    monkeypatch.setattr(InsightsHandler, "answer", refused)
    for hour in (1, 2):
        tree.account.now += HOUR
        tree.account.put(summary(90 + hour, -hour * HOUR))
        assert tree.run().accounts_failed == {ACCOUNT_SID: "RefusedError"}
        assert is_exact(tree)


@pytest.mark.thorough
@pytest.mark.usefixtures("impatient")
def test_the_source_alone_names_what_it_could_not_load(
    tree: Loaded, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    import dlt

    from pipelines.twilio_insights import twilio_insights

    pipeline = dlt.pipeline(
        "alone", destination=dlt.destinations.duckdb(str(tmp_path / "alone.duckdb"))
    )
    pipeline.run(twilio_insights())
    tree.account.restricted_logins = set(tree.account.logins)
    sub(tree, SALES).failure = DOWN
    pipeline.run(twilio_insights())
    assert "List of accounts" in caplog.text
    assert f"Sales ({SALES}), UnavailableError since" in caplog.text


def test_an_api_that_ignores_whose_conferences_it_is_to_list_is_found_out(
    tree: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise each account would seem to be listed, and its conferences would be lost."""
    listing = tree.server.list_page
    monkeypatch.setattr(
        tree.server,
        "list_page",
        lambda query: listing({n: v for n, v in query.items() if n != "Subaccount"}),
    )
    with pytest.raises(BadAnswerError, match="ignore the parameter Subaccount"):
        tree.run()
    assert is_exact(tree, SUPPORT, SALES)
    monkeypatch.setattr(tree.server, "list_page", listing)
    tree.run()
    assert is_exact(tree)
