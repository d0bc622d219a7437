"""The report's page: figures are the views' own, and nothing of others is more than text in it."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pipelines.report import CopyError, write_report
from pipelines.report.figures import read_figures
from pipelines.report.formatting import NONE
from pipelines.report.markup import element
from pipelines.warehouse.definitions import documented_tags
from tests.conftest import ROOT, Loaded, summary
from tests.page import Element, Page, number
from tests.reports import BEFORE, DAY, HOSTILE, PERIOD, copy_of, report
from tests.reports import lively as lively
from tests.reports import week as week

SHARES = (
    f"SELECT count_if({PERIOD}), 100 * count_if({PERIOD}) / sum(count_if({PERIOD})) OVER (), "
    f"100 * count_if({BEFORE}) / sum(count_if({BEFORE})) OVER () FROM analytics.conferences "
    f"WHERE ({PERIOD} OR {BEFORE})"
)


def test_the_policy_allows_its_own_style_and_nothing_else(week: Page) -> None:
    (policy,) = (m for m in week.root.all("meta") if "http-equiv" in m.attributes)
    (style,) = week.root.all("style")
    digest = b64encode(sha256(style.text.encode()).digest()).decode()
    assert policy.attributes["content"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    order = [found.tag for found in week.root.all("head")[0]]
    assert order.index("style") > 2
    assert week.source.index("Content-Security-Policy") < week.source.index("<style")
    assert week.source.index("charset") < 1024


@pytest.mark.parametrize("name", HOSTILE)
def test_what_others_named_is_only_text(name: str, week: Page) -> None:
    assert name not in week.source
    headings = [h.text for h in week.section("worst").all("h3")]
    assert name in headings
    for slug in ("tags", "end_reasons", "regions"):
        cells = [cell.text for cell in week.section(slug).all("th", "td")]
        assert name in cells
    assert name in [cell.text for cell in week.section("issues").all("th")]


def test_what_turns_text_is_written_out(week: Page) -> None:
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(week.source)
    assert "\\u202egnp.\\u2066exe" in [h.text for h in week.section("worst").all("h3")]


def test_text_becomes_markup_in_one_module_alone() -> None:
    makers = [
        path.name
        for path in (ROOT / "pipelines/report").glob("*.py")
        if re.search(r"\bMarkup\(", path.read_text())
    ]
    assert makers == ["markup.py"]
    assert element("p", "<", ["&", element("b", ">")], title='"') == (
        '<p title="&quot;">&lt;&amp;<b>&gt;</b></p>'
    )


def test_people_who_hear_it_find_their_way(week: Page) -> None:
    assert week.root.all("html")[0].has(lang="en")
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert len(week.root.all(landmark)) == 1
    levels = [int(h.tag[1]) for h in week.root.all("h1", "h2", "h3")]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for section in week.root.all("section"):
        assert section.all("h2")[0].has(id=section.attributes["aria-labelledby"] or "")
    for head in week.root.all("th"):
        assert head.attributes["scope"] in ("row", "col")


def test_every_picture_has_a_name_and_its_table(week: Page) -> None:
    pictures = week.root.all("svg")
    assert len(pictures) > 15
    for picture in pictures:
        assert picture.has(role="img")
        title, about = picture.children[:2]
        assert isinstance(title, Element)
        assert isinstance(about, Element)
        assert (title.tag, about.tag) == ("title", "desc")
        assert title.text.strip()
        assert about.text.strip()
    for section in week.root.all("section"):
        order = [found.tag for found in section if found.tag in ("svg", "details")]
        assert order[-1] == "details"
        (table, *_) = section.all("table")
        assert table.all("td")


def test_the_cards_are_those_of_the_view(week: Page, lively: Loaded) -> None:
    shares = [f"final_without_{kind}_problem" for kind in ("quality", "region", "behavior")]
    plain = ("conferences", "total_participants", "not_started", "timed_out", "pending")
    columns = ", ".join(
        [f"sum({p}{c})" for p in ("", "prior_") for c in plain]
        + [f"100.0 * sum({p}{c}) / sum({p}final)" for p in ("", "prior_") for c in shares]
    )
    (expected,) = lively.query(
        f"SELECT {columns} FROM analytics.conference_kpis WHERE period_days = 7"
    )
    names = ("Conferences", "Participants", "Not started", "Timed out", "Still pending")
    good = [f"Without {kind} problem" for kind in ("quality", "region", "behavior")]
    table = {row[0]: row[1:] for row in week.table("figures")}
    found = [number(table[name][n]) for n in (0, 1) for name in names]
    found += [number(table[name][n]) for n in (0, 1) for name in good]
    assert found == pytest.approx([float(value) for value in expected], abs=0.051)
    assert expected[0] > 500
    assert week.cards == {name: cells[0] for name, cells in table.items()}


EXACT = {
    "totals": (
        ("median_length_seconds", "p90_length_seconds"),
        "SELECT median(duration_seconds), quantile_cont(duration_seconds, 0.9) "
        f"FROM analytics.conferences WHERE completeness = 'final' AND ({PERIOD} OR {BEFORE}) "
        f"GROUP BY {PERIOD} ORDER BY {PERIOD} DESC",
    ),
    "days": (
        ("median_length_seconds", "p90_length_seconds", "percent_without_behavior_problem"),
        "SELECT median(duration_seconds), quantile_cont(duration_seconds, 0.9), "
        "100 * count_if(NOT has_behavior_problem) / count(*) "
        f"FROM analytics.conferences WHERE completeness = 'final' AND {PERIOD} "
        "GROUP BY created_date ORDER BY created_date",
    ),
    "end_reasons": (
        ("mean_length_seconds",),
        f"SELECT avg(CASE WHEN {PERIOD} THEN duration_seconds END) FROM analytics.conferences "
        f"WHERE {PERIOD} OR {BEFORE} GROUP BY end_reason "
        f"ORDER BY count_if({PERIOD}) DESC, count(*) DESC, end_reason NULLS LAST",
    ),
    "week": (
        ("mean_conferences",),
        "SELECT sum(conferences) FROM analytics.conference_volume "
        f"WHERE {PERIOD} GROUP BY weekday, hour_of_day ORDER BY weekday, hour_of_day",
    ),
}


@pytest.mark.parametrize("name", EXACT)
def test_what_a_table_rounds_is_exact(name: str, lively: Loaded) -> None:
    columns, query = EXACT[name]
    rows = read_figures(copy_of(lively), None, None)[name]
    expected = lively.query(query)
    assert len(rows) == len(expected)
    for row, values in zip(rows, expected, strict=True):
        assert [row[column] for column in columns] == pytest.approx(list(values))


def test_trends_are_shares_of_each_day(lively: Loaded) -> None:
    found = {
        row["day"]: row["percent"]
        for row in read_figures(copy_of(lively), None, None)["problem_days"]
        if row["name"] == "low_mos"
    }
    expected = lively.query(
        "SELECT created_date, 100 * count_if(has_low_mos) / count(*) "
        f"FROM analytics.conferences WHERE completeness = 'final' AND {PERIOD} GROUP BY 1"
    )
    assert found == pytest.approx(dict(expected))


BY_HAND = {
    "conferences by day": (
        "SELECT count(*), sum(CASE WHEN completeness = 'pending' THEN 1 ELSE 0 END), "
        "(SELECT count(*) FROM analytics.conferences b WHERE b.created_date = c.created_date - 7) "
        f"FROM analytics.conferences c WHERE {PERIOD} GROUP BY created_date ORDER BY created_date"
    ),
    "completeness by day": (
        "SELECT count(*), count_if(processing_state = 'complete'), "
        "count_if(completeness = 'pending'), count_if(processing_state = 'timeout'), "
        "count_if(completeness = 'expired') "
        f"FROM analytics.conferences WHERE {PERIOD} GROUP BY created_date ORDER BY created_date"
    ),
    "tags": (
        "WITH final AS (SELECT * FROM analytics.conferences WHERE completeness = 'final') "
        f"SELECT count_if({PERIOD}), "
        f"100 * count_if({PERIOD}) / (SELECT count(*) FROM final WHERE {PERIOD}), "
        f"100 * count_if({BEFORE}) / (SELECT count(*) FROM final WHERE {BEFORE}) "
        f"FROM analytics.conference_tags WHERE completeness = 'final' AND ({PERIOD} OR {BEFORE}) "
        "GROUP BY tag ORDER BY 1 DESC, 3 DESC, tag"
    ),
    "issues": (
        "WITH final AS (SELECT * FROM analytics.conferences WHERE completeness = 'final') "
        f"SELECT count_if({PERIOD}), "
        f"100 * count_if({PERIOD}) / (SELECT count(*) FROM final WHERE {PERIOD}), "
        f"100 * count_if({BEFORE}) / (SELECT count(*) FROM final WHERE {BEFORE}), "
        f"sum(CASE WHEN {PERIOD} THEN issue_count END) "
        "FROM analytics.conference_detected_issues "
        f"WHERE completeness = 'final' AND ({PERIOD} OR {BEFORE}) "
        "GROUP BY issue ORDER BY 1 DESC, 3 DESC, issue"
    ),
    "lengths": (
        f"{SHARES} AND completeness = 'final' "
        "GROUP BY length_bucket ORDER BY length_bucket NULLS LAST"
    ),
    "end reasons": f"{SHARES} GROUP BY end_reason ORDER BY 1 DESC, 3 DESC, end_reason NULLS LAST",
    "regions": (
        "SELECT count(*) FROM analytics.conferences "
        f"WHERE {PERIOD} GROUP BY mixer_region_requested, mixer_region ORDER BY 1 DESC"
    ),
    "hours of the week": (
        "SELECT hour_of_day, count(*) FROM analytics.conferences "
        f"WHERE {PERIOD} GROUP BY weekday, hour_of_day ORDER BY weekday, hour_of_day"
    ),
}
SHOWN = {"regions": [3], "hours of the week": [1, 2]}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_table_has_what_a_count_over_conferences_says(
    name: str, week: Page, lively: Loaded
) -> None:
    expected = [[float(value) for value in row] for row in lively.query(BY_HAND[name])]
    assert expected
    rows = week.table(name)
    if name == "hours of the week":
        rows = [row for row in rows if row[2] != "0"]
    width = len(expected[0])
    columns = SHOWN.get(name) or list(range(1, width + 1))
    found = [[number(row[column]) for column in columns] for row in rows]
    assert len(found) == len(expected)
    for row, values in zip(found, expected, strict=True):
        assert row == pytest.approx(values, abs=0.051)


WEEKS = (
    ("2026-11-06", "2026-11-12", BEFORE),
    ("2026-11-13", "2026-11-19", PERIOD),
)


def test_weeks_and_hours_have_the_quality_of_the_conferences(week: Page, lively: Loaded) -> None:
    judged = (
        "SELECT count(*), count_if(has_quality_problem), "
        "100 * count_if(has_quality_problem) / count(*) "
        "FROM analytics.conferences WHERE completeness = 'final' AND "
    )
    figures = read_figures(copy_of(lively), None, None)
    columns = ("final", "final_with_quality_problem", "percent_with_quality_problem")
    expected = [lively.query(f"{judged}{days}")[0] for *_, days in WEEKS]
    assert [str(row["first_day"]) for row in figures["weeks"]] == [first for first, *_ in WEEKS]
    assert [str(row["last_day"]) for row in figures["weeks"]] == [last for _, last, _ in WEEKS]
    for row, values in zip(figures["weeks"], expected, strict=True):
        assert [row[column] for column in columns] == pytest.approx(list(values))
    hours = lively.query(
        f"{judged}{PERIOD} GROUP BY weekday, hour_of_day ORDER BY weekday, hour_of_day"
    )
    found = [[row[column] for column in columns] for row in figures["week"] if row["final"]]
    assert len(found) == len(hours)
    for of_hour, values in zip(found, hours, strict=True):
        assert of_hour == pytest.approx(list(values))
    shown = [number(row[7]) for row in week.table("hours of the week") if row[5] != "0"]
    assert shown == pytest.approx([values[2] for values in hours], abs=0.051)
    assert {row[7] for row in week.table("hours of the week") if row[5] == "0"} <= {NONE}
    drawn = week.section("week").all("svg")
    assert len(drawn) == 2
    assert len([g for g in drawn[1].all("g") if g.all("title")]) == sum(h[0] >= 5 for h in hours)


def test_days_of_the_week_have_names(week: Page) -> None:
    named = dict.fromkeys(row[0] for row in week.table("hours of the week"))
    assert list(named) == [
        *("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    ]


def test_small_lines_have_a_scale_and_name_the_last_day(week: Page) -> None:
    by_day = [number(row[1]) or 0 for row in week.table("figures by day")]
    said = [text.text for text in week.section("totals").all("svg")[0].all("text")]
    low, high = (f"{of(by_day):.0f}" for of in (min, max))
    assert said == [high, low, f"Thu 19 Nov: {by_day[-1]:.0f}"]
    for slug in ("days", "issues"):
        (names,) = {
            max(t.text for t in svg.all("text") if t.text.startswith("Thu 19"))
            for svg in week.section(slug).all("svg")
        }
        assert names == "Thu 19 Nov"
    assert "The small lines are the days up to Thu 19 Nov" in week.section("tags").text
    assert [t for t in week.section("tags").all("text") if re.fullmatch(r"<?\d+ to \d+ %", t.text)]


def test_tags_are_explained_in_one_sentence_each(week: Page, lively: Loaded) -> None:
    """The same that the comments of the views say."""
    (meanings,) = week.section("tags").all("dl")
    found = {
        pair.all("dt")[0].text.replace(" ", "_"): pair.all("dd")[0].text
        for pair in meanings.all("div")
    }
    assert list(found) == [row[0] for row in week.table("tags")][:8]
    comments = lively.query(
        "SELECT column_name, comment FROM duckdb_columns() "
        "WHERE schema_name = 'analytics' AND table_name = 'conferences'"
    )
    for column, comment in comments:
        tag = column.removeprefix("has_")
        if column != tag and tag in found:
            assert comment == f"Whether it has the tag {tag}: {found[tag]}"
    assert len(set(found) & {c.removeprefix("has_") for c, _ in comments}) > 5
    assert set(found) - set(documented_tags()) == {
        tag for tag, meaning in found.items() if meaning == "Twilio does not document it."
    }
    pills = {pill.text: pill.attributes.get("title") for pill in week.section("worst").all("li")}
    assert pills["low mos"] == documented_tags()["low_mos"]


def test_the_worst_are_the_severest_that_concern_most(week: Page, lively: Loaded) -> None:
    expected = lively.query(
        "SELECT conference_sid, findings FROM analytics.conference_health_card WHERE "
        f"{PERIOD} ORDER BY severity_rank DESC, participants_touched DESC, findings DESC, "
        "create_time DESC, conference_sid LIMIT 9"
    )
    table = week.table("worst conferences")
    assert [(row[0], number(row[4])) for row in table] == expected
    assert [code.text for code in week.section("worst").all("code")] == [s for s, _ in expected]


def test_bars_are_as_long_as_their_figures(week: Page) -> None:
    """Of one drawing: the heights of final and pending add up to what the table says."""
    drawn = week.section("days").all("svg")[0]
    heights = [
        sum(
            float(r.attributes["height"] or 0)
            for r in g.all("rect")
            if not r.has(**{"class": "before"})
        )
        for g in drawn.all("g")
        if g.all("rect")
    ]
    counts = [number(row[1]) for row in week.table("conferences by day")]
    assert len(heights) == 7
    scale = heights[0] / float(str(counts[0]))
    assert heights == pytest.approx([scale * float(str(c)) for c in counts], abs=0.3)


def test_a_month_and_a_day(lively: Loaded) -> None:
    month = report(lively, "30d")
    assert len(month.table("conferences by day")) == 16
    assert "nothing" not in month.cards
    day = report(lively, "2026-11-18", "2026-11-19")
    hours = lively.query(
        "SELECT created_hour, sum(conferences) FROM analytics.conference_volume "
        "WHERE created_date = '2026-11-18' GROUP BY 1 ORDER BY 1"
    )
    table = day.table("conferences by hour")
    assert len(table) == 24
    assert [number(row[1]) for row in table] == [float(count) for _, count in hours]
    prior = lively.query(
        "SELECT sum(conferences) FROM analytics.conference_volume "
        "WHERE created_date = '2026-11-17' GROUP BY created_hour ORDER BY created_hour"
    )
    assert [number(row[3]) for row in table] == [float(count) for (count,) in prior]


def test_a_period_that_is_not_over_is_not_compared(lively: Loaded) -> None:
    page = report(lively, "2026-11-20", "2026-11-21")
    assert "The period is not over: there is data up to Fri 20 Nov, 15:15" in page.text
    assert len(page.table("conferences by hour")) == 16
    assert {row[3] for row in page.table("conferences by hour")} == {NONE}
    assert not re.search("better|worse|▲|▼|fewer", page.text)
    assert "not over" not in report(lively).text


def test_nothing_is_compared_with_a_time_that_is_not_known(lively: Loaded) -> None:
    page = report(lively, "20d")
    assert "The data begins on" in page.text
    assert {row[2] for row in page.table("figures")} == {NONE}
    assert {row[3] for row in page.table("conferences by day")} == {NONE}
    assert not re.search("better|worse|▲|▼", page.section("totals").text)


@pytest.mark.parametrize(("since", "until"), [("300d", "290d"), ("2030-01-01", "2030-02-01")])
def test_an_empty_period_is_a_page_too(since: str, until: str, lively: Loaded) -> None:
    page = report(lively, since, until)
    assert page.cards["Conferences"] == "0"
    assert page.cards["Without quality problem"] == NONE
    assert "Nothing in this period." in page.text
    assert "nan" not in page.text.lower()


@pytest.mark.thorough
@pytest.mark.usefixtures("prepared")
def test_huge_numbers(loaded: Loaded) -> None:
    most = 2**31
    for n in (1, 2):
        values: dict[str, Any] = {
            "duration_seconds": most,
            "unique_participants": most,
            "detected_issues": {"call_quality": most},
        }
        loaded.account.put(summary(n, DAY, **values))
    loaded.run()
    page = report(loaded)
    assert page.cards["Participants"] == "4.3\xa0billion"
    assert page.table("issues")[0][-1] == "4.3\xa0billion"


def test_a_page_is_replaced_as_a_whole(
    lively: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "report.html"
    output.write_text("<title>Conferences, before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="cannot be written: No space left"):
            write_report(copy_of(lively), output)
    assert output.read_text() == "<title>Conferences, before"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["report.html"]


def test_the_copy_is_opened_locked_down(lively: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    for statement in (
        "SELECT * FROM read_text('/etc/hostname')",
        "SET threads = 1",
        "DROP SCHEMA analytics CASCADE",
    ):
        monkeypatch.setattr(
            "pipelines.report.figures.sql_files", lambda _, s=statement: [(Path("state.sql"), s)]
        )
        with pytest.raises(CopyError):
            read_figures(copy_of(lively), None, None)


def test_the_page_of_a_lively_account_is_small(week: Page) -> None:
    assert 30_000 < len(week.source.encode()) < 300_000
