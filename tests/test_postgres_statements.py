"""Statements and rows that a warehouse sends to PostgreSQL have the same values as in a file, and
what goes wrong with them is told apart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa
import pytest

from pipelines.warehouse.database import DATASET, MissingTableError, StatementError
from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.postgres.errors import ServerUnavailableError
from pipelines.warehouse.postgres.warehouse import PostgresWarehouse
from pipelines.warehouse.warehouse import WarehouseError
from tests.conftest import summary
from tests.postgres_server import PostgresTestServer
from tests.test_postgres_load import HOUR, load, prepare, rows_of


@pytest.fixture
def warehouse(database: str) -> Iterator[PostgresWarehouse]:
    with PostgresServer(database).open() as opened:
        yield opened


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


def test_what_ends_in_the_middle_is_unavailable(
    postgres: PostgresTestServer, database: str
) -> None:
    server = PostgresServer(database)
    with server.open() as warehouse:
        prepare(warehouse)
        (pid,) = warehouse.execute("SELECT pg_backend_pid()")[0]
        postgres.execute(f"SELECT pg_terminate_backend({pid})")
        with pytest.raises(WarehouseError, match=r"not available|cannot be reached") as said:
            with warehouse.transaction():
                warehouse.execute("SELECT 1")
        assert said.value.exit_code == 69
        with pytest.raises(Exception, match="closed") as by_dlt:
            load(warehouse, rows_of([summary(1, HOUR)]))
        fault = server.explain(by_dlt.value)
        assert fault is not None
        assert fault.exit_code == 69
    unrelated = ValueError("x")
    unrelated.__context__, unrelated.__suppress_context__ = by_dlt.value, True
    assert server.explain(unrelated) is None


def test_rows_are_sent_as_utf_8_whatever_the_address_says(database: str) -> None:
    with PostgresServer(f"{database}?client_encoding=latin1").open() as warehouse:
        prepare(warehouse)
        load(warehouse, rows_of([summary(1, HOUR, friendly_name="süß ☎")]))
        ((name,),) = warehouse.query("SELECT friendly_name FROM {conference_summaries}")
        assert name == "süß ☎"
        assert warehouse.execute("SELECT length(?)", [name]) == [(5,)]


def test_rows_that_cannot_be_appended_are_told_as_of_a_statement(
    warehouse: PostgresWarehouse, postgres: PostgresTestServer
) -> None:
    rows = pa.table({"a": [1]})
    with pytest.raises(MissingTableError):
        warehouse.append(f"{DATASET}.nothing", rows)
    ((session,),) = warehouse.execute("SELECT pg_backend_pid()")
    postgres.execute(f"SELECT pg_terminate_backend({session})")
    with pytest.raises(ServerUnavailableError):
        warehouse.append(f"{DATASET}.nothing", rows)
