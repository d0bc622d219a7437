"""If a PostgreSQL server or database cannot have a warehouse, or the package for it is missing, a
sentence says so."""

from __future__ import annotations

import pytest

from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.warehouse import WarehouseError
from tests.conftest import ROOT, python
from tests.postgres_server import PostgresTestServer, free_port


def test_a_server_that_does_not_answer_or_refuses_is_told_apart(
    postgres: PostgresTestServer,
) -> None:
    port, secret = postgres.port, postgres.password
    for url, code, words in (
        (f"postgresql://u:p4ss@127.0.0.1:{free_port()}/db", 69, "Connection refused"),
        ("postgresql://u:p4ss@no-such-host.invalid/db", 69, "could not translate host name"),
        (postgres.url_of("postgres", password="p4ss"), 77, "password authentication failed"),
        (f"postgresql://nobody:p4ss@127.0.0.1:{port}/postgres", 77, "authentication failed"),
        (f"postgresql://postgres@127.0.0.1:{port}/postgres", 77, "no password supplied"),
        (postgres.url_of("nothing"), 77, 'database "nothing" does not exist'),
        (f"{postgres.url}?sslmode=require", 77, "server does not support SSL"),
        (f"{postgres.url}?sslmode=verify-full", 77, "root certificate|does not support SSL"),
    ):
        with pytest.raises(WarehouseError, match=words) as said, PostgresServer(url).open():
            raise AssertionError
        assert said.value.exit_code == code, url
        assert "p4ss" not in str(said.value)
        assert secret not in str(said.value)
        assert "\n" not in str(said.value)


def test_a_database_that_lacks_characters_is_refused(postgres: PostgresTestServer) -> None:
    postgres.execute("CREATE DATABASE few ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    with pytest.raises(WarehouseError, match="encoded in LATIN1"):
        with PostgresServer(postgres.url_of("few")).open():
            raise AssertionError


def test_an_earlier_version_is_refused(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.warehouse.postgres.schemas.OLDEST", 990_000)
    said = r"is PostgreSQL [\d.]+.*: it has to be 99 or later"
    with pytest.raises(WarehouseError, match=said), PostgresServer(database).open():
        raise AssertionError


@pytest.mark.parametrize("of", ["DATABASE {database}", "ROLE {role}"])
def test_who_is_set_to_read_only_is_told_so(
    postgres: PostgresTestServer, database: str, of: str
) -> None:
    role, name = postgres.new_role(), database.rpartition("/")[2]
    postgres.execute(f"GRANT CREATE ON DATABASE {name} TO {role}")
    on = of.format(database=name, role=role)
    postgres.execute(f"ALTER {on} SET default_transaction_read_only = on")
    server = PostgresServer(postgres.url_of(name, role, "secret"))
    for attempt in (server.open().__enter__, server.expect_usable):
        with pytest.raises(WarehouseError, match="default_transaction_read_only is on") as said:
            attempt()
        assert said.value.exit_code == 77
        assert "standby" not in str(said.value)


def test_without_its_package_the_setting_is_to_blame() -> None:
    program = """
        import sys
        sys.modules["psycopg2"] = None
        from pipelines.errors import SettingsError
        try:
            import pipelines.warehouse.postgres.server
        except SettingsError as error:
            print(error)
    """
    with python(program, PYTHONPATH=str(ROOT)) as started:
        assert "pip install 'conference-insights[postgres]'" in started.communicate()[0]
