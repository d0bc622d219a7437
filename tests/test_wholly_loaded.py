"""Only what was listed counts as empty, is compared, or is missed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import pytest

from pipelines.report import write_report
from pipelines.report.figures import read_figures
from pipelines.simulator.account import ACCOUNT_SID
from tests.conftest import Command, Loaded, sid, summary
from tests.given_participants import participant, put_participants

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OTHER = "AC" + "1" * 32
ACCOUNTS = "SOURCES__TWILIO_INSIGHTS__ACCOUNTS"
CREATED_AFTER = "SOURCES__TWILIO_INSIGHTS__CREATED_AFTER"
FULL = (
    "SELECT account_name, first_full_date, last_full_date FROM analytics.by_account ORDER BY 1 DESC"
)
EMPTY_DAYS = "SELECT count(*) FROM analytics.days_without_conferences"
COMPARED = "SELECT is_compared FROM analytics.conference_kpis WHERE period_days = 7"
TODAY = date(2026, 11, 20)


def every_day(loaded: Loaded, days: range, account: str = ACCOUNT_SID, first: int = 0) -> None:
    """A conference on each of so many days before now."""
    of = loaded.account if account == ACCOUNT_SID else loaded.account.subaccounts[account]
    for day in days:
        of.put(summary(first + day, day * DAY + HOUR))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("backfilled", "begins"),
    [
        (["--conference", sid(25)], TODAY - 7 * DAY),
        (["--from", "26d", "--to", "24d"], TODAY - 7 * DAY),
        (["--from", "26d", "--mixer-region", "us1"], TODAY - 7 * DAY),
        (["--from", "20d"], TODAY - 19 * DAY),
    ],
    ids=["one", "days before", "filtered", "all since"],
)
def test_days_that_were_never_listed_are_not_empty(
    loaded: Loaded, command: Command, backfilled: Sequence[str], begins: date
) -> None:
    every_day(loaded, range(28))
    since = {CREATED_AFTER: "8d"}
    assert command("run", **since).returncode == 0
    assert loaded.query(FULL) == [(ACCOUNT_SID, TODAY - 7 * DAY, TODAY - DAY)]
    assert command("backfill", *backfilled, **since).returncode == 0
    assert loaded.query(FULL) == [(ACCOUNT_SID, begins, TODAY - DAY)]
    assert loaded.query(EMPTY_DAYS) == [(0,)]
    # Nor does another run, whose listing begins later, know less or more.
    assert command("run", **since).returncode == 0
    assert loaded.query(FULL) == [(ACCOUNT_SID, begins, TODAY - DAY)]
    copy = loaded.path.parent / "warehouse.published/current/insights.duckdb"
    with duckdb.connect(copy, read_only=True) as connection:
        assert connection.sql(FULL).fetchall() == [(ACCOUNT_SID, begins, TODAY - DAY)]


@pytest.mark.thorough
@pytest.mark.parametrize(("days", "compared"), [(3, False), (14, False), (15, True)])
def test_nothing_is_compared_with_days_until_the_first_conference(
    loaded: Loaded, days: int, compared: bool
) -> None:
    """They were listed, but the account may not have had what makes Twilio summarize them."""
    for day in range(days + 1):
        what: dict[str, Any] = {"tags": ["low_mos"], "end_reason": "last_participant_left"}
        loaded.account.put(summary(day, day * DAY + HOUR, **what))
    loaded.run()
    assert loaded.query(FULL) == [(ACCOUNT_SID, TODAY - 29 * DAY, TODAY - DAY)]
    assert loaded.query(COMPARED) == [(compared,)]
    copy = loaded.path.parent / "warehouse.published/current/insights.duckdb"
    assert read_figures(copy, None, None).can_compare is compared
    for view in ("volume", "issue_trends", "end_reasons"):
        weeks = f"SELECT DISTINCT created_date FROM analytics.conference_{view} WHERE is_compared"
        assert [day for (day,) in sorted(loaded.query(weeks))] == [
            TODAY - number * DAY for number in range(days - 8, 0, -1)
        ], view
    first = "SELECT min(running_date) FROM analytics.concurrency_by_day WHERE is_day_compared"
    assert loaded.query(first) == [(TODAY - (days - 2) * DAY,)]


@pytest.mark.thorough
def test_a_report_names_the_accounts_that_are_new(loaded: Loaded, command: Command) -> None:
    loaded.account.add_subaccount(OTHER, "Other")
    every_day(loaded, range(28))
    for number in range(30):
        loaded.account.subaccounts[OTHER].put(summary(100 + number, number * 2 * HOUR))
    assert command("run", **{ACCOUNTS: "all"}).returncode == 0
    copy = loaded.path.parent / "warehouse.published/current/insights.duckdb"
    page = write_report(copy, loaded.path.parent / "report.html", None, None).read_text()
    assert "A change counts all conferences of what is new in these periods: Other." in page
    assert not read_figures(copy, None, None, account="Other").can_compare


@pytest.mark.thorough
def test_an_account_that_was_never_listed_has_no_full_day(loaded: Loaded, command: Command) -> None:
    loaded.account.add_subaccount(OTHER, "Other")
    every_day(loaded, range(20))
    every_day(loaded, range(20), OTHER, first=100)
    command("run")
    both = {ACCOUNTS: f"{ACCOUNT_SID},{OTHER}"}
    assert command("backfill", "--from", "12d", "--to", "10d", **both).returncode == 0
    assert [row[2] for row in loaded.query(FULL)] == [TODAY - DAY, None]
    assert loaded.query(EMPTY_DAYS) == [(0,)]
    assert sorted(loaded.query(COMPARED)) == [(False,), (True,)]


@pytest.fixture
def left(loaded: Loaded, command: Command) -> Loaded:
    """Two accounts, of which one was taken from the settings six days ago."""
    loaded.account.add_subaccount(OTHER, "Other")
    every_day(loaded, range(28))
    for number in range(28 * 30):
        age = number // 30 * DAY + 3 * HOUR + number % 30 * timedelta(seconds=1)
        loaded.account.subaccounts[OTHER].put(summary(100 + number, age))
    command("run", **{ACCOUNTS: f"{ACCOUNT_SID},{OTHER}"})
    loaded.account.now += 6 * DAY
    command("run", **{ACCOUNTS: ACCOUNT_SID})
    return loaded


@pytest.mark.thorough
def test_an_account_that_left_is_neither_compared_nor_missed(left: Loaded) -> None:
    copy = left.path.parent / "warehouse.published/current/insights.duckdb"
    figures = read_figures(copy, None, None)
    assert not figures.can_compare
    assert [row["account"] for row in figures["incomplete_accounts"]] == [OTHER]
    page = write_report(copy, left.path.parent / "report.html", None, None).read_text()
    assert f"Nothing is compared, since not all of both periods is loaded of {OTHER[:20]}" in page
    # Its hours are those in which it was listed.
    hours = left.query(
        "SELECT sum(hours_observed) FROM analytics.hour_of_week_heatmap "
        f"WHERE account_sid = '{OTHER}'"
    )
    assert 27 * 24 <= hours[0][0] <= 28 * 24
    found = "SELECT violations FROM analytics.checks WHERE check_name = 'usual_volume'"
    assert left.query(found) == [(0,)]


@pytest.mark.thorough
def test_usual_is_the_mean_of_all_weeks_that_were_listed(loaded: Loaded) -> None:
    for days in (14, 28):
        for number in range(30):
            age = days * DAY + 10 * HOUR + timedelta(seconds=number)
            loaded.account.put(summary(100 * days + number, age))
    every_day(loaded, range(28))
    loaded.run()
    found = "SELECT violations FROM analytics.checks WHERE check_name = 'usual_volume'"
    assert loaded.query(found) == [(0,)]  # 15 on average, of which less than 20 are not missed


@pytest.mark.thorough
def test_who_left_at_a_time_that_is_not_known_was_there_until_the_end(loaded: Loaded) -> None:
    loaded.account.put(summary(1, 10 * DAY, start_time="2026-11-10T14:30:00Z"))
    loaded.account.put(summary(2, HOUR, start_time="2026-11-20T13:30:00Z"))
    loaded.load(views=True)
    joined = {"join_time": datetime(2026, 11, 10, 14, 31)}
    unknown = {"leave_time": None, "processing_state": "in_progress"}
    with duckdb.connect(loaded.path) as connection:
        people = [participant(number, 1, **joined, **unknown) for number in (1, 2)]
        put_participants(connection, people)
    hours = loaded.query(
        "SELECT running_hour, participants_at_once FROM analytics.concurrency_by_hour "
        "WHERE participants_at_once > 0"
    )
    assert hours == [(datetime(2026, 11, 10, 14), 2)]
