"""A repair by `reconcile` writes what is missing, into a file or a server, and leaves nothing wrong
if it is stopped or killed."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from pipelines.run import packages
from pipelines.run.pipeline import Backfill, run
from pipelines.run.reconcile import reconcile
from pipelines.twilio_insights.extract.comparison import Comparison
from pipelines.twilio_insights.progress import Progress
from pipelines.warehouse.postgres import PostgresServer
from tests.comparisons import DATASET, DAY, compare, contents, delete, kinds
from tests.comparisons import month as month
from tests.comparisons import people as people
from tests.conftest import Command, Loaded, kill_when, sid, summary

pytestmark = pytest.mark.usefixtures("tables_only")


@pytest.mark.thorough
def test_in_a_server(
    people: Loaded, database: str, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setenv("DESTINATION_TYPE", "postgres")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", database)
    people.account.put(summary(6, 6 * DAY, "in_progress"))
    run(Progress("run"))
    assert kinds(compare()) == {}
    with PostgresServer(database).open() as warehouse:
        for table, condition in (
            ("conference_summaries", f"conference_sid = '{sid(1)}'"),
            ("conference_participants", f"participant_sid = 'CP{20:032x}'"),
        ):
            warehouse.execute(f"DELETE FROM {DATASET}.{table} WHERE {condition}")
    people.account.forget(sid(5))
    people.account.put(summary(6, 6 * DAY))
    found = compare()
    assert kinds(found, "conferences") == {"missing": 1, "changed": 1, "only_here": 1}
    assert kinds(found, "participants")["missing"] == 1
    assert command("reconcile", "--repair").returncode == 0
    assert kinds(compare(), "conferences") == {"only_here": 1}
    with PostgresServer(database).open() as warehouse:
        ended = f"SELECT outcome FROM {DATASET}._runs WHERE command = 'reconcile'"
        assert Counter(warehouse.execute(ended)) == {("ok",): 3, ("failed",): 1}


@pytest.mark.thorough
def test_a_stop_and_a_repair_by_packages(
    month: Loaded, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setattr(packages, "PACKAGE_ROWS", 5)
    delete(month, *range(10, 70))
    stop, comparison = threading.Event(), Comparison(repair=True)
    progress = Progress("reconcile")

    def stop_half_way(changed: Progress) -> None:
        if changed.rows_new > 20:
            stop.set()

    progress.on_change = stop_half_way
    reconcile(progress, Backfill("29d"), stop, comparison)
    assert comparison.cut_by
    assert 20 < progress.rows_new < 60
    assert kinds(compare()) == {"missing": 60 - progress.rows_new}
    assert command("reconcile", "--repair").returncode == 0
    month.assert_exact()


@pytest.mark.thorough
def test_a_killed_one_leaves_nothing_wrong(month: Loaded) -> None:
    delete(month, *range(10, 70))
    before = contents(month)
    month.server.requests.clear()
    kill_when(lambda: len(month.server.requests) > 2, month.path.parent, command="reconcile")
    assert contents(month) == before
    assert kinds(compare(repair=True)) == {"missing": 60}
    month.assert_exact()
    outcomes = (
        f"SELECT outcome FROM {DATASET}._runs WHERE command = 'reconcile' ORDER BY started_at"
    )
    assert month.query(outcomes)[-1] == ("ok",)


def test_what_a_killed_run_left_is_for_the_next_run(month: Loaded) -> None:
    left = month.path.with_name(f"{month.path.name}.dlt") / "conference_insights/load/normalized/1"
    left.mkdir(parents=True)
    compare()
    assert left.exists()
