"""Every recipe for readers of the published copy runs as it stands, and reads nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.simulator.sample_data import busy_account
from pipelines.simulator.server import InsightsServer
from tests.conftest import NOW, ROOT, environment, install_beside, loaded_once
from tests.postgres_server import PostgresTestServer
from tests.test_readme import blocks, run_shell

pytestmark = pytest.mark.programs

ELSEWHERE = r"^## (Apache Superset|PostgreSQL)$.*?(?=^## |\Z)"
WHOLE = (ROOT / "sql/connect.md").read_text()
PAGE = re.sub(ELSEWHERE, "", WHOLE, flags=re.DOTALL | re.MULTILINE)
SERVER = WHOLE.partition("\n## PostgreSQL\n")[2].partition("\n## ")[0]
CONNECTION, *OTHERS = blocks("python", PAGE)
RECIPES = [CONNECTION, *(it if "connect(" in it else CONNECTION + it for it in OTHERS)]
COMMANDS = blocks("sh", PAGE)
NOTEBOOK = ROOT / "sql/notebook.py"
OPENED = "from notebook import app\n_, names = app.run()\ninsights = names['insights']\n"
ENGINES = pytest.mark.parametrize("engine", ["1.5.6", None])
REFUSED = {
    f"SELECT * FROM read_text('{ROOT / 'README.md'}')": "file system operations are disabled",
    "SET enable_external_access = true": "the configuration has been locked",
    "DELETE FROM analytics.conferences": "read-only",
}
Reader = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run of a simulated account has published its copy."""
    folder = tmp_path_factory.mktemp("connect")
    with loaded_once(busy_account(NOW, days=16, per_day=100), folder) as loaded:
        loaded.run()
    return folder


@pytest.fixture
def read(folder: Path, old_engine: Callable[[str], Path]) -> Reader:
    """Run a reader's program beside the copy, with what readers have installed."""
    packages = ROOT / ".ci/readers.txt"
    name = f"readers-{zlib.crc32(packages.read_bytes()):08x}"
    readers = install_beside(name, "--requirement", str(packages))

    def call(
        *command: str, engine: str | None = None, cwd: Path = folder
    ) -> subprocess.CompletedProcess[str]:
        places = [*([old_engine(engine)] if engine else []), readers, NOTEBOOK.parent]
        env = {
            "PATH": f"{readers / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(map(str, places)),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return subprocess.run(
            command,
            cwd=cwd,
            env=os.environ | env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return call


def answers(folder: Path, question: str) -> list[Any]:
    with duckdb.connect(
        folder / "warehouse.published/current/insights.duckdb", read_only=True
    ) as insights:
        return insights.execute(question).fetchall()


def assert_answered(recipe: str, said: str, folder: Path) -> None:
    """The last row without NULL, which each program spells otherwise, of what the recipe asks for
    is a line of what it says."""
    (question,) = re.findall(r'"\s*(SELECT.*?)"', recipe, re.DOTALL)
    *_, last = (row for row in answers(folder, question) if None not in row)
    assert any(all(str(value) in line for value in last) for line in said.splitlines()), said


def test_the_page_begins_with_what_its_recipes_need() -> None:
    (line,) = re.findall(r"^    pip install (.*)$", PAGE.partition("\n## ")[0], re.MULTILINE)
    installed = (ROOT / ".ci/readers.txt").read_text().lower()
    needed = {"duckdb", "pyarrow", *line.split()}
    assert all(f"\n{name}==" in installed for name in needed - {"duckdb", "pyarrow"})
    code = "\n".join([*RECIPES, *COMMANDS, NOTEBOOK.read_text()])
    imported = set(re.findall(r"^ *(?:import|from) (\w+)", code, re.MULTILINE))
    assert imported <= needed, "what is imported"
    assert {"duckdb-sqlalchemy", "duckdb-cli", "pandas", "pyarrow"} <= {*line.split()}
    assert "With the package" not in PAGE


@ENGINES
@pytest.mark.parametrize("number", range(len(RECIPES)))
def test_a_recipe_answers_its_question(
    number: int, engine: str | None, folder: Path, read: Reader
) -> None:
    version = "\nimport duckdb\nprint(duckdb.__version__)"
    done = read(sys.executable, "-W", "error", "-c", RECIPES[number] + version, engine=engine)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"{engine or duckdb.__version__}\n")
    assert_answered((CONNECTION, *OTHERS)[number], done.stdout, folder)


@pytest.mark.parametrize("command", COMMANDS, ids=range(len(COMMANDS)))
def test_a_command_answers_its_question(command: str, folder: Path, read: Reader) -> None:
    done = read("sh", "-eu", "-c", command)
    assert done.returncode == 0, done.stderr
    assert_answered(command, done.stdout, folder)


@pytest.mark.parametrize("program", [*RECIPES, OPENED], ids=range(len(RECIPES) + 1))
def test_the_connection_of_a_recipe_does_nothing_else(program: str, read: Reader) -> None:
    connection = "engine.connect()" if "engine =" in program else "insights"
    statement = "text(attempt)" if "engine =" in program else "attempt"
    done = read(
        sys.executable,
        "-c",
        f"{program}\nfor attempt in {list(REFUSED)}:\n"
        f"    try:\n        {connection}.execute({statement})\n"
        "    except Exception as refusal:\n        print('refused:', refusal)\n"
        "    else:\n        print('done:', attempt)\n",
    )
    assert done.returncode == 0, done.stderr
    assert "done:" not in done.stdout
    assert done.stdout.count("refused:") == len(REFUSED)
    assert [reason for reason in REFUSED.values() if reason not in done.stdout] == []


@pytest.mark.parametrize(
    ("attempt", "refusal"),
    [*REFUSED.items(), (".shell id", "cannot be used"), (".read /etc/passwd", "cannot be used")],
)
@pytest.mark.parametrize("command", COMMANDS, ids=range(len(COMMANDS)))
def test_a_command_does_nothing_else(
    command: str, attempt: str, refusal: str, read: Reader
) -> None:
    done = read("sh", "-eu", "-c", f'{command.rstrip()} -c "{attempt}"')
    assert done.returncode == 1
    assert refusal in done.stderr


@ENGINES
def test_the_notebook_has_the_figures_of_the_conferences(
    engine: str | None, folder: Path, read: Reader
) -> None:
    figures = """
import json
week, volume, problems = names["week"], names["volume"], names["problems"]
jitter = dict(zip(problems["name"], problems["conferences"], strict=True))["high_jitter"]
print(json.dumps([week[0], week[1], int(volume["conferences"].sum()), jitter]))
"""
    done = read(sys.executable, "-c", OPENED + figures, engine=engine)
    assert done.returncode == 0, done.stderr
    expected = """
        WITH aged AS (
            SELECT CAST(d.as_of_local_hour AS DATE) - c.created_date AS age, c.has_high_jitter
            FROM analytics.conferences AS c, analytics.data_as_of AS d
        )
        SELECT count(*) FILTER (age BETWEEN 1 AND 7), count(*) FILTER (age BETWEEN 8 AND 14),
            count(*), count(*) FILTER (age BETWEEN 1 AND 7 AND has_high_jitter)
        FROM aged
    """
    assert [tuple(json.loads(done.stdout))] == answers(folder, expected)


def test_the_notebook_is_a_page_too(folder: Path, read: Reader, tmp_path: Path) -> None:
    shutil.copy(NOTEBOOK, tmp_path)
    copy = ["--", "--copy", str(folder / "warehouse.published/current/insights.duckdb")]
    assert read("marimo", "check", "--strict", NOTEBOOK.name, cwd=tmp_path).returncode == 0
    export = ["marimo", "export", "html", NOTEBOOK.name, "--output", "week.html"]
    done = read(*export, *copy, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    question = "SELECT sum(prior_conferences) FROM analytics.conference_kpis WHERE period_days = 7"
    ((before,),) = answers(folder, question)
    assert f"{before:,} the week before" in (tmp_path / "week.html").read_text()


def test_the_notebook_is_a_program_too(folder: Path, read: Reader, tmp_path: Path) -> None:
    copy = str(folder / "warehouse.published/current/insights.duckdb")
    program = [sys.executable, str(NOTEBOOK)]
    assert read(*program).returncode == 0
    assert read(*program, "--", "--copy", copy, cwd=tmp_path).returncode == 0
    assert read(*program, cwd=tmp_path).returncode == 1


def test_the_recipes_for_a_server_answer(
    postgres: PostgresTestServer, tmp_path: Path, read: Reader
) -> None:
    (login,), (recipe,), (command,) = (blocks(kind, SERVER) for kind in ("sql", "python", "sh"))
    database = postgres.new_database()
    name = database.rpartition("/")[2]
    postgres.execute(f"CREATE ROLE readers; {login}")
    settings = {"DESTINATION_TYPE": "postgres", "DESTINATION__POSTGRES__CREDENTIALS": database}
    with InsightsServer(busy_account(datetime.now(UTC), days=3, per_day=20)) as api:
        run_shell("conference-insights run", tmp_path, **environment(api), **settings)
    postgres.execute(
        "GRANT USAGE ON SCHEMA analytics TO readers; "
        "GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO readers",
        database,
    )
    theirs = "analyst:theirs@db.example.com:5432/insights"
    address = postgres.url_of(name, "analyst", "theirs").removeprefix("postgresql://")
    done = read(sys.executable, "-W", "error", "-c", recipe.replace(theirs, address), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    days = postgres.execute(
        "SELECT created_date, sum(conferences) FROM analytics.conference_volume "
        "GROUP BY 1 ORDER BY 1",
        database,
    )
    assert done.stdout.split()[-2:] == [f"{days[-1][0]}", f"{days[-1][1]}"]
    assert not re.search(r"psql[^|]*theirs", command)  # every user of the machine sees arguments
    command = command.replace(theirs.replace(":theirs", ""), address.replace(":theirs", ""))
    program = f"PATH={postgres.programs}:$PATH; {command}"
    said = read("sh", "-euc", program, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    assert "UTC" in said.stdout
    refused = re.sub('"SELECT.*"', '"CREATE TABLE analytics.t (a int)"', command)
    assert "read-only" in read("sh", "-c", f"PATH={postgres.programs}:$PATH; {refused}").stderr
    for role in ("analyst", "readers"):
        postgres.execute(f"DROP OWNED BY {role}; DROP ROLE {role}", database)
