"""The demonstration: what it shows, and that it leaves alone what is not its own."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from pipelines.cli import demo
from pipelines.run.settings import DEFAULTS
from pipelines.simulator.sample_data import busy_tree
from pipelines.twilio_insights.twilio_variables import TWILIO_NAMES
from tests.conftest import Command

pytestmark = pytest.mark.usefixtures("prepared")


@pytest.mark.thorough
@pytest.mark.fresh
def test_the_demo_leaves_a_warehouse_that_is_held(process: Command, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    with duckdb.connect(tmp_path / "demo/demo.duckdb") as held:
        held.execute("CREATE TABLE mine AS SELECT 1")
        done = process("demo")
        assert done.returncode == 75
        assert "is held by python" in done.stderr
    with duckdb.connect(tmp_path / "demo/demo.duckdb") as held:
        assert held.sql("FROM mine").fetchall() == [(1,)]


def _put_warehouse(path: Path, command: str) -> None:
    """In an old format, which a run would rewrite."""
    path.parent.mkdir()
    with duckdb.connect(path, config={"storage_compatibility_version": "v1.0.0"}) as made:
        made.execute("CREATE SCHEMA conference_insights")
        made.execute(f"CREATE TABLE conference_insights._runs AS SELECT '{command}' AS command")


@pytest.mark.parametrize("loaded_by", ["run", None])
def test_the_demo_deletes_no_warehouse_of_others(
    loaded_by: str | None, command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "demo/demo.duckdb"
    if loaded_by:
        _put_warehouse(path, loaded_by)
    else:
        path.parent.mkdir()
        path.write_text("not even a warehouse")
    before = path.read_bytes()
    done = command("demo")
    assert done.returncode == 74
    assert str(path) in done.stderr
    assert path.read_bytes() == before


def test_the_demo_replaces_no_page_of_others(command: Command, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/report.html").write_text("my own notes")
    done = command("demo")
    assert done.returncode == 2
    assert "demo/report.html is no report" in done.stderr
    assert (tmp_path / "demo/report.html").read_text() == "my own notes"


def test_the_demo_knows_every_setting_of_the_user() -> None:
    variables = [*TWILIO_NAMES.values(), *("__".join(path).upper() for path in DEFAULTS)]
    assert [name for name in variables if not name.startswith(demo.USER_SETTINGS)] == []


@pytest.mark.fresh
@pytest.mark.parametrize(
    ("caller", "per_day", "least"),
    [
        pytest.param("command", 100, 1, marks=pytest.mark.thorough),
        pytest.param("process", 60, 5, marks=pytest.mark.programs),
    ],
)
def test_the_demo_shows_rows_becoming_complete(
    caller: str,
    per_day: int,
    least: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """In this process with fewer conferences a day."""
    monkeypatch.setattr(demo, "busy_tree", lambda at, **_: busy_tree(at, per_day=per_day))
    _put_warehouse(tmp_path / "demo/demo.duckdb", "demo")
    mine = {
        "TWILIO_API_KEY": "SK1",
        "TWILIO_API_SECRET": "mine",
        "PUBLISH__DIRECTORY": "bi",
        "SOURCES__TWILIO_INSIGHTS__CREATED_AFTER": "2099-01-01",
        "DESTINATION__DUCKDB__CREDENTIALS__DATABASE": str(tmp_path / "mine.duckdb"),
        "REPORT_TIMEZONE": "nonsense",
    }
    for folder in (tmp_path, tmp_path / "demo"):
        (folder / ".dlt").mkdir()
    (tmp_path / "demo/.dlt/config.toml").write_text(
        f"destination_type = 'postgres'\npublish.lake = '{tmp_path}/lake'\n"
    )
    (tmp_path / ".dlt/config.toml").write_text("[sources.twilio_insights]\npage_size = 'all'\n")
    (tmp_path / ".dlt/secrets.toml").write_text("[sources.twilio_insights]\nauth_token = 5.\n")
    done = request.getfixturevalue(caller)("demo", **mine)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo/demo.published/current/insights.duckdb").exists()
    assert {path.name for path in tmp_path.iterdir()} == {".dlt", "home", "demo"}
    assert f"The HTML report is {tmp_path}/demo/report.html" in done.stdout
    assert "<svg" in (tmp_path / "demo/report.html").read_text()
    assert re.search(r"Of \d+ summaries in progress, \d+ changed", done.stdout)
    for question, (_, help_to_read) in demo.QUESTIONS.items():
        assert question in done.stdout
        assert " ".join(help_to_read.split()) in " ".join(done.stdout.split())
    assert "Every run ends with such a line" in done.stdout
    assert "WARN" not in done.stdout + done.stderr
    assert done.stderr.count("Not loaded: Field service (") == 2, "once in each run"
    assert "Field service is refused on purpose: " in done.stdout
    assert "│ Field service " not in done.stdout
    assert re.search(r"│ Head office +│ +[1-9][\d,]* │ +[1-9][\d,]* │ +\d+ │", done.stdout)
    assert re.search(r"participant_region.*\n.*\n│ jp1 ", done.stdout), "the worst comes first"
    with duckdb.connect(tmp_path / "demo/demo.duckdb", read_only=True) as connection:
        (first, second) = connection.execute(
            "SELECT rows_new, rows_updated, pending_after FROM conference_insights._runs "
            "ORDER BY started_at"
        ).fetchall()
        shapes = connection.execute(
            "SELECT count(reason), count(severity), count(participant_identity), count(details) "
            "FROM conference_insights.conference_tag_info"
        ).fetchone()
    assert first[0] > 8 * per_day
    assert shapes is not None
    assert min(first[2], second[1], *shapes) >= least


def test_a_folder_that_cannot_be_used_is_named(command: Command) -> None:
    done = command("demo", "--folder", "/dev/null/demo")
    assert done.returncode == 74
    assert done.stderr == "Error: /dev/null/demo: Not a directory\n"
