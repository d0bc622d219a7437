"""The commands of the page about servers work as it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from pipelines.simulator.account import ACCOUNT_SID
from pipelines.simulator.sample_data import busy_tree
from pipelines.simulator.server import InsightsServer
from pipelines.warehouse.database import DATASET
from pipelines.warehouse.duckdb_database import DuckDb
from pipelines.warehouse.postgres import PostgresServer
from tests.conftest import ROOT, environment
from tests.postgres_server import PostgresTestServer
from tests.test_postgres_sql import rows
from tests.test_readme import OPERATIONS, PAGES, SETTINGS, blocks, run_shell

PAGE = (ROOT / "pipelines/beyond_one_machine.md").read_text()
URL = "postgresql://loader:secret@db.example.com:5432/insights"
(ROLES,) = blocks("sql", PAGE)
INSTALL, FIRST, MOVING, WORKERS, BY_NUMBER, BACKUP, RESTORE, VIEWS = blocks("sh", PAGE)
MOVE, STAGING = blocks("python", PAGE)

KUBERNETES, ACTIONS = map(yaml.safe_load, blocks("yaml", PAGES["pipelines/scheduling.md"])[-2:])
((*_, IN_KUBERNETES),) = (
    one["args"]
    for one in KUBERNETES["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
)


@pytest.fixture
def simulated() -> Iterator[InsightsServer]:
    with InsightsServer(
        busy_tree(datetime.now(UTC) - timedelta(minutes=1), days=3, per_day=30)
    ) as server:
        yield server


@pytest.fixture
def insights(postgres: PostgresTestServer) -> Iterator[str]:
    """URL of the database with the page's roles in it; nobody may create more."""
    url = postgres.new_database()
    postgres.execute(ROLES, url)
    yield postgres.url_of(url.rpartition("/")[2], "loader", "secret")
    for role in ("loader", "readers", "monitor"):
        postgres.execute(f"DROP OWNED BY {role}; DROP ROLE {role}", url)


@pytest.mark.thorough
def test_the_commands_load_as_a_role_that_may_do_no_more(
    insights: str, simulated: InsightsServer, tmp_path: Path, postgres: PostgresTestServer
) -> None:
    run_shell(FIRST.replace(URL, insights), tmp_path, **environment(simulated))
    with PostgresServer(insights).read() as server:
        ((loaded,),) = server.execute("SELECT count(*) FROM analytics.conferences")
    assert loaded == len(simulated.account.rows())
    as_reader = "SET ROLE readers; SELECT count(*) FROM analytics.conferences"
    admin = postgres.url_of(insights.rpartition("/")[2])
    assert postgres.execute(as_reader, admin) == [(loaded,)]
    for query in blocks("sql", PAGES["README.md"]):
        assert postgres.execute(query, admin)
    assert not [*tmp_path.glob("*.dlt")]
    as_monitor = insights.replace("loader:secret", "monitor:another")
    asked = FIRST.replace("conference-insights run\n", "").replace("doctor", "status --json >said")
    run_shell(asked.replace(URL, as_monitor), tmp_path, **environment(simulated))
    told = json.loads((tmp_path / "said").read_text())
    table = OPERATIONS.partition("`status --json` has:")[2].partition("Of a [server]")[0]
    rows_of_keys = re.findall(r"^\| (`[^|]*)\|", table, re.MULTILINE)
    named = {key for row in rows_of_keys for key in re.findall(r"`(\w+)`", row)}
    assert named - told.keys() == {"published", "copies_of_another"}
    nothing = {key for key, value in told["last_run"].items() if value is None}
    assert nothing >= {"phase", "pid", "host", "error"}
    assert [told["lookback"], told["refused"], told["bytes"].keys()] == [None, None, {"warehouse"}]

    postgres.execute("ALTER ROLE readers LOGIN PASSWORD 'theirs'", admin)
    reader = insights.replace("loader:secret", "readers:theirs")
    ((one,),) = postgres.execute("SELECT min(conference_sid) FROM analytics.conferences", admin)
    shown = (
        asked.partition("conference-insights")[0]
        + f"conference-insights show {one}\nconference-insights report"
    )
    run_shell(shown.replace(URL, reader), tmp_path, **environment(simulated))

    restored = postgres.new_database()
    shell = f'PATH="{postgres.programs}:$PATH"\n{BACKUP}{RESTORE}'
    settings = {
        "DESTINATION_TYPE": "postgres",
        "DESTINATION__POSTGRES__CREDENTIALS": insights,
        "ADMIN": admin,
        "RESTORED": restored,
    }
    run_shell(shell, tmp_path, **settings)
    assert "CREATE ROLE monitor" in (tmp_path / "roles.sql").read_text()
    assert postgres.execute(as_reader, restored) == [(loaded,)]
    settings["DESTINATION__POSTGRES__CREDENTIALS"] = postgres.url_of(
        restored.rpartition("/")[2], "loader", "secret"
    )
    run_shell("conference-insights run >said 2>&1", tmp_path, **environment(simulated), **settings)
    said = (tmp_path / "said").read_text()
    assert "created now" not in said
    assert json.loads(said.splitlines()[-1])["rows_new"] == 0
    for role in ("loader", "readers", "monitor"):
        postgres.execute(f"DROP OWNED BY {role}", restored)


@pytest.mark.thorough
def test_a_file_moves_with_what_twilio_has_deleted(
    insights: str, simulated: InsightsServer, tmp_path: Path, postgres: PostgresTestServer
) -> None:
    account = simulated.account
    first, second, *_ = account.rows()
    account.put(first | {"friendly_name": ""})
    settings = environment(simulated) | {"SOURCES__TWILIO_INSIGHTS__PARTICIPANTS": "true"}
    settings["SOURCES__TWILIO_INSIGHTS__ACCOUNTS"] = "all"
    (tmp_path / "move.py").write_text(MOVE)
    load, rest = MOVING.split("\n", 1)
    run_shell(load, tmp_path, **settings)
    account.forget(second["conference_sid"])
    *moving, last = f"{load}\n{rest}".replace(URL, insights).splitlines()
    run_shell("\n".join(moving), tmp_path, **settings)
    made_again = {*re.findall(r'"(\w+)"', MOVE.partition("MADE_AGAIN")[2].partition("\n")[0])}
    with (
        duckdb.connect(tmp_path / "warehouse.duckdb") as file,
        PostgresServer(insights).read() as server,
    ):
        kept = DuckDb(file)
        for name in kept.columns(DATASET):
            if name.partition(".")[2] not in made_again | {"_dlt_loads"}:
                columns = ", ".join(kept.columns(DATASET)[name])
                sql = f"SELECT {columns} FROM {name}"
                assert rows(server, sql) == rows(kept, sql), name
        asked = "SELECT friendly_name FROM analytics.conferences WHERE conference_sid = ?"
        assert server.execute(asked, [first["conference_sid"]]) == [("",)]
        assert len(server.execute(asked, [second["conference_sid"]])) == 1
    chosen = "\n".join(line for line in moving if line.startswith("export"))
    run_shell(f"{chosen}\n{last} >said", tmp_path, **settings)
    told = json.loads((tmp_path / "said").read_text().splitlines()[-1])
    assert [told["rows_new"], told["rows_updated"]] == [0, 0]
    assert told["rows_unchanged"] > 50


@pytest.mark.thorough
def test_the_steps_of_a_workflow_load_into_a_server(
    insights: str, simulated: InsightsServer, tmp_path: Path, postgres: PostgresTestServer
) -> None:
    *_, install, load = ACTIONS["jobs"]["load"]["steps"]
    assert install["run"].endswith(INSTALL.removeprefix("pip install").strip())
    assert all(f"`{name}`" in SETTINGS for name in load["env"])
    secret = {"TWILIO_ACCOUNT_SID", "TWILIO_API_KEY", "TWILIO_API_SECRET"}
    given = {name: value for name, value in load["env"].items() if name not in secret}
    given["DESTINATION__POSTGRES__CREDENTIALS"] = insights
    run_shell(load["run"], tmp_path, **environment(simulated), **given)
    with PostgresServer(insights).read() as server:
        asked = "SELECT outcome FROM conference_insights._runs"
        assert server.execute(asked) == [("ok",)]


@pytest.mark.thorough
def test_workers_load_lists_of_accounts_at_once(
    insights: str, simulated: InsightsServer, tmp_path: Path, postgres: PostgresTestServer
) -> None:
    tree = simulated.account.tree()
    good = [one for one in tree if not one.refusal()]
    assert len(good) == 2
    lists = WORKERS.replace(URL, insights).replace("AC...1,AC...2", ACCOUNT_SID)
    (other,) = (one.sid for one in good if one.sid != ACCOUNT_SID)
    lists = lists.replace("AC...3,AC...4", other).replace("run &", 'run & pids="${pids:-} $!"')
    lists = re.sub(r"^wait$", "for pid in $pids; do wait $pid; done", lists, flags=re.MULTILINE)
    run_shell(lists, tmp_path, **environment(simulated))
    by_number = BY_NUMBER.replace("AC...1,AC...2 AC...3,AC...4", f"{ACCOUNT_SID} {other}")
    settings = {"DESTINATION_TYPE": "postgres", "DESTINATION__POSTGRES__CREDENTIALS": insights}
    one = environment(simulated) | settings | {"JOB_COMPLETION_INDEX": "1"}
    run_shell(by_number, tmp_path, **one)
    with PostgresServer(insights).read() as server:
        found = server.execute(
            "SELECT account_sid, count(*) FROM conference_insights.conference_summaries GROUP BY 1"
        )
        left = server.execute("SELECT left_at FROM conference_insights.accounts")
        outcomes = server.execute("SELECT outcome FROM conference_insights._runs")
    assert dict(found) == {one.sid: len(one.rows()) for one in good}
    assert left == [(None,), (None,)]
    assert outcomes == [("ok",)] * 3


@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize("index", ["0", "1", "2", "3"])
@pytest.mark.parametrize("script", [BY_NUMBER, IN_KUBERNETES], ids=["page", "kubernetes"])
def test_a_task_without_a_list_loads_nothing(script: str, shell: str, index: str) -> None:
    """With an empty list it would load the account of the credentials."""
    told = script.replace("conference-insights run", "printenv SOURCES__TWILIO_INSIGHTS__ACCOUNTS")
    done = subprocess.run(
        [shell, "-c", told],
        env=os.environ | {"JOB_COMPLETION_INDEX": index},
        capture_output=True,
        text=True,
        check=False,
    )
    given = {"0": "AC...1,AC...2\n", "1": "AC...3,AC...4\n"}
    assert done.stdout == given.get(index, "")
    assert (done.returncode == 0) is (index in given)


def test_a_mapped_task_of_airflow_loads_its_list_or_nothing() -> None:
    (example,) = (
        block for block in blocks("python", PAGES["pipelines/scheduling.md"]) if "WORKERS" in block
    )
    settings = re.search(r"^WORKERS.*?(?=^with)", example, re.DOTALL | re.MULTILINE)
    given: dict[str, Any] = {}
    assert settings
    exec(settings[0], given)
    program = "exec /opt/conference-insights/bin/conference-insights run"
    assert program in given["RUN"]
    told = given["RUN"].replace(program, "printenv SOURCES__TWILIO_INSIGHTS__ACCOUNTS")
    loaded = list[str]()
    for accounts in [*given["LISTS"], ""]:
        done = subprocess.run(
            ["bash", "-c", told],
            env=os.environ | {"LIST": accounts},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) is bool(accounts)
        loaded += filter(None, done.stdout.strip().split(","))
    assert sorted(loaded) == given["ACCOUNTS"]
    assert len(given["LISTS"]) == given["WORKERS"] < len(loaded)


@pytest.mark.thorough
def test_the_views_and_the_python_example(tmp_path: Path) -> None:
    assert INSTALL == "pip install -e '.[postgres]'\n"
    run_shell(VIEWS, tmp_path)
    assert "VIEW ANALYTICS.CONFERENCES" in (tmp_path / "views.sql").read_text().upper().replace(
        '"', ""
    )
    exec(STAGING, {})
