"""Every number of the report equals its SQL: of each table cell by cell, and what is drawn or said
beside a table is in it, or is computed here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.report import write_report
from pipelines.report.formatting import NONE, humanize, percent
from pipelines.report.page import CARDS
from pipelines.run.post_load import publish_now
from pipelines.simulator.sample_data import busy_tree
from tests.conftest import NOW, loaded_once
from tests.page import Element, Page
from tests.reports import BEFORE, PERIOD, copy_of

pytestmark = pytest.mark.thorough
Values = tuple[Any, ...]
FINAL = "FILTER (completeness = 'final')"
OF_FINAL = (
    f"/ (SELECT count(*) FROM analytics.conferences WHERE completeness = 'final' AND {PERIOD})"
)
OF_FINAL_BEFORE = OF_FINAL.replace(PERIOD, BEFORE)
MEASURED = f"""
    count(*), coalesce(sum(unique_participants), 0), quantile_cont(duration_seconds, 0.5) {FINAL},
    quantile_cont(duration_seconds, 0.9) {FINAL}, count_if(completeness = 'pending'),
    100 * avg((NOT has_quality_problem)::INT) {FINAL},
    100 * avg((NOT has_region_problem)::INT) {FINAL},
    100 * avg((NOT has_behavior_problem)::INT) {FINAL},
    count_if(is_not_started), count_if(processing_state = 'timeout')
"""
"""What the cards show, in their order."""
BY_DAY = f"FROM analytics.conferences c WHERE {PERIOD} GROUP BY created_date ORDER BY created_date"
SHARES = f"""
    count_if({PERIOD}), 100 * count_if({PERIOD}) / sum(count_if({PERIOD})) OVER (),
    100 * count_if({BEFORE}) / sum(count_if({BEFORE})) OVER ()
"""
BOTH = f"({PERIOD} OR {BEFORE})"
MOST_FIRST = f"ORDER BY count_if({PERIOD}) DESC, count_if({BEFORE}) DESC, 1 NULLS LAST"
JUDGED = f"""
    count(c.conference_sid), count(c.conference_sid) {FINAL},
    count(c.conference_sid) FILTER (completeness = 'final' AND has_quality_problem),
    100 * avg(has_quality_problem::INT) {FINAL}
"""
GROUPS = {
    "region": "participant_region",
    "country": "country_code",
    "call type": "call_type",
    "direction": "call_direction",
}
WORSE = "greatest(inbound_{0}, outbound_{0})"
EXCEEDED = "is_latency_high::INT + is_jitter_high::INT + is_loss_high::INT + is_mos_low::INT"
TABLES = {
    "figures by day": f"SELECT created_date, {MEASURED} {BY_DAY}",
    "conferences by day": f"""
        SELECT created_date, count(*), count_if(completeness = 'pending'), (
            SELECT count(*) FROM analytics.conferences b WHERE b.created_date = c.created_date - 7
        ) {BY_DAY}
    """,
    "completeness by day": f"""
        SELECT created_date, count(*), count_if(processing_state = 'complete'),
            count_if(completeness = 'pending'), count_if(processing_state = 'timeout'),
            count_if(completeness = 'expired') {BY_DAY}
    """,
    "tags": f"""
        SELECT tag, count_if({PERIOD}), 100 * count_if({PERIOD}) {OF_FINAL},
            100 * count_if({BEFORE}) {OF_FINAL_BEFORE}
        FROM analytics.conference_tags WHERE completeness = 'final' AND {BOTH}
        GROUP BY tag {MOST_FIRST}
    """,
    "issues": f"""
        SELECT issue, count_if({PERIOD}), 100 * count_if({PERIOD}) {OF_FINAL},
            100 * count_if({BEFORE}) {OF_FINAL_BEFORE}, sum(issue_count) FILTER ({PERIOD})
        FROM analytics.conference_detected_issues WHERE completeness = 'final' AND {BOTH}
        GROUP BY issue {MOST_FIRST}
    """,
    "end reasons": f"""
        SELECT end_reason, {SHARES}, avg(duration_seconds) FILTER ({PERIOD})
        FROM analytics.conferences WHERE {BOTH} GROUP BY end_reason {MOST_FIRST}
    """,
    "lengths": f"""
        SELECT length_bucket, {SHARES} FROM analytics.conferences
        WHERE completeness = 'final' AND {BOTH} GROUP BY ALL ORDER BY 1 NULLS LAST
    """,
    "quality by week": f"""
        SELECT DATE '2026-11-06' + 7 * (created_date >= '2026-11-13')::INT AS day, day + 6, {JUDGED}
        FROM analytics.conferences c WHERE {BOTH} GROUP BY day ORDER BY day
    """,
    "hours of the week": f"""
        SELECT strftime(day, '%A'), hour, count(c.conference_sid), 1, {JUDGED}
        FROM (SELECT unnest(range(DATE '2026-11-13', DATE '2026-11-20', INTERVAL 1 DAY)) AS day)
        CROSS JOIN (SELECT unnest(range(24)) AS hour)
        LEFT JOIN analytics.conferences c ON created_hour = day + hour * INTERVAL 1 HOUR
        GROUP BY day, hour ORDER BY isodow(day), hour
    """,
    "regions": f"""
        SELECT mixer_region_requested, mixer_region,
            coalesce(mixer_region_requested <> mixer_region, false), count(*),
            100 * count(*) / sum(count(*)) OVER ()
        FROM analytics.conferences WHERE {PERIOD} GROUP BY ALL
        ORDER BY count(*) DESC, 1 NULLS LAST, 2 NULLS LAST
    """,
    "worst conferences": f"""
        SELECT conference_sid, create_time, severity, participants_touched, findings,
            quality_findings, behavior_findings, region_findings, other_findings,
            duration_seconds, unique_participants, status, end_reason
        FROM analytics.conference_health_card WHERE {PERIOD} AND findings > 0
        ORDER BY severity_rank DESC, participants_touched DESC, findings DESC, create_time DESC,
            conference_sid LIMIT 9
    """,
    **{
        f"participants by {kind}": f"""
            SELECT {column}, count_if({PERIOD}), count(is_poor) FILTER ({PERIOD}),
                count_if(is_poor AND {PERIOD}), 100 * avg(is_poor::INT) FILTER ({PERIOD}) AS share,
                100 * avg(is_poor::INT) FILTER ({BEFORE}),
                count_if(is_latency_high AND {PERIOD}), count_if(is_jitter_high AND {PERIOD}),
                count_if(is_loss_high AND {PERIOD}), count_if(is_mos_low AND {PERIOD})
            FROM analytics.participants WHERE {BOTH} GROUP BY {column}
            ORDER BY share DESC NULLS LAST, 3 DESC, 1 NULLS LAST
        """
        for kind, column in GROUPS.items()
    },
    "worst participants": f"""
        SELECT conference_sid, participant_sid, country_code, call_type, participant_region,
            call_direction, {WORSE.format("packet_loss_percentage")} AS loss,
            {WORSE.format("jitter_avg")}, {WORSE.format("jitter_max")},
            {WORSE.format("latency_avg")}, least(inbound_mos, outbound_mos) AS mos,
            concat_ws(', ', CASE WHEN is_latency_high THEN 'high latency' END,
                CASE WHEN is_jitter_high THEN 'high jitter' END,
                CASE WHEN is_loss_high THEN 'high loss' END,
                CASE WHEN is_mos_low THEN 'low MOS' END), join_time, account_name
        FROM analytics.participants WHERE is_poor AND {PERIOD}
        ORDER BY {EXCEEDED} DESC, mos NULLS LAST, loss DESC NULLS LAST, join_time DESC,
            participant_sid LIMIT 50
    """,
    "accounts": f"""
        SELECT account_name, count_if({PERIOD}), count_if({BEFORE}),
            count_if(completeness = 'pending' AND {PERIOD}),
            sum(unique_participants) FILTER ({PERIOD}),
            100 * avg((NOT has_problem)::INT) FILTER (completeness = 'final' AND {PERIOD}),
            account_sid
        FROM analytics.conferences WHERE {BOTH} GROUP BY ALL ORDER BY 2 DESC
    """,
    "checks": """
        SELECT check_name, level, violations, failing_since, sentence FROM analytics.checks
        ORDER BY violations DESC, check_name
    """,
}
"""By name: what the whole table has to say. `figures` is made of two periods."""
STATE = """
    SELECT (SELECT count(DISTINCT account_sid) FROM analytics.conferences), filters, personal_data,
        as_of, report_timezone,
        (SELECT min(created_date) FROM analytics.conferences),
        (SELECT max(create_time) FROM analytics.conferences),
        (SELECT min(create_time) FROM analytics.conferences WHERE completeness = 'pending'),
        (SELECT count(*) FROM analytics.conferences WHERE completeness = 'pending'),
        (SELECT count(*) FROM analytics.conferences WHERE create_time IS NULL), last_good_run_at,
        (SELECT count(*) FROM analytics.load_history),
        (SELECT count(*) FROM analytics.load_history WHERE outcome IN ('failed', 'killed'))
    FROM analytics.data_as_of
"""
UNITS = {"min": 60, "h": 3600, "ms": 1, "s": 1, "%": 1, None: 1}
DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) "
TOKEN = re.compile(
    rf"(?<![\w.])(?:(?:{DAY})?\d+ Nov(?:, \d\d:\d\d)?|\d+:00|\d[\d,]*(?:\.\d+)?"
    r"(?:\xa0(?:%|min|h|s|ms))?)(?!\w)"
)


class Told:
    """A page, and the copy of which it was made."""

    def __init__(self, copy: Path) -> None:
        self.page = Page(write_report(copy, copy.with_name("numbers.html")))
        self._copy = copy

    def query(self, sql: str) -> list[Values]:
        with duckdb.connect(self._copy, read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def table(self, name: str) -> list[Values]:
        """What SQL says that this table has to say."""
        if name != "figures":
            return self.query(TABLES[name])
        now, before = (
            self.query(f"SELECT {MEASURED} FROM analytics.conferences WHERE {days}")[0]
            for days in (PERIOD, BEFORE)
        )
        return [*zip((title for title, _ in CARDS.values()), now, before, strict=True)]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Sixteen days of three accounts with participants, of which the week before was bad."""
    account = busy_tree(NOW, days=16, per_day=40)
    for each in account.tree():
        each.advanced_features = True
    with loaded_once(account, tmp_path_factory.mktemp("numbers")) as loaded:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SOURCES__TWILIO_INSIGHTS__PARTICIPANTS", "true")
            patch.setenv("SOURCES__TWILIO_INSIGHTS__ACCOUNTS", "all")
            loaded.run()
        publish_now()
        yield Told(copy_of(loaded))


def captions(of: Element) -> list[str]:
    return [caption.text for caption in of.all("caption")]


def says(cell: str, value: Any) -> bool:
    """Whether a cell says this value, as exactly as it is written."""
    if value is None:
        return cell == NONE
    if isinstance(value, str | bool):
        return cell == (value if isinstance(value, str) else "yes" if value else "no")
    if isinstance(value, date):
        clock = f", {value:%H:%M}" if isinstance(value, datetime) else ""
        return cell == f"{value:%a} {value.day} {value:%b}{clock}"
    said = re.fullmatch(r"(-?[\d,]+)(\.\d+)?(?:\xa0(%|min|h|s))?", cell)
    assert said, cell
    size, digits = UNITS[said[3]], len(said[2] or ".") - 1
    number = float(said[1].replace(",", "") + (said[2] or "")) * size
    return bool(abs(number - float(value)) <= 0.5 * size * 10**-digits + 1e-6)


def test_every_table_is_compared(told: Told) -> None:
    """A new one needs its SQL here."""
    assert sorted(captions(told.page.root)) == sorted([*TABLES, "figures"])


@pytest.mark.parametrize("name", [*TABLES, "figures"])
def test_every_cell_of_a_table_equals_its_sql(name: str, told: Told) -> None:
    expected, found = told.table(name), told.page.table(name)
    assert len(found) == len(expected) > 0
    for row, values in zip(found, expected, strict=True):
        for cell, value in zip(row, values, strict=True):
            assert says(cell, value), f"{row}: {cell} is not {value}"


def test_the_state_of_the_data_equals_its_sql(told: Told) -> None:
    (expected,) = told.query(STATE)
    facts = told.page.section("freshness").all("dl")[0]
    for name, fact, value in zip(facts.all("dt"), facts.all("dd"), expected, strict=True):
        assert says(fact.text, value), f"{name.text}: {fact.text} is not {value}"


def tokens(text: str) -> set[str]:
    return set(TOKEN.findall(text))


def in_row(row: list[str]) -> set[str]:
    """What may be said of a row: its numbers, also rounded or with a unit, and those of names."""
    found = tokens(" ".join([*row, *map(humanize, row)]))
    found |= {day.removeprefix(day[:4]) for day in found if re.match(DAY, day)}
    found |= {f"{token}\xa0ms" for token in found} | {
        f"{hour}:00" for hour in row if hour.isdigit()
    }
    return found | {f"{round(float(n[:-2]))}\xa0%" for n in found if n.endswith("%")}


def rows_of(section: Element, page: Page) -> list[set[str]]:
    return [in_row(row) for name in captions(section) for row in page.table(name)]


def beside_the_table(section: Element) -> Iterator[str]:
    """All texts but tables, scales, what tags mean, SIDs and headings."""
    if section.tag in ("details", "code", "h3"):
        return
    if section.has(**{"class": "meanings"}) or section.has(**{"class": "grid"}):
        return
    if not any(isinstance(child, Element) for child in section.children):
        yield section.text
    for child in section.children:
        if isinstance(child, Element):
            yield from beside_the_table(child)
        elif len(section.children) > 1:
            yield child


def whole(share: float) -> str:
    return f"{share:.0f}\xa0%"


def extras(slug: str, told: Told) -> set[str]:
    """What a section says that is in no cell: constants, and sums over the rows of its tables."""
    figures = told.table("figures")
    if slug == "totals":
        points = {f"{abs(round(now - before, 1)):.1f}" for _, now, before in figures[5:8]}
        ratios = (now / before for _, now, before in figures if before)
        return points | {percent(abs(100 * ratio - 100)) for ratio in ratios}
    if slug == "tags":
        return {token for scale in scales_of_tags(told) for token in tokens(scale)}
    if slug == "lengths":
        return {cell for row in told.page.table("figures") for cell in row[1:2]}
    if slug == "weeks":
        return {whole(told.table("quality by week")[1][5])}
    if slug == "week":
        return {"5", *(f"{hour}:00" for hour in range(0, 24, 6))}
    if slug == "regions":
        return {f"{sum(row[4] for row in told.table('regions') if row[2]):.1f}\xa0%"}
    if slug == "participants":
        groups = told.table("participants by region")
        (worst,) = (row for row in groups if row[0] == "jp1")
        measured, poor = (sum(row[n] for row in groups) - worst[n] for n in (2, 3))
        ((missing,),) = told.query(
            "SELECT count(*) FROM analytics.conference_health_card WHERE completeness = 'final' "
            f"AND participants_state NOT IN ('listed', 'unfinished') AND {PERIOD}"
        )
        return {"150", "20", "5", "3.5", f"{missing}", whole(100 * poor / measured)}
    if slug == "completeness":
        share = (
            f"100 * avg((completeness = 'final')::INT) FROM analytics.conferences WHERE {PERIOD}"
        )
        return {percent(told.query(f"SELECT {share}")[0][0])}
    return {f"{len(told.table('checks'))}"} if slug == "freshness" else set()


def scales_of_tags(told: Told) -> list[str]:
    """The least and the most share of a day, of the eight tags that are drawn."""
    days = told.query(f"SELECT created_date, count(*) {FINAL} {BY_DAY}")
    shown = []
    for tag, *_ in told.table("tags")[:8]:
        counts: dict[date, int] = dict(
            told.query(
                "SELECT created_date, count(*) FROM analytics.conference_tags "
                f"WHERE completeness = 'final' AND tag = '{tag}' AND {PERIOD} GROUP BY 1"
            )
        )
        shares = [100 * counts.get(day, 0) / final for day, final in days]
        shown.append(f"{min(shares):.0f} to {max(shares):.0f} %")
    return shown


def test_small_lines_of_tags_have_the_scale_of_their_days(told: Told) -> None:
    texts = [text.text for text in told.page.section("tags").all("text")]
    assert [text for text in texts if " to " in text] == scales_of_tags(told)


def test_what_is_drawn_or_said_is_in_the_table_beside_it(told: Told) -> None:
    checked, days = 0, {row[0] for row in told.page.table("conferences by day")}
    for section in told.page.root.all("section"):
        slug = section.attributes["id"] or ""
        if slug == "freshness":
            section = section.all("p")[0]
            allowed = set[str]()
        else:
            allowed = set().union(*rows_of(section, told.page))
        allowed |= extras(slug, told) | days
        for text in beside_the_table(section):
            assert tokens(text) <= allowed, f"{slug}: {text} has {tokens(text) - allowed}"
            checked += len(tokens(text))
    assert checked > 500


def test_what_a_field_or_a_bar_says_is_of_one_row(told: Told) -> None:
    checked = 0
    for section in told.page.root.all("section"):
        rows = rows_of(section, told.page)
        for group in section.all("g"):
            for hint in group.all("title"):
                assert any(tokens(hint.text) <= row for row in rows), hint.text
                said = tokens("|".join(text.text for text in group.all("text")))
                assert any(said | tokens(hint.text) <= row for row in rows), hint.text
                checked += 1
    assert checked > 100


@pytest.mark.parametrize("slug", ["tags", "end_reasons", "accounts", "participants"])
def test_a_bar_has_the_value_of_its_row(slug: str, told: Told) -> None:
    section = told.page.section(slug)
    rows = [row for name in captions(section) for row in told.page.table(name)]
    values = {humanize(row[0]): in_row(row) for row in rows}
    values |= {
        "unknown": values.get(NONE, set()),
        "not ended, or never started": values.get(NONE, set()),
    }
    for svg in section.all("svg"):
        texts = [text.text for text in svg.all("text") if " to " not in text.text]
        assert texts
        for name, value in zip(texts[::2], texts[1::2], strict=True):
            assert tokens(value) <= values[name], (name, value)
        numbers = [float(value.split("\xa0")[0].replace(",", "")) for value in texts[1::2]]
        bars = [
            rect.attributes["width"] for rect in svg.all("rect") if rect.has(**{"class": "now"})
        ]
        lengths = [float(bar or 0) for bar in bars]
        scale = lengths[0] / numbers[0]
        assert lengths == pytest.approx([n * scale for n in numbers if n], abs=0.1 + 0.1 * scale)


def test_the_headline_says_what_the_tables_say(told: Told) -> None:
    header = told.page.root.all("header")[0]
    said = {token for p in header.all("p") for token in tokens(p.text)}
    weeks = told.table("quality by week")
    allowed = {cell for row in told.page.table("figures") for cell in row[1:]}
    allowed |= extras("totals", told) | {whole(share) for *_, share in weeks}
    (as_of,) = told.query("SELECT as_of FROM analytics.data_as_of")[0]
    allowed |= {f"{as_of:%a} {as_of.day} {as_of:%b, %H:%M}", "2026", "7", "3"}
    allowed |= {f"{day:%a} {day.day} {day:%b}" for row in weeks for day in row[:2]}
    assert said <= allowed, said - allowed
    assert len(said) > 8
