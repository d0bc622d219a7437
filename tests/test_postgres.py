"""A warehouse in a PostgreSQL server: its lock, its errors, its statements."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime

import pytest

from pipelines.warehouse.database import DATASET, MissingTableError, StatementError
from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.postgres_warehouse import PostgresWarehouse
from pipelines.warehouse.warehouse import BusyError, WarehouseError
from tests.conftest import ROOT, python
from tests.postgres_server import started

ACCOUNT, OTHER = f"AC{1:032x}", f"AC{2:032x}"


@pytest.fixture
def warehouse(database: str) -> Iterator[PostgresWarehouse]:
    with PostgresServer(database).open(ACCOUNT) as opened:
        yield opened


def test_it_makes_its_schemas_once(database: str) -> None:
    server = PostgresServer(database)
    with server.open(ACCOUNT) as first:
        assert first.created
        folder = first.working_folder
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o777 == 0o700
        first.execute(f"CREATE TABLE {DATASET}._runs (run_id VARCHAR)")
    assert not folder.exists()
    with server.open(ACCOUNT) as second:
        assert not second.created
        assert second.columns(DATASET, "analytics") == {f"{DATASET}._runs": ["run_id"]}


def test_a_statement_has_the_same_values_as_in_a_file(warehouse: PostgresWarehouse) -> None:
    at = datetime(2026, 11, 20, 14, 30, 5, 123456)
    warehouse.execute(
        "CREATE TABLE t (a BIGINT, b VARCHAR, c TIMESTAMP, d DOUBLE, e BOOLEAN, row VARCHAR)"
    )
    insert = "INSERT INTO t VALUES ($a, $b, $c, $d, $e, 'x')"
    for number in (1, 2**62, None):
        row = {"a": number, "b": "50 % of 'it'", "c": at, "d": 0.1, "e": number == 1}
        warehouse.execute(insert, row)
    assert warehouse.execute("SELECT a, b, c, d, e FROM t WHERE a = ?", [1]) == [
        (1, "50 % of 'it'", at, 0.1, True)
    ]
    (summed,) = warehouse.records("SELECT sum(a) AS a, max(row) AS row FROM t WHERE b LIKE '50 %'")
    assert summed == {"a": 2**62 + 1, "row": "x"}
    assert isinstance(summed["a"], int)
    among = (
        "SELECT count(*) FROM t WHERE b IN (SELECT unnest(?)) OR a IN (SELECT unnest(?::BIGINT[]))"
    )
    assert warehouse.execute(among, [[], []]) == [(0,)]
    assert warehouse.execute(among, [["50 % of 'it'"], [1, 2]]) == [(3,)]
    assert warehouse.execute("SELECT CAST(1.5 AS DECIMAL(9, 3)), now()")[0][0] == 1.5
    assert warehouse.execute("SELECT CAST('2026-01-01 00:00:00+00' AS TIMESTAMPTZ)") == [
        (datetime(2026, 1, 1),)
    ]


def test_a_missing_table_is_told_apart(warehouse: PostgresWarehouse) -> None:
    for table in (f"{DATASET}.nothing", "no_schema.nothing"):
        with pytest.raises(MissingTableError):
            warehouse.execute(f"SELECT 1 FROM {table}")
    assert warehouse.query("SELECT 1 FROM {nothing} WHERE a = %s", 1) == []
    with pytest.raises(StatementError, match="division by zero"):
        warehouse.execute("SELECT 1 WHERE 1 % 0 = 1")


def test_a_transaction_is_all_or_nothing(warehouse: PostgresWarehouse) -> None:
    warehouse.execute("CREATE TABLE t (a BIGINT)")
    with pytest.raises(StatementError), warehouse.transaction():
        warehouse.execute("INSERT INTO t VALUES (1)")
        warehouse.execute("INSERT INTO t VALUES ('x')")
    assert warehouse.execute("SELECT a FROM t") == []
    with warehouse.transaction():
        warehouse.execute("INSERT INTO t VALUES (1)")
    assert warehouse.execute("SELECT a FROM t") == [(1,)]


def test_an_account_has_one_run_at_a_time(database: str) -> None:
    server = PostgresServer(database)
    with ExitStack() as stack:
        first = stack.enter_context(server.open(ACCOUNT))
        second = stack.enter_context(server.open(OTHER))
        for account in (ACCOUNT, OTHER):
            with pytest.raises(BusyError, match=r"held by another run \(process \d+ of") as busy:
                with server.open(account):
                    raise AssertionError
            assert busy.value.exit_code == 75
        third, fourth = (f"AC{number:032x}" for number in (3, 4))
        first.hold_accounts([third, fourth])
        with pytest.raises(BusyError, match=f"{third}|{fourth}"):
            second.hold_accounts([f"AC{5:032x}", third, fourth])
        first.hold_accounts([f"AC{5:032x}"])  # of which nothing was kept
    with server.open(ACCOUNT) as again:
        again.hold_accounts([OTHER, third, fourth])


def test_too_many_accounts_for_the_server_are_a_sentence() -> None:
    with started("max_locks_per_transaction=10", "max_connections=5") as few:
        with PostgresServer(few.url).open(ACCOUNT) as warehouse:
            with pytest.raises(WarehouseError, match="raise max_locks_per_transaction") as said:
                warehouse.hold_accounts([f"AC{number:032x}" for number in range(20_000)])
            assert said.value.exit_code == 74


HOLD = f"""
import sys, time
from pipelines.warehouse.postgres import PostgresServer
with PostgresServer(sys.argv[1]).open({ACCOUNT!r}):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_killed_client_releases_its_lock_at_once(database: str) -> None:
    with python(HOLD, database, PYTHONPATH=str(ROOT)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError), PostgresServer(database).open(ACCOUNT):
            raise AssertionError
        holder.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while True:
        try:
            with PostgresServer(database).open(ACCOUNT):
                return
        except BusyError:
            assert time.monotonic() < deadline
