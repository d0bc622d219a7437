"""The views for other engines: complete, in each engine's own SQL, and with the same rows there."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from pipelines.run.post_load import DESCRIPTIONS
from pipelines.simulator.sample_data import busy_account
from pipelines.warehouse.dialects import DIALECTS, write_views
from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.views import read_views
from tests import reference
from tests.conftest import NOW, ROOT, Command, Loaded, install_beside, loaded_once
from tests.postgres_server import PostgresTestServer

VIEWS = [view.name for view in read_views()]


@cache
def statements(dialect: str, only: str | None = None) -> list[str]:
    return list(write_views(dialect, DESCRIPTIONS, only))


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Iterator[Loaded]:
    """Of some conferences with participants, one without account, one with a mean opinion score
    that no double has exactly, and runs in a time zone that changes its clocks."""
    account = busy_account(NOW, days=9, per_day=4)
    with loaded_once(account, tmp_path_factory.mktemp("known"), empty_warehouse) as loaded:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SOURCES__TWILIO_INSIGHTS__PARTICIPANTS", "true")
            patch.setenv("REPORT_TIMEZONE", "Europe/Berlin")
            loaded.load(views=True)
        with duckdb.connect(loaded.path) as connection:
            for change in (
                "conference_summaries SET account_sid = NULL WHERE conference_sid = "
                "(SELECT max(conference_sid) FROM conference_insights.conference_summaries)",
                "conference_participant_metrics SET mos = 4.1 WHERE direction = 'inbound'",
            ):
                connection.execute(f"UPDATE conference_insights.{change}")
        yield loaded


@pytest.mark.thorough
def test_duckdb_makes_the_same_views_with_the_same_comments(known: Loaded, tmp_path: Path) -> None:
    comments = (
        "SELECT table_name, column_name, comment FROM duckdb_columns() "
        "WHERE schema_name = 'analytics' UNION ALL SELECT view_name, NULL, comment "
        "FROM duckdb_views() WHERE schema_name = 'analytics' ORDER BY ALL"
    )
    copy = tmp_path / "copy.duckdb"
    shutil.copy(known.path, copy)
    with duckdb.connect(known.path, read_only=True) as house, duckdb.connect(copy) as connection:
        made = house.execute(comments).fetchall()
        connection.execute("DROP SCHEMA analytics CASCADE; CREATE SCHEMA analytics")
        connection.execute("\n".join(statements("duckdb")))
        assert connection.execute(comments).fetchall() == made
        for name in VIEWS:
            query = f"FROM analytics.{name} ORDER BY ALL"
            rows = connection.execute(query).fetchall()
            assert rows == house.execute(query).fetchall(), name


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_view_is_sql_of_its_dialect(dialect: str) -> None:
    _, *parts = statements(dialect)
    made = []
    for text in parts:
        if text.startswith("CREATE"):
            tree = sqlglot.parse_one(text, dialect=dialect)
            assert isinstance(tree, exp.Create), text
            made.append(next(tree.find_all(exp.Table)).name.lower())
            unknown = {call.name for call in tree.find_all(exp.Anonymous)}
            assert unknown <= {"arrayStringConcat", "arraySort", "arrayMap", "isNotNull"}
            if dialect != "duckdb":
                for each in tree.find_all(exp.Identifier):
                    assert each.quoted or each.name in ("row", "join_use_nulls"), each.name
            used = {t.name.lower() for t in tree.find_all(exp.Table) if t.db.lower() == "analytics"}
            assert used <= set(made)
        else:
            assert all(sqlglot.parse(text, dialect=dialect)), text
    assert made == VIEWS


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_view_and_column_is_described(dialect: str, known: Loaded) -> None:
    text = "\n".join(statements(dialect))
    for name, column, meaning in known.query(
        "SELECT table_name, column_name, comment FROM duckdb_columns() "
        "WHERE schema_name = 'analytics'"
    ):
        said = exp.Literal.string(meaning).sql(dialect)
        assert said in text, (name, column)
    columns = known.query("SELECT 1 FROM duckdb_columns() WHERE schema_name = 'analytics'")
    kind = DIALECTS[dialect]
    before, _, _ = kind.about_column.partition("{text}")
    pattern = re.escape(before.format(view="%", column="%")).replace("%", r"\S+")
    assert len(re.findall(rf"^ *{pattern}'", text, re.MULTILINE)) == len(columns)


def test_the_text_of_two_views_is_known() -> None:
    """After a change that is meant, `python -m tests.reference` writes it anew."""
    files = {file.name: file.read_text() for file in reference.DIALECT_FILES.iterdir()}
    assert reference.in_dialects() == files


PAGE = (ROOT / "sql/connect.md").read_text().split("\n## Other engines\n")[1].split("\n## ")[0]
COMMANDS = re.findall(r"^    conference-insights (.*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_page_print_statements(line: str, command: Command) -> None:
    done = command(*line.split())
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("-- Made of these tables of conference_insights: _")
    assert len(COMMANDS) == 2
    assert [f"`{name}`" for name in DIALECTS if f"`{name}`" not in PAGE] == []


def test_a_view_is_printed_with_those_that_it_is_made_of(command: Command) -> None:
    done = command("sql", "--dialect", "trino", "--view", "freshness")
    made = re.findall(
        r'^CREATE OR REPLACE VIEW "analytics"\."(\w+)" AS$', done.stdout, re.MULTILINE
    )
    assert made == ["stg_as_of", "stg_accounts", "stg_conferences", "conferences", "freshness"]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--dialect", "postgres", "--view", "conference_kpi"), "did you mean 'conference_kpis'?"),
        (("--dialect", "postgres", "--view", "zzz"), "no view 'zzz'; sql/README.md lists them"),
        (("--dialect", "oracle"), "'oracle' is not one of 'duckdb', 'postgres'"),
        ((), "Missing option '--dialect'"),
    ],
)
def test_what_is_unknown_is_a_usage_error(
    option: tuple[str, ...], said: str, command: Command
) -> None:
    done = command("sql", *option)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_no_other_command_imports_sqlglot() -> None:
    program = "import sys, pipelines.cli.command_line; sys.exit('sqlglot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["snowflake", "bigquery", "redshift", "trino"])
def test_what_no_engine_here_runs_has_the_same_rows_when_read_back(
    dialect: str, known: Loaded
) -> None:
    """DuckDB runs what sqlglot understands of it: a rewrite with another meaning would show."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{known.path}' AS house (READ_ONLY)")
        connection.execute("CREATE SCHEMA analytics; CREATE SCHEMA conference_insights")
        for table in tables(known):
            of = f"conference_insights.{table}"
            connection.execute(f"CREATE VIEW {of} AS FROM house.{of}")
        for name, text in zip(VIEWS, creating(dialect), strict=True):
            select = sqlglot.parse_one(text, dialect=dialect).expression
            for part in select.find_all(exp.Add, exp.Sub):  # all integers of BigQuery are BIGINT
                if isinstance(part.expression, exp.Cast):
                    part.expression.set("to", exp.DataType.build("INT"))
            connection.execute(f"CREATE VIEW analytics.{name} AS {select.sql('duckdb')}")
        found = {name: connection.execute(f"FROM analytics.{name}").fetchall() for name in VIEWS}
    assert_equal(known.path, found)


def creating(dialect: str) -> list[str]:
    return [text for text in statements(dialect) if text.startswith("CREATE")]


def test_nothing_is_left_that_an_engine_lacks_or_understands_otherwise() -> None:
    text = {dialect: "\n".join(creating(dialect)) for dialect in DIALECTS}
    for dialect in ("bigquery", "redshift"):
        assert "DISTINCT FROM" not in text[dialect]
    lists = len(re.findall(r"\bLISTAGG\(", text["redshift"]))
    assert lists == text["redshift"].count(") WITHIN GROUP (ORDER BY") == 3
    assert "DATETIME" not in text["bigquery"]
    decimals = text["bigquery"].count(" AS NUMERIC")
    assert decimals == len(re.findall(r"ROUND\(CAST\(\S+ AS NUMERIC\), 6\)", text["bigquery"])) == 2
    assert not re.search(r"[+-] CAST\(", text["trino"])
    assert not re.search(r"\.\*|groupConcat", text["clickhouse"])
    assert text["clickhouse"].count("SETTINGS join_use_nulls = 1;") == len(VIEWS)
    assert text["snowflake"] == re.sub(r'"\w+"', lambda name: name[0].upper(), text["snowflake"])


# The same rows in engines that can be had, each of which is installed or has to be.

TYPES = {
    "postgres": {"VARCHAR": "text", "DOUBLE": "double precision"},
    "clickhouse": {
        "VARCHAR": "Nullable(String)",
        "DOUBLE": "Nullable(Float64)",
        "BIGINT": "Nullable(Int64)",
        "INTEGER": "Nullable(Int32)",
        "BOOLEAN": "Nullable(Bool)",
        "TIMESTAMP": "Nullable(DateTime64(6))",
    },
}


@pytest.fixture
def exported(known: Loaded) -> Iterator[Path]:
    """A folder with the tables as Parquet."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with duckdb.connect(known.path, read_only=True) as connection:
            for table in tables(known):
                file = f"{folder}/rows-{table}.parquet"
                connection.execute(f"COPY conference_insights.{table} TO '{file}'")
        yield folder


def tables(known: Loaded) -> dict[str, list[tuple[str, str]]]:
    """The tables that views read, with names and types of their columns."""
    found: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in known.query(
        "SELECT table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE schema_name = 'conference_insights' AND NOT starts_with(table_name, '_dlt') "
        "ORDER BY table_name, column_index"
    ):
        found.setdefault(table, []).append((column, kind))
    return found


def created(known: Loaded, dialect: str, table: str) -> str:
    kinds = TYPES[dialect]
    columns = (f'"{name}" {kinds.get(kind, kind)}' for name, kind in tables(known)[table])
    return f"CREATE TABLE conference_insights.{table} ({', '.join(columns)})"


def assert_equal(path: Path, found: dict[str, list[Any]]) -> None:
    """Every view has the rows that it has in DuckDB, as text of any engine."""
    different = []
    with duckdb.connect(path, read_only=True) as connection:
        for name in VIEWS:
            view = connection.table(f"analytics.{name}")
            kinds = [str(kind) for kind in view.types]
            ours = Counter(tuple(map(plain, row, kinds)) for row in view.fetchall())
            theirs = Counter(tuple(map(plain, row, kinds)) for row in found[name])
            if ours != theirs:
                sample = list((ours - theirs).elements())[:2], list((theirs - ours).elements())[:2]
                different.append((name, *sample))
    assert different == []
    assert sum(map(len, found.values())) > 1000


def plain(value: Any, kind: str) -> Any:
    if value is None:
        return None
    text = str(value)
    if kind == "BOOLEAN":
        return text.lower() in ("t", "true", "1")
    if kind == "DOUBLE":
        return round(float(text), 6)
    if kind in ("BIGINT", "INTEGER"):
        return int(text)
    if kind == "TIMESTAMP":
        return datetime.fromisoformat(text)
    return date.fromisoformat(text[:10]) if kind == "DATE" else text


def read_csv(text: str) -> list[list[str | None]]:
    return [[None if v == r"\N" else v for v in row] for row in csv.reader(io.StringIO(text))]


@pytest.mark.slow
def test_postgresql_has_the_same_rows(
    known: Loaded, postgres: PostgresTestServer, database: str
) -> None:
    """As other tools apply them, which send one text after the other."""

    def call(sql: str) -> list[tuple[Any, ...]]:
        return postgres.execute(sql, database)

    with PostgresServer(database).open() as copied:
        with duckdb.connect(known.path, read_only=True) as connection:
            for table in tables(known):
                call(created(known, "postgres", table))
                rows = connection.table(f"conference_insights.{table}").to_arrow_table()
                copied.append(f"conference_insights.{table}", rows)
    for _ in range(2):  # it may be applied again
        call("\n".join(statements("postgres")))
    found = {name: call(f"SELECT * FROM analytics.{name}") for name in VIEWS}
    ((about, of_column),) = call(
        "SELECT obj_description('analytics.data_as_of'::regclass), "
        "col_description('analytics.data_as_of'::regclass, 1)"
    )
    assert_equal(known.path, found)
    assert about.startswith("Until when ")
    assert of_column.startswith("Everything created before is loaded, UTC")


@pytest.mark.slow
def test_clickhouse_has_the_same_rows(known: Loaded, exported: Path) -> None:
    """Its engine without a server, `chdb`; later statements have settings of their own."""
    folder = install_beside("chdb-4.4.0", "chdb==4.4.0", "chdb-core==26.9.0")
    made = ["CREATE DATABASE conference_insights", "CREATE DATABASE analytics"]
    for table in tables(known):
        made.append(f"{created(known, 'clickhouse', table)} ENGINE = Memory")
        file = f"file('{exported}/rows-{table}.parquet', Parquet)"
        made.append(f"INSERT INTO conference_insights.{table} SELECT * FROM {file}")
    made += [text for part in statements("clickhouse") for text in part.split(";\n")]
    program = (
        "import json, sys; from chdb.session import Session; made, views = json.load(sys.stdin); "
        "session = Session(); [session.query(text) for text in made]; ask = session.query; "
        "json.dump({v: str(ask(f'SELECT * FROM analytics.{v}', 'CSV')) for v in views}, sys.stdout)"
    )
    found = in_python(folder, program, [[text.strip(" ;\n") for text in made], VIEWS])
    assert_equal(known.path, {name: read_csv(text) for name, text in found.items()})


@pytest.mark.slow
def test_spark_has_the_same_rows(known: Loaded, exported: Path) -> None:
    """Two threads of `pyspark`, with Debian's `openjdk-17-jre-headless`."""
    folder = install_beside("pyspark-4.3.0", "pyspark==4.3.0", "py4j==0.10.9.9")
    made = ["CREATE DATABASE conference_insights", "CREATE DATABASE analytics"]
    for table in tables(known):
        source = f"parquet.`{exported}/rows-{table}.parquet`"
        made.append(f"CREATE TABLE conference_insights.{table} AS SELECT * FROM {source}")
    made += statements("spark")[1:]
    program = """
import json, sys
from pyspark.sql import SparkSession
made, views = json.load(sys.stdin)
session = SparkSession.builder.master("local[2]").config("spark.sql.session.timeZone", "UTC")
session = session.config("spark.driver.memory", "3g")
for name in ("spark.ui.enabled", "spark.sql.catalogImplementation"):
    session = session.config(name, {"spark.ui.enabled": "false"}.get(name, "in-memory"))
session = session.config("spark.sql.shuffle.partitions", "2").getOrCreate()
for text in made:
    session.sql(text)
def shown(value):
    return value if value is None else str(value)
rows = {v: session.table(f"analytics.{v}").collect() for v in views}
json.dump({v: [[*map(shown, row)] for row in rows[v]] for v in views}, sys.stdout)
"""
    found = in_python(folder, program, [[text.strip(" ;\n") for text in made], VIEWS], exported)
    assert_equal(known.path, found)


def in_python(folder: Path, program: str, given: Any, cwd: Path | None = None) -> Any:
    """What a program with other packages makes of JSON."""
    made = subprocess.run(
        [sys.executable, "-c", program],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(folder), "TZ": "UTC"},
        input=json.dumps(given),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(made.stdout)
