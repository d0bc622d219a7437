"""Every comment in the database is what its definition says."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from sqlglot import exp, parse_one
from sqlglot.lineage import Node, lineage
from sqlglot.optimizer import build_scope, qualify

from pipelines.simulator.account import Account
from pipelines.warehouse.views import OUR_TABLES, read_columns, read_views
from tests import reference
from tests.conftest import NOW, ROOT, Loaded, loaded_once

Meanings = dict[str, dict[str, str]]
"""By schema and table, then by column."""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Iterator[Loaded]:
    with loaded_once(Account(NOW), tmp_path_factory.mktemp("empty"), empty_warehouse) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def commented(empty: Loaded) -> Meanings:
    found: Meanings = {}
    for table, column, comment in empty.query(
        "SELECT schema_name || '.' || table_name, column_name, comment FROM duckdb_columns() "
        "WHERE NOT starts_with(table_name, '_dlt') ORDER BY table_name, column_index"
    ):
        found.setdefault(table, {})[column] = comment
    return found


def test_every_column_of_a_table_says_what_is_defined(commented: Meanings) -> None:
    defined: Meanings = {}
    file = ROOT / "pipelines/twilio_insights/tables.toml"
    for table, definition in tomllib.loads(file.read_text()).items():
        for name, column in definition["columns"].items():
            values = ", ".join(column.get("values", ()))
            said = column["description"] + (f" Documented: {values}." if values else "")
            defined.setdefault(f"conference_insights.{table}", {})[name] = said
    derived = _derived()
    for table in OUR_TABLES:
        full = f"conference_insights.{table}"
        defined[full] = {
            name: derived.get(f"{table}.{name}") or derived[name] for name in commented[full]
        }
    assert {t: commented[t] for t in commented if t.startswith("conference")} == defined


@pytest.mark.thorough
def test_every_column_of_a_view_says_what_is_said_where_it_comes_from(commented: Meanings) -> None:
    derived = _derived()
    schema: dict[str, object] = {
        of: {t.split(".")[1]: dict.fromkeys(c, "text") for t, c in commented.items() if of in t}
        for of in ("analytics", "conference_insights")
    }
    defined = {table: said for table, said in commented.items() if "analytics." not in table}
    for view in read_views():
        tree = qualify.qualify(_parsed(view.select), dialect="duckdb", schema=schema)
        scope, said = build_scope(tree), dict[str, str]()
        for name in commented[f"analytics.{view.name}"]:
            if about := derived.get(f"{view.name}.{name}") or derived.get(name):
                said[name] = about
            else:
                node = lineage(name, tree, scope=scope, dialect="duckdb")
                said[name] = defined[_origin(node, name)][name]
        defined[f"analytics.{view.name}"] = said
    assert commented == defined
    assert (
        defined["analytics.conference_tag_details"]["reason"] == "Reason, where Twilio gives one."
    )
    assert "it loaded" in defined["analytics.load_history"]["account_sid"]
    assert "owns" in defined["analytics.freshness"]["account_sid"]


def test_the_datasets_of_superset_are_made_of_the_views(empty: Loaded) -> None:
    with duckdb.connect(empty.path, read_only=True) as connection:
        made = reference.datasets(reference.columns_of(connection))
    assert made == {file.name: file.read_text() for file in reference.DATASETS.iterdir()}


def _derived() -> dict[str, str]:
    return {name: column["description"] for name, column in read_columns().items()}


def _parsed(select: str) -> exp.Query:
    parsed = parse_one(select, dialect="duckdb")
    assert isinstance(parsed, exp.Query)
    return parsed


def _origin(node: Node, name: str) -> str:
    """The first table or view that the column is taken from under its own name."""
    found = (
        f"{below.expression.db}.{below.expression.name}"
        for below in node.walk()
        if isinstance(below.expression, exp.Table) and below.name.endswith(f'."{name}"')
    )
    return next(found)
