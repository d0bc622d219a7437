"""What users and copying programs do to a warehouse gets a sentence, or is mended; no traceback."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from tests.conftest import NOW, Command, Loaded, sid, summary

HOUR = timedelta(hours=1)
COPIES = "warehouse.published"


def change(path: Path, sql: str) -> None:
    with duckdb.connect(path) as connection:
        connection.execute(sql)


@pytest.mark.parametrize(
    ("sql", "sentence"),
    [
        (
            "CREATE SCHEMA analytics; CREATE TABLE analytics.conferences (a INT)",
            "rename what is not of conference-insights",
        ),
        (
            "CREATE SCHEMA conference_insights; "
            "CREATE TABLE conference_insights.accounts (account_sid INT)",
            "conference_insights.accounts is not of conference-insights: rename it",
        ),
    ],
)
def test_tables_of_others_are_named(
    loaded: Loaded, command: Command, sql: str, sentence: str
) -> None:
    change(loaded.path, sql)
    loaded.account.put(summary(1, HOUR))
    done = command("run")
    assert done.returncode == 74, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


OF_USERS = """
    CREATE TABLE conference_insights."my ""odd"" name" (conference_sid TEXT, _dlt_load_id TEXT);
    CREATE TABLE conference_insights.mine AS FROM conference_insights.conference_summaries;
    CREATE VIEW conference_insights.my_view AS FROM conference_insights.mine;
    CREATE VIEW analytics.my_view AS FROM conference_insights.mine;
    CREATE VIEW conference_insights.broken AS FROM conference_insights.mine;
    ALTER TABLE conference_insights.mine RENAME TO "for me";
"""


@pytest.mark.thorough
def test_tables_and_views_of_users_are_left_alone(sound: Loaded, command: Command) -> None:
    assert command("run").returncode == 0  # whose copy the next one renews
    change(sound.path, OF_USERS)
    sound.account.put(summary(4, NOW - sound.account.now + HOUR))
    done = command("run")
    assert (done.returncode, "status" in done.stderr) == (0, False), done.stderr
    assert command("doctor").returncode == 0
    sound.assert_exact()


@pytest.mark.parametrize("table", ["_watermarks", "conference_tags", "_dlt_loads"])
def test_a_table_of_ours_that_is_gone_is_named(sound: Loaded, command: Command, table: str) -> None:
    change(sound.path, f"DROP TABLE conference_insights.{table} CASCADE")
    done = command("run")
    assert done.returncode == 74, done.stderr
    assert f"The table conference_insights.{table} is gone: restore a backup" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("_runs", "outcome"),
        ("_watermarks", "listed_to"),
        pytest.param("_dlt_loads", "load_id", marks=pytest.mark.thorough),
        pytest.param("_checks", "level", marks=pytest.mark.thorough),
    ],
)
def test_a_column_of_ours_that_is_gone_is_named(
    sound: Loaded, command: Command, table: str, column: str
) -> None:
    change(sound.path, f"ALTER TABLE conference_insights.{table} RENAME COLUMN {column} TO other")
    done = command("run")
    assert done.returncode == 74, done.stderr
    assert f"The column {column} of conference_insights.{table} is gone" in done.stderr
    assert "Traceback" not in done.stderr
    change(sound.path, f"ALTER TABLE conference_insights.{table} RENAME COLUMN other TO {column}")
    assert command("run").returncode == 0


@pytest.mark.thorough
@pytest.mark.parametrize("table", ["_checks", "_report", "_report_hours"])
def test_what_is_made_with_the_views_is_made_again(
    sound: Loaded, command: Command, table: str
) -> None:
    change(sound.path, f"DROP TABLE conference_insights.{table}")
    assert command("run").returncode == 0
    assert sound.query(f"SELECT count(*) > 0 FROM conference_insights.{table}") == [(True,)]


def test_a_file_of_another_engine_makes_no_run_fetch_code(loaded: Loaded, command: Command) -> None:
    with sqlite3.connect(loaded.path) as other:
        other.execute("CREATE TABLE t (a)")
    other.close()
    done = command("run")
    assert done.returncode == 74, done.stderr
    assert "http" not in done.stderr
    assert "cannot open" in done.stderr


def test_the_folder_that_a_link_leads_to_is_named(
    loaded: Loaded, command: Command, tmp_path: Path
) -> None:
    loaded.path.symlink_to(tmp_path / "nowhere/x.duckdb")
    for name in ("run", "doctor"):
        done = command(name)
        assert done.returncode == 74
        assert f"make its folder, {tmp_path}/nowhere, first" in done.stderr + done.stdout


@pytest.mark.parametrize(("name", "code"), [("status", 74), ("doctor", 74), ("run", 0)])
def test_a_status_file_that_is_nonsense_is_no_bug(
    sound: Loaded, command: Command, name: str, code: int
) -> None:
    sound.path.with_name("warehouse.duckdb.status.json").write_text("[" * 100_000)
    done = command(name)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_zeros_in_the_note_of_the_owner_are_none_of_it(sound: Loaded, command: Command) -> None:
    note = sound.path.with_name(COPIES) / "warehouse.txt"
    note.chmod(0o644)
    note.write_bytes(b"../ware\0house.duckdb")
    sound.account.put(summary(1, HOUR))
    assert command("run").returncode == 0


@pytest.fixture
def unlinked(sound: Loaded) -> Path:
    """Where the link to the newest copy was, and a copy is."""
    current = sound.path.with_name(COPIES) / "current"
    target = current.resolve()
    current.unlink()
    shutil.copytree(target, current)
    return current


@pytest.mark.thorough
def test_a_copy_in_place_of_the_link_to_it_is_replaced(unlinked: Path, command: Command) -> None:
    done = command("publish")
    assert done.returncode == 0, done.stderr
    assert unlinked.is_symlink()
    with duckdb.connect(unlinked / "insights.duckdb", read_only=True) as copy:
        assert copy.sql("SELECT count(*) FROM analytics.conferences").fetchall() == [(3,)]


@pytest.mark.thorough
def test_what_is_erased_is_not_left_in_it(unlinked: Path, command: Command) -> None:
    assert command("erase", "--conference", sid(1), "--yes").returncode == 0
    copies = [*unlinked.parent.glob("*/insights.duckdb")]
    assert {path.parent.resolve() for path in copies} == {unlinked.resolve()}
    with duckdb.connect(copies[0], read_only=True) as copy:
        assert copy.sql("SELECT count(*) FROM analytics.conferences").fetchall() == [(2,)]


@pytest.mark.thorough
def test_a_folder_of_others_in_place_of_the_link_stays(unlinked: Path, command: Command) -> None:
    (unlinked / "notes.txt").write_text("mine")
    done = command("publish")
    assert done.returncode == 74
    assert "move it away" in done.stderr
    assert (unlinked / "notes.txt").read_text() == "mine"
    assert (unlinked / "insights.duckdb").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has it")
@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_an_output_that_is_full_is_no_bug(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        program = [sys.executable, "-m", "pipelines", *arguments]
        folder = Path(__file__).parents[1]
        done = subprocess.run(
            program, cwd=folder, env=os.environ, stdout=full, stderr=-1, text=True, check=False
        )
    assert done.returncode == 74
    assert "the output cannot be written: No space left" in done.stderr
    assert "Traceback" not in done.stderr
