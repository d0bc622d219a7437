"""What is set for a role or a database of PostgreSQL has no say in the session of a run."""

from __future__ import annotations

import time

from pipelines.warehouse.database import DATASET
from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.postgres.warehouse import LOCK_WAIT
from tests.conftest import NOW, summary
from tests.postgres_server import OTHERWISE, PostgresTestServer
from tests.test_postgres_load import HOUR, load, prepare, rows_of


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
