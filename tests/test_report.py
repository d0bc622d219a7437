"""The report: the figures are those of the views, and nothing of others is more than text in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.report import CopyError, PeriodError, write_report
from pipelines.report.figures import read_figures, read_period
from pipelines.report.formatting import NONE
from pipelines.report.markup import element
from pipelines.report.weeks import say_weeks
from pipelines.run.post_load import publish_now
from pipelines.simulator.account import ACCOUNT_SID
from pipelines.simulator.sample_data import busy_account, busy_tree
from pipelines.warehouse.definitions import documented_tags
from pipelines.warehouse.sql import sql_files
from pipelines.warehouse.views import View
from tests.conftest import NOW, ROOT, Command, Loaded, loaded_once, sid, summary
from tests.given_participants import People, bad
from tests.page import Element, Page, number
from tests.test_wheel import installed

__all__ = ["installed"]
DAY = timedelta(days=1)
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "]]></style></title><!--",
    "&lt;b&amp;",
)
TURNED = "\u202egnp.\u2066exe"
LONG, WIDE = "x" * 300, "\u540d\u524d" * 40


def copy_of(loaded: Loaded) -> Path:
    return loaded.path.with_name("warehouse.published") / "current/insights.duckdb"


def report(loaded: Loaded, since: str | None = None, until: str | None = None) -> Page:
    output = loaded.path.with_name("report.html")
    assert write_report(copy_of(loaded), output, since, until) == output
    return Page(output)


@pytest.fixture(scope="module")
def lively(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Iterator[Loaded]:
    """Sixteen days, with what others could write wherever they can."""
    account = busy_account(NOW, days=16, per_day=90)
    for n, name in enumerate((*HOSTILE, TURNED, *[LONG] * 4, *[WIDE] * 3)):
        info = {
            name: {"severity": name, "reason": name},
            "duplicate_identity": [{"participant_identity": name}],
            "low_mos": {"severity": "high"},
        }
        values: dict[str, Any] = {
            "friendly_name": name,
            "end_reason": name,
            "status": name,
            "mixer_region": name,
            "mixer_region_requested": f"{name}!",
            "tags": [name, "duplicate_identity", *("low_mos", "high_jitter")],
            "tag_info": info,
            "detected_issues": {name: 40, "call_quality": 99 - n},
            "unique_participants": 999 - n,
        }
        account.put(summary(n, 2 * DAY, **values))
    account.put(summary(99, 2 * DAY, "in_progress", tags=["low_mos"], detected_issues={"x": 1}))
    with loaded_once(account, tmp_path_factory.mktemp("report"), empty_warehouse) as loaded:
        loaded.load()
        loaded.account.now += timedelta(minutes=45)
        loaded.load()
        with duckdb.connect(loaded.path) as connection:
            people = People(connection)
            groups = ("participant_region", "country_code", "call_type", "call_direction")
            for n, name in enumerate((*HOSTILE, TURNED, LONG, WIDE)):
                values = dict.fromkeys(groups, name)
                people.put(30 + n, n, **values)
                people.put(5, n, bad(latency_avg=12345.5), **values)
        publish_now()
        yield loaded


@pytest.fixture(scope="module")
def week(lively: Loaded) -> Page:
    return report(lively)


PERIOD = "created_date >= '2026-11-13' AND created_date < '2026-11-20'"
BEFORE = "created_date >= '2026-11-06' AND created_date < '2026-11-13'"
SHARES = (
    f"SELECT count_if({PERIOD}), 100 * count_if({PERIOD}) / sum(count_if({PERIOD})) OVER (), "
    f"100 * count_if({BEFORE}) / sum(count_if({BEFORE})) OVER () FROM analytics.conferences "
    f"WHERE ({PERIOD} OR {BEFORE})"
)


@pytest.mark.thorough
def test_it_asks_nobody_and_runs_nothing(week: Page) -> None:
    elements = list(week.root)
    tags = {found.tag for found in elements}
    assert tags <= {
        *("", "html", "head", "meta", "title", "style", "body", "header", "nav", "main", "footer"),
        *("section", "h1", "h2", "h3", "p", "a", "ul", "ol", "li", "dl", "dt", "dd", "div", "span"),
        *("i", "strong", "bdi", "code", "figure", "figcaption", "details", "summary", "table"),
        *("caption", "thead", "tbody", "tr", "th", "td"),
        *("svg", "desc", "g", "rect", "line", "path", "circle", "text"),
    }
    names = {name for found in elements for name in found.attributes}
    assert not {name for name in names if name.startswith("on")} & names
    assert names.isdisjoint(
        {"style", "src", "srcset", "data", "action", "xlink:href", "background"}
    )
    ids = [found.attributes["id"] for found in elements if "id" in found.attributes]
    assert len(ids) == len(set(ids))
    for link in week.root.all("a"):
        target = link.attributes["href"] or ""
        if not target.startswith("#"):  # followed by a click, and telling nobody from where
            assert target == f"https://www.twilio.com/console/voice/conferences/logs/{link.text}"
            assert re.fullmatch("CF[0-9a-f]{32}", link.text)
            assert link.has(rel="noopener noreferrer")
        else:
            assert target.removeprefix("#") in ids
    css = (ROOT / "pipelines/report/style.css").read_text()
    assert not re.search("@import|url\\(|expression|http", css)


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


def test_no_picture_is_stretched(several: Loaded) -> None:
    """One of a narrow column would have letters of twice the size in a wide section."""
    wide = [s for s in report(several).root.all("section") if s.has(**{"class": "full"})]
    assert {"days", "tags", "accounts"} <= {section.attributes["id"] for section in wide}
    for section in wide:
        (figure,) = section.all("figure")
        assert not [child for child in figure.children if getattr(child, "tag", "") == "svg"]


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


@pytest.mark.thorough
def test_a_copy_without_personal_data(lively: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(lively.path))
    monkeypatch.setenv("PUBLISH__PERSONAL_DATA", "false")
    monkeypatch.setenv("PUBLISH__DIRECTORY", str(lively.path.with_name("impersonal")))
    page = Page(write_report(publish_now(), lively.path.with_name("impersonal.html")))
    assert {h.text for h in page.section("worst").all("h3")} == {"Without a name"}
    assert not re.search(r"Support \d|Sales \d|Joined twice", page.text)
    assert page.cards == report(lively).cards


def put_account(loaded: Loaded, sid: str, name: str | None, **values: Any) -> None:
    row = {"account_sid": sid, "friendly_name": name, "listed_to": NOW.replace(tzinfo=None)}
    row |= {"first_seen_at": row["listed_to"], "followed_by": sid, "_dlt_load_id": "1"} | values
    names, marks = ", ".join(row), ", ".join(f"${name}" for name in row)
    table = "conference_insights.accounts"
    with duckdb.connect(loaded.path) as connection:
        connection.execute(f"DELETE FROM {table} WHERE account_sid = ?", [sid])
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Iterator[Loaded]:
    """Three accounts with conferences, of which one is refused; two share a name; and one left."""
    account = busy_account(NOW, days=15, per_day=20)
    with loaded_once(account, tmp_path_factory.mktemp("several"), empty_warehouse) as loaded:
        loaded.load()
        with duckdb.connect(loaded.path) as connection:
            connection.execute(
                "UPDATE conference_insights.conference_summaries SET account_sid = "
                "'AC' || hash(conference_sid) % 3"
            )
            connection.execute(
                "UPDATE conference_insights._runs SET filters = ?",
                ['{"mixer_region": "ie1", "status": "<completed>"}'],
            )
        put_account(loaded, ACCOUNT_SID, "Left", left_at=datetime(2026, 11, 1))
        put_account(loaded, "AC0", "Sales_007")
        put_account(loaded, "AC1", "Branch")
        refused = {"error_class": "RefusedError", "failing_since": datetime(2026, 11, 19, 9)}
        put_account(loaded, "AC2", "branch", last_error="<Refused>", **refused)
        publish_now()
        yield loaded


@pytest.mark.thorough
def test_a_report_of_one_account_has_nothing_of_others(several: Loaded) -> None:
    output = several.path.with_name("one.html")
    for wanted, shown in {
        "AC1": "Branch (AC1)",
        "branch": "branch (AC2)",
        "sales_007": "Sales_007 (AC0)",
    }.items():
        page = Page(write_report(copy_of(several), output, None, None, wanted))
        assert f"Twilio conferences of {shown}" in page.root.all("header")[0].text
        assert not [found for found in page.root.all("section") if found.has(id="accounts")]
        mine = "account_sid = '" + shown.split("(")[1].replace(")", "'")
        for table, counted, by in (
            ("conferences by day", "conferences", "created_date"),
            ("tags", "conference_tags", "tag"),
            ("end reasons", "conferences", "end_reason"),
            ("hours of the week", "conferences", "weekday, hour_of_day"),
        ):
            final = " AND completeness = 'final'" if table == "tags" else ""
            (expected,) = several.query(
                f"SELECT sum(n)::BIGINT, count(*) FROM (SELECT count(*) AS n FROM "
                f"analytics.{counted} WHERE {PERIOD} AND {mine}{final} GROUP BY {by})"
            )
            column = 2 if table == "hours of the week" else 1
            numbers = [int(number(row[column]) or 0) for row in page.table(table)]
            assert (sum(numbers), sum(n > 0 for n in numbers)) == expected, table
        findings = f"SELECT conference_sid FROM analytics.conferences WHERE {mine}"
        worst = {row[0] for row in page.table("worst conferences")}
        assert worst
        assert worst <= {found for (found,) in several.query(findings)}
        assert ("Not up to date" in page.text) == (wanted == "branch")


def test_a_report_names_accounts_and_what_is_wrong_with_them(several: Loaded) -> None:
    page = report(several)
    said = page.root.all("header")[0].all("p")[0].text
    counts = several.query(
        "SELECT account_name FROM analytics.by_account ORDER BY conferences DESC, account_name"
    )
    assert said == f"Twilio conferences of 3 accounts: {', '.join(name for (name,) in counts)}"
    found = [(row[0], int(number(row[1]) or 0), row[-1]) for row in page.table("accounts")]
    names = {"AC0": "Sales_007", "AC1": "Branch", "AC2": "branch"}
    expected = several.query(
        f"SELECT account_sid, count(*) FROM analytics.conferences WHERE {PERIOD} GROUP BY ALL"
    )
    assert sorted(found) == sorted((names[sid], count, sid) for sid, count in expected)
    assert {"Sales_007", "Branch", "branch"} <= {
        text.text for text in page.section("accounts").all("text")
    }
    facts = [fact.text for fact in page.section("freshness").all("dt")]
    assert facts[:2] == ["accounts", "filters"]
    notes = [p.text for p in page.root.all("p") if p.has(**{"class": "note"})]
    filtered = "Filtered: runs list only mixer_region = ie1, status = <completed>"
    assert filtered in notes
    assert "Not up to date, since they could not be read: branch." in notes
    assert "branch since Thu 19 Nov, 09:00: <Refused>" in page.section("freshness").text


def test_an_account_must_be_known_and_one(
    several: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(several.path))
    unknown = command("report", "--account", "Sales 7")
    assert unknown.returncode == 2
    assert "No account is called Sales 7; there are: Sales_007, " in unknown.stderr
    twice = command("report", "--account", "BRANCH")
    assert twice.returncode == 2
    assert "2 accounts are called BRANCH, give a SID: AC1, AC2" in twice.stderr
    assert command("report", "--account", "AC2", "--output", "2.html").returncode == 0
    empty = command("report", "--account", "Left", "--output", "left.html")
    assert empty.returncode == 0
    assert "No conference is loaded yet." in Path("left.html").read_text()


@pytest.mark.thorough
@pytest.mark.usefixtures("prepared")
def test_accounts_are_told_apart(loaded: Loaded) -> None:
    for n in range(6):
        loaded.account.put(summary(n, (1 + n) * DAY))
    loaded.run()
    first = report(loaded)
    assert not [found for found in first.root.all("section") if found.has(id="accounts")]
    assert f"Twilio conferences of {ACCOUNT_SID}" in first.root.all("header")[0].text
    with duckdb.connect(loaded.path) as connection:
        connection.execute(
            "UPDATE conference_insights.conference_summaries SET account_sid = 'AC2' "
            "WHERE conference_sid = ?",
            [sid(1)],
        )
    publish_now()
    page = report(loaded)
    assert [(row[0][:3], row[1]) for row in page.table("accounts")] == [("ACd", "5"), ("AC2", "1")]
    assert page.cards["Conferences"] == "6"
    assert "Twilio conferences of 2 accounts" in page.root.all("header")[0].text


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


@pytest.mark.thorough
@pytest.mark.usefixtures("prepared")
def test_the_command_writes_the_page(loaded: Loaded, command: Command, tmp_path: Path) -> None:
    done = command("report")
    assert done.returncode == 74
    assert "Nothing is published at" in done.stderr
    assert "run `conference-insights run`" in done.stderr
    loaded.account.put(summary(1, DAY))
    loaded.run()
    done = command("report", "--from", "2d", "--output", "out.html")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'out.html'}\n"
    assert Page(tmp_path / "out.html").cards["Conferences"] == "1"
    for arguments, code, said in (
        (("--from", "soon"), 2, "'soon' is not a day; write for example 2026-11-01 or 29d"),
        (("--output", "/dev/null/a"), 74, "/dev/null/a cannot be written: Not a directory"),
        (("--output", "nowhere/out.html"), 74, "nowhere/out.html cannot be written: No such file"),
    ):
        done = command("report", *arguments)
        assert done.returncode == code
        assert said in done.stderr
        assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.glob("*.html*")) == ["out.html"]


def test_a_page_is_replaced_as_a_whole(
    lively: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "report.html"
    output.write_text("<!DOCTYPE html>before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="cannot be written: No space left"):
            write_report(copy_of(lively), output)
    assert output.read_text() == "<!DOCTYPE html>before"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["report.html"]


@pytest.mark.programs
def test_the_wheel_has_all_that_a_report_needs(
    lively: Loaded, installed: Path, tmp_path: Path
) -> None:
    program = (
        "import pathlib, sys, pipelines.report as r; print(r.__file__); "
        "r.write_report(*map(pathlib.Path, sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, copy_of(lively), "report.html"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{installed}/pipelines/report/__init__.py\n"
    assert (tmp_path / "report.html").read_text("utf-8") == report(lively).source


def test_a_file_that_is_no_copy_is_said(tmp_path: Path) -> None:
    (tmp_path / "insights.duckdb").write_text("not a database" * 1000)
    with pytest.raises(CopyError, match="run `conference-insights publish`"):
        write_report(tmp_path / "insights.duckdb", tmp_path / "report.html")
    duckdb.connect(tmp_path / "old.duckdb").close()
    with pytest.raises(CopyError, match="analytics"):
        write_report(tmp_path / "old.duckdb", tmp_path / "report.html")


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


@pytest.mark.parametrize(
    ("path", "text"), sql_files("report"), ids=lambda of: getattr(of, "stem", "")
)
def test_a_file_of_the_report_has_a_head_that_tells(path: Path, text: str) -> None:
    header = View(path, text).header
    assert header[""][0].endswith("?")
    for topic in ("Grain", "Promise", "NULL", "Caveats"):
        assert len(header[topic]) == 1
    assert "conference_insights." not in text


def test_the_page_of_a_lively_account_is_small(week: Page) -> None:
    assert 30_000 < len(week.source.encode()) < 300_000
