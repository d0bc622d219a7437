"""The analytics views: one SELECT a file, named like the file, applied when a text has changed."""

from __future__ import annotations

import re
import tomllib
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from graphlib import TopologicalSorter
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pipelines.exit_codes import DISK
from pipelines.warehouse import checks, report_hours
from pipelines.warehouse.database import ANALYTICS, DATASET, Database, StatementError
from pipelines.warehouse.definitions import expand
from pipelines.warehouse.error_texts import LINE_OF_ERROR, OF_OTHERS
from pipelines.warehouse.report_hours import read_hours, write_report_hours
from pipelines.warehouse.sql import quoted, sql_files, sql_folder

STAGING = "stg_"
"""Prefix of the views that only other views read."""
MADE_WITH_VIEWS = {
    "_checks": checks.COLUMNS,
    "_report": {"report_timezone": "VARCHAR", "sql_digest": "VARCHAR"},
    "_report_hours": report_hours.COLUMNS,
}
"""Columns of the tables that are made together with the views."""
RETIRED = ("conference_tag_trends",)
"""Views of earlier versions that are dropped."""


class ViewError(Exception):
    """A view of the project does not run on this warehouse."""

    exit_code = DISK


class Description(NamedTuple):
    """What a table is, and what its columns mean."""

    table: str
    columns: Mapping[str, str]


class Comment(NamedTuple):
    """What is said of a table or view, by its name with the schema, and of its columns."""

    of: str
    kind: str
    about: str
    columns: dict[str, str]


@dataclass(frozen=True)
class View:
    """One file of `sql/analytics`: comments that describe it, then one SELECT."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def head(self) -> str:
        lines = self.text.splitlines(keepends=True)
        return "".join(takewhile(lambda line: line.startswith("--"), lines))

    @property
    def select(self) -> str:
        return self.text.removeprefix(self.head)

    @cached_property
    def uses(self) -> set[str]:
        return set(re.findall(rf"\b{ANALYTICS}\.(\w+)", self.select))

    @property
    def is_staging(self) -> bool:
        return self.name.startswith(STAGING)

    @cached_property
    def header(self) -> dict[str, list[str]]:
        """The text of each topic, `Grain` to `Ask`, which may come more than once; the first
        sentence is the topic ``."""
        topics: dict[str, list[str]] = {"": []}
        topic = ""
        for line in self.head.splitlines():
            words = line[3:]
            if named := re.match(r"([A-Z]\w+): (.*)", words):
                topic, words = named[1], named[2]
                topics.setdefault(topic, []).append(words)
            elif topics[topic]:
                topics[topic][-1] += "\n" + words.removeprefix("  ")
            else:
                topics[topic].append(words)
        return topics

    @property
    def comment(self) -> str:
        topics = {name: texts for name, texts in self.header.items() if name != "Ask"}
        parts = (f"{name}: {texts[0]}" if name else texts[0] for name, texts in topics.items())
        return re.sub(r"\s+", " ", " ".join(parts))


@cache
def read_views() -> tuple[View, ...]:
    """All views, each after those it uses."""
    views = {file.stem: View(file, text) for file, text in sql_files(ANALYTICS)}
    order = TopologicalSorter(
        {name: sorted(views[name].uses & views.keys()) for name in sorted(views)}
    )
    return tuple(views[name] for name in order.static_order())


def read_columns() -> dict[str, dict[str, Any]]:
    """The columns of `sql/columns.toml`: their descriptions, and which are personal."""
    sections = tomllib.loads(expand((sql_folder() / "columns.toml").read_text("utf-8"), "\n"))
    return {
        name: {"description": column} if isinstance(column, str) else column
        for section in sections.values()
        for name, column in section.items()
    }


def apply_views(
    database: Database,
    tables: Mapping[str, Description],
    timezone: str,
    rebuild: bool = False,
) -> str:
    """Bring views, comments and the hours of the time zone up to date, in one transaction.

    Nothing is done if no text and no setting has changed since, and no view is missing.

    Args:
        tables: describes the tables that are loaded.
        timezone: IANA name of the zone that days and hours are in.
        rebuild: do it in any case; somebody may have changed a view by hand.

    Returns:
        A digest of all that they are made of.

    Raises:
        ViewError: a view does not run; all are as before.
    """
    views = read_views()
    ((fetched, created),) = database.execute(
        f"SELECT max(fetched_at), max(create_time) FROM {DATASET}.conference_summaries"
    )
    year = fetched.year if fetched else 2026
    if created:
        year = min(year, created.year + 1)
    year = max(2020, min(year, 2100))  # a wrong clock may have set either
    texts = [*(view.text for view in views), repr(read_columns()), repr(tables)]
    zone = ZoneInfo(timezone)
    texts += [timezone, *map(repr, read_hours(zone, year))]
    digest = sha256("\0".join(texts).encode()).hexdigest()[:16]
    if not rebuild and _applied(database, views) == digest:
        return digest
    with database.transaction():
        database.create_schema(ANALYTICS)
        for name in RETIRED:
            database.execute(f"DROP VIEW IF EXISTS {ANALYTICS}.{name}")
        for name, columns in MADE_WITH_VIEWS.items():
            database.create_table(f"{DATASET}.{name}", columns)
        write_report_hours(database, zone, year)
        database.execute(f"DELETE FROM {DATASET}._report")
        database.execute(f"INSERT INTO {DATASET}._report VALUES (?, ?)", [timezone, digest])
        for view in views:
            _create(database, view)
        _comment(database, views, tables)
    return digest


def _applied(database: Database, views: Sequence[View]) -> str | None:
    needed = {f"{ANALYTICS}.{view.name}" for view in views}
    needed |= {f"{DATASET}.{name}" for name in MADE_WITH_VIEWS}
    if not needed <= database.columns(ANALYTICS, DATASET).keys():
        return None
    digests = database.execute(f"SELECT sql_digest FROM {DATASET}._report")
    return str(digests[0][0]) if digests else None


def _create(database: Database, view: View) -> None:
    try:
        # The head as empty lines, so that DuckDB's line is that of the file.
        empty = "\n" * view.head.count("\n")
        database.replace_view(f"{ANALYTICS}.{view.name}", f"{empty}{view.select}")
    except StatementError as error:
        line = LINE_OF_ERROR.search(str(error))
        where = f"{view.path}, line {line[1] if line else 1}"
        what = str(error).splitlines()[0]
        next_step = "; rename what is not of conference-insights" if OF_OTHERS.search(what) else ""
        raise ViewError(f"{where}: {what}{next_step}") from None


def _comment(database: Database, views: Sequence[View], tables: Mapping[str, Description]) -> None:
    """Comments on all tables, views and columns of the two schemas, as BI tools show them."""
    columns = database.columns(DATASET, ANALYTICS)
    for of, kind, about, meanings in comments(columns, views, tables):
        statements = [f"COMMENT ON {kind} {of} IS {quoted(about)}"]
        statements += [
            f'COMMENT ON COLUMN {of}."{name}" IS {quoted(meaning)}'
            for name, meaning in meanings.items()
        ]
        database.execute(";".join(statements))


def comments(
    names: Mapping[str, list[str]], views: Sequence[View], tables: Mapping[str, Description]
) -> Iterator[Comment]:
    """What is said of tables and views, and of their columns.

    Args:
        names: of the columns of each table and view that is there.
        views: each after those it uses.
        tables: describes the tables that are loaded.
    """
    derived = {name: column["description"] for name, column in read_columns().items()}
    known = dict[str, dict[str, str]]()

    def own(name: str) -> dict[str, str]:
        """What stands with this table or view alone."""
        alone = f"{name}."
        return {n.removeprefix(alone): text for n, text in derived.items() if n.startswith(alone)}

    def comment(of: str, kind: str, about: str, *meanings: Mapping[str, str]) -> Iterator[Comment]:
        """Of a table or view and its columns; the first of `meanings` with one counts."""
        if of not in names:
            return
        first = ChainMap(*map(dict, meanings))
        known[of] = {name: first[name] for name in names[of] if name in first}
        yield Comment(of, kind, about, known[of])

    for name, table in tables.items():
        yield from comment(f"{DATASET}.{name}", "TABLE", table.table, table.columns)
    for name, about in OUR_TABLES.items():
        yield from comment(f"{DATASET}.{name}", "TABLE", about, own(name), derived)
    for view in views:
        read = re.findall(rf"\b(?:{DATASET}|{ANALYTICS})\.\w+", view.select)
        sources = (known[name] for name in read if name in known)
        of = f"{ANALYTICS}.{view.name}"
        yield from comment(of, "VIEW", view.comment, own(view.name), *sources, derived)


OUR_TABLES = {
    "_runs": "One row per run.",
    "_checks": "One row per check, with its last result.",
    "_report": "One row: what the views were made of.",
    "_report_hours": "One row per UTC hour, with its hour in the report's time zone.",
}
