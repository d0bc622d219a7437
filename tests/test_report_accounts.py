"""Accounts in the report: told apart, named, each by itself, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import duckdb
import pytest

from pipelines.report import write_report
from pipelines.run.post_load import publish_now
from pipelines.simulator.account import ACCOUNT_SID
from pipelines.simulator.sample_data import busy_account
from tests.conftest import NOW, Command, Loaded, loaded_once, sid, summary
from tests.page import Page, number
from tests.reports import DAY, PERIOD, copy_of, put_account, report


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


def test_no_picture_is_stretched(several: Loaded) -> None:
    """One of a narrow column would have letters of twice the size in a wide section."""
    wide = [s for s in report(several).root.all("section") if s.has(**{"class": "full"})]
    assert {"days", "tags", "accounts"} <= {section.attributes["id"] for section in wide}
    for section in wide:
        (figure,) = section.all("figure")
        assert not [child for child in figure.children if getattr(child, "tag", "") == "svg"]
