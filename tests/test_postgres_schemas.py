"""A warehouse makes its schemas in a database once, needs no more than these, and refuses those of
something else."""

from __future__ import annotations

import pytest

from pipelines.warehouse.database import DATASET
from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.warehouse import WarehouseError
from tests.conftest import summary
from tests.postgres_server import PostgresTestServer
from tests.test_postgres_load import HOUR, count, load, prepare, rows_of


def test_it_makes_its_schemas_once(database: str) -> None:
    server = PostgresServer(database)
    with server.open() as first:
        assert first.created
        folder = first.working_folder
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o777 == 0o700
        first.execute(f"CREATE TABLE {DATASET}._runs (run_id VARCHAR)")
    assert not folder.exists()
    with server.open() as second:
        assert not second.created
        assert second.columns(DATASET, "analytics") == {f"{DATASET}._runs": ["run_id"]}


def test_a_role_needs_no_more_than_its_schemas(postgres: PostgresTestServer, database: str) -> None:
    role = postgres.new_role()
    name = database.rpartition("/")[2]
    address = postgres.url_of(name, role, "secret")
    with pytest.raises(WarehouseError, match=f"permission denied for database {name}") as said:
        with PostgresServer(address).open():
            raise AssertionError
    assert said.value.exit_code == 77
    for schema in (DATASET, "analytics"):
        postgres.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {role}", database)
    with PostgresServer(address).open() as warehouse:
        assert warehouse.created
        prepare(warehouse)
        load(warehouse, rows_of([summary(1, HOUR)]))
        load(warehouse, rows_of([summary(1, HOUR, friendly_name="new")]))
        assert count(warehouse)["conference_summaries"] == 1
        warehouse.execute("CREATE OR REPLACE VIEW analytics.v AS SELECT 1 AS a")
        warehouse.execute("COMMENT ON VIEW analytics.v IS '50 %'")
        with pytest.raises(WarehouseError, match="see Roles in"):
            warehouse.execute("CREATE TABLE public.other (a BIGINT)")


@pytest.mark.parametrize("schema", [DATASET, "analytics"])
def test_a_schema_of_something_else_is_refused(
    postgres: PostgresTestServer, database: str, schema: str
) -> None:
    postgres.execute(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.theirs (a int)", database)
    said = rf"The schema {schema} of \S+ belongs to something else, as it has theirs"
    with pytest.raises(WarehouseError, match=said), PostgresServer(database).open():
        raise AssertionError
