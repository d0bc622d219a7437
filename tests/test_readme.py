"""Every command, query and setting in the README works as it says."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from pipelines import exit_codes
from pipelines.run import settings
from pipelines.simulator.sample_data import busy_account
from pipelines.simulator.server import InsightsServer
from pipelines.twilio_insights.settings import SECTION
from pipelines.twilio_insights.tables import TABLES
from tests import expected, reference
from tests.conftest import NOW, ROOT, environment, summary

README = (ROOT / "README.md").read_text()
CI = (ROOT / ".ci/run").read_text()


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


REFERENCE = blocks("sql", reference.PAGE.read_text())


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Loaded by the README's own three lines, from a simulated account."""
    folder = tmp_path_factory.mktemp("readme")
    shell = next(block for block in blocks("sh") if "TWILIO_ACCOUNT_SID" in block)
    # `status` and `doctor` judge by the real clock.
    start = (datetime.now(UTC) - timedelta(days=12)).replace(hour=14, minute=30, second=0)
    with InsightsServer(busy_account(start, days=2, per_day=300)) as server:
        names = environment(server)
        shell = shell.replace("AC...", names["TWILIO_ACCOUNT_SID"])
        shell = shell.replace("TOKEN=...", f"TOKEN={names['TWILIO_AUTH_TOKEN']}")
        run_shell(shell, folder, SOURCES__TWILIO_INSIGHTS__BASE_URL=server.url)
        polling = next(block for block in blocks("sh") if "--until-complete" in block)
        server.account.now += timedelta(days=10)
        server.account.put(summary(1, NOW - server.account.now + timedelta(hours=1)))
        run_shell(polling, folder, **names)
        sweep = next(block for block in blocks("sh") if "backfill" in block)
        run_shell(sweep, folder, **names)
        for word in ("status", "doctor", "report"):
            (asked,) = (b for b in blocks("sh") if b.startswith(f"conference-insights {word}"))
            run_shell(asked, folder, **names)
        assert (folder / "report.html").exists()
        (compact,) = (block for block in blocks("sh") if "compact.duckdb" in block)
        run_shell(compact, folder, **names)
        backup, restore = (block for block in blocks("sh") if "backup.duckdb" in block)
        run_shell(backup, folder, **names)
        server.account.now += timedelta(days=1)
        run_shell("conference-insights run", folder, **names)
        run_shell(restore, folder, **names)
        found = expected.of_warehouse(folder / "warehouse.duckdb")
        assert found == expected.of_api(server.account.rows())
    return folder / "warehouse.duckdb"


def test_a_restore_without_its_backup_changes_nothing(tmp_path: Path) -> None:
    (restore,) = (block for block in blocks("sh") if "cp backup.duckdb" in block)
    (tmp_path / "warehouse.duckdb.dlt").mkdir()
    for name in ("warehouse.duckdb", "warehouse.duckdb.wal"):
        (tmp_path / name).write_text(name)
    with pytest.raises(AssertionError):
        run_shell(restore, tmp_path)
    for name in ("warehouse.duckdb", "warehouse.duckdb.wal"):
        assert (tmp_path / name).read_text() == name


def run_shell(program: str, folder: Path, **env: str) -> None:
    import sys

    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-eu", "-c", program],
        cwd=folder,
        env=os.environ | {"PATH": path} | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("number", range(len(blocks("sql"))))
def test_every_query_runs_and_answers(number: int, warehouse: Path) -> None:
    with duckdb.connect(warehouse, read_only=True) as connection:
        assert connection.execute(blocks("sql")[number]).fetchall()


def test_the_python_example_runs(tmp_path: Path) -> None:
    import sys

    (example,) = blocks("python")
    with InsightsServer(busy_account(NOW, days=1, per_day=20)) as server:
        done = subprocess.run(
            [sys.executable, "-c", example],
            cwd=tmp_path,
            env=os.environ | environment(server),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "1 load package(s) were loaded" in done.stdout


def test_ci_runs_exactly_the_two_commands() -> None:
    setup, test = blocks("sh")[:2]
    assert setup in CI
    assert test in CI


def test_every_command_in_a_block_is_run_somewhere() -> None:
    known = (
        "python3 -m venv .venv",
        ".venv/bin/pytest",
        "export TWILIO",
        "conference-insights run",
        "conference-insights backfill",
        "conference-insights status",
        "conference-insights doctor",
        "conference-insights report",
        "python -m pipelines.simulator",
        "flock",
        "mkdir -p warehouse.duckdb.dlt",
        "python -m tests.benchmarks",
        "python -m tests.simulation",
    )
    assert [block for block in blocks("sh") if not block.startswith(known)] == []


def test_every_table_and_column_of_ours_is_described() -> None:
    for table in TABLES:
        (line,) = re.findall(rf"^\| `{table.name}` \|.*$", README, re.MULTILINE)
        if table.name != "conference_summaries":
            for column in table.columns:
                assert column.name.startswith(("_", "row_digest", "rejected_at", "run_id")) or (
                    column.name in line or column.name == "conference_sid"
                )


def test_every_setting_is_in_the_table() -> None:
    for path in settings.DEFAULTS:
        if path[:-1] == SECTION:
            assert path[-1].upper() in README
        else:
            assert f"| `{'__'.join(path).upper()}` |" in README


def test_every_exit_code_is_explained() -> None:
    codes = re.findall(r"^  (\d+)", exit_codes.EXIT_CODES, re.MULTILINE)
    table = README.partition("## Exit codes")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (\d+)", table, re.MULTILINE) == codes


@pytest.mark.parametrize(
    "page", ["README.md", "sql/README.md", "sql/connect.md", "pipelines/scheduling.md"]
)
def test_every_linked_file_exists(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", (ROOT / page).read_text()):
        assert ((ROOT / page).parent / target.partition("#")[0]).exists()


def test_the_reference_is_that_of_the_views_and_tables(warehouse: Path) -> None:
    with duckdb.connect(warehouse, read_only=True) as connection:
        assert reference.page(reference.columns_of(connection)) == reference.PAGE.read_text()


@pytest.mark.parametrize("query", REFERENCE, ids=range(len(REFERENCE)))
def test_every_query_of_the_reference_runs_in_the_published_copy(
    query: str, warehouse: Path
) -> None:
    copy = warehouse.with_name("warehouse.published") / "current/insights.duckdb"
    with duckdb.connect(copy, read_only=True) as connection:
        answer = connection.execute(query)
        assert answer.description
        if not may_be_empty(query):
            assert answer.fetchall()


def may_be_empty(query: str) -> bool:
    return "analytics.checks" in query or "WHERE is_region_mismatch" in query
