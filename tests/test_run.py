"""After a run the four tables equal what the API shows, whatever it left open or did meanwhile."""

from __future__ import annotations

import gc
import shutil
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.errors import SettingsError
from pipelines.run import packages
from pipelines.run.pipeline import Polling
from pipelines.simulator.sample_data import busy_account
from pipelines.twilio_insights.extract import windows
from pipelines.twilio_insights.extract.package import LoadPackage
from tests.conftest import NOW, Command, Loaded, sid, summary

pytestmark = pytest.mark.usefixtures("tables_only")

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize("newest_first", [True, False], ids=["newest first", "oldest first"])
@pytest.mark.parametrize("inclusive", [True, False], ids=["inclusive", "exclusive"])
def test_a_lively_account_is_loaded_exactly(
    loaded: Loaded, newest_first: bool, inclusive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", "50")
    loaded.server.newest_first, loaded.server.inclusive = newest_first, inclusive
    lively = busy_account(NOW, days=2, per_day=200)
    loaded.account.__dict__.update(lively.__dict__)

    first = loaded.run()
    loaded.assert_exact()
    assert first.rows_new == len(loaded.account.rows())
    assert first.pages > 15

    again = loaded.run()
    assert (again.rows_new, again.rows_updated) == (0, 0)
    loaded.assert_exact()

    loaded.account.now += 7 * HOUR
    loaded.run()
    loaded.assert_exact()


def test_summaries_on_the_edges_of_windows_are_neither_lost_nor_doubled(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "FIRST_SPAN", timedelta(seconds=2))
    monkeypatch.setattr(windows, "MAX_SPAN", timedelta(seconds=2))
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__CREATED_AFTER", "60s")
    loaded.server.inclusive = False
    for second in range(1, 60):
        loaded.account.put(summary(second, timedelta(seconds=second)))
    done = loaded.run()
    loaded.assert_exact()
    assert done.rows_new == 59
    assert done.rows_unchanged == 0


def test_a_second_run_writes_nothing(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.account.put(summary(2, 2 * HOUR, "in_progress"))
    loaded.run()
    before = loaded.query("FROM conference_insights._dlt_loads")
    done = loaded.run()
    assert done.rows_new == done.rows_updated == 0
    assert done.rows_unchanged == 2
    assert loaded.query("FROM conference_insights._dlt_loads") == before


@pytest.mark.parametrize("age", [5 * MINUTE, 6 * DAY], ids=["minutes", "six days"])
def test_a_pending_summary_becomes_complete_with_its_new_child_rows(
    loaded: Loaded, age: timedelta
) -> None:
    old: dict[str, Any] = {
        "tags": ["start_failure", "low_mos"],
        "tag_info": {"low_mos": [{"x": 1}, {"x": 2}]},
    }
    loaded.account.put(summary(1, age, "in_progress", **old, detected_issues={"odd": 4}))
    loaded.account.put(summary(2, age))
    first = loaded.run()
    loaded.assert_exact()
    assert (first.pending_before, first.pending_after) == (0, 1)

    loaded.account.now += HOUR
    loaded.account.put(summary(1, age))
    second = loaded.run()
    loaded.assert_exact()
    assert (second.pending_before, second.pending_after) == (1, 0)
    assert second.rows_updated == 1
    assert second.rows_refetched == (1 if age > 2 * DAY else 0)


def test_child_rows_that_vanish_are_deleted(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    bare: dict[str, Any] = {"tags": None, "tag_info": {}, "detected_issues": None}
    loaded.account.put(summary(1, HOUR, **bare))
    done = loaded.run()
    loaded.assert_exact()
    assert done.final_changed == [sid(1)]
    assert loaded.query("SELECT count(*) FROM conference_insights.conference_tags") == [(0,)]


def test_timeout_ends_the_waiting(loaded: Loaded) -> None:
    loaded.account.put(summary(1, 5 * DAY, "in_progress"))
    loaded.run()
    loaded.account.put(summary(1, 5 * DAY, "timeout", status="summary_timeout"))
    assert loaded.run().pending_after == 0
    loaded.assert_exact()
    loaded.run()
    assert not [request for request in loaded.server.requests if sid(1) in request]


@pytest.mark.parametrize("state", [None, "partial"], ids=["null", "unknown"])
def test_a_state_that_is_not_final_is_pending(loaded: Loaded, state: str | None) -> None:
    loaded.account.put(summary(1, 10 * DAY, processing_state=state))
    assert loaded.run().pending_after == 1
    loaded.account.put(summary(1, 10 * DAY))
    assert loaded.run().pending_after == 0
    loaded.assert_exact()


def test_late_summaries_46_hours_behind_the_cursor_are_found(loaded: Loaded) -> None:
    loaded.run()
    loaded.account.put(summary(1, 46 * HOUR), since=NOW + HOUR)
    loaded.account.now += HOUR
    loaded.run()
    loaded.assert_exact()


def test_a_less_final_copy_never_replaces_a_final_one(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    final = loaded.account.rows()
    for state in ("in_progress", None, "timeout"):
        loaded.account.put(summary(1, HOUR, processing_state=state))
        done = loaded.run()
        assert done.rows_unchanged == 1
    loaded.account.put(final[0])
    loaded.assert_exact()


@pytest.mark.thorough
def test_a_404_keeps_the_row_and_is_asked_more_and_more_rarely(loaded: Loaded) -> None:
    loaded.account.put(summary(1, 6 * DAY, "in_progress"))
    loaded.run()
    rows = loaded.account.rows()
    loaded.account.forget(sid(1))
    asked = []
    for hour in (0, 1, 2, 3, 6, 7):
        loaded.account.now = NOW + hour * HOUR
        if loaded.run().rows_refetched:
            asked.append(hour)
    assert asked == [0, 1, 3, 7]
    outcome = "SELECT attempts, last_status, outcome FROM conference_insights._refetches"
    assert loaded.query(outcome) == [(4, 404, "gone")]
    assert loaded.query("SELECT conference_sid FROM conference_insights.conference_summaries") == [
        (sid(1),)
    ]

    loaded.account.put(rows[0] | {"processing_state": "complete"})
    loaded.account.now += 24 * HOUR
    loaded.run()
    loaded.assert_exact()
    assert loaded.query(outcome) == [(0, 200, None)]


def test_polling_does_not_wait_for_a_stale_copy_of_a_final_summary(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    loaded.account.put(summary(1, HOUR, "in_progress"))
    done = loaded.run(Polling(timedelta(seconds=5), timedelta(seconds=6)))
    assert done.rows_refetched == 0


@pytest.mark.thorough
def test_what_is_older_than_the_retention_is_not_asked_for(loaded: Loaded) -> None:
    loaded.account.put(summary(1, 29 * DAY, "in_progress"))
    loaded.account.put(summary(2, 29 * DAY, "in_progress"))
    loaded.run()
    loaded.account.forget(sid(2))
    loaded.run()
    loaded.account.now += 2 * DAY
    done = loaded.run()
    assert done.rows_refetched == 0
    assert (done.pending_before, done.pending_after) == (0, 0)
    assert loaded.query("SELECT outcome FROM conference_insights._refetches") == [("expired",)]


def test_the_first_cursor_is_thirty_days_ago_or_as_configured(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loaded.run().window_from == NOW - 30 * DAY
    loaded.path.unlink()
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__CREATED_AFTER", "2026-11-19")
    assert loaded.run().window_from == datetime(2026, 11, 19, tzinfo=UTC)


def test_a_first_cursor_in_the_future_is_refused(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__CREATED_AFTER", "2026-11-21")
    with pytest.raises(SettingsError, match="in the future"):
        loaded.run()
    monkeypatch.delenv("SOURCES__TWILIO_INSIGHTS__CREATED_AFTER")
    assert loaded.run().window_from == NOW - 30 * DAY


def test_both_bounds_are_on_every_listing(loaded: Loaded) -> None:
    loaded.run()
    assert loaded.server.requests
    assert all("CreatedAfter=" in r and "CreatedBefore=" in r for r in loaded.server.requests)


def test_the_watermark_rests_on_the_listing_and_not_on_the_rows(loaded: Loaded) -> None:
    loaded.account.put(summary(1, 20 * DAY))
    loaded.run()
    loaded.account.now += 10 * DAY
    assert loaded.run().window_from == NOW - 2 * DAY


@pytest.mark.thorough
@pytest.mark.fresh
def test_an_account_without_conferences_has_all_tables_and_views(loaded: Loaded) -> None:
    done = loaded.run()
    loaded.assert_exact()
    assert done.rows_listed == 0
    assert loaded.query("FROM analytics.completeness_by_day") == []
    assert loaded.query("FROM conference_insights._rejected_rows") == []


@pytest.mark.thorough
def test_a_long_catch_up_advances_package_by_package(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "PACKAGE_ROWS", 40)
    for number in range(200):
        loaded.account.put(summary(number, number * 3 * HOUR + MINUTE))
    loaded.account.put(summary(999, 20 * DAY, "in_progress"))
    done = loaded.run()
    loaded.assert_exact()
    loads = loaded.query("SELECT count(*) FROM conference_insights._dlt_loads")[0][0]
    assert 4 <= loads <= 6
    assert done.rows_new == 201
    gc.collect()
    assert not [left for left in gc.get_objects() if isinstance(left, LoadPackage)]
    assert loaded.run().rows_new == 0


@pytest.mark.thorough
def test_an_old_copy_put_back_is_exact_after_the_next_run(loaded: Loaded) -> None:
    loaded.account.put(summary(1, 9 * DAY))
    loaded.run()
    copy = loaded.path.with_name("copy.duckdb")
    shutil.copy(loaded.path, copy)
    for days in (4, 8):
        loaded.account.now = NOW + days * DAY
        for number in range(days * 10 - 39, days * 10):
            loaded.account.put(summary(days * 100 + number, -number * DAY / 10))
        loaded.run()
    loaded.assert_exact()
    shutil.copy(copy, loaded.path)
    loaded.run()
    loaded.assert_exact()


def test_a_warehouse_that_is_gone_is_not_replaced_by_less(loaded: Loaded, command: Command) -> None:
    loaded.account.put(summary(1, 9 * DAY))
    loaded.run()
    loaded.path.unlink()
    done = command("run")
    assert done.returncode == 74
    assert f"{loaded.path} is gone. It held 1 conferences: restore a backup; or" in done.stderr
    assert not loaded.path.exists()
    assert "is gone" in command("status").stdout
    loaded.path.with_name("warehouse.duckdb.status.json").unlink()
    loaded.run()
    loaded.assert_exact()


def test_the_clock_is_the_servers(loaded: Loaded) -> None:
    loaded.account.now = datetime(2031, 5, 5, tzinfo=UTC)
    loaded.account.put(summary(1, NOW - datetime(2031, 5, 4, tzinfo=UTC)))
    done = loaded.run()
    assert done.horizon == loaded.account.now
    loaded.assert_exact()
    assert loaded.query("SELECT max(fetched_at) FROM conference_insights.conference_summaries") == [
        (datetime(2031, 5, 5),)
    ]


def test_every_run_leaves_a_row(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR, "in_progress"))
    done = loaded.run()
    assert loaded.query(
        "SELECT run_id, command, outcome, rows_new, rows_updated, pages, requests, pending_before, "
        "pending_after, window_to FROM conference_insights._runs"
    ) == [
        (
            done.run_id,
            "run",
            "ok",
            1,
            0,
            done.pages,
            len(loaded.server.requests),
            0,
            1,
            NOW.replace(tzinfo=None),
        )
    ]
