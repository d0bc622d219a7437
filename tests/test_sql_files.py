"""The files of SQL: the head of each tells what it is for, and other engines can read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from pipelines.warehouse.sql import sql_files
from pipelines.warehouse.views import View, read_views

VIEWS = {view.name: view for view in read_views()}


@pytest.mark.parametrize("view", VIEWS.values(), ids=lambda view: str(view.name))
def test_a_view_has_a_head_that_tells(view: Any) -> None:
    assert view.header[""][0].endswith((".", "?"))
    for topic in ("Grain", "Promise", "NULL", "Caveats"):
        assert len(view.header[topic]) == 1
    assert view.is_staging or view.header["Ask"]


@pytest.mark.parametrize(
    ("path", "text"), sql_files("report"), ids=lambda of: getattr(of, "stem", "")
)
def test_a_file_of_the_report_has_a_head_that_tells(path: Path, text: str) -> None:
    header = View(path, text).header
    assert header[""][0].endswith("?")
    for topic in ("Grain", "Promise", "NULL", "Caveats"):
        assert len(header[topic]) == 1
    assert "conference_insights." not in text


ALL_SQL = [*sql_files("analytics"), *sql_files("checks")]


@pytest.mark.parametrize("dialect", ["postgres", "snowflake", "bigquery", "clickhouse", "spark"])
@pytest.mark.parametrize(
    ("path", "text"), sql_files("checks"), ids=lambda of: getattr(of, "stem", "")
)
def test_every_check_can_be_carried_to_other_engines(path: Path, text: str, dialect: str) -> None:
    """As every view can, in `test_dialects.py`."""
    (carried,) = sqlglot.transpile(
        text, read="duckdb", write=dialect, unsupported_level=sqlglot.ErrorLevel.RAISE
    )
    assert sqlglot.parse_one(carried, read=dialect)


@pytest.mark.parametrize(("path", "text"), ALL_SQL, ids=[path.stem for path, _ in ALL_SQL])
def test_nothing_in_a_view_means_something_else_elsewhere(path: Path, text: str) -> None:
    """The constructs that other engines refuse, or answer otherwise in silence."""
    tree = sqlglot.parse_one(text, read="duckdb")
    refused = (
        exp.AtTimeZone,
        exp.Median,
        exp.PercentileCont,
        exp.Quantile,
        exp.LogicalOr,
        exp.JSONExtract,
        exp.Pivot,
        exp.ArgMax,
        exp.GenerateSeries,
        exp.Filter,
        exp.TryCast,
    )
    assert not list(tree.find_all(*refused))
    assert not [e for e in tree.find_all(exp.DateDiff) if e.text("unit").lower() != "day"]
    assert not [
        t
        for t in tree.find_all(exp.TimestampTrunc, exp.DateTrunc)
        if t.text("unit").lower() == "week"
    ]
    for order in tree.find_all(exp.Ordered):
        assert order.args.get("nulls_first") or order.args.get("desc")
    for column in tree.find_all(exp.Column):
        assert column.table, f"{column.sql()} has no table"
