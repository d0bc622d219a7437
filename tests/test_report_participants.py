"""The report's sections about participants: what was counted by hand, and nothing personal."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.report import write_report
from pipelines.report.formatting import NONE
from pipelines.report.participants import most_striking
from pipelines.run.post_load import publish_now
from pipelines.simulator.account import Account
from tests.conftest import NOW, Loaded, loaded_once, sid, summary
from tests.given_participants import PERSONAL, Metrics, People, bad
from tests.page import Page, number
from tests.reports import (
    DAY,
    HOSTILE,
    TURNED,
    copy_of,
    put_account,
    report,
)

THIS_WEEK, WEEK_BEFORE, LONG_AGO, MAIN, BRANCH, TODAY, NOT_LISTED = range(7)
"""Numbers of the conferences; those before the week before make it one that is known."""
LONG_AGO_DAY, BRANCH_DAY = ("2026-11-05", "2026-11-06"), ("2026-11-04", "2026-11-05")
JAPAN: dict[str, Any] = {"participant_region": "jp1", "country_code": "JP", "call_type": "client"}


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Iterator[Loaded]:
    """One region is bad; before the week before are names of others, and another account."""
    account = Account(NOW)
    for conference, days in enumerate((2, 9, 15, 16, 16, 0.1, 3)):
        account.put(summary(conference, days * DAY))
    with loaded_once(account, tmp_path_factory.mktemp("called"), empty_warehouse) as loaded:
        loaded.load()
        put_account(loaded, "AC2", "Branch")
        both: Metrics = {
            "inbound": {"packet_loss_percentage": 7.25, "jitter_avg": 1.5, "mos": 2.25},
            "outbound": {"packet_loss_percentage": 0.5, "jitter_avg": 9.0, "jitter_max": 21.0},
        }
        with duckdb.connect(loaded.path) as connection:
            people = People(connection)
            people.put(12, THIS_WEEK, bad(mos=3.5), **JAPAN)
            people.put(8, THIS_WEEK, bad(latency_avg=150.0), **JAPAN | {"country_code": None})
            people.put(20, THIS_WEEK, **JAPAN)
            people.put(56, THIS_WEEK)
            people.put(2, THIS_WEEK, bad(packet_loss_percentage=5.0), call_direction="outbound")
            people.put(22, THIS_WEEK, call_direction="outbound")
            people.put(3, THIS_WEEK, bad(jitter_avg=5.0, jitter_max=20.0), participant_region="de1")
            people.put(9, THIS_WEEK, {}, participant_region="de1")
            people.put(1, THIS_WEEK, {"inbound": {}}, participant_region="de1")
            people.put(28, WEEK_BEFORE, **JAPAN)
            people.put(12, WEEK_BEFORE, bad(mos=1.0), **JAPAN)
            people.put(36, WEEK_BEFORE)
            people.put(4, WEEK_BEFORE, bad(mos=1.0))
            people.put(50, TODAY, bad(mos=1.0), participant_region="sg1")
            people.put(1, LONG_AGO, both)
            for name in (*HOSTILE, TURNED):
                values = ("call_type", "country_code", "participant_region", "call_direction")
                people.put(20, LONG_AGO, bad(latency_avg=900.0), **dict.fromkeys(values, name))
            people.put(25, MAIN, bad(mos=1.0))
            people.put(10, BRANCH, bad(mos=1.0), account_sid="AC2")
            people.put(20, BRANCH, account_sid="AC2")
            connection.execute(
                "UPDATE conference_insights.conference_summaries SET account_sid = 'AC2' "
                "WHERE conference_sid = ?",
                [sid(BRANCH)],
            )
        publish_now()
        yield loaded


@pytest.fixture(scope="module")
def week(called: Loaded) -> Page:
    return report(called)


COUNTED = {
    "region": (
        ("de1", 13, 3, 3, 100, None, 0, 3, 0, 0),
        ("jp1", 40, 40, 20, 50, 30, 8, 0, 0, 12),
        ("us1", 80, 80, 2, 2.5, 10, 0, 0, 2, 0),
    ),
    "country": (
        (NONE, 8, 8, 8, 100, None, 8, 0, 0, 0),
        ("JP", 32, 32, 12, 37.5, 30, 0, 0, 0, 12),
        ("US", 93, 83, 5, 6.0, 10, 0, 3, 2, 0),
    ),
    "call type": (
        ("client", 40, 40, 20, 50, 30, 8, 0, 0, 12),
        ("carrier", 93, 83, 5, 6.0, 10, 0, 3, 2, 0),
    ),
    "direction": (
        ("inbound", 109, 99, 23, 23.2, 20, 8, 3, 0, 12),
        ("outbound", 24, 24, 2, 8.3, None, 0, 0, 2, 0),
    ),
}
"""By hand: participants, measured, poor, percent, percent before, and by threshold."""


@pytest.mark.parametrize("kind", COUNTED)
def test_groups_are_those_counted_by_hand(kind: str, week: Page) -> None:
    rows = week.table(f"participants by {kind}")
    found = [(row[0], *(number(cell) for cell in row[1:])) for row in rows]
    assert found == list(COUNTED[kind])


def test_charts_show_the_worst_first_but_no_small_group(week: Page) -> None:
    section = week.section("participants")
    assert [h.text for h in section.all("h3")] == [
        *("By region", "By country", "By call type", "By direction"),
    ]
    drawn = [[text.text for text in svg.all("text")] for svg in section.all("svg")]
    assert drawn == [
        ["jp1", "50.0\xa0% of 40", "us1", "2.5\xa0% of 80"],
        ["JP", "37.5\xa0% of 32", "US", "6.0\xa0% of 83"],
        ["client", "50.0\xa0% of 40", "carrier", "6.0\xa0% of 83"],
        ["inbound", "23.2\xa0% of 99", "outbound", "8.3\xa0% of 24"],
    ]
    marks = [r for r in section.all("rect") if r.has(**{"class": "mark"})]
    assert len(marks) == 7
    assert "groups with at least 20 of them" in section.text


def test_the_group_that_stands_out_is_named(week: Page, called: Loaded) -> None:
    """None was the week before: 12 of 40 against 4 of 40 can be chance."""
    said = "Region jp1: 50\xa0% of 40 measured participants are poor; of all others 6\xa0%. Poor is"
    assert said in week.section("participants").text
    before = report(called, "2026-11-06", "2026-11-13").section("participants").text
    assert "20\xa0% of 80 measured participants are poor; no group stands out." in before


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (
            (("region", "jp1", 320, 131), ("region", "us1", 4000, 160)),
            "Region jp1: 41\xa0% of 320 ",
        ),
        ((("region", "jp1", 19, 19), ("region", "us1", 4000, 160)), "4\xa0% of 4,019 measured "),
        ((("region", "jp1", 40, 5), ("region", "us1", 4000, 160)), "4\xa0% of 4,040 measured "),
        ((("region", "jp1", 4000, 360), ("region", "us1", 4000, 200)), "7\xa0% of 8,000 measured "),
        (
            (("region", None, 100, 100), ("region", "us1", 30, 0)),
            "Region unknown: 100\xa0% of 100 ",
        ),
        ((("region", "us1", 0, 0),), "\N{EN DASH} of 0 measured participants are poor; no group "),
        (
            (
                ("country", "JP", 200, 82),
                ("region", "jp1", 300, 120),
                ("region", "us1", 4000, 160),
                ("country", "US", 4100, 198),
            ),
            "Region jp1: 40\xa0% of 300 measured participants are poor; of all others 4\xa0%.",
        ),
    ],
    ids=("bad", "too few", "chance", "not twice", "unknown", "none", "the larger of equal ones"),
)
def test_a_group_is_named_only_if_it_is_clearly_worse(
    groups: tuple[tuple[str, str | None, int, int], ...], said: str
) -> None:
    columns = ("kind", "name", "measured", "poor")
    rows = [dict(zip(columns, group, strict=True)) for group in groups]
    assert most_striking(rows).startswith(said)


def test_conferences_whose_participants_are_not_loaded_are_counted(
    week: Page, called: Loaded
) -> None:
    assert "Participants of 1 conference are not loaded." in week.section("participants").text
    before = report(called, "2026-11-06", "2026-11-13").section("participants").text
    assert "not loaded" not in before


def test_the_worst_participants_have_their_measures(week: Page, called: Loaded) -> None:
    rows = week.table("worst participants")
    assert len(rows) == 25
    first = rows[0]
    assert first[:6] == [sid(THIS_WEEK), f"CP{1:032x}", "JP", "client", "jp1", "inbound"]
    assert first[6:11] == ["1.0\xa0%", "2", "40", "60", "3.5"]
    assert first[11:13] == ["low MOS", "Wed 18 Nov, 14:31"]
    assert {row[11] for row in rows} == {"low MOS", "high latency", "high loss", "high jitter"}
    codes = [code.text for code in week.section("worst_participants").all("code")]
    assert codes[:2] == [sid(THIS_WEEK), f"CP{1:032x}"]
    assert len(codes) == 12
    with duckdb.connect(copy_of(called), read_only=True) as copy:
        query = "FROM analytics.participants WHERE is_poor AND created_date BETWEEN '{}' AND '{}'"
        (expected,) = copy.execute(
            f"SELECT count(*) {query.format('2026-11-13', '2026-11-19')}"
        ).fetchall()
    assert expected == (25,)
    before = report(called, "2026-11-06", "2026-11-13").table("worst participants")
    assert {row[10] for row in before} == {"1.0"}


def test_nothing_of_it_is_personal(week: Page) -> None:
    assert not [text for text in PERSONAL if text in week.source]


def test_each_measure_is_that_of_the_worse_direction(called: Loaded) -> None:
    """Participants with more findings come first; what is not measured is left out."""
    page = report(called, *LONG_AGO_DAY)
    worst = page.table("worst participants")[0]
    assert worst[6:12] == [
        *("7.2\xa0%", "9", "21", NONE, "2.2", "high jitter, high loss, low MOS"),
    ]
    fact = page.section("worst_participants").all("dl")[0].text
    assert "Jitter9\xa0ms, at most 21\xa0ms" in fact
    assert f"Latency{NONE}MOS" in fact


def test_what_others_named_is_only_text(called: Loaded) -> None:
    page = report(called, *LONG_AGO_DAY)
    assert not [name for name in (*HOSTILE, TURNED) if name in page.source]
    for kind in COUNTED:
        assert set(HOSTILE) < {row[0] for row in page.table(f"participants by {kind}")}
    shown = {text.text for text in page.section("participants").all("text")}
    assert HOSTILE[0] in shown


def test_without_participants_there_is_no_section(called: Loaded, tmp_path: Path) -> None:
    """In the period, or in a copy of an earlier version, which knows none."""
    older = tmp_path / "insights.duckdb"
    shutil.copy(copy_of(called), older)
    older.chmod(0o644)
    with duckdb.connect(older) as copy:
        for table in ("participants", "participant_quality", "participant_events"):
            copy.execute(f"DROP TABLE analytics.{table}")
        copy.execute("ALTER TABLE analytics.conference_health_card DROP participants")
    known = report(called)
    for page in (
        Page(write_report(older, tmp_path / "older.html")),
        report(called, "2026-11-01", "2026-11-04"),
    ):
        sections = {s.attributes["id"] for s in page.root.all("section")}
        assert {s.attributes["id"] for s in known.root.all("section")} - sections == {
            *("participants", "worst_participants"),
        }
        assert "articipants" not in page.root.all("nav")[0].text


def test_a_report_of_one_account_has_its_participants_alone(called: Loaded) -> None:
    both = report(called, *BRANCH_DAY)
    assert [row[:4] for row in both.table("participants by region")] == [["us1", "55", "55", "35"]]
    assert "Branch" in both.section("worst_participants").text
    copy, output = copy_of(called), called.path.with_name("branch.html")
    branch = Page(write_report(copy, output, *BRANCH_DAY, "Branch"))
    assert [row[:4] for row in branch.table("participants by region")] == [
        ["us1", "30", "30", "10"]
    ]
    assert {row[0] for row in branch.table("worst participants")} == {sid(BRANCH)}
