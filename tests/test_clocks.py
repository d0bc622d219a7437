"""A clock that is wrong, the API's or this machine's, loses nothing and leaves nothing behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import duckdb
import pytest

from pipelines.run.personal_switch import last_treated
from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.errors import RefusedError
from pipelines.warehouse.file.warehouse_file import DuckDbFile
from pipelines.warehouse.runs import read_record
from tests.conftest import NOW, POST_LOAD, Command, Loaded, sid, slow, summary, views_alone

pytestmark = pytest.mark.usefixtures("prepared")

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OF_RUNS = "pipelines.warehouse.runs._now"
CLOCK = "pipelines.twilio_insights.api.clock.machine_time"
WATERMARK = "SELECT max(listed_to) FROM conference_insights._watermarks"
GAPS = "SELECT count(*) FROM conference_insights._runs WHERE gap_from IS NOT NULL"
HOURS = "SELECT count(*) FROM conference_insights._report_hours"


def year(number: int) -> datetime:
    return datetime(number, 3, 1, 12, tzinfo=UTC)


def api_says(patch: pytest.MonkeyPatch, moment: datetime) -> None:
    date = format_datetime(moment, usegmt=True)
    patch.setattr(InsightsHandler, "date_time_string", lambda *_: date)


def assert_well(loaded: Loaded, at: datetime) -> None:
    loaded.assert_exact()
    assert loaded.query(WATERMARK) == [(at.replace(tzinfo=None),)]
    assert loaded.query(GAPS) == [(0,)]
    assert 20_000 < loaded.query(HOURS)[0][0] < 100_000
    assert loaded.query("SELECT max(created_date) FROM analytics.completeness_by_day")


@pytest.mark.thorough
@pytest.mark.parametrize("wrong", [1, 2024, 2027, 9999, *slow(2001, 2010, 2199)])
@pytest.mark.parametrize("loaded_before", [True, False], ids=["a warehouse", "a new one"])
def test_a_wrong_clock_of_the_api_loses_nothing(
    loaded: Loaded,
    wrong: int,
    loaded_before: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    loaded.account.put(summary(1, HOUR))
    if loaded_before:
        loaded.load()
        monkeypatch.setattr(POST_LOAD, views_alone)  # a new one is checked and published too
    loaded.account.now += HOUR
    loaded.account.put(summary(2, 0 * HOUR))
    with monkeypatch.context() as patch:
        api_says(patch, year(wrong))
        loaded.run()
    assert "Twilio's clock says" in caplog.text
    if loaded_before or not 2022 < wrong < 2100:
        assert_well(loaded, NOW + HOUR)
    loaded.account.now += HOUR
    loaded.account.put(summary(3, -HOUR))
    done = loaded.run()
    if loaded_before or wrong != 2024:
        assert_well(loaded, NOW + 2 * HOUR)
    loaded.assert_exact()
    assert done.loaded_to == NOW + 2 * HOUR


@pytest.mark.thorough
@pytest.mark.parametrize("wrong", [1970, 2199, *slow(2020, 2025, 2031)])
def test_a_wrong_clock_of_this_machine_changes_nothing(
    loaded: Loaded, wrong: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(CLOCK, lambda: year(wrong))
    if wrong != 2199:
        monkeypatch.setattr(POST_LOAD, views_alone)
    for number in range(3):
        loaded.account.put(summary(number, HOUR - number * 20 * DAY))
        loaded.run()
        assert_well(loaded, loaded.account.now)
        assert "this run uses Twilio's" in caplog.text
        loaded.account.now += 20 * DAY


@pytest.mark.usefixtures("tables_only")
@pytest.mark.parametrize("days", [3, 40])
def test_a_machine_whose_clock_stood_still_hides_nothing(
    loaded: Loaded, days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    monkeypatch.setattr(CLOCK, lambda: NOW)
    loaded.account.now += days * DAY
    loaded.account.put(summary(2, HOUR - days * DAY))
    assert loaded.run().rows_new == 1
    assert loaded.query(WATERMARK) == [(loaded.account.now.replace(tzinfo=None),)]


@pytest.mark.usefixtures("tables_only")
def test_nothing_is_called_lost_by_this_machines_clock_alone(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.now = datetime(2024, 5, 5, tzinfo=UTC)  # long ago, by this machine
    loaded.run()
    loaded.account.logins.clear()
    with pytest.raises(RefusedError):
        loaded.run()
    assert loaded.query(GAPS) == [(0,)]


@pytest.mark.thorough
@pytest.mark.usefixtures("tables_only")
def test_a_watermark_from_a_wrong_clock_hides_nothing(loaded: Loaded) -> None:
    loaded.run()
    loaded.account.now = NOW + 400 * DAY
    loaded.run()
    loaded.account.now = NOW + 5 * DAY
    loaded.account.put(summary(1, -DAY))
    loaded.run()
    loaded.assert_exact()
    loaded.account.now += DAY
    assert loaded.run().window_from == NOW + 3 * DAY


@pytest.mark.thorough
@pytest.mark.parametrize("wrong", [2199, *slow(2001)])
def test_what_an_earlier_version_kept_from_a_wrong_clock_breaks_nothing(
    loaded: Loaded, wrong: int, caplog: pytest.LogCaptureFixture
) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.load()
    with duckdb.connect(loaded.path) as connection:
        for table, column in (("conference_summaries", "fetched_at"), ("_watermarks", "listed_to")):
            moment = year(wrong).replace(tzinfo=None)
            connection.execute(f"UPDATE conference_insights.{table} SET {column} = ?", [moment])
    loaded.account.put(summary(2, HOUR))
    loaded.run()
    assert_well(loaded, NOW)
    assert "LOST" not in caplog.text


@pytest.mark.usefixtures("views_only")
def test_one_answer_with_a_wrong_date_is_an_answer_of_now(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.load()
    loaded.account.put(summary(2, HOUR))
    dates = iter([year(2199), NOW, year(2001)])
    monkeypatch.setattr(
        InsightsHandler,
        "date_time_string",
        lambda *_: format_datetime(next(dates, NOW), usegmt=True),
    )
    loaded.run()
    assert_well(loaded, NOW)
    fetched = "SELECT max(fetched_at) FROM conference_insights.conference_summaries"
    assert loaded.query(fetched) == [(NOW.replace(tzinfo=None),)]


@pytest.mark.thorough
def test_load_packages_of_a_clock_that_was_ahead_hide_none_that_follow(loaded: Loaded) -> None:
    """dlt numbers them by this machine's clock."""
    for number, at in enumerate([year(2031), NOW, NOW + HOUR]):
        loaded.account.put(summary(number, number * 20 * HOUR))
        with pytest.MonkeyPatch.context() as patch:
            stamp = str(at.timestamp())
            patch.setattr("dlt.extract.storage.create_load_id", lambda stamp=stamp: stamp)
            done = loaded.run()
        assert done.load_ids == [stamp]
        assert_well(loaded, loaded.account.now)
        loaded.account.now += HOUR
    assert done.window_from == NOW + 2 * HOUR - HOUR - 48 * HOUR


@pytest.mark.thorough
@pytest.mark.usefixtures("tables_only")
def test_what_answered_404_to_a_wrong_clock_is_asked_for_at_once(loaded: Loaded) -> None:
    loaded.account.put(summary(1, 3 * DAY, "in_progress"))
    loaded.load()
    loaded.account.forget(sid(1))
    loaded.account.now += 20 * DAY
    loaded.run()
    loaded.account.now = NOW + HOUR
    assert loaded.run().rows_refetched == 1, "the API does not have it yet"
    assert loaded.run().rows_refetched == 0
    loaded.account._versions[sid(1)].clear()
    loaded.account.put(summary(1, 3 * DAY))
    loaded.account.now += 3 * HOUR
    loaded.run()
    loaded.assert_exact()


def run_ahead(loaded: Loaded, ahead: timedelta) -> str:
    """A run under a clock of this machine that is ahead of the right one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OF_RUNS, lambda: datetime.now(UTC) + ahead)
        return loaded.run().run_id


@pytest.mark.thorough
def test_the_last_run_is_the_one_that_was_last(
    loaded: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(POST_LOAD, lambda *_, **__: None)
    run_ahead(loaded, 3 * HOUR)
    told = command("status", "--max-age", "2h")
    assert "Last good run  2 h 59 min ahead of this machine's clock" in told.stdout
    assert "FAIL  Stale" in told.stdout
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PERSONAL_DATA", "drop")
    last = loaded.run().run_id
    with DuckDbFile(loaded.path).read() as warehouse:
        record = read_record(warehouse, NOW)
        assert (record["run"]["run_id"], record["last_good"]["run_id"]) == (last, last)
        assert last_treated(warehouse).mode == "drop"
    assert "Stale" not in command("status", "--max-age", "2h").stdout


@pytest.mark.thorough
def test_times_of_runs_that_were_far_ahead_are_put_right(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(POST_LOAD, lambda *_, **__: None)
    runs = [run_ahead(loaded, ahead) for ahead in (0 * DAY, 7300 * DAY, 7301 * DAY)]
    runs.append(loaded.run().run_id)  # whose API is of another day: nobody knows who is right
    listed = "SELECT run_id FROM conference_insights._runs ORDER BY started_at"
    wrong = "SELECT count(*) FROM conference_insights._runs WHERE {} > ?"
    assert loaded.query(listed) == [(run,) for run in runs]
    loaded.account.now = datetime.now(UTC)
    runs.append(loaded.run().run_id)
    assert loaded.query(listed) == [(run,) for run in runs]
    with DuckDbFile(loaded.path).read() as warehouse:
        for column in ("started_at", "ended_at"):
            now = datetime.now(UTC).replace(tzinfo=None)
            assert warehouse.execute(wrong.format(column), [now]) == [(0,)]
