"""Warehouses that publish into a lake, and the lake as DuckDB sees it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import deltalake
import duckdb
import pytest

from pipelines.lake_spark import Lake, read
from pipelines.warehouse.lake.publishing import publish_lake
from pipelines.warehouse.lake.store import LakeSettings, Store
from pipelines.warehouse.views import read_views

KEEP = timedelta(days=7)
OTHER = "AC" + "f" * 32
SECRET = "Caller-4711"
"""In all personal columns that the tests fill."""
DATASET = "conference_insights"
Rows = dict[str, Counter[Any]]


class Publisher:
    """A warehouse file that publishes into a lake."""

    def __init__(self, path: Path, lake: Path | str) -> None:
        self.path, self.lake = path, str(lake)

    def publish(self, personal_data: bool = True, keep: timedelta = KEEP, **how: bool) -> None:
        with duckdb.connect(self.path, config={"preserve_insertion_order": False}) as connection:
            settings = LakeSettings(self.lake, keep)
            publish_lake(connection, self.path, settings, personal_data, "", **how)

    def execute(self, *statements: str) -> None:
        with duckdb.connect(self.path) as connection:
            connection.execute(f"SET schema = '{DATASET}'")
            for statement in statements:
                connection.execute(statement)

    def load(self, load_id: str, *statements: str) -> None:
        """Change something as a load package does; `$load_id` is its id."""
        new = f"INSERT INTO _dlt_loads SELECT '{load_id}', schema_name, status, inserted_at, "
        self.execute(
            f"{new} schema_version_hash FROM _dlt_loads LIMIT 1",
            *(statement.replace("$load_id", f"'{load_id}'") for statement in statements),
        )

    def rows(self, *names: str) -> Rows:
        """By table or view, its rows in the warehouse."""
        with duckdb.connect(self.path, read_only=True) as connection:
            return {name: rows_of(connection, name) for name in names}


def other(known: Path, path: Path, lake: Path | str, account: str, name: str) -> Publisher:
    """A warehouse with the same conferences, but of an account of its own."""
    path.parent.mkdir(exist_ok=True)
    shutil.copy(known, path)
    publisher = Publisher(path, lake)
    sids = [
        f"UPDATE {table} SET {column} = replace({column}, 'C', '{name}') WHERE {column} LIKE 'C%'"
        for table, columns in {
            "conference_summaries": ["conference_sid"],
            "conference_tags": ["conference_sid"],
            "conference_tag_info": ["conference_sid"],
            "conference_detected_issues": ["conference_sid"],
            "conference_participants": ["conference_sid", "participant_sid"],
            "conference_participant_metrics": ["participant_sid"],
            "conference_participant_events": ["participant_sid"],
            "conference_participant_coaching": ["participant_sid"],
            "_listings": ["parent_key"],
        }.items()
        for column in columns
    ]
    publisher.execute(
        *sids,
        f"UPDATE _runs SET run_id = '{name}' || run_id",
        *(
            f"UPDATE {table} SET account_sid = '{account}' WHERE account_sid IS NOT NULL"
            for table in ("accounts", "_runs", "conference_summaries", "conference_participants")
        ),
    )
    return publisher


def in_duckdb(lake: Path | str, *tables: str) -> duckdb.DuckDBPyConnection:
    """The committed state, with all views or only some tables."""
    return state_in_duckdb(read(str(lake)), *tables)


def state_in_duckdb(state: Lake, *tables: str) -> duckdb.DuckDBPyConnection:
    """The same of a state that was read."""
    connection = duckdb.connect()
    connection.execute(f"CREATE SCHEMA {DATASET}; CREATE SCHEMA analytics")
    for table in tables or state.tables:
        connection.register("arrow", state.dataset(table))
        connection.execute(f"CREATE TABLE {DATASET}.{table} AS FROM arrow")
        connection.unregister("arrow")
    for view in () if tables else read_views():
        connection.execute(f"CREATE VIEW analytics.{view.name} AS {view.select}")
    return connection


def rows_in_lake(lake: Path | str, *names: str) -> Rows:
    tables = [name.removeprefix(f"{DATASET}.") for name in names]
    tables = [] if any("." in table for table in tables) else tables
    with in_duckdb(lake, *tables) as connection:
        return {name: rows_of(connection, name) for name in names}


def rows_of(connection: duckdb.DuckDBPyConnection, name: str) -> Counter[Any]:
    """Without what a lake adds or leaves out, and doubles to twelve digits."""
    found = connection.execute(f"FROM {name}")
    names = [column for column, *_ in found.description]
    added = {"warehouse", "created_month", "_tombstone"}
    if "conference_summaries" not in name and "participants" not in name and DATASET in name:
        added |= {"account_sid"} if name not in WITH_ACCOUNT else set()
    keep = sorted((column, at) for at, column in enumerate(names) if column not in added)
    return Counter(
        tuple(f"{row[at]:.12g}" if isinstance(row[at], float) else row[at] for _, at in keep)
        for row in found.fetchall()
    )


WITH_ACCOUNT = (f"{DATASET}.accounts", f"{DATASET}._runs")
TABLES = (
    "conference_summaries",
    "conference_tags",
    "conference_tag_info",
    "conference_detected_issues",
    "conference_participants",
    "conference_participant_metrics",
    "conference_participant_events",
    "conference_participant_coaching",
    "accounts",
    "_checks",
    "_listings",
    "_report",
    "_report_hours",
    "_runs",
)
LOADED = tuple(f"{DATASET}.{table}" for table in TABLES)
CONFERENCES = LOADED[:8]
VIEWS = tuple(f"analytics.{view.name}" for view in read_views())


def assert_exact(*publishers: Publisher, views: bool = False) -> None:
    """The lake has the rows of all of them. So have views, which are the same SQL of these tables;
    that the tables are all that they need is seen with `views`."""
    names = (LOADED if len(publishers) == 1 else CONFERENCES) + (VIEWS if views else ())
    found = rows_in_lake(publishers[0].lake, *names)
    expected = [publisher.rows(*names) for publisher in publishers]
    for name in names:
        whole = expected[0][name]
        for rows in expected[1:]:
            whole = whole + rows[name]
        assert found[name] == whole, name


def files(publisher: Publisher) -> dict[str, set[str]]:
    """By folder, the committed files."""
    found: dict[str, set[str]] = {}
    state = read(publisher.lake)
    for table in state.tables:
        for file in state.files(table):
            path = Path(file).relative_to(publisher.lake)
            found.setdefault(str(path.parent), set()).add(path.name)
    return found


def written(before: dict[str, set[str]], after: dict[str, set[str]]) -> list[str]:
    parts = (part for part in {*before, *after} if before.get(part) != after.get(part))
    return sorted("/".join(f.partition("=")[2] or f for f in part.split("/")) for part in parts)


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


class Steps:
    """Counts what is written, and kills before one of the writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.fatal = 0, -1
        table = deltalake.DeltaTable
        for owner, name in ((deltalake, "write_deltalake"), (table, "create"), (Store, "delete")):
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            if self.count == self.fatal:
                raise Killed
            return write(*arguments, **named)

        return step


def killed(*_: Any) -> None:
    raise Killed
