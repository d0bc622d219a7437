"""Pending conferences, and those of a backfill, are found in whichever account has them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from pipelines.run.pipeline import Backfill, run
from pipelines.simulator.account import ACCOUNT_SID, running_row
from pipelines.twilio_insights.errors import RefusedError, UnavailableError
from pipelines.twilio_insights.progress import Progress
from tests.account_tree import (
    ACCOUNTS,
    DAY,
    DOWN,
    FILTERS,
    HOUR,
    ROWS,
    SALES,
    SUPPORT,
    WATERMARKS,
    asked,
    is_exact,
    listings,
    sub,
)
from tests.account_tree import impatient as impatient
from tests.account_tree import tree as tree
from tests.conftest import NOW, Loaded, sid, summary

pytestmark = pytest.mark.usefixtures("tables_only")


def test_what_is_pending_in_a_subaccount_is_asked_for_by_a_listing(tree: Loaded) -> None:
    old = 5 * DAY
    sub(tree, SALES).put(summary(7, old, "in_progress"))
    tree.run()
    sub(tree, SALES).put(summary(7, old))
    tree.account.now += HOUR
    tree.run()
    assert is_exact(tree)
    (query,) = [query for query in listings(tree) if "ConferenceSid" in query]
    assert query["ConferenceSid"] == sid(7)
    assert query["Subaccount"] == SALES
    span = datetime.fromisoformat(query["CreatedBefore"]) - datetime.fromisoformat(
        query["CreatedAfter"]
    )
    assert span <= timedelta(seconds=5)


def test_a_pending_one_that_is_not_there_backs_off(tree: Loaded) -> None:
    sub(tree, SALES).put(summary(7, 5 * DAY, "in_progress"))
    tree.run()
    sub(tree, SALES).forget(sid(7))
    tree.run()
    refetches = "SELECT key, attempts, outcome FROM conference_insights._refetches"
    assert tree.query(refetches) == [(sid(7), 1, "gone")]
    tree.run()
    assert not [query for query in listings(tree) if "ConferenceSid" in query]


@pytest.mark.thorough
def test_pending_ones_of_an_account_that_fails_wait(
    tree: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__RETRY_BUDGET", "1s")
    for number, account in enumerate((SUPPORT, SALES)):
        sub(tree, account).put(summary(70 + number, 5 * DAY, "in_progress"))
    tree.run()
    for number, account in enumerate((SUPPORT, SALES)):
        sub(tree, account).put(summary(70 + number, 5 * DAY))
    sub(tree, SUPPORT).failure = 503, 20503, "Service unavailable"
    tree.account.now += HOUR
    with pytest.raises(UnavailableError):
        tree.run()
    assert not is_exact(tree)
    sub(tree, SUPPORT).failure = None
    tree.run()
    assert is_exact(tree)
    assert not tree.query("FROM conference_insights._refetches")


def test_a_conference_is_found_in_whatever_account_has_it(tree: Loaded) -> None:
    tree.run()
    sub(tree, SALES).put(summary(8, 10 * DAY))
    missing = sid(9)
    done = run(Progress("backfill"), backfill=Backfill(conferences=(sid(8), missing)))
    assert is_exact(tree)
    assert done.not_found == [missing]


def test_a_backfill_reads_all_accounts_and_moves_no_watermark(tree: Loaded) -> None:
    tree.run()
    watermarks = tree.query(WATERMARKS)
    tree.account.now += HOUR
    for one in tree.account.tree():
        one.put(summary(int(one.sid[2], 16) * 10 + 50, 10 * DAY))
    run(Progress("backfill"), backfill=Backfill("20d"))
    assert is_exact(tree)
    assert tree.query(WATERMARKS) == watermarks


def test_what_is_pending_is_followed_whatever_the_filter(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Conferences that become final no longer match `status = in_progress`."""
    monkeypatch.setenv(f"{FILTERS}STATUS", "in_progress")
    for number in range(30):
        loaded.account.put(running_row(sid(number), NOW - 3 * DAY - number * HOUR / 60))
    assert loaded.run().rows_new == 30
    loaded.account.put(summary(99, 3 * DAY))
    for number in range(30):
        loaded.account.put(summary(number, 3 * DAY + number * HOUR / 60))
    loaded.account.now += HOUR
    assert loaded.run().rows_updated == 30
    stored = loaded.query("SELECT count(*) FROM conference_insights.conference_summaries")
    assert stored == [(30,)], "what the filter leaves out is not loaded with them"


def test_a_backfill_has_filters_of_its_own(loaded: Loaded) -> None:
    for number, region in enumerate(["us1", "ie1", "de1"]):
        loaded.account.put(summary(number, (number + 1) * DAY, mixer_region=region))
    scope = Backfill("20d", filters={"mixer_region": "ie1"})
    assert run(Progress("backfill"), backfill=scope).rows_new == 1


@pytest.mark.thorough
def test_what_no_account_has_says_nothing_of_the_accounts(
    tree: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal of one is not that of another, and what is unknown is not found."""
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__RETRY_BUDGET", "1s")
    sub(tree, SUPPORT).advanced_features = False
    tree.run()
    done = run(Progress("backfill"), backfill=Backfill(conferences=(sid(999),)))
    assert done.not_found == [sid(999)]
    assert tree.query(ROWS)[2] == (ACCOUNT_SID, "Head office", None)
    sub(tree, SALES).failure = 503, 20503, "Service unavailable"
    with pytest.raises(UnavailableError, match="could not be fetched"):
        run(Progress("backfill"), backfill=Backfill(conferences=(sid(999),)))
    assert {error for *_, error in tree.query(ROWS)} == {None, "RefusedError"}


@pytest.mark.thorough
@pytest.mark.usefixtures("impatient")
def test_pending_ones_are_followed_however_many_other_accounts_stay_unreachable(
    tree: Loaded,
) -> None:
    """Five that give no answer are the last that are asked, and look like an API that is down."""
    down = [tree.account.add_subaccount(f"AC{n:02d}" + "e" * 30) for n in range(5)]
    followed = {70: tree.account, 71: sub(tree, SALES)}
    for number, one in followed.items():
        one.put(summary(number, 5 * DAY, "in_progress"))
    tree.run()
    for one in down:
        one.failure = DOWN
    for _ in range(2):
        with pytest.raises(UnavailableError):
            tree.run()
        for number, one in followed.items():
            one.put(summary(number, 5 * DAY))
    assert is_exact(tree)


@pytest.mark.thorough
def test_a_backfill_asks_what_was_refused_at_once(tree: Loaded) -> None:
    sub(tree, SUPPORT).advanced_features = False
    tree.run()
    sub(tree, SUPPORT).advanced_features = True
    tree.account.now += HOUR
    run(Progress("backfill"), backfill=Backfill("29d"))
    assert is_exact(tree)


@pytest.mark.thorough
@pytest.mark.parametrize("others", ["all", f"{SUPPORT},{SALES}"])
def test_a_conference_is_found_whichever_accounts_are_refused(
    tree: Loaded, others: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ACCOUNTS, others)
    tree.run()
    tree.account.advanced_features = sub(tree, SALES).advanced_features = False
    sub(tree, SUPPORT).put(summary(8, 10 * DAY))
    done = run(Progress("backfill"), backfill=Backfill(conferences=(sid(8), sid(9))))
    assert (done.rows_new, done.not_found) == (1, [sid(9)])
    tree.account.advanced_features = sub(tree, SALES).advanced_features = True
    tree.account.now += HOUR
    tree.run()
    assert {ACCOUNT_SID, SALES} <= {*asked(tree)}


@pytest.mark.thorough
@pytest.mark.fresh
@pytest.mark.usefixtures("impatient")
def test_a_conference_is_asked_of_an_account_that_was_never_loaded(
    tree: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ACCOUNTS, SALES)
    tree.run()
    tree.account.advanced_features = False
    with pytest.raises(RefusedError):
        sub(tree, SALES).advanced_features = False
        run(Progress("backfill"), backfill=Backfill(conferences=(sid(8),)))


@pytest.mark.thorough
def test_a_pending_one_that_does_not_say_whose_it_is_is_found(tree: Loaded) -> None:
    sub(tree, SALES).put(summary(7, 5 * DAY, "in_progress", account_sid=None))
    tree.run()
    sub(tree, SALES).put(summary(7, 5 * DAY, account_sid=None))
    tree.account.now += HOUR
    tree.run()
    assert is_exact(tree)
