"""The file that a report is: it is made of a copy alone, and asks nobody when it is read."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from pipelines.report import CopyError, write_report
from pipelines.run.post_load import publish_now
from tests.conftest import ROOT, Command, Loaded, summary
from tests.page import Page
from tests.reports import DAY, copy_of, report
from tests.reports import lively as lively
from tests.reports import week as week
from tests.test_wheel import installed as installed
from tests.test_wheel import run_installed


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
    assert not {name for name in names if name.startswith("on")}
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


@pytest.mark.thorough
def test_a_copy_without_personal_data(lively: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(lively.path))
    monkeypatch.setenv("PUBLISH__PERSONAL_DATA", "false")
    monkeypatch.setenv("PUBLISH__DIRECTORY", str(lively.path.with_name("impersonal")))
    page = Page(write_report(publish_now(), lively.path.with_name("impersonal.html")))
    assert {h.text for h in page.section("worst").all("h3")} == {"Without a name"}
    assert not re.search(r"Support \d|Sales \d|Joined twice", page.text)
    assert page.cards == report(lively).cards


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


@pytest.mark.programs
def test_the_wheel_has_all_that_a_report_needs(
    lively: Loaded, installed: Path, tmp_path: Path
) -> None:
    program = (
        "import pathlib, sys, pipelines.report as r; print(r.__file__); "
        "r.write_report(*map(pathlib.Path, sys.argv[1:]))"
    )
    said = run_installed(installed, tmp_path, program, str(copy_of(lively)), "report.html")
    assert said == f"{installed}/pipelines/report/__init__.py\n"
    assert (tmp_path / "report.html").read_text("utf-8") == report(lively).source


def test_a_file_that_is_no_copy_is_said(tmp_path: Path) -> None:
    (tmp_path / "insights.duckdb").write_text("not a database" * 1000)
    with pytest.raises(CopyError, match="run `conference-insights publish`"):
        write_report(tmp_path / "insights.duckdb", tmp_path / "report.html")
    duckdb.connect(tmp_path / "old.duckdb").close()
    with pytest.raises(CopyError, match="analytics"):
        write_report(tmp_path / "old.duckdb", tmp_path / "report.html")
