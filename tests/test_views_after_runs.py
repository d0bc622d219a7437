"""Views after runs: they are made anew when a text has changed, and follow what was loaded."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.run.post_load import DESCRIPTIONS
from pipelines.warehouse.checks import run_checks
from pipelines.warehouse.duckdb_database import DuckDb
from pipelines.warehouse.views import ViewError, apply_views, read_views
from tests.conftest import NOW, Loaded, sid, summary
from tests.given_conferences import given as given
from tests.given_conferences import load

VIEWS = {view.name: view for view in read_views()}


@pytest.mark.thorough
@pytest.mark.usefixtures("views_only")
def test_views_of_one_conference_and_of_none(loaded: Loaded) -> None:
    loaded.account.put(summary(1, timedelta(hours=2)))
    loaded.run()
    with duckdb.connect(loaded.path) as connection:
        run_checks(DuckDb(connection), NOW)
    of_others = {name for name in VIEWS if "participant" in name}
    of_others |= {"unstarted_and_timeouts", "days_without_conferences"}
    of_others |= {"conference_length_by_end_reason"}
    for name in VIEWS.keys() - of_others - {"stg_accounts"}:
        assert loaded.query(f"FROM analytics.{name}"), name
    with duckdb.connect(loaded.path) as connection:
        children = ("conference_tags", "conference_tag_info", "conference_detected_issues")
        for table in ("accounts", "conference_summaries", *children):
            connection.execute(f"DELETE FROM conference_insights.{table}")
    always = {"stg_as_of", "data_as_of", "load_history", "checks"}
    assert {name for name in VIEWS if loaded.query(f"FROM analytics.{name}")} == always


@pytest.mark.usefixtures("views_only")
def test_a_conference_expires_when_twilio_no_longer_has_it(loaded: Loaded) -> None:
    loaded.account.put(summary(1, timedelta(days=29), "in_progress"))
    loaded.run()
    completeness = "SELECT completeness FROM analytics.conferences"
    assert loaded.query(completeness) == [("pending",)]
    loaded.account.now += timedelta(days=2)
    loaded.run()
    assert loaded.query(completeness) == [("expired",)]
    assert loaded.query("SELECT pending, expired FROM analytics.completeness_by_day") == [(0, 1)]


@pytest.mark.usefixtures("views_only")
def test_accounts_are_told_apart(loaded: Loaded, given: list[dict[str, Any]]) -> None:
    load(loaded, given)
    with duckdb.connect(loaded.path) as connection:
        connection.execute(
            "UPDATE conference_insights.conference_summaries SET account_sid = 'AC2' "
            "WHERE conference_sid = ?",
            [sid(1)],
        )
    found = "SELECT conferences, final_without_problem FROM analytics.by_account ORDER BY ALL"
    assert loaded.query(found) == [(1, 1), (6, 2)]
    assert loaded.query(
        "SELECT conferences FROM analytics.conference_volume "
        "WHERE created_hour = '2026-11-19 10:00' ORDER BY account_sid <> 'AC2'"
    ) == [(1,), (1,)]


@pytest.mark.thorough
@pytest.mark.usefixtures("views_only")
def test_views_are_applied_when_a_text_has_changed(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import shutil

    from pipelines.warehouse import sql, views

    # Else they are read once in a process.
    monkeypatch.setattr(views, "read_views", views.read_views.__wrapped__)
    loaded.account.put(summary(1, timedelta(hours=2)))
    loaded.run()
    folder = tmp_path / "sql"
    shutil.copytree(sql.sql_folder(), folder)
    monkeypatch.setattr(sql, "sql_folder", lambda: folder)
    with duckdb.connect(loaded.path) as connection:
        connection.execute("CREATE OR REPLACE VIEW analytics.region_mismatch AS SELECT 1 AS mine")
        digest = apply_views(DuckDb(connection), DESCRIPTIONS, "UTC")
        assert connection.table("analytics.region_mismatch").columns == ["mine"]

        view = folder / "analytics/region_mismatch.sql"
        view.write_text(view.read_text().replace("    c.account_sid,\n", "    c.nothing,\n"))
        line = view.read_text().splitlines().index("    c.nothing,") + 1
        with pytest.raises(
            ViewError, match=rf"analytics/region_mismatch.sql, line {line}: Binder Error"
        ):
            apply_views(DuckDb(connection), DESCRIPTIONS, "UTC")
        assert connection.table("analytics.region_mismatch").columns == ["mine"]

        view.write_text("-- One.\n-- Grain: one row.\nSELECT c.* FROM analytics.conferences AS c\n")
        assert apply_views(DuckDb(connection), DESCRIPTIONS, "UTC") != digest
        assert "tags" in connection.table("analytics.region_mismatch").columns
    loaded.assert_exact()


@pytest.mark.usefixtures("views_only")
def test_a_view_that_fails_does_not_undo_the_load(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.put(summary(1, timedelta(hours=2)))
    loaded.run()
    loaded.account.put(summary(2, timedelta(hours=1)))
    monkeypatch.setenv("REPORT_TIMEZONE", "Asia/Tokyo")
    broken = VIEWS["by_account"]
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.warehouse.views.read_views", lambda: [_Broken(broken)])
        with pytest.raises(ViewError, match=r"by_account\.sql, line 1: Parser Error"):
            loaded.run()
    loaded.assert_exact()


class _Broken:
    def __init__(self, view: Any) -> None:
        self.path, self.text, self.head = view.path, view.text, ""
        self.name, self.select = view.name, "SELECT FROM WHERE"
