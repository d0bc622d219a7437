"""All SQL of ours has the same rows in a PostgreSQL server as in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest

from pipelines.run.migrations import migrate_tables
from pipelines.run.post_load import DESCRIPTIONS
from pipelines.simulator.sample_data import busy_account
from pipelines.twilio_insights.tables import TABLES
from pipelines.warehouse.checks import read_checks, run_checks
from pipelines.warehouse.database import DATASET, Database
from pipelines.warehouse.duckdb_database import DuckDb
from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.runs import prepare_runs
from pipelines.warehouse.sql import sql_files
from pipelines.warehouse.views import apply_views, read_views
from tests.conftest import NOW, loaded_once
from tests.postgres_server import PostgresTestServer
from tests.test_readme import PAGES, blocks

ZONE = "Europe/Berlin"


class Pair(NamedTuple):
    """The same rows and views in a file and in a server."""

    file: Database
    server: Database
    path: Path
    place: PostgresServer
    url: str


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresTestServer) -> Iterator[Pair]:
    account = busy_account(NOW, days=40, per_day=5)
    url = postgres.new_database()
    place = PostgresServer(url)
    with ExitStack() as stack:
        loaded = stack.enter_context(loaded_once(account, tmp_path_factory.mktemp("known")))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SOURCES__TWILIO_INSIGHTS__PARTICIPANTS", "true")
            patch.setenv("REPORT_TIMEZONE", ZONE)
            loaded.run()
        file = DuckDb(stack.enter_context(duckdb.connect(loaded.path)))
        server = stack.enter_context(place.open())
        for change in (
            "conference_summaries SET account_sid = NULL WHERE conference_sid = "
            "(SELECT max(conference_sid) FROM conference_insights.conference_summaries)",
            "conference_participant_metrics SET mos = 4.1 WHERE direction = 'inbound'",
            "conference_summaries SET end_time = NULL WHERE create_time < '2026-11-12 00:00:00'",
        ):
            file.execute(f"UPDATE {DATASET}.{change}")
        file.execute(f"DELETE FROM {DATASET}._listings WHERE parent_key LIKE '%3'")
        file.execute(f"UPDATE {DATASET}.accounts SET error_class = 'x', failing_since = listed_to")
        file.execute(f"DELETE FROM {DATASET}.conference_summaries WHERE conference_sid LIKE '%7'")
        prepare_runs(server)
        migrate_tables(server)
        server.prepare_indexes({table.name: table.key for table in TABLES})
        for table in [*(t.name for t in TABLES), "_runs"]:
            copied = file.connection.table(f"{DATASET}.{table}").to_arrow_table()
            server.append(f"{DATASET}.{table}", copied)
        for database in (file, server):
            apply_views(database, DESCRIPTIONS, ZONE, rebuild=True)
            run_checks(database, NOW)
        yield Pair(file, server, loaded.path, place, url)


def plain(value: Any) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float | Decimal):
        return round(float(value), 6)
    return str(value)


def rows(database: Database, sql: str, parameters: Any = ()) -> tuple[list[str], Counter[Any]]:
    names, found = database.run(sql, parameters)
    return names, Counter(tuple(map(plain, row)) for row in found)


@pytest.mark.parametrize("view", [view.name for view in read_views()])
def test_a_view_has_the_same_rows(pair: Pair, view: str) -> None:
    sql = f"SELECT * FROM analytics.{view}"
    assert rows(pair.server, sql) == rows(pair.file, sql)


def test_all_checks_find_the_same(pair: Pair) -> None:
    at = NOW + timedelta(hours=1)
    found, expected = (
        {result.check.name: result for result in run_checks(database, at)}
        for database in (pair.server, pair.file)
    )
    assert {name: result.violations for name, result in found.items()} == {
        name: result.violations for name, result in expected.items()
    }
    assert not [result for result in found.values() if "does not run" in str(result.sample)]
    assert len(found) > 3
    for check in read_checks():
        assert rows(pair.server, check.sql) == rows(pair.file, check.sql), check.name


BOUNDS = {"from": date(2026, 11, 1), "to": date(2026, 11, 20), "prior": date(2026, 10, 13)}


@pytest.mark.parametrize("name", [path.stem for path, _ in sql_files("report")])
def test_a_query_of_the_report_has_the_same_rows_in_the_same_order(pair: Pair, name: str) -> None:
    (sql,) = (text for path, text in sql_files("report") if path.stem == name)
    used = {bound: day for bound, day in BOUNDS.items() if f"${bound}" in sql}
    (names, found), (expected_names, expected) = (
        database.run(sql, used) for database in (pair.server, pair.file)
    )
    assert names == expected_names
    theirs, ours = ([[*map(plain, row)] for row in rows] for rows in (found, expected))
    is_ordered = "ORDER BY" in sql.rpartition("FROM")[2]
    assert theirs == ours if is_ordered else sorted(theirs) == sorted(ours)
    assert theirs


QUERIES = [one for text in PAGES.values() for one in blocks("sql", text) if "SELECT" in one[:6]]


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_a_query_of_a_page_has_the_same_rows(
    pair: Pair, postgres: PostgresTestServer, query: str
) -> None:
    """As it is on the page: whoever asks a server translates nothing."""
    answers = (postgres.execute(query, pair.url), pair.file.execute(query))
    found, expected = (sorted(([*map(plain, row)] for row in rows), key=repr) for rows in answers)
    assert len(found) == len(expected)
    if "LIMIT" not in query:  # which may choose others of those that are equal
        for one, other in zip(found, expected, strict=True):
            assert one == pytest.approx(other, abs=0.011)  # halves of a hundredth are rounded


def test_every_table_and_column_is_described(pair: Pair) -> None:
    described = dict(
        pair.server._native(  # type: ignore[attr-defined]
            "SELECT n.nspname || '.' || c.relname || coalesce('.' || a.attname, ''), d.description "
            "FROM pg_description AS d JOIN pg_class AS c ON c.oid = d.objoid "
            "JOIN pg_namespace AS n ON n.oid = c.relnamespace LEFT JOIN pg_attribute AS a "
            "ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0 "
            "WHERE n.nspname IN ('conference_insights', 'analytics')"
        )
    )
    expected: dict[str, str] = dict(
        pair.file.execute(
            "SELECT schema_name || '.' || table_name || '.' || column_name, comment "
            "FROM duckdb_columns() WHERE comment IS NOT NULL UNION ALL "
            "SELECT schema_name || '.' || view_name, comment FROM duckdb_views() "
            "WHERE comment IS NOT NULL UNION ALL "
            "SELECT schema_name || '.' || table_name, comment FROM duckdb_tables() "
            "WHERE comment IS NOT NULL"
        )
    )
    assert described == expected
    assert len(described) > 500
