"""The views in the SQL of other engines, for people who apply SQL with tools of their own.

All SQL is written once, in DuckDB's spelling, and sqlglot carries it over. `DIALECTS` has what an
engine needs beyond that, most of it because it would else give other rows without a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import cast

from sqlglot import ErrorLevel, exp, parse_one
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from pipelines.errors import SettingsError
from pipelines.warehouse.database import ANALYTICS, DATASET
from pipelines.warehouse.views import (
    OUR_TABLES,
    Comment,
    Description,
    View,
    comments,
    read_columns,
    read_views,
)


def _compare_texts(part: exp.Expr) -> exp.Expr:
    """Without IS NOT DISTINCT FROM, which is missing, or no equality for an outer join; here only
    texts are compared so."""
    if not isinstance(part, exp.NullSafeEQ):
        return part
    one, other = part.this.sql("duckdb"), part.expression.sql("duckdb")
    null = "CASE WHEN {} IS NULL THEN 1 ELSE 0 END"
    equal = f"coalesce({one}, '') = coalesce({other}, '')"
    return parse_one(f"({equal} AND {null.format(one)} = {null.format(other)})", dialect="duckdb")


def _add_days(part: exp.Expr) -> exp.Expr:
    """To a date, as a function; here a number of days is a cast to an integer."""
    if isinstance(part, exp.Add | exp.Sub) and _is_cast(part.expression, "INT"):
        kind = exp.DateAdd if isinstance(part, exp.Add) else exp.DateSub
        return kind(this=part.this, expression=part.expression, unit=exp.var("DAY"))
    return part


def _order_within_group(part: exp.Expr) -> exp.Expr:
    """sqlglot puts the order of LISTAGG where string_agg has it."""
    if not isinstance(part, exp.GroupConcat) or not isinstance(order := part.this, exp.Order):
        return part
    texts = exp.GroupConcat(this=order.this, separator=part.args["separator"])
    return exp.WithinGroup(this=texts, expression=exp.Order(expressions=order.expressions))


def _sort_array(part: exp.Expr) -> exp.Expr:
    """There is no ordered aggregate of texts; orders here have NULL first."""
    if not isinstance(part, exp.GroupConcat) or not isinstance(order := part.this, exp.Order):
        return part
    keys = [ordered.this.sql("clickhouse") for ordered in order.expressions]
    pairs = ", ".join(f"isNotNull({key}), {key}" for key in keys)
    rows = f"groupArray((({pairs}), {order.this.sql('clickhouse')}))"
    separator = part.args["separator"].sql("clickhouse")
    sorted_texts = f"arrayMap(row -> row.2, arraySort(row -> row.1, {rows}))"
    return parse_one(f"arrayStringConcat({sorted_texts}, {separator})", dialect="clickhouse")


def _round_decimals(part: exp.Expr) -> exp.Expr:
    """A cast cuts off instead: 4.1 would become 4.099999."""
    if _is_cast(part, "DECIMAL"):
        rounded = exp.func("round", part.this.copy(), exp.Literal.number(_scale(part)))
        part.set("this", exp.cast(rounded, "TEXT"))
    return part


def _round_numeric(part: exp.Expr) -> exp.Expr:
    """A cast has no scale: all nine digits would stay."""
    if _is_cast(part, "DECIMAL"):
        return exp.func("round", part.copy(), exp.Literal.number(_scale(part)))
    return part


def _as_timestamp(part: exp.Expr) -> exp.Expr:
    """dlt's times are TIMESTAMP there, which no DATETIME is compared with."""
    if _is_cast(part, "TIMESTAMPNTZ"):
        part.set("to", exp.DataType.build("TIMESTAMPTZ"))
    return part


def _upper_case(part: exp.Expr) -> exp.Expr:
    """As names without quotes are there."""
    if isinstance(part, exp.Identifier):
        part.set("this", part.name.upper())
    return part


def _is_cast(part: exp.Expr, kind: str) -> bool:
    return isinstance(part, exp.Cast) and part.to.this == exp.DataType.Type[kind]


def _scale(cast: exp.Expr) -> int:
    return int(cast.args["to"].expressions[1].name)


@dataclass(frozen=True)
class Dialect:
    """What sqlglot does not know: rewrites of the parts of a SELECT, settings that it needs, and
    how a view and a column are described, in the statement or after it."""

    rewrites: tuple[Callable[[exp.Expr], exp.Expr], ...] = ()
    names_columns: bool = False
    settings: str = ""
    about_view: str = "COMMENT ON VIEW {view} IS {text}"
    about_column: str = "COMMENT ON COLUMN {view}.{column} IS {text}"

    @property
    def lists_columns(self) -> bool:
        return "{view}" not in self.about_view


_SPARK = Dialect(about_view="COMMENT {text}", about_column="{column} COMMENT {text}")
DIALECTS = {
    "duckdb": Dialect(),
    "postgres": Dialect(),
    "spark": _SPARK,
    "databricks": _SPARK,
    "snowflake": Dialect(
        (_upper_case,), about_view="COMMENT = {text}", about_column="{column} COMMENT {text}"
    ),
    "bigquery": Dialect(
        (_compare_texts, _as_timestamp, _round_numeric),
        about_view="OPTIONS (description = {text})",
        about_column="{column} OPTIONS (description = {text})",
    ),
    "clickhouse": Dialect(
        (_sort_array, _round_decimals),
        names_columns=True,  # or those of a join have the name of their table too
        settings="\nSETTINGS join_use_nulls = 1",  # else the absent side of a join is '' and 0
        about_view="ALTER TABLE {view} MODIFY COMMENT {text}",
        about_column="ALTER TABLE {view} COMMENT COLUMN {column} {text}",
    ),
    "redshift": Dialect((_compare_texts, _order_within_group)),
    "trino": Dialect((_add_days,)),
}


def write_views(dialect: str, tables: Mapping[str, Description], only: str | None) -> Iterator[str]:
    """The statements that make the views, each after those it uses, with all comments.

    Args:
        dialect: one of `DIALECTS`.
        tables: describes the tables that are loaded.
        only: make this view, and those that it is made of.

    Raises:
        SettingsError: there is no such view.
    """
    views = {view.name: view for view in read_views()}
    if only is not None and only not in views:
        close = get_close_matches(only, views, 1)
        meant = f"did you mean {close[0]!r}?" if close else "sql/README.md lists them"
        raise SettingsError(f"There is no view {only!r}; {meant}")
    if only:
        needed = _with_used(views, only)
        views = {name: view for name, view in views.items() if name in needed}
    queries = {n: cast(exp.Query, parse_one(v.select, "duckdb")) for n, v in views.items()}
    columns = {f"{DATASET}.{name}": list(table.columns) for name, table in tables.items()}
    for table in OUR_TABLES:  # all names there are: which of them a table has does not matter here
        columns[f"{DATASET}.{table}"] = [n.removeprefix(f"{table}.") for n in read_columns()]
    columns |= {f"{ANALYTICS}.{name}": query.named_selects for name, query in queries.items()}
    said = {comment.of: comment for comment in comments(columns, [*views.values()], tables)}
    if DIALECTS[dialect].names_columns:
        schema = MappingSchema(dialect="duckdb")
        for of, names in columns.items():
            schema.add_table(of, dict.fromkeys(names, "unknown"))
        queries = {
            name: qualify(query, "duckdb", schema=schema, quote_identifiers=False)
            for name, query in queries.items()
        }
    read = {t for view in views.values() for t in re.findall(rf"\b{DATASET}\.(\w+)", view.select)}
    yield f"-- Made of these tables of {DATASET}: {', '.join(sorted(read))}"
    for view in views.values():
        yield from _statements(view, queries[view.name], said[f"{ANALYTICS}.{view.name}"], dialect)


def _with_used(views: Mapping[str, View], name: str) -> set[str]:
    return {name}.union(*(_with_used(views, used) for used in views[name].uses & views.keys()))


def _statements(view: View, query: exp.Expr, comment: Comment, dialect: str) -> Iterator[str]:
    kind = DIALECTS[dialect]

    def carried(part: exp.Expr) -> str:
        for rewrite in kind.rewrites:
            part = part.transform(rewrite)
        text = part.sql(dialect, identify=True, pretty=True, unsupported_level=ErrorLevel.RAISE)
        return re.sub(r"\n\s*\n", "\n", text)

    name = carried(exp.table_(view.name, db=ANALYTICS))
    select = view.select.rstrip() if dialect == "duckdb" else carried(query)
    about = kind.about_view.format(view=name, text=exp.Literal.string(comment.about).sql(dialect))
    columns = [
        kind.about_column.format(
            view=name,
            column=carried(exp.to_identifier(column)),
            text=exp.Literal.string(meaning).sql(dialect),
        )
        for column, meaning in comment.columns.items()
    ]
    create = f"CREATE OR REPLACE VIEW {name}"
    if kind.lists_columns:
        listed = ",\n  ".join(columns)
        yield f"{create} (\n  {listed}\n)\n{about}\nAS\n{select};"
    else:
        yield f"{create} AS\n{select}{kind.settings};"
        yield "\n".join(f"{statement};" for statement in (about, *columns))
