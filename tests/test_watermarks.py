"""The watermark and named drift are rows of tables, which plain SQL shows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest

from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN
from tests.conftest import NOW, Loaded, sid, summary

pytestmark = pytest.mark.usefixtures("tables_only")

HOUR = timedelta(hours=1)
WATERMARKS = "SELECT resource, account_sid, filters, listed_to FROM conference_insights._watermarks"
PACKAGES = "SELECT count(*) FROM conference_insights._dlt_loads"


def row(listed_to: datetime) -> tuple[str, str, str, datetime]:
    return "conferences", ACCOUNT_SID, "", listed_to.astimezone(UTC).replace(tzinfo=None)


def test_the_watermark_moves_with_a_package_and_without_one(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    assert loaded.query(WATERMARKS) == [row(NOW)]
    loaded.account.now += HOUR
    done = loaded.run()
    assert done.loaded_to == NOW + HOUR
    assert loaded.query(WATERMARKS) == [row(NOW + HOUR)]
    assert loaded.query(PACKAGES) == [(1,)], "nothing was new"


def test_an_empty_range_counts_as_listed(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each run would begin where it ends, and load nothing for ever."""
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__CREATED_AFTER", "0d")
    loaded.account.put(summary(1, HOUR))
    assert loaded.run().rows_new == 0
    assert loaded.query(WATERMARKS) == [row(NOW)]
    loaded.account.put(summary(2, -HOUR))
    loaded.account.now += 2 * HOUR
    loaded.run()
    loaded.assert_exact()


def test_a_backfill_leaves_it_where_it_is(loaded: Loaded) -> None:
    from pipelines.run.pipeline import Backfill, run
    from pipelines.twilio_insights.progress import Progress

    loaded.account.put(summary(1, HOUR))
    loaded.run()
    loaded.account.now += 5 * HOUR
    loaded.account.put(summary(2, 20 * HOUR))
    run(Progress("backfill"), backfill=Backfill("3d"))
    assert loaded.query(WATERMARKS) == [row(NOW)]
    loaded.assert_exact()


def test_one_whose_package_is_not_there_does_not_count(loaded: Loaded) -> None:
    """As on a destination that merges table by table, after a kill and a lost working folder."""
    loaded.account.put(summary(1, HOUR))
    loaded.account.put(summary(2, 200 * HOUR))
    loaded.run()
    with duckdb.connect(loaded.path) as connection:
        connection.execute("UPDATE conference_insights._watermarks SET _dlt_load_id = 'lost'")
        connection.execute(
            "DELETE FROM conference_insights.conference_summaries WHERE conference_sid = ?",
            [sid(2)],
        )
    done = loaded.run()
    assert done.window_from == NOW - timedelta(days=30)
    loaded.assert_exact()


@pytest.mark.thorough
def test_another_account_in_the_warehouse_is_named_once(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other = "AC" + "e" * 32
    said = f"{other} is a new account in this warehouse, which has {ACCOUNT_SID}"
    loaded.account.logins.add((other, AUTH_TOKEN))
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    assert "new account" not in caplog.text
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", other)
    loaded.run()
    assert caplog.text.count(said) == 1
    loaded.run()
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", ACCOUNT_SID)
    loaded.run()
    assert caplog.text.count("new account") == 1


def test_drift_is_a_row_by_account_and_named_once(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR, tags=["brand_new"]))
    assert loaded.run().drift == {"tag = brand_new": sid(1)}
    loaded.account.put(summary(2, HOUR, tags=["brand_new", "newer"]))
    assert loaded.run().drift == {"tag = newer": sid(2)}
    named = "SELECT account_sid, name, conference_sid FROM conference_insights._drift ORDER BY name"
    assert loaded.query(named) == [
        (ACCOUNT_SID, "tag = brand_new", sid(1)),
        (ACCOUNT_SID, "tag = newer", sid(2)),
    ]


def test_what_the_documentation_does_not_know_is_named_once(loaded: Loaded) -> None:
    odd: dict[str, Any] = {"tags": ["low_mos", "very_new"], "brand_new": 1, "status": "on_hold"}
    loaded.account.put(summary(1, HOUR, detected_issues={"echo": 2}))
    loaded.account.put(summary(2, HOUR, **odd))
    loaded.account.put(summary(3, 2 * HOUR, **odd, account_sid="AC" + "e" * 32))
    done = loaded.run()
    assert done.drift == {
        "account_sid = AC" + "e" * 32: sid(3),
        "status = on_hold": done.drift["status = on_hold"],
        "tag = very_new": done.drift["tag = very_new"],
        "issue = echo": sid(1),
        "extra_fields = brand_new": done.drift["extra_fields = brand_new"],
    }
    assert {*done.drift.values()} <= {sid(1), sid(2), sid(3)}
    ((drift,),) = loaded.query("SELECT drift FROM conference_insights._runs")
    assert json.loads(drift) == done.drift
    loaded.account.put(summary(4, HOUR, **odd))
    loaded.account.put(summary(5, HOUR, end_reason="bored"))
    assert loaded.run().drift == {"end_reason = bored": sid(5)}
