"""Views of an earlier version are made anew in PostgreSQL, and nothing of others is dropped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from pipelines.run.migrations import migrate_tables
from pipelines.run.post_load import DESCRIPTIONS
from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.postgres.warehouse import PostgresWarehouse
from pipelines.warehouse.runs import prepare_runs
from pipelines.warehouse.views import apply_views, read_views
from pipelines.warehouse.warehouse import BusyError, WarehouseError
from tests.postgres_server import PostgresTestServer

VIEWS = [f"analytics.{view.name}" for view in read_views()]


@pytest.fixture
def former(database: str) -> Iterator[PostgresWarehouse]:
    """Has two views of an earlier version, with other columns than now."""
    with PostgresServer(database).open() as warehouse:
        prepare_runs(warehouse)
        migrate_tables(warehouse)
        warehouse.execute("CREATE VIEW analytics.conferences AS SELECT 1 AS former")
        warehouse.execute(
            "CREATE VIEW analytics.conference_volume AS SELECT former FROM analytics.conferences"
        )
        yield warehouse


def apply(warehouse: PostgresWarehouse) -> None:
    apply_views(warehouse, DESCRIPTIONS, "UTC")


def test_views_with_other_columns_are_made_anew(former: PostgresWarehouse) -> None:
    apply(former)
    assert sorted(former.columns("analytics")) == sorted(VIEWS)
    assert "former" not in former.columns("analytics")["analytics.conference_volume"]


def test_an_hour_is_looked_up_by_an_index(
    former: PostgresWarehouse, postgres: PostgresTestServer, database: str
) -> None:
    apply(former)
    hour = "SELECT * FROM conference_insights._report_hours WHERE utc_hour = '2026-01-01'"
    assert "_report_hours_utc_hour_lookup" in str(postgres.execute(f"EXPLAIN {hour}", database))


def test_what_others_have_made_of_a_view_is_not_dropped(
    former: PostgresWarehouse, postgres: PostgresTestServer, database: str
) -> None:
    postgres.execute(
        "CREATE VIEW public.theirs AS SELECT former FROM analytics.conferences", database
    )
    said = "view theirs depends on view analytics.conferences: drop what is yours there, run again"
    with pytest.raises(WarehouseError, match=said) as refused:
        apply(former)
    assert refused.value.exit_code == 74
    assert former.execute("SELECT former FROM analytics.conference_volume") == [(1,)]
    assert len(former.columns("analytics")) == 2
    postgres.execute("DROP VIEW public.theirs", database)
    apply(former)
    postgres.execute("CREATE VIEW theirs AS SELECT * FROM analytics.conferences", database)
    apply_views(former, DESCRIPTIONS, "UTC", rebuild=True)  # with the same columns


def test_grants_on_a_view_that_is_made_anew_stay(
    former: PostgresWarehouse, postgres: PostgresTestServer, database: str
) -> None:
    """Also where default privileges would grant it to more."""
    few, all_ = (postgres.new_role() for _ in range(2))
    postgres.execute(
        f"""
        REVOKE ALL ON analytics.conference_volume FROM PUBLIC;
        GRANT SELECT ON analytics.conference_volume TO {few} WITH GRANT OPTION;
        GRANT SELECT ON analytics.conferences TO PUBLIC;
        ALTER DEFAULT PRIVILEGES IN SCHEMA analytics GRANT SELECT ON TABLES TO {all_}
        """,
        database,
    )
    apply(former)
    granted = (
        "SELECT c.relname, coalesce(r.rolname, 'PUBLIC'), a.is_grantable FROM pg_class AS c "
        "CROSS JOIN LATERAL aclexplode(c.relacl) AS a LEFT JOIN pg_roles AS r ON r.oid = a.grantee "
        "WHERE c.relname IN ('conferences', 'conference_volume') AND a.grantee <> c.relowner"
    )
    found = postgres.execute(granted, database)
    assert sorted(found) == [("conference_volume", few, True), ("conferences", "PUBLIC", False)]


@pytest.mark.thorough
def test_a_reader_who_does_not_end_is_named_and_nobody_waits_for_long(
    former: PostgresWarehouse, database: str
) -> None:
    connection = psycopg2.connect(database, application_name="dashboards")
    with closing(connection), connection.cursor() as cursor:
        cursor.execute("SELECT former FROM analytics.conferences")
        with pytest.raises(BusyError, match=r"postgres \(dashboards\).*next run changes the view"):
            apply(former)
        assert former.columns("analytics")["analytics.conferences"] == ["former"]
        connection.rollback()
    apply(former)
