"""Days, hours and weekdays are those of the report's time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import duckdb
import pytest

from pipelines.report import formatting
from pipelines.warehouse.duckdb_database import DuckDb
from pipelines.warehouse.report_hours import COLUMNS, write_report_hours
from tests.conftest import NOW, Loaded, summary


@pytest.mark.parametrize(
    ("zone", "utc", "local"),
    [
        ("UTC", "2026-10-25 00:30", "2026-10-25 00:00"),
        ("Europe/Berlin", "2026-03-29 00:59", "2026-03-29 01:00"),
        ("Europe/Berlin", "2026-03-29 01:00", "2026-03-29 03:00"),
        ("Europe/Berlin", "2026-10-25 00:30", "2026-10-25 02:00"),
        ("Europe/Berlin", "2026-10-25 01:30", "2026-10-25 02:00"),
        ("Europe/Berlin", "2026-10-25 02:30", "2026-10-25 03:00"),
        ("America/New_York", "2026-11-20 04:59", "2026-11-19 23:00"),
        ("Asia/Kolkata", "2026-11-20 18:29", "2026-11-20 23:00"),
        ("Asia/Kolkata", "2026-11-20 18:30", "2026-11-21 00:00"),
        ("Asia/Kathmandu", "2026-11-20 18:15", "2026-11-21 00:00"),
        ("Australia/Lord_Howe", "2026-04-04 14:59", "2026-04-05 01:00"),
        ("Australia/Lord_Howe", "2026-04-04 15:10", "2026-04-05 01:00"),
        ("Australia/Lord_Howe", "2026-04-04 15:30", "2026-04-05 02:00"),
        ("Australia/Lord_Howe", "2026-10-03 15:29", "2026-10-04 01:00"),
        ("Australia/Lord_Howe", "2026-10-03 15:30", "2026-10-04 02:00"),
    ],
)
def test_hours_follow_the_zone(zone: str, utc: str, local: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA conference_insights")
        DuckDb(connection).create_table("conference_insights._report_hours", COLUMNS)
        write_report_hours(DuckDb(connection), ZoneInfo(zone), 2026)
        found = connection.execute(
            "SELECT CASE WHEN minute(t) >= change_minute THEN local_hour_after ELSE local_hour END "
            "FROM conference_insights._report_hours, (SELECT ?::TIMESTAMP AS t) "
            "WHERE utc_hour = date_trunc('hour', t)",
            [utc],
        ).fetchall()
    assert found == [(datetime.fromisoformat(local),)]
    # Python itself agrees.
    moment = datetime.fromisoformat(utc).replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
    assert moment.replace(minute=0, tzinfo=None, fold=0) == datetime.fromisoformat(local)


@pytest.mark.thorough
@pytest.mark.usefixtures("views_only")
def test_days_are_those_of_the_report_timezone(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The night the clocks go back in Berlin: two hours of UTC are one, and the day has 25."""
    monkeypatch.setenv("REPORT_TIMEZONE", "Europe/Berlin")
    loaded.account.now = datetime(2026, 10, 26, 12, tzinfo=UTC)
    for number, hour in enumerate(["24T21:59", "24T22:00", "25T00:30", "25T01:30", "25T22:59"]):
        created = datetime.fromisoformat(f"2026-10-{hour}:00+00:00")
        loaded.account.put(summary(number, NOW - created))
    loaded.run()
    daily = "SELECT created_date, conferences FROM analytics.completeness_by_day ORDER BY ALL"
    assert [(day.day, count) for day, count in loaded.query(daily)] == [(24, 1), (25, 4)]
    assert loaded.query(
        "SELECT conferences FROM analytics.conference_volume "
        "WHERE created_hour = '2026-10-25 02:00'"
    ) == [(2,)]
    sundays = "SELECT sum(hours_observed) FROM analytics.hour_of_week_heatmap WHERE weekday = 7"
    assert loaded.query(sundays) == [(24,)]
    assert loaded.query("SELECT report_timezone FROM analytics.data_as_of") == [("Europe/Berlin",)]
    monkeypatch.delenv("REPORT_TIMEZONE")
    loaded.run()
    assert [(day.day, count) for day, count in loaded.query(daily)] == [(24, 2), (25, 3)]


@pytest.mark.usefixtures("views_only")
@pytest.mark.parametrize(
    ("zone", "moments"),
    [("Europe/Berlin", ["01:30", "02:30"]), ("Antarctica/Troll", ["01:30", "02:30", "03:30"])],
)
def test_an_hour_that_the_clocks_skip_is_in_the_next_one(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, zone: str, moments: list[str]
) -> None:
    """A week before they skip one hour in Berlin, in Troll two."""
    monkeypatch.setenv("REPORT_TIMEZONE", zone)
    loaded.account.now = datetime(2026, 3, 30, 12, tzinfo=UTC)
    for number, moment in enumerate(moments):
        created = datetime.fromisoformat(f"2026-03-22T{moment}:00+00:00")
        loaded.account.put(summary(number, NOW - created))
    loaded.run()
    before = (
        "SELECT created_hour, conferences_week_before FROM analytics.conference_volume "
        "WHERE conferences_week_before > 0"
    )
    assert loaded.query(before) == [(datetime(2026, 3, 29, 3), len(moments))]


@pytest.mark.usefixtures("views_only")
def test_weekdays_of_any_year(loaded: Loaded) -> None:
    loaded.account.now = datetime(2024, 1, 2, tzinfo=UTC)
    for number, created in enumerate(["2023-12-31T12:00:00Z", "2024-01-01T12:00:00Z"]):
        row = summary(number, NOW - datetime.fromisoformat(created))
        loaded.account.put(row)
    loaded.run()
    weekdays = "SELECT weekday FROM analytics.conferences ORDER BY create_time"
    assert loaded.query(weekdays) == [(7,), (1,)]
    same = (
        "SELECT DISTINCT weekday FROM analytics.conference_volume WHERE conferences > 0 ORDER BY 1"
    )
    assert loaded.query(same) == [(1,), (7,)]


@pytest.mark.parametrize(
    ("utc", "zone", "shown"),
    [
        (datetime(9999, 12, 31, 23, 59), "Asia/Tokyo", "Fri 31 Dec, 23:59"),
        (datetime(1, 1, 1), "America/New_York", "Mon 1 Jan, 00:00"),
        (datetime(2026, 11, 20, 14, 30), "Asia/Tokyo", "Fri 20 Nov, 23:30"),
    ],
)
def test_a_time_that_its_zone_cannot_have_is_that_of_utc(
    utc: datetime, zone: str, shown: str
) -> None:
    assert formatting.moment(utc, zone) == shown
