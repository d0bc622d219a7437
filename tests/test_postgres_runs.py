"""Runs of several accounts at once, as processes of their own, into one PostgreSQL database."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from pipelines.simulator.account import Account
from pipelines.simulator.server import InsightsServer
from pipelines.warehouse.checks import read_checks
from pipelines.warehouse.postgres import PostgresServer
from tests import expected
from tests.conftest import NOW, ROOT, command_at, summary
from tests.postgres_server import PostgresTestServer

pytestmark = pytest.mark.slow  # whole runs, some of which compete for the processors

SIDS = [f"AC{number:032x}" for number in (1, 2)]


@pytest.fixture
def apis() -> Iterator[list[InsightsServer]]:
    with ExitStack() as stack:
        accounts = [Account(NOW, sid) for sid in SIDS]
        yield [stack.enter_context(InsightsServer(account)) for account in accounts]


def start(api: InsightsServer, database: str, folder: Path) -> subprocess.Popen[str]:
    """A run of the account's own, from a folder that no other run has seen."""
    folder.mkdir()
    settings = {
        "DESTINATION_TYPE": "postgres",
        "DESTINATION__POSTGRES__CREDENTIALS": database,
        "TWILIO_ACCOUNT_SID": api.account.sid,
        "TWILIO_AUTH_TOKEN": api.account.auth_token,
        "SOURCES__TWILIO_INSIGHTS__BASE_URL": api.url,
        "PYTHONPATH": str(ROOT),
    }
    return subprocess.Popen(
        [*command_at(NOW), "run"],
        cwd=folder,
        env=os.environ | settings,
        stderr=subprocess.PIPE,
        text=True,
    )


def put(api: InsightsServer, numbers: range, **values: str) -> None:
    first = SIDS.index(api.account.sid) * 1_000_000
    for number in numbers:
        age = timedelta(minutes=5 * number + 30)  # all of them are listed by each run
        api.account.put(summary(first + number, age, account_sid=api.account.sid, **values))


def assert_exact(apis: list[InsightsServer], database: str) -> None:
    rows = [row for api in apis for row in api.account.rows()]
    with PostgresServer(database).read() as server:
        assert expected.of_database(server) == expected.of_api(rows)
        for check in read_checks():
            if check.level == "fail":
                assert server.execute(check.sql) == [], check.name


@pytest.mark.parametrize("round_", range(3))
def test_accounts_are_exact_whoever_is_killed_when(
    apis: list[InsightsServer], database: str, tmp_path: Path, round_: int
) -> None:
    """Also when all of them make the tables at once."""
    chance = random.Random(round_)
    for api in apis:
        put(api, range(300))
    for number, kills in enumerate((False, True, False)):
        runs = [start(api, database, tmp_path / f"{number}-{api.account.sid}") for api in apis]
        if kills:
            time.sleep(chance.uniform(1, 3))
            chance.choice(runs).send_signal(signal.SIGKILL)
        for run in runs:
            said = run.communicate(timeout=120)[1]
            assert run.returncode == 0 or kills, said
        if not kills:
            assert_exact(apis, database)
        for api in apis:
            put(api, range(100 * number, 100 * number + 200), friendly_name=f"now {number}")
    with PostgresServer(database).read() as server:
        outcomes = Counter(server.execute("SELECT outcome FROM conference_insights._runs"))
    assert outcomes["ok",] >= 4


def test_one_account_has_one_run_at_a_time_of_a_role_with_its_schemas_alone(
    apis: list[InsightsServer], postgres: PostgresTestServer, database: str, tmp_path: Path
) -> None:
    role, name = postgres.new_role(), database.rpartition("/")[2]
    for schema in ("conference_insights", "analytics"):
        postgres.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {role}", database)
    url = postgres.url_of(name, role, "secret")
    put(apis[0], range(50))
    runs = [start(apis[0], url, tmp_path / str(number)) for number in range(2)]
    said = [run.communicate(timeout=120)[1] for run in runs]
    codes = sorted(run.returncode for run in runs)
    assert codes in ([0, 75], [0, 0]), said  # one may begin when the other has ended
    assert_exact(apis[:1], url)
