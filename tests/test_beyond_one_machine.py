"""The commands of the page about servers work as it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.simulator.account import ACCOUNT_SID
from pipelines.simulator.sample_data import busy_tree
from pipelines.simulator.server import InsightsServer
from pipelines.warehouse.postgres import PostgresServer
from tests.conftest import ROOT, environment
from tests.postgres_server import PostgresTestServer
from tests.test_readme import blocks, run_shell

PAGE = (ROOT / "pipelines/beyond_one_machine.md").read_text()
URL = "postgresql://loader:secret@db.example.com:5432/insights"
INSTALL, FIRST, WORKERS, BY_NUMBER, VIEWS = blocks("sh", PAGE)


@pytest.fixture
def simulated() -> Iterator[InsightsServer]:
    with InsightsServer(busy_tree(datetime.now(UTC) - timedelta(minutes=1))) as server:
        yield server


@pytest.fixture
def insights(postgres: PostgresTestServer) -> str:
    """URL of the database with the page's roles in it; nobody may create more."""
    url = postgres.new_database()
    postgres.execute("DROP ROLE IF EXISTS loader; DROP ROLE IF EXISTS readers")
    (roles,) = blocks("sql", PAGE)
    postgres.execute(roles, url)
    return postgres.url_of(url.rpartition("/")[2], "loader", "secret")


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
    assert not [*tmp_path.glob("*.dlt")]
    postgres.execute("DROP OWNED BY readers, loader", admin)


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
    postgres.execute("DROP OWNED BY readers, loader", postgres.url_of(insights.rpartition("/")[2]))


def test_the_views_and_the_python_example(tmp_path: Path) -> None:
    assert "conference-insights[postgres]" in INSTALL
    run_shell(VIEWS, tmp_path)
    assert "VIEW ANALYTICS.CONFERENCES" in (tmp_path / "views.sql").read_text().upper().replace(
        '"', ""
    )
    (example,) = blocks("python", PAGE)
    exec(example, {})
