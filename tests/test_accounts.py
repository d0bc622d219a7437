"""One run over several accounts: each with its own watermark, pending conferences and failures."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import duckdb
import pytest

from pipelines.run.pipeline import Backfill, run
from pipelines.simulator.account import ACCOUNT_SID, Account, Row, running_row
from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.errors import (
    BadAnswerError,
    InsightsError,
    RefusedError,
    UnavailableError,
)
from pipelines.twilio_insights.progress import Progress
from pipelines.twilio_insights.settings import Settings
from tests import expected
from tests.conftest import NOW, Command, Loaded, sid, summary

pytestmark = pytest.mark.usefixtures("tables_only")

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SUPPORT, SALES, LAB = (f"AC{digit * 32}" for digit in "123")
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


@pytest.mark.thorough
def test_all_active_accounts_are_loaded(tree: Loaded) -> None:
    done = tree.run()
    assert is_exact(tree)
    assert (done.accounts, done.rows_new) == (3, 9)
    assert tree.query(ROWS) == [
        (SUPPORT, "Support", None),
        (SALES, "Sales", None),
        (ACCOUNT_SID, "Head office", None),
    ]
    at = NOW.replace(tzinfo=None)
    assert tree.query(WATERMARKS) == [(SUPPORT, at), (SALES, at), (ACCOUNT_SID, at)]
    assert "auth" not in str(tree.query("FROM conference_insights.accounts"))


def test_a_run_with_nothing_new_takes_a_request_an_account_and_writes_no_package(
    tree: Loaded,
) -> None:
    tree.run()
    packages = tree.query("SELECT count(*) FROM conference_insights._dlt_loads")
    tree.account.now += HOUR
    done = tree.run()
    assert sorted(asked(tree)[-3:]) == [SUPPORT, SALES, ACCOUNT_SID]
    assert done.requests == 4, "the list of accounts, and each of three"
    assert tree.query("SELECT count(*) FROM conference_insights._dlt_loads") == packages
    listed_to = "SELECT DISTINCT listed_to FROM conference_insights.accounts"
    assert tree.query(listed_to) == [((NOW + HOUR).replace(tzinfo=None),)]


@pytest.mark.parametrize("accounts", [f"{SUPPORT},{SALES}", f"{SALES}, {SUPPORT} {SALES}"])
def test_a_list_is_just_these(tree: Loaded, accounts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ACCOUNTS, accounts)
    tree.run()
    assert is_exact(tree, ACCOUNT_SID)


def test_only_an_account_without_a_watermark_waits_until_created_after(
    tree: Loaded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tree.run()
    new = tree.account.add_subaccount("AC" + "4" * 32, "New")
    new.put(summary(900, HOUR))
    tree.account.put(summary(901, HOUR))
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__CREATED_AFTER", f"{NOW + 3 * DAY:%Y-%m-%d}")
    assert tree.run().rows_new == 1
    assert is_exact(tree, new.sid)
    assert f"in the future: nothing is listed yet of {new.sid}" in caplog.text


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


def test_a_new_account_is_loaded_from_the_first_day_that_twilio_has(tree: Loaded) -> None:
    tree.run()
    late = tree.account.add_subaccount("AC" + "4" * 32, "Training")
    late.put(summary(400, 29 * DAY))
    tree.account.now += HOUR
    assert tree.run().rows_new == 1
    assert is_exact(tree)


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
def test_an_account_that_left_keeps_its_rows_and_is_not_asked(
    tree: Loaded, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    sub(tree, SALES).put(summary(7, HOUR, "in_progress"))
    tree.run()
    sub(tree, SALES).status = "suspended"
    tree.account.now += HOUR
    tree.run()
    assert SALES not in asked(tree)
    left = "SELECT account_sid, left_at FROM conference_insights.accounts WHERE left_at IS NOT NULL"
    assert tree.query(left) == [(SALES, (NOW + HOUR).replace(tzinfo=None))]
    assert "no longer followed" not in command("status").stdout
    tree.account.now += 2 * DAY
    tree.run()
    assert f"Sales ({SALES}) is no longer followed" in command("status").stdout
    assert len(tree.query("FROM conference_insights.conference_summaries")) == 10
    sub(tree, SALES).status = "active"
    sub(tree, SALES).put(summary(7, HOUR))
    tree.run()
    assert is_exact(tree)
    assert not tree.query(left)


@pytest.mark.thorough
def test_credentials_of_several_accounts_fill_one_warehouse(
    tree: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ACCOUNTS)
    for one in (tree.account, sub(tree, SALES), tree.account, sub(tree, SALES)):
        monkeypatch.setenv("TWILIO_ACCOUNT_SID", one.sid)
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", one.auth_token)
        one.put(summary(int(tree.account.now.timestamp()) % 7919, NOW - tree.account.now + HOUR))
        tree.run()
        assert {*asked(tree)} == {ACCOUNT_SID}, "each logs in as itself"
        tree.account.now += HOUR
    assert is_exact(tree, SUPPORT)
    followed = "SELECT account_sid, followed_by, left_at FROM conference_insights.accounts"
    assert sorted(tree.query(followed)) == [(SALES, SALES, None), (ACCOUNT_SID, ACCOUNT_SID, None)]


def test_a_filter_has_a_watermark_of_its_own_and_hides_nothing_for_ever(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    regions = ["us1", "ie1", "ie1", "de1"]
    for number, region in enumerate(regions):
        loaded.account.put(summary(number, (number + 1) * 3 * DAY, mixer_region=region))
    monkeypatch.setenv(f"{FILTERS}MIXER_REGION", "ie1")
    done = loaded.run()
    assert done.rows_new == 2
    assert done.filters == '{"mixer_region":"ie1"}'
    loaded.account.now += HOUR
    monkeypatch.delenv(f"{FILTERS}MIXER_REGION")
    assert loaded.run().rows_new == 2
    loaded.assert_exact()
    kept = "SELECT filters, region FROM conference_insights._watermarks ORDER BY 1"
    assert loaded.query(kept) == [("", ""), ('{"mixer_region":"ie1"}', "")]


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
def test_regions_of_one_account_have_watermarks_of_their_own(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has conferences that the other does not know."""
    elsewhere = Account(NOW)
    here = loaded.account
    here.put(summary(1, 10 * DAY))
    here.put(summary(2, 9 * DAY, "in_progress"))
    elsewhere.put(summary(3, 11 * DAY))
    elsewhere.put(summary(4, 8 * DAY, "in_progress"))

    def run_in(region: str, account: Account, hours: int) -> Progress:
        account.now = NOW + hours * HOUR
        loaded.server.account = account
        monkeypatch.setattr(Settings, "region", region)
        return loaded.run()

    for hours in range(3):
        run_in("", here, hours)
        run_in("ie1", elsewhere, hours)
    here.put(summary(2, 9 * DAY))
    elsewhere.put(summary(4, 8 * DAY))
    for hours in range(3, 5):
        run_in("", here, hours)
        run_in("ie1", elsewhere, hours)
    stored = expected.of_warehouse(loaded.path)
    assert stored == expected.of_api(here.rows() + elsewhere.rows())


@pytest.mark.thorough
def test_the_source_alone_loads_all_accounts(tree: Loaded, tmp_path: Any) -> None:
    import dlt
    import duckdb

    from pipelines.twilio_insights import twilio_insights

    sub(tree, SUPPORT).advanced_features = False
    alone = tmp_path / "alone.duckdb"
    pipeline = dlt.pipeline("alone", destination=dlt.destinations.duckdb(str(alone)))
    for _ in range(2):
        pipeline.run(twilio_insights())
        sub(tree, SALES).put(summary(500, HOUR))
    with duckdb.connect(alone, read_only=True) as connection:
        found = connection.execute(
            f"SELECT account_sid, count(*) FROM {pipeline.dataset_name}.conference_summaries "
            "GROUP BY 1 ORDER BY 1"
        ).fetchall()
        known = connection.execute(
            f"SELECT account_sid, error_class FROM {pipeline.dataset_name}.accounts ORDER BY 1"
        ).fetchall()
    assert found == [(SALES, 4), (ACCOUNT_SID, 3)]
    assert known == [(SUPPORT, "RefusedError"), (SALES, None), (ACCOUNT_SID, None)]


def test_times_are_those_of_the_api(tree: Loaded) -> None:
    tree.run()
    seen = "SELECT DISTINCT first_seen_at FROM conference_insights.accounts"
    assert tree.query(seen) == [(NOW.astimezone(UTC).replace(tzinfo=None),)]


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
def test_a_new_account_is_told_of_only_where_it_is_one(
    tree: Loaded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tree.run()
    monkeypatch.setenv(f"{FILTERS}MIXER_REGION", "ie1")
    monkeypatch.setenv(ACCOUNTS, SALES)
    tree.run()
    monkeypatch.delenv(ACCOUNTS)
    tree.run()
    assert "is a new account" not in caplog.text


DOWN = 503, 20503, "Service unavailable"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__RETRY_BUDGET", "1s")


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


@pytest.mark.thorough
def test_a_pending_one_that_does_not_say_whose_it_is_is_found(tree: Loaded) -> None:
    sub(tree, SALES).put(summary(7, 5 * DAY, "in_progress", account_sid=None))
    tree.run()
    sub(tree, SALES).put(summary(7, 5 * DAY, account_sid=None))
    tree.account.now += HOUR
    tree.run()
    assert is_exact(tree)


@pytest.mark.thorough
def test_a_filter_goes_on_from_what_was_listed_without_any(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(f"{FILTERS}MIXER_REGION", "ie1")
    loaded.run()
    monkeypatch.delenv(f"{FILTERS}MIXER_REGION")
    for _ in range(2):
        loaded.account.now += 20 * DAY
        loaded.run()
    monkeypatch.setenv(f"{FILTERS}MIXER_REGION", "ie1")
    done = loaded.run()
    assert done.window_from == loaded.account.now - 48 * HOUR
    assert "LOST" not in caplog.text
