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

from tests.conftest import Command, Loaded, summary

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
            "rename what is not its own",
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


def test_a_table_of_ours_that_is_gone_is_named(sound: Loaded, command: Command) -> None:
    change(sound.path, "DROP TABLE conference_insights._watermarks")
    done = command("run")
    assert done.returncode == 74, done.stderr
    assert "restore a backup" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_of_another_engine_makes_no_run_fetch_code(loaded: Loaded, command: Command) -> None:
    with sqlite3.connect(loaded.path) as other:
        other.execute("CREATE TABLE t (a)")
    other.close()
    done = command("run")
    assert done.returncode == 74, done.stderr
    assert "http" not in done.stderr.replace("https://duckdb.org", "")
    assert "cannot open" in done.stderr


def test_the_folder_that_a_link_leads_to_is_named(
    loaded: Loaded, command: Command, tmp_path: Path
) -> None:
    loaded.path.symlink_to(tmp_path / "nowhere/x.duckdb")
    for name in ("run", "doctor"):
        done = command(name)
        assert done.returncode == 74
        assert f"make its folder, {tmp_path}/nowhere, first" in done.stderr + done.stdout


@pytest.mark.parametrize("name", ["status", "doctor", "run"])
def test_a_status_file_that_is_nonsense_is_no_bug(
    sound: Loaded, command: Command, name: str
) -> None:
    sound.path.with_name("warehouse.duckdb.status.json").write_text("[" * 100_000)
    done = command(name)
    assert done.returncode in (0, 74), done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_zeros_in_the_note_of_the_owner_are_none_of_it(sound: Loaded, command: Command) -> None:
    note = sound.path.with_name(COPIES) / "warehouse.txt"
    note.chmod(0o644)
    note.write_bytes(b"../ware\0house.duckdb")
    sound.account.put(summary(1, HOUR))
    assert command("run").returncode == 0


def test_a_folder_in_place_of_the_link_to_the_copy_is_replaced(
    sound: Loaded, command: Command
) -> None:
    current = sound.path.with_name(COPIES) / "current"
    target = current.resolve()
    current.unlink()
    shutil.copytree(target, current)
    done = command("publish")
    assert done.returncode == 0, done.stderr
    assert current.is_symlink()
    with duckdb.connect(current / "insights.duckdb", read_only=True) as copy:
        assert copy.sql("SELECT count(*) FROM analytics.conferences").fetchall() == [(3,)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
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
