"""The SQL by which dlt loads our tables into engines that are not run for this project.

It is pinned in `tests/destinations`, and means what `tables.toml` says. The slow test makes it
anew with the engines' drivers; `python -m tests.reference` does without them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from pipelines.twilio_insights.resources import RESOURCES
from pipelines.twilio_insights.tables import TABLES, Table
from tests.conftest import ROOT, install_beside
from tests.destinations.generate import files

TYPES = {
    "snowflake": "VARCHAR, DECIMAL(19, 0), DOUBLE, BOOLEAN, TIMESTAMPNTZ(6)",
    "databricks": "STRING, BIGINT, DOUBLE, BOOLEAN, TIMESTAMP_NTZ",
    "redshift": "VARCHAR(MAX), BIGINT, DOUBLE PRECISION, BOOLEAN, TIMESTAMP",
    "bigquery": "STRING, INT64, FLOAT64, BOOL, TIMESTAMP",
    "clickhouse": "String, Int64, Float64, Bool, DateTime64(6)",
}
"""Of text, bigint, double, bool and timestamp. BigQuery's TIMESTAMP is the moment, in UTC."""
DRIVERS = {
    "snowflake": "snowflake-connector-python==5.2.0 cryptography==50.0.2 cffi==2.1.1 "
    "filelock==4.3.1 platformdirs==4.14.8 protobuf==6.33.6 sortedcontainers==2.4.0",
    "databricks": "databricks-sql-connector==4.0.0 databricks-sdk==0.156.0 thrift==0.20.0 "
    "lz4==4.4.5 pandas==2.2.3 numpy==1.26.4 pytz==2026.6 google-auth==2.63.0 oauthlib==3.3.1 "
    "pyasn1==0.6.5 pyasn1-modules==0.4.2 protobuf==6.33.6 openpyxl==3.1.5 et-xmlfile==2.0.0 "
    "six==1.17.0",
    "redshift": "psycopg2-binary==2.9.13",
    "bigquery": "google-cloud-bigquery==3.47.0 google-cloud-core==2.8.0 google-api-core==2.44.0 "
    "google-auth==2.63.0 google-resumable-media==2.11.0 google-crc32c==1.9.0 "
    "googleapis-common-protos==1.76.0 proto-plus==1.29.0 protobuf==7.36.2 grpcio==1.85.3 "
    "db-dtypes==1.9.0 pyasn1==0.6.5 pyasn1-modules==0.4.2",
    "clickhouse": "clickhouse-connect==1.12.0 clickhouse-driver==0.2.11 lz4==4.4.5 "
    "tzlocal==5.4.5 zstandard==0.25.0",
}
SCOPES = {child.table.name: one.key for one in RESOURCES.values() for child in one.children}
"""What decides which rows of a child table are replaced: all of a record."""
TABLE_NAMES = [table.name for table in TABLES]


def pinned(engine: str) -> str:
    return (ROOT / f"tests/destinations/{engine}.sql").read_text()


@pytest.fixture(scope="module", params=TYPES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def parsed(engine: str) -> list[Any]:
    return [one for one in sqlglot.parse(pinned(engine), dialect=engine) if one]


def own_name(table: exp.Expression | None) -> str:
    """ClickHouse has no schemas in a database, so dlt puts that before the name."""
    assert isinstance(table, exp.Table)
    name = table.name.lower()
    schema, _, rest = name.partition("___")
    schema, name = (schema, rest) if rest else (table.db.lower(), name)
    assert schema in ("calls", "calls_staging")
    return name


def names(columns: object) -> list[str]:
    assert isinstance(columns, list)
    return [one.name.lower() for one in columns]


def test_the_tables_are_those_of_the_definition(engine: str, parsed: list[Any]) -> None:
    types = dict(
        zip(
            ("text", "bigint", "double", "bool", "timestamp"),
            re.split(r", (?!\d)", TYPES[engine]),
            strict=True,
        )
    )
    found = {own_name(one.find(exp.Table)): one for one in parsed if isinstance(one, exp.Create)}
    assert [*found] == TABLE_NAMES
    for table in TABLES:
        columns = [*found[table.name].this.expressions]
        assert names(columns) == [column.name for column in table.columns]
        for defined, column in zip(table.columns, columns, strict=True):
            kind = column.kind.copy()
            required = bool(column.find(exp.NotNullColumnConstraint))
            if engine == "clickhouse":
                required = kind.args.get("nullable") is not True
                kind.set("nullable", False)
            expected = types["text" if defined.type == "json" else defined.type]
            assert kind.sql(engine) == expected, (table.name, column.name)
            assert required is not defined.nullable, (table.name, column.name)
        if engine == "clickhouse":
            key = found[table.name].find(exp.PrimaryKey)
            assert key
            assert names(key.expressions) == [*table.key]


@pytest.mark.parametrize("table", TABLES, ids=TABLE_NAMES)
def test_a_package_replaces_what_has_its_keys(table: Table, engine: str, parsed: list[Any]) -> None:
    """One row of a key, none of them a tombstone; of a record all children or none."""
    delete, insert = [
        one
        for one in parsed
        if isinstance(one, exp.Delete | exp.Insert) and own_name(one.find(exp.Table)) == table.name
    ]
    assert isinstance(delete, exp.Delete)
    replaced = {one.name.lower() for one in delete.args["where"].find_all(exp.Column)}
    scope = SCOPES.get(table.name)
    assert replaced == ({scope} if scope else {*table.key})
    assert own_name(delete.args["where"].find(exp.Table)) == table.name

    assert isinstance(insert, exp.Insert)
    wanted = [column.name for column in table.columns]
    assert names(insert.this.expressions) == wanted
    assert names(insert.expression.expressions) == wanted
    numbered = insert.find(exp.Window)
    assert numbered
    assert names(numbered.args["partition_by"]) == [*table.key]
    shown = insert.expression.args["where"].sql().lower()
    assert ("_tombstone" in shown) is ("_tombstone" in wanted)


def test_the_page_says_which_merges_are_one_transaction(engine: str) -> None:
    page = (ROOT / "pipelines/beyond_one_machine.md").read_text()
    in_one = ", in one transaction\n" in pinned(engine)
    assert in_one is not (", in two transactions\n" in pinned(engine))
    (row,) = re.findall(rf"^\| {engine} .*$", page, re.MULTILINE | re.IGNORECASE)
    assert ("one transaction" in row) is in_one
    assert "*not run*" in row


def test_it_is_what_dlt_writes_without_any_driver() -> None:
    made = files()
    assert made == {name: pinned(name.removesuffix(".sql")) for name in made}
    assert [*made] == [f"{engine}.sql" for engine in sorted(TYPES)]


@pytest.mark.slow
def test_dlt_still_writes_the_same(engine: str) -> None:
    folder: Path = install_beside(f"dlt-{engine}", *DRIVERS[engine].split())
    made = subprocess.run(
        [sys.executable, "-m", "tests.destinations.generate", engine],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{folder}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout == pinned(engine)
