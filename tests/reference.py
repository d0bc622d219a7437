"""`python -m tests.reference`: writes `sql/README.md` from the heads of the views and the columns.

What a table, a view or a column is stands in one place each: `tables.toml` for what Twilio gives,
`sql/columns.toml` for what is derived, the head of the file for a view.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import duckdb

from pipelines.run.post_load import DESCRIPTIONS
from pipelines.twilio_insights.tables import TABLES
from pipelines.warehouse.checks import read_checks
from pipelines.warehouse.sql import sql_folder
from pipelines.warehouse.views import OURS, View, read_views

PAGE = sql_folder() / "README.md"
HEAD = """# Tables, views and checks

Made from the heads of the files here, `columns.toml` and `tables.toml` of the source by
`python -m tests.reference`.

Views are in the schema `analytics`, in the warehouse and, as tables, in the
[published copy](connect.md). Days, hours and weeks are in `report_timezone`; times are UTC without
zone. A column with the same name means the same everywhere. Counts add up over any rows, unless
something else is said; shares are formulas over sums. `stg_` views are what the others are made of.
The files of [`analytics`](analytics) and [`checks`](checks) are plain SQL that other engines
understand.

"""


def page(columns: dict[str, list[tuple[str, str, str]]]) -> str:
    """The whole page; `columns` has names, types and meanings by table, `schema.table`."""
    views = sorted(read_views(), key=lambda view: (view.is_staging, view.name))
    parts = [HEAD, *_contents(views), "\n## Views\n\n"]
    for view in views:
        parts += _view(view, columns[f"analytics.{view.name}"])
    parts.append("## Tables\n\nIn the schema `conference_insights`, only in the warehouse.\n\n")
    personal = {(t.name, c.name) for t in TABLES for c in t.columns if c.personal}
    for name, about in {**{n: d.table for n, d in DESCRIPTIONS.items()}, **OURS}.items():
        rows = columns[f"conference_insights.{name}"]
        parts.append(f"### {name}\n\n{about}\n\n")
        parts += _columns(
            (column, kind, meaning + " Personal." * ((name, column) in personal))
            for column, kind, meaning in rows
        )
    parts.append("## Checks\n\n| check | level | finds |\n|---|---|---|\n")
    parts += [f"| `{c.name}` | {c.level} | {c.sentence} |\n" for c in read_checks()]
    return "".join(parts)


def _contents(views: list[View]) -> Iterator[str]:
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


def columns_of(connection: duckdb.DuckDBPyConnection) -> dict[str, list[tuple[str, str, str]]]:
    """Of a loaded warehouse, whose comments come from the same definitions."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for table, *column in connection.execute(
        "SELECT schema_name || '.' || table_name, column_name, data_type, comment "
        "FROM duckdb_columns() ORDER BY table_name, column_index"
    ).fetchall():
        found.setdefault(table, []).append((column[0], column[1], column[2] or ""))
    return found


if __name__ == "__main__":
    import os
    import tempfile
    from pathlib import Path

    from pipelines.run.pipeline import run
    from pipelines.simulator.sample_data import busy_account
    from pipelines.simulator.server import InsightsServer
    from pipelines.twilio_insights.progress import Progress
    from tests.conftest import NOW, environment

    with InsightsServer(busy_account(NOW, days=1, per_day=50)) as server:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "warehouse.duckdb")
            os.environ |= environment(server) | {"DESTINATION__DUCKDB__CREDENTIALS": str(path)}
            run(Progress("run"))
            with duckdb.connect(path, read_only=True) as warehouse:
                PAGE.write_text(page(columns_of(warehouse)))
