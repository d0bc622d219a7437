"""`python -m tests.reference`: writes `sql/README.md`, Superset's datasets, `tests/dialects` and
`tests/destinations`.

What a table, a view or a column is stands in one place each: `tables.toml` for what Twilio gives,
`sql/columns.toml` for what is derived, the head of the file for a view; what BI tools compute from
a view stands in `sql/metrics.toml`.
"""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import duckdb
import yaml

from pipelines.run.post_load import DESCRIPTIONS
from pipelines.twilio_insights.tables import TABLES
from pipelines.warehouse.checks import read_checks
from pipelines.warehouse.dialects import DIALECTS, write_views
from pipelines.warehouse.sql import sql_folder
from pipelines.warehouse.views import OUR_TABLES, View, read_columns, read_views

PAGE = sql_folder() / "README.md"
DATASETS = sql_folder() / "superset/datasets/conference_insights"
IN_DIALECTS = ("data_as_of", "stg_participant_lists")
"""A simple view, and one that engines write in different ways."""
DIALECT_FILES = Path(__file__).parent / "dialects"
DESTINATION_FILES = Path(__file__).parent / "destinations"
DATABASE = sql_folder() / "superset/databases/conference_insights.yaml"
HEAD = """# Tables, views and checks

Made from the heads of the files here, `columns.toml` and `tables.toml` of the source by
`python -m tests.reference`.

Views are in the schema `analytics`, in the warehouse and, as tables, in the
[published copy](connect.md). Days, hours and weeks are in `report_timezone`; times are UTC without
zone. A column with the same name means the same everywhere. Counts add up over any rows, unless
noted otherwise; shares are formulas over sums. The other views are made of the `stg_` views. The
files of [`analytics`](analytics) and [`checks`](checks) are SQL that other engines understand, once
[what several of them share](../pipelines/warehouse/definitions.py) is put in.

"""


Columns = dict[str, list[tuple[str, str, str]]]
"""Names, types and meanings by table, `schema.table`."""


def page(columns: Columns) -> str:
    """The whole of `sql/README.md`."""
    views = sorted(read_views(), key=lambda view: (view.is_staging, view.name))
    parts = [HEAD, *_contents(views), "\n## Views\n\n"]
    for view in views:
        parts += _view(view, columns[f"analytics.{view.name}"])
    parts.append("## Tables\n\nIn the schema `conference_insights`, only in the warehouse.\n\n")
    personal = {(t.name, c.name) for t in TABLES for c in t.columns if c.personal}
    for name, about in {**{n: d.table for n, d in DESCRIPTIONS.items()}, **OUR_TABLES}.items():
        rows = columns[f"conference_insights.{name}"]
        parts.append(f"### {name}\n\n{about}\n\n")
        parts += _columns(
            (column, kind, meaning + " Personal." * ((name, column) in personal))
            for column, kind, meaning in rows
        )
    parts.append("## Checks\n\n| check | level | finds |\n|---|---|---|\n")
    checks = [(c, c.level + ", if asked for" * c.is_optional) for c in read_checks()]
    parts += [f"| [`{c.name}`](#{c.name}) | {level} | {c.sentence} |\n" for c, level in checks]
    for check, level in checks:
        parts.append(f"\n### {check.name}\n\n{check.sentence} ({level})\n\n")
        head = View(Path(check.name), check.sql).header
        parts += [f"- **{topic}**: {_line(head[topic][0])}\n" for topic in ("Means", "Do")]
    return "".join(parts)


def _contents(views: Sequence[View]) -> Iterator[str]:
    yield "| view | answers |\n|---|---|\n"
    for view in views:
        if not view.is_staging:
            yield f"| [`{view.name}`](#{view.name}) | {_line(view.header[''][0])} |\n"


def _view(view: View, rows: list[tuple[str, str, str]]) -> Iterator[str]:
    yield f"### {view.name}\n\n{_line(view.header[''][0])}\n\n"
    for topic in ("Grain", "Promise", "NULL", "Caveats"):
        yield f"- **{topic}**: {_line(view.header[topic][0])}\n"
    yield "\n"
    yield from _columns(rows)
    for ask in view.header.get("Ask", ()):
        question, _, sql = ask.partition("\n")
        yield f"{question}\n\n```sql\n{sql}\n```\n\n"


def _columns(rows: Iterable[tuple[str, str, str]]) -> Iterator[str]:
    yield "| column | type | meaning |\n|---|---|---|\n"
    for name, kind, meaning in rows:
        yield f"| `{name}` | {kind.lower()} | {meaning} |\n"
    yield "\n"


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def datasets(columns: Columns) -> dict[str, str]:
    """The files of Superset's datasets, by name, without the personal columns."""
    views = {view.name: view for view in read_views()}
    personal = {name for name, column in read_columns().items() if column.get("personal")}
    personal |= {column.name for table in TABLES for column in table.columns if column.personal}
    definitions = tomllib.loads((sql_folder() / "metrics.toml").read_text("utf-8"))
    database = yaml.safe_load(DATABASE.read_text("utf-8"))["uuid"]
    return {
        f"{name}.yaml": "".join(
            _dataset(views[name], definition, columns[f"analytics.{name}"], personal, database)
        )
        for name, definition in definitions.items()
    }


def in_dialects() -> dict[str, str]:
    """What `sql` prints of two views in each other dialect than DuckDB's, by name of the file."""
    return {
        f"{dialect}_{name}.sql": "\n\n".join(text for text in printed if name in text.lower())
        + "\n"
        for dialect in DIALECTS
        if dialect != "duckdb"
        for name in IN_DIALECTS
        for printed in [write_views(dialect, DESCRIPTIONS, name)]
    }


def _dataset(
    view: View,
    definition: dict[str, Any],
    columns: list[tuple[str, str, str]],
    personal: set[str],
    database: str,
) -> Iterator[str]:
    yield _yaml({"table_name": view.name, "schema": "analytics", "description": view.comment})
    for name, *_ in columns:
        if name in ("created_date", "running_date"):
            yield f"main_dttm_col: {name}\n"
    yield "columns:\n"
    for name, kind, meaning in columns:
        if name not in personal:
            time = {"is_dttm": True} if kind in ("DATE", "TIMESTAMP") else {}
            yield _item({"column_name": name, "type": kind, **time, "description": meaning})
    for name, formula in definition.get("columns", {}).items():
        yield _item({"column_name": name, **formula})
    yield "metrics:\n"
    for name, formula in definition["metrics"].items():
        yield _item({"metric_name": name, **formula})
    yield _yaml({"database_uuid": database, "uuid": definition["uuid"], "version": "1.0.0"})


def _yaml(content: dict[str, Any], in_one_line: bool = False) -> str:
    text: str = yaml.safe_dump(
        content,
        default_flow_style=in_one_line,
        sort_keys=False,
        allow_unicode=True,
        width=float("inf"),
    )
    return text


def _item(content: dict[str, Any]) -> str:
    return f"  - {_yaml(content, in_one_line=True)}"


def columns_of(connection: duckdb.DuckDBPyConnection) -> Columns:
    """Of a loaded warehouse, whose comments come from the same definitions."""
    found: Columns = {}
    for table, *column in connection.execute(
        "SELECT schema_name || '.' || table_name, column_name, data_type, comment "
        "FROM duckdb_columns() ORDER BY table_name, column_index"
    ).fetchall():
        found.setdefault(table, []).append((column[0], column[1], column[2] or ""))
    return found


@click.command()
def main() -> None:
    """Write sql/README.md and what else is made anew, from a simulated account.

    \b
    Example:
      python -m tests.reference
    """
    from pipelines.run.pipeline import run
    from pipelines.simulator.sample_data import busy_account
    from pipelines.simulator.server import InsightsServer
    from pipelines.twilio_insights.progress import Progress
    from tests.conftest import NOW, environment
    from tests.destinations.generate import files

    for name, text in files().items():
        (DESTINATION_FILES / name).write_text(text)
    with InsightsServer(busy_account(NOW, days=1, per_day=50)) as server:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "warehouse.duckdb")
            os.environ |= environment(server) | {"DESTINATION__DUCKDB__CREDENTIALS": str(path)}
            run(Progress("run"))
            with duckdb.connect(path, read_only=True) as warehouse:
                columns = columns_of(warehouse)
            PAGE.write_text(page(columns))
            for name, text in datasets(columns).items():
                (DATASETS / name).write_text(text)
            for name, text in in_dialects().items():
                (DIALECT_FILES / name).write_text(text)


if __name__ == "__main__":
    main(prog_name="python -m tests.reference")
