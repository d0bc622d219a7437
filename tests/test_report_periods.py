"""The periods of the report: which days and weeks it has, and what it says of few or none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from pipelines.report import PeriodError
from pipelines.report.figures import read_period
from pipelines.report.formatting import NONE
from pipelines.report.weeks import say_weeks
from pipelines.run.post_load import publish_now
from pipelines.simulator.sample_data import busy_tree
from tests.conftest import NOW, Loaded, loaded_once, sid, summary
from tests.reports import BEFORE, DAY, PERIOD, report


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Iterator[Loaded]:
    """What the demo shows: four weeks, of which one is bad."""
    account = busy_tree(NOW, days=28, per_day=20)
    with loaded_once(account, tmp_path_factory.mktemp("story"), empty_warehouse) as loaded:
        loaded.load()
        publish_now()
        yield loaded


@pytest.mark.thorough
def test_a_bad_week_and_its_end_are_found(story: Loaded) -> None:
    headline = report(story).root.all("header")[0].text
    found = re.search(
        r"The week from Fri 6 Nov to Thu 12 Nov was bad: (\d+)\xa0% of conferences had a quality "
        r"problem, in the other 3 weeks (\d+)\xa0%\. It is over: in the last week (\d+)\xa0%\.",
        headline,
    )
    assert found, headline
    share = (
        "SELECT round(100 * count_if(has_quality_problem) / count(*)) FROM analytics.conferences "
        "WHERE completeness = 'final' AND created_date >= '2026-10-23' AND "
        "created_date < '2026-11-20' AND {}"
    )
    expected = [
        story.query(share.format(days))[0][0] for days in (BEFORE, f"NOT ({BEFORE})", PERIOD)
    ]
    assert [float(said) for said in found.groups()] == expected
    during = report(story, "2026-11-06", "2026-11-13").text
    assert re.search(r"was bad: .* in the other 2 weeks \d+\xa0%\. It is the last one\.", during)
    before = report(story, "2026-10-30", "2026-11-06")
    assert "was bad" not in before.root.all("header")[0].text
    assert "No week of 2 stands out." in before.section("weeks").text


def test_what_was_mixed_elsewhere_is_in_the_story(story: Loaded) -> None:
    rows = report(story, "28d").table("regions")
    elsewhere = {(row[0], row[1]) for row in rows if row[2] == "yes"}
    assert {requested for requested, _ in elsewhere} == {"us1"}
    assert len(elsewhere) > 2


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ((20, 21, 60, 20), "It is over: in the last week 20\xa0%."),
        ((20, 21, 20, 60), "It is the last one."),
        ((20, 21, 60, 59), "It goes on: in the last week 59\xa0%."),
        ((60, 60, 20, 20), "It is over: in the last week 20\xa0%."),
        ((20, 21, 20, 19), "No week of 4 stands out."),
        ((60, 20), "in the other one 20\xa0%. It is over: in the last week 20\xa0%."),
        ((20,), "The data has no two full weeks to compare."),
        ((), "The data has no two full weeks to compare."),
    ],
)
def test_a_week_is_bad_only_if_it_is_clearly_worse(shares: tuple[int, ...], said: str) -> None:
    rows = [
        {
            "first_day": date(2026, 11, 1) + 7 * n * DAY,
            "last_day": date(2026, 11, 7) + 7 * n * DAY,
            "final": 200,
            "final_with_quality_problem": 2 * share,
            "percent_with_quality_problem": share,
        }
        for n, share in enumerate(shares)
    ]
    assert say_weeks(rows).endswith(said)


@pytest.mark.thorough
@pytest.mark.usefixtures("prepared")
def test_days_before_the_first_conference_are_left_out(loaded: Loaded) -> None:
    """They were listed, but the account may not have had what makes Twilio summarize them."""
    for n, days in enumerate((2, 3, 4)):
        loaded.account.put(summary(n, days * DAY))
    loaded.load()
    publish_now()
    page = report(loaded)
    assert page.root.all("h1")[0].text == "Mon 16 Nov \N{EN DASH} Thu 19 Nov 2026"
    assert [row[1] for row in page.table("conferences by day")] == ["1", "1", "1", "0"]
    assert (
        "Left out, since they are before the first conference: "
        "Fri 13 Nov \N{EN DASH} Sun 15 Nov 2026." in page.text
    )
    assert "there is no complete period before this one, so nothing is compared" in page.text
    assert "Nothing is compared with a period before." in page.section("totals").text
    assert "before:" not in page.section("totals").text
    assert {row[2] for row in page.table("figures")} == {NONE}
    assert "period before" not in page.section("days").text
    assert "first day" in page.section("freshness").text
    compared = report(loaded, "2026-11-18", "2026-11-19")
    assert "Left out" not in compared.text
    assert "before: 1" in compared.section("totals").text


@pytest.mark.thorough
@pytest.mark.usefixtures("prepared")
def test_a_warehouse_without_conferences(loaded: Loaded) -> None:
    loaded.run()
    page = report(loaded)
    assert "No conference is loaded yet." in page.text
    assert set(page.cards.values()) == {"0", NONE}


@pytest.mark.thorough
@pytest.mark.usefixtures("prepared")
def test_a_single_conference_of_which_little_is_known(loaded: Loaded) -> None:
    loaded.account.put(summary(1, DAY, "in_progress"))
    loaded.account.put(summary(2, DAY, tags=["high_jitter"], tag_info=None, end_reason=None))
    loaded.load()
    with duckdb.connect(loaded.path) as connection:
        connection.execute(
            "UPDATE conference_insights.conference_summaries SET create_time = NULL "
            "WHERE conference_sid = ?",
            [sid(1)],
        )
    publish_now()
    page = report(loaded)
    assert page.cards["Conferences"] == "1"
    assert page.cards["Half are shorter than"] == "10\xa0min"
    assert "In no period, without a creation time: 1 conference." in page.text
    assert "Without a name" in page.section("worst").text


@pytest.mark.thorough
@pytest.mark.usefixtures("prepared")
def test_days_are_those_of_the_report_timezone(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The night the clocks go back in Berlin: the day has 25 hours, two of them at 2:00."""
    monkeypatch.setenv("REPORT_TIMEZONE", "Europe/Berlin")
    loaded.account.now = datetime(2026, 10, 25, 23, 30, tzinfo=UTC)
    for n, hour in enumerate(
        ["24T21:59", "24T22:00", "25T00:30", "25T01:30", "25T22:59", "25T23:00"]
    ):
        created = datetime.fromisoformat(f"2026-10-{hour}:00+00:00")
        loaded.account.put(summary(n, NOW - created))
    loaded.run()
    page = report(loaded, "1d")  # it is the 26th there
    assert page.root.all("h1")[0].text == "Sun 25 Oct 2026"
    assert page.cards["Conferences"] == "4"
    assert "Data as of Mon 26 Oct, 00:30 (Europe/Berlin)" in page.text
    hours = {row[0]: row[1] for row in page.table("conferences by hour")}
    assert hours["Sun 25 Oct, 02:00"] == "2"
    assert hours["Sun 25 Oct, 23:00"] == "1"
    assert [row[1] for row in report(loaded, "3d").table("completeness by day")] == ["1", "4"]
    created_at = {row[1] for row in page.table("worst conferences")}
    assert {"Sun 25 Oct, 00:00", "Sun 25 Oct, 02:30", "Sun 25 Oct, 23:59"} == created_at


@pytest.mark.parametrize(
    ("since", "until", "start", "end"),
    [
        (None, None, "2026-11-13", "2026-11-20"),
        ("29d", None, "2026-10-22", "2026-11-20"),
        (None, "3d", "2026-11-10", "2026-11-17"),
        ("2026-02-01", "2026-03-01", "2026-02-01", "2026-03-01"),
        ("14d", "7d", "2026-11-06", "2026-11-13"),
    ],
)
def test_a_period_is_read(since: str | None, until: str | None, start: str, end: str) -> None:
    period = read_period(since, until, date(2026, 11, 20))
    assert (period.start, period.end) == (date.fromisoformat(start), date.fromisoformat(end))
    assert period.prior.end == period.start
    assert period.prior.length == period.length


@pytest.mark.parametrize(
    ("since", "until", "said"),
    [
        ("often", None, "'often' is not a day"),
        ("12h", None, "'12h' is not a day"),
        ("0d", None, "ends before 2026-11-20 and begins on 2026-11-20"),
        ("1d", "2d", "The period is empty"),
        ("367d", None, "are 367 days"),
        ("999999d", None, "outside the supported date range"),
        ("0001-01-01", "0001-01-03", "outside the supported date range"),
    ],
)
def test_what_is_no_period_is_said(since: str, until: str | None, said: str) -> None:
    with pytest.raises(PeriodError, match=said):
        read_period(since, until, date(2026, 11, 20))
