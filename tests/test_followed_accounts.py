"""Which accounts a run follows, in which region, by which filter, each from its own watermark."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest

from pipelines.simulator.account import ACCOUNT_SID, Account
from pipelines.twilio_insights.progress import Progress
from pipelines.twilio_insights.settings import Settings
from tests import expected
from tests.account_tree import (
    ACCOUNTS,
    DAY,
    FILTERS,
    HOUR,
    ROWS,
    SALES,
    SUPPORT,
    WATERMARKS,
    asked,
    is_exact,
    sub,
)
from tests.account_tree import tree as tree
from tests.conftest import NOW, Command, Loaded, summary

pytestmark = pytest.mark.usefixtures("tables_only")


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


def test_a_new_account_is_loaded_from_the_first_day_that_twilio_has(tree: Loaded) -> None:
    tree.run()
    late = tree.account.add_subaccount("AC" + "4" * 32, "Training")
    late.put(summary(400, 29 * DAY))
    tree.account.now += HOUR
    assert tree.run().rows_new == 1
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
