"""Every command, query, setting and pointer in the README and its pages works as it says."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from pipelines import exit_codes
from pipelines.run import settings
from pipelines.simulator.participants import participant_row
from pipelines.simulator.sample_data import busy_account
from pipelines.simulator.server import InsightsServer
from pipelines.twilio_insights.tables import TABLES
from pipelines.twilio_insights.twilio_variables import TWILIO_NAMES
from tests import expected, forked, reference
from tests.conftest import NOW, ROOT, environment, sid, summary

PAGES = {
    name: (ROOT / name).read_text()
    for name in (
        "README.md",
        "pipelines/beyond_one_machine.md",
        "pipelines/how_it_works.md",
        "pipelines/how_to_change_it.md",
        "pipelines/operations.md",
        "pipelines/participants.md",
        "pipelines/privacy.md",
        "pipelines/report/README.md",
        "pipelines/scheduling.md",
        "pipelines/settings.md",
        "pipelines/several_accounts.md",
        "pipelines/warehouse/lake/README.md",
        "sql/README.md",
        "sql/connect.md",
        "tests/README.md",
        "tests/benchmarks/README.md",
    )
}
WITH_TESTS_OF_THEIR_OWN = {
    "pipelines/beyond_one_machine.md",
    "pipelines/how_to_change_it.md",
    "pipelines/scheduling.md",
    "pipelines/several_accounts.md",
    "sql/README.md",
    "sql/connect.md",
}
README = PAGES["README.md"]
OPERATIONS = PAGES["pipelines/operations.md"]
SETTINGS = PAGES["pipelines/settings.md"]
CI = (ROOT / ".ci/run").read_text()


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def all_blocks(language: str) -> list[str]:
    """Those of the pages that are tested here."""
    pages = PAGES.keys() - WITH_TESTS_OF_THEIR_OWN
    return [block for page in sorted(pages) for block in blocks(language, PAGES[page])]


REFERENCE = blocks("sql", reference.PAGE.read_text())
MODULES = sorted(
    {
        name
        for page in PAGES.values()
        for name in re.findall(r"python -m ((?:pipe|tests)[\w.]+)", page)
    }
)


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Loaded by the README's own three lines, of a simulated account; then what pages do to it."""
    folder = tmp_path_factory.mktemp("readme")
    shell = next(block for block in all_blocks("sh") if "TWILIO_ACCOUNT_SID" in block)
    # `status` and `doctor` judge by the real clock.
    start = (datetime.now(UTC) - timedelta(days=12)).replace(hour=14, minute=30, second=0)
    with InsightsServer(busy_account(start, days=2, per_day=100)) as server:
        names = environment(server)
        participants = next(block for block in all_blocks("sh") if "PARTICIPANTS" in block)
        shell = shell.replace("AC...", names["TWILIO_ACCOUNT_SID"])
        shell = shell.replace("TOKEN=...", f"TOKEN={names['TWILIO_AUTH_TOKEN']}")
        run_shell(shell, folder, SOURCES__TWILIO_INSIGHTS__BASE_URL=server.url)
        run_shell(participants, folder, **names)
        polling = next(block for block in all_blocks("sh") if "--until-complete" in block)
        server.account.now += timedelta(days=10)
        server.account.put(summary(1, NOW - server.account.now + timedelta(hours=1)))
        person = participant_row("CP" + "1" * 32, sid(1), server.account.now)
        poor = {"processing_state": "complete", "metrics": {"inbound": {"mos": 2}}}
        server.account.put_participants(sid(1), [person | poor])
        run_shell(f"{participants.splitlines()[0]}; {polling}", folder, **names)
        sweep = next(block for block in all_blocks("sh") if "backfill" in block)
        run_shell(sweep, folder, **names)
        for word in ("reconcile", "status", "doctor", "report", "show"):
            (asked,) = (b for b in all_blocks("sh") if b.startswith(f"conference-insights {word}"))
            run_shell(asked.replace("CF...", sid(1)), folder, **names)
        assert (folder / "report.html").exists()
        (compact,) = (block for block in all_blocks("sh") if "compact.duckdb" in block)
        run_shell(compact, folder, **names)
        assert is_private(folder / "warehouse.duckdb")
        backup, restore = (block for block in all_blocks("sh") if "backup.duckdb" in block)
        run_shell(backup, folder, **names)
        assert is_private(folder / "backup.duckdb")
        server.account.now += timedelta(days=1)
        run_shell("conference-insights run", folder, **names)
        run_shell(restore, folder, **names)
        assert is_private(folder / "warehouse.duckdb")
        found = expected.of_warehouse(folder / "warehouse.duckdb")
        assert found == expected.of_api(server.account.rows())
        (key,) = (block for block in all_blocks("sh") if block.startswith("openssl"))
        (private,) = (block for block in all_blocks("toml") if "hash_key" in block)
        (folder / ".dlt").mkdir()
        made = run_shell(key, folder).strip()
        (folder / ".dlt/secrets.toml").write_text(private.replace("...", made))
        run_shell("conference-insights run", folder, **names)
        (erasing,) = (b for b in all_blocks("sh") if b.startswith("conference-insights erase"))
        run_shell(erasing.replace("CF...", sid(999)), folder, **names)
    return folder / "warehouse.duckdb"


def test_a_restore_without_its_backup_changes_nothing(tmp_path: Path) -> None:
    (restore,) = (block for block in all_blocks("sh") if "cp backup.duckdb" in block)
    (tmp_path / "warehouse.duckdb.dlt").mkdir()
    for name in ("warehouse.duckdb", "warehouse.duckdb.wal"):
        (tmp_path / name).write_text(name)
    with pytest.raises(AssertionError):
        run_shell(restore, tmp_path)
    for name in ("warehouse.duckdb", "warehouse.duckdb.wal"):
        assert (tmp_path / name).read_text() == name


def is_private(file: Path) -> bool:
    return not file.stat().st_mode & 0o077


def run_shell(program: str, folder: Path, **env: str) -> str:
    path = f"{forked.server()}:{Path(sys.executable).parent}:{os.environ['PATH']}"
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
    return done.stdout


def test_the_queries_of_the_readme_need_no_column_that_copies_may_lack() -> None:
    personal = {c.name for table in TABLES for c in table.columns if c.personal}
    used = set(re.findall(r"\w+", "".join(blocks("sql"))))
    assert "friendly_name" in personal
    assert used & personal == set()


@pytest.mark.parametrize("number", range(len(all_blocks("sql"))))
def test_every_query_runs_and_answers(number: int, warehouse: Path) -> None:
    with duckdb.connect(warehouse, read_only=True) as connection:
        assert connection.execute(all_blocks("sql")[number]).fetchall()


def test_the_python_example_loads_into_a_file_of_its_own(tmp_path: Path) -> None:
    (example,) = all_blocks("python")
    folder = tmp_path / "folder"
    folder.mkdir()
    shell = {
        "DESTINATION__DUCKDB__CREDENTIALS": str(folder / "warehouse.duckdb"),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }
    with InsightsServer(busy_account(NOW, days=1, per_day=20)) as server:
        done = subprocess.run(
            [sys.executable, "-c", example],
            cwd=folder,
            env=os.environ | environment(server) | shell,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "1 load package(s) were loaded" in done.stdout
    assert [path.name for path in folder.iterdir()] == ["my_calls"]
    assert not (Path.home() / "dlt/pipelines").exists()  # those of the whole user


def test_ci_runs_exactly_the_two_commands() -> None:
    setup, test = blocks("sh")[:2]
    assert setup in CI
    assert test in CI


def test_every_command_in_a_block_is_run_somewhere() -> None:
    known = (
        "python3 -m venv .venv",
        ".venv/bin/pytest",
        "export TWILIO",
        "export SOURCES__TWILIO_INSIGHTS__PARTICIPANTS=true\nconference-insights run",
        "SOURCES__TWILIO_INSIGHTS__ACCOUNTS=all conference-insights run\n",
        "openssl rand",
        "git pull\n.venv/bin/pip install",
        "/opt/conference-insights/bin/pip install",
        "conference-insights run",
        "conference-insights backfill",
        "conference-insights reconcile",
        "conference-insights erase",
        "conference-insights status",
        "conference-insights doctor",
        "conference-insights report",
        "conference-insights show",
        "python -m pipelines.simulator",
        "flock",
        "mkdir -p warehouse.duckdb.dlt",
        "mkdir -m 755",
        "python -m tests.benchmarks",
        "python -m tests.simulation",
    )
    assert [block for block in all_blocks("sh") if not block.startswith(known)] == []


def test_every_table_and_column_of_ours_is_described() -> None:
    for table in TABLES:
        (line,) = re.findall(rf"^\| `{table.name}` \|.*$", README, re.MULTILINE)
        if table.name not in ("conference_summaries", "conference_participants"):
            for column in table.columns:
                assert column.name.startswith(("_", "row_digest", "rejected_at", "run_id")) or (
                    column.name in line or column.name in ("conference_sid", "participant_sid")
                )


def test_every_setting_is_in_the_table_with_its_default() -> None:
    for path, default in settings.DEFAULTS.items():
        rows = [
            [cell.strip() for cell in row.split("|")[1:-1]]
            for row in SETTINGS.splitlines()
            if row.startswith(f"| `{'__'.join(path).upper()}` |")
        ]
        if path[-1] in TWILIO_NAMES:
            assert f"`{TWILIO_NAMES[path[-1]]}`" in SETTINGS
            assert f"__{path[-1].upper()}`" in SETTINGS
            continue
        ((_, kind, shown, _),) = rows
        has_default = default is not None and path[-1] != "directory"
        text = str(default).lower() if isinstance(default, bool) else str(default)
        assert shown == (f"`{text}`" if has_default else "")
        kinds = {int: "whole number", bool: "`true` or `false`"}
        assert type(default) not in kinds or kind == kinds[type(default)]


def test_every_exit_code_is_explained() -> None:
    codes = re.findall(r"^  (\d+)", exit_codes.EXIT_CODES, re.MULTILINE)
    table = OPERATIONS.partition("## Exit codes")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (\d+)", table, re.MULTILINE) == codes


def test_every_extra_that_a_page_installs_is_there() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    named = re.findall(r"(?:'\.|\.whl|insights)\[([\w,]+)\]", "".join(PAGES.values()))
    assert {one for names in named for one in names.split(",")} >= {"dev", "lake", "postgres"}
    assert {one for names in named for one in names.split(",")} <= extras.keys()


def test_no_page_is_forgotten() -> None:
    folders = [ROOT, *(ROOT / name for name in ("pipelines", "sql", "tests", ".ci"))]
    found = {*ROOT.glob("*.md")}.union(*(folder.rglob("*.md") for folder in folders[1:]))
    assert {str(page.relative_to(ROOT)) for page in found} == PAGES.keys()


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    assert len(README.splitlines()) <= 250
    assert [page for page in PAGES if page != "README.md" and f"]({page})" not in README] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", PAGES[page]):
        file, _, place = target.partition("#")
        path = ((ROOT / page).parent / file).resolve() if file else ROOT / page
        assert path.exists(), target
        assert not place or place in anchors(path.read_text()), target


def headings(text: str) -> list[str]:
    outside = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"^#+ (.+)$", outside, re.MULTILINE)


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings, and those that a page sets itself."""
    made = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings(text)}
    return made | set(re.findall(r'<a id="([^"]+)">', text))


POINTERS = [
    (str(file.relative_to(ROOT)), page, heading)
    for folder in ("pipelines", "sql")
    for suffix in ("py", "toml", "sql")
    for file in sorted((ROOT / folder).rglob(f"*.{suffix}"))
    for page, heading in re.findall(r"([\w/]+\.md)\b(?!\()(?:, ([A-Z][\w ]+))?", file.read_text())
]
"""Where the program sends people: the file that does, the page, and the heading if there is one."""


@pytest.mark.parametrize("pointer", POINTERS, ids=lambda pointer: " ".join(filter(None, pointer)))
def test_every_pointer_of_the_program_leads_to_a_heading(pointer: tuple[str, str, str]) -> None:
    _, page, heading = pointer
    assert page in PAGES or f"pipelines/{page}" in PAGES
    assert not heading or heading in headings(PAGES[page])


def test_the_program_points_to_pages_by_their_path() -> None:
    """`README` alone, or a page without its file, is no place that a test can look at."""
    for folder in ("pipelines", "sql"):
        for suffix in ("py", "toml", "sql"):
            for file in (ROOT / folder).rglob(f"*.{suffix}"):
                assert not re.search(r"README(?!\.md)|see the [A-Z]", file.read_text()), file


PROGRAM = "".join(file.read_text() for file in sorted((ROOT / "pipelines").rglob("*.py")))
MESSAGES = re.findall(r'^\|[^|]*\|[^|\n]*?"([^"\n]+)"', OPERATIONS, re.MULTILINE)


@pytest.mark.parametrize("message", MESSAGES)
def test_every_message_that_a_page_quotes_is_the_programs(message: str) -> None:
    parts = re.split(r"[\d…,:()]+|tag =|the first|CF|AC|REPORT_TIMEZON", message)
    program = re.sub(r'"\s+f?"', "", PROGRAM)
    assert [part for part in map(str.strip, parts) if part not in program] == []


def test_the_lines_of_the_status_are_the_programs() -> None:
    sample = OPERATIONS.partition("conference-insights status\n```")[2].partition("`status`")[0]
    lines = re.findall(r"^    (\w[\w ]*?)  +(.+)", sample, re.MULTILINE)
    program = (ROOT / "pipelines/monitor/status.py").read_text()
    shown = re.findall(r'yield "([\w ]+)", ', program)
    assert [title for title in dict.fromkeys(shown) if title != "Last run"] == [t for t, _ in lines]
    fixed = (
        re.split(r"[\d,;:/…]+(?: ?(?:h|min|days|MB)\b)*|\bin\b", text)
        for title, text in lines
        if title != "Filtered"
    )
    phrases = [part.strip() for parts in fixed for part in parts if " " in part.strip()]
    assert len(phrases) == 7
    assert [phrase for phrase in phrases if phrase not in program] == []


@pytest.mark.parametrize("module", MODULES)
def test_every_module_of_a_page_has_help_with_an_example(module: str) -> None:
    program = importlib.import_module(module)
    if hasattr(program, "__path__"):  # a package
        program = importlib.import_module(f"{module}.__main__")
    shown = CliRunner().invoke(program.main, ["--help"])
    assert shown.exit_code == 0
    assert f"  python -m {module}" in shown.output.partition("Example")[2]


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
    parts = "analytics.checks", "WHERE is_region_mismatch", "error_class IS NOT NULL", "= 'CF…'"
    return any(part in query for part in parts)
