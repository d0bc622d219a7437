"""A warehouse in a PostgreSQL server: its lock, its errors, its statements."""

from __future__ import annotations

import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
import trustme

from pipelines.errors import SettingsError
from pipelines.warehouse.database import DATASET, MissingTableError, StatementError
from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.postgres.errors import ServerUnavailableError
from pipelines.warehouse.postgres.warehouse import LOCK_WAIT, PostgresWarehouse
from pipelines.warehouse.warehouse import BusyError, WarehouseError
from tests.conftest import NOW, ROOT, python, summary
from tests.postgres_server import OTHERWISE, PostgresTestServer, free_port, held, started
from tests.test_postgres_load import HOUR, count, load, prepare, rows_of

ACCOUNT, OTHER = f"AC{1:032x}", f"AC{2:032x}"


@pytest.fixture
def warehouse(database: str) -> Iterator[PostgresWarehouse]:
    with PostgresServer(database).open() as opened:
        yield opened


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
    with ExitStack() as stack:
        first = stack.enter_context(held(database, ACCOUNT))
        second = stack.enter_context(held(database, OTHER))
        for account in (ACCOUNT, OTHER):
            with pytest.raises(BusyError, match=r"held by another run \(process \d+ of") as busy:
                with held(database, account):
                    raise AssertionError
            assert busy.value.exit_code == 75
        third, fourth = (f"AC{number:032x}" for number in (3, 4))
        first.hold_accounts([third, fourth])
        with pytest.raises(BusyError, match=f"{third}|{fourth}"):
            second.hold_accounts([f"AC{5:032x}", third, fourth])
        first.hold_accounts([f"AC{5:032x}"])  # of which nothing was kept
    with held(database, ACCOUNT) as again:
        again.hold_accounts([OTHER, third, fourth])


def test_too_many_accounts_for_the_server_are_a_sentence() -> None:
    with started("max_locks_per_transaction=10", "max_connections=5") as few:
        with PostgresServer(few.url).open() as warehouse:
            with pytest.raises(WarehouseError, match="raise max_locks_per_transaction") as said:
                warehouse.hold_accounts([f"AC{number:032x}" for number in range(20_000)])
            assert said.value.exit_code == 74


HOLD = f"""
import sys, time
from tests.postgres_server import held
with held(sys.argv[1], {ACCOUNT!r}):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_killed_client_releases_its_lock_at_once(database: str) -> None:
    with python(HOLD, database, PYTHONPATH=str(ROOT)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError), held(database, ACCOUNT):
            raise AssertionError
        holder.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while True:
        try:
            with held(database, ACCOUNT):
                return
        except BusyError:
            assert time.monotonic() < deadline


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


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://u:p4ss@host:5433/db?sslmode=require", "postgresql://host:5433/db"),
        ("postgresql://u:p4/s@s#s@host/db", "postgresql://host/db"),
        ("postgres://u%40tenant:p4ss@[::1]:5433/d%20b", "postgres://[::1]:5433/d%20b"),
        ("postgresql://u:p4ss@one:1,two:2/db", "postgresql://one:1,two:2/db"),
        ("postgresql://u:p4ss@/db?host=/run/postgresql", "postgresql:///db"),
    ],
)
def test_a_name_has_no_credentials(url: str, name: str) -> None:
    server = PostgresServer(url)
    assert server.name == name
    assert "p4" not in repr(server)
    assert "p4" in server._arguments["password"]


@pytest.mark.parametrize(
    "url",
    [
        "p4ss",
        "mysql://u:p4ss@host/db",
        "postgresql://u:p4ss@host",
        "postgresql://u:p4ss@host/",
        "postgresql://u:p4ss@host:p4ss/db",
        "postgresql://u:p4ss@host/db?p4ss=p4ss",
        "postgresql://u:p4ss@host:99999999/db",
        "postgresql://u@host/db?password=p@4ss",
        "postgresql://u:4554554ss/db",
        "postgresql://u:45544551/db",
        "postgresql://u:1,v:4554/db",
        "",
    ],
)
def test_a_wrong_url_is_a_wrong_setting_and_not_repeated(url: str) -> None:
    with pytest.raises((SettingsError, WarehouseError)) as said, PostgresServer(url).open():
        raise AssertionError
    assert "4ss" not in str(said.value)
    assert "4554" not in str(said.value)


def test_only_the_url_says_where_the_password_goes(
    postgres: PostgresTestServer, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".pg_service.conf").write_text("[other]\nhostaddr=127.0.0.1\nport=1\n")
    for name, value in {
        "PGHOSTADDR": "127.0.0.1",
        "PGSERVICE": "other",
        "PGOPTIONS": "-c work_mem=77kB",
        "PGSSLMODE": "verify-full",
        "PGCONNECT_TIMEOUT": "nonsense",
    }.items():
        monkeypatch.setenv(name, value)
    elsewhere = database.replace("127.0.0.1", "db.invalid")
    with pytest.raises(ServerUnavailableError, match="could not translate host name"):
        with PostgresServer(elsewhere).open():
            raise AssertionError
    with PostgresServer(database).open() as warehouse:
        assert warehouse.execute("SHOW work_mem") != [("77kB",)]
    with pytest.raises(SettingsError, match="service"):
        PostgresServer(f"{database}?service=other")


@pytest.mark.parametrize("place", ["PGPASSWORD", ".pgpass", "PGPASSFILE"])
def test_a_password_is_taken_from_the_url_alone(
    place: str,
    postgres: PostgresTestServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    url = postgres.url.replace(f":{postgres.password}@", "@")
    file = tmp_path / ("home/.pgpass" if place == ".pgpass" else "passwords")
    file.write_text(f"*:*:*:*:{postgres.password}\n")
    file.chmod(0o600)
    if place != ".pgpass":
        monkeypatch.setenv(place, postgres.password if place == "PGPASSWORD" else str(file))
    with pytest.raises(WarehouseError, match="no password supplied"):
        with PostgresServer(url).open():
            raise AssertionError
    assert capfd.readouterr() == ("", "")
    with PostgresServer(f"{url}?passfile={file}").open() as warehouse:
        assert warehouse.execute("SELECT 1") == [(1,)]


@pytest.fixture
def behind_tls(tmp_path: Path) -> Iterator[str]:
    """The URL of a listener with a certificate, which ends each connection after the greeting."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    refusal = b"SFATAL\0C28000\0Mseen by the server\0\0"

    def answer() -> None:
        for _ in range(2):
            plain, _ = listener.accept()
            plain.recv(8)
            plain.sendall(b"S")
            try:
                with context.wrap_socket(plain, server_side=True) as wrapped:
                    wrapped.recv(1000)
                    wrapped.sendall(b"E" + (len(refusal) + 4).to_bytes(4) + refusal)
                    wrapped.recv(1)
            except OSError:
                plain.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, daemon=True).start()
        port = listener.getsockname()[1]
        yield f"postgresql://u:p4ss@127.0.0.1:{port}/db?gssencmode=disable"


def test_only_the_url_says_which_certificates_count(behind_tls: str, tmp_path: Path) -> None:
    theirs = tmp_path / "home/.postgresql"
    theirs.mkdir()
    for name in ("root.crt", "root.crl", "postgresql.crt", "postgresql.key"):
        (theirs / name).write_text("of another program")
    verified = f"sslmode=verify-full&sslrootcert={tmp_path}/ca.pem"
    for options in ("sslmode=require", verified):
        with pytest.raises(WarehouseError, match="seen by the server"):
            with PostgresServer(f"{behind_tls}&{options}").open():
                raise AssertionError


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


def test_steps_of_several_runs_wait_for_each_other(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.warehouse.postgres.warehouse.LOCK_WAIT", 0.05)
    server = PostgresServer(database)
    with server.open() as one, server.open() as other:
        with one.alone(), one.alone():
            with pytest.raises(BusyError, match=r"Other runs write to .* run again later") as said:
                with other.alone():
                    raise AssertionError
            assert said.value.exit_code == 75
        with other.alone():
            pass


def test_rows_are_sent_as_utf_8_whatever_the_address_says(database: str) -> None:
    with PostgresServer(f"{database}?client_encoding=latin1").open() as warehouse:
        prepare(warehouse)
        load(warehouse, rows_of([summary(1, HOUR, friendly_name="süß ☎")]))
        ((name,),) = warehouse.query("SELECT friendly_name FROM {conference_summaries}")
        assert name == "süß ☎"
        assert warehouse.execute("SELECT length(?)", [name]) == [(5,)]


def test_limits_of_sessions_of_people_are_not_for_runs(
    postgres: PostgresTestServer, database: str
) -> None:
    role = postgres.new_role()
    for limit in ("statement_timeout", "idle_session_timeout", "lock_timeout"):
        postgres.execute(f"ALTER ROLE {role} SET {limit} = '200ms'")
    postgres.execute(f"ALTER ROLE {role} SET TimeZone = 'Asia/Tokyo'")
    name = database.rpartition("/")[2]
    postgres.execute(f"GRANT CREATE ON DATABASE {name} TO {role}")
    with PostgresServer(postgres.url_of(name, role, "secret")).open() as warehouse:
        time.sleep(0.3)
        warehouse.execute("SELECT pg_sleep(0.3)")
        assert warehouse.execute("SHOW TimeZone") == [("UTC",)]


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


def test_settings_of_a_database_have_no_say_in_a_run(
    postgres: PostgresTestServer, database: str
) -> None:
    """Nor in whether the server sees that a client is gone with its machine."""
    postgres.set_otherwise(database)
    with PostgresServer(database).open() as warehouse:
        prepare(warehouse)
        load(warehouse, rows_of([summary(1, HOUR, friendly_name=r"a\nb")]))
        assert warehouse.execute(
            "SELECT friendly_name, create_time, 0.1::DOUBLE, '\\' || friendly_name "
            f"FROM {DATASET}.conference_summaries"
        ) == [(r"a\nb", (NOW - HOUR).replace(tzinfo=None), 0.1, r"\a\nb")]
        shown = warehouse.execute(
            "SELECT name, setting FROM pg_settings WHERE name LIKE '%timeout' "
            "OR name LIKE 'tcp_keepalives%' OR name = 'transaction_isolation'"
        )
        of_session: dict[str, str] = dict(shown)
    assert of_session.pop("lock_timeout") == str(LOCK_WAIT * 1000)
    assert {of_session.get(n, "0") for n in OTHERWISE if n.endswith("timeout")} <= {"0"}
    assert of_session["tcp_keepalives_idle"] == "30"
    assert of_session["transaction_isolation"] == "read committed"


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
