"""What the warehouse really holds, read with plain SQL that every engine takes."""

from __future__ import annotations

import io
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb

from pipelines.run.migrations import migrate_tables
from pipelines.run.post_load import DESCRIPTIONS
from pipelines.warehouse.database import ANALYTICS, DATASET, Database
from pipelines.warehouse.duckdb_database import DuckDb
from pipelines.warehouse.postgres.warehouse import PostgresWarehouse
from pipelines.warehouse.runs import prepare_runs
from pipelines.warehouse.views import apply_views
from tests.simulation import participants
from tests.simulation.account import NUMBERS, TEXTS, TIMES, Contents, canonical

_ROOT = [*TEXTS, *NUMBERS, "recording_enabled", *TIMES, "links", "extra_fields"]
_CHILDREN = {
    "conference_tags": ("tag",),
    "conference_tag_info": (
        *("tag", "item_index", "severity", "reason", "participant_identity", "details"),
    ),
    "conference_detected_issues": ("issue", "issue_count"),
}
KNOWN = 50_000
"""Values that are kept as the model has them: most are the same after the next run."""


@dataclass
class Stored:
    """The four tables of conferences and those of participants by SID, the watermarks by account
    (seconds since 1970) and the rows of `_runs` by the account of the credentials."""

    summaries: dict[str, Contents]
    people: dict[str, participants.Contents]
    doubled: list[str]
    orphans: set[str]
    watermarks: dict[str, int]
    runs: dict[str, list[dict[str, Any]]]


def read(database: Database) -> Stored:
    tables = {name.partition(".")[2] for name in database.columns(DATASET)}
    runs = defaultdict[str, list[dict[str, Any]]](list)
    if "_runs" in tables:
        for run in database.records(f"SELECT * FROM {DATASET}._runs ORDER BY started_at"):
            runs[run["account_sid"]].append(run)
    if "conference_summaries" not in tables:
        return Stored({}, {}, [], set(), {}, runs)
    listed = _select(database, "conference_summaries", ["conference_sid", *_ROOT])
    children: list[dict[str, list[Any]]] = []
    doubled = [sid for sid, n in Counter(sid for sid, *_ in listed).items() if n > 1]
    for table, columns in _CHILDREN.items():
        of_sid: dict[str, list[Any]] = defaultdict(list)
        for sid, *row in _select(database, table, ["conference_sid", *columns]):
            of_sid[sid].append(row[0] if table == "conference_tags" else tuple(row))
        doubled += [sid for sid, rows in of_sid.items() if len(rows) != len(set(rows))]
        children.append(of_sid)
    summaries: dict[str, Contents] = {}
    for sid, *row in listed:
        if row[-1] is not None:
            row[-1] = _canonical(row[-1])
        tags, info, issues = (frozenset(of_sid.get(sid, ())) for of_sid in children)
        summaries[sid] = (tuple(row), tags, info, issues)
    people, people_doubled, people_orphans = _people(database, tables)
    return Stored(
        summaries,
        people,
        doubled + people_doubled,
        ({sid for of_sid in children for sid in of_sid} - summaries.keys()) | people_orphans,
        _watermarks(database),
        runs,
    )


_OF_PEOPLE = {
    "metrics": participants.METRICS,
    "events": ["event", "event_index", "occurred_at"],
    "coaching": ["coached_call_sid"],
}


def _people(
    database: Database, tables: set[str]
) -> tuple[dict[str, participants.Contents], list[str], set[str]]:
    """The participants, those that are there twice, and children that belong to none."""
    if "conference_participants" not in tables:
        return {}, [], set()
    columns = ["participant_sid", *participants.ROOT]
    listed = _select(database, "conference_participants", columns)
    doubled = [sid for sid, n in Counter(sid for sid, *_ in listed).items() if n > 1]
    children: list[dict[str, list[Any]]] = []
    for name, of in _OF_PEOPLE.items():
        of_sid: dict[str, list[Any]] = defaultdict(list)
        table = f"conference_participant_{name}"
        for sid, *row in _select(database, table, ["participant_sid", *of]):
            of_sid[sid].append(row[0] if len(row) == 1 else tuple(row))
        doubled += [sid for sid, rows in of_sid.items() if len(rows) != len(set(rows))]
        children.append(of_sid)
    people: dict[str, participants.Contents] = {}
    for sid, *row in listed:
        metrics, events, coaching = (frozenset(of_sid.get(sid, ())) for of_sid in children)
        people[sid] = (tuple(row), metrics, events, coaching)
    return people, doubled, {sid for of_sid in children for sid in of_sid} - people.keys()


_PUBLISHED = (
    "conferences",
    "conference_tags",
    "conference_tag_details",
    "conference_detected_issues",
    "conference_health_card",
    "conference_volume",
    "completeness_by_day",
    "concurrency_by_hour",
)


def different_in_copy(copy: Path, house: Path, turn: int) -> list[str]:
    """Views that have other rows in a published copy than in the warehouse, of a third of them."""
    with duckdb.connect(house, read_only=True) as connection:
        if not DuckDb(connection).columns(ANALYTICS):
            return [*_PUBLISHED]  # a copy from before the first views was put back
        connection.execute(f"ATTACH '{copy}' AS copy (READ_ONLY)")
        # The views say what is right: some versions of DuckDB conclude too much from statistics.
        connection.execute("SET disabled_optimizers = 'statistics_propagation'")
        return [name for name in _PUBLISHED[turn % 3 :: 3] if _is_other(connection, name)]


def _is_other(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Rows that are as many, and none too many, are the same."""
    described = connection.execute(f"DESCRIBE copy.{ANALYTICS}.{name}").fetchall()
    rounded = [f"round({of}, 6) AS {of}" for of, kind, *_ in described if kind == "DOUBLE"]
    columns = "*" + (f" REPLACE ({', '.join(rounded)})" if rounded else "")
    found = connection.execute(
        f"WITH seen AS MATERIALIZED (SELECT {columns} FROM copy.{ANALYTICS}.{name}), "
        f"kept AS MATERIALIZED (SELECT {columns} FROM {ANALYTICS}.{name}) "
        "SELECT (SELECT count(*) FROM seen) <> (SELECT count(*) FROM kept) "
        "OR EXISTS (FROM seen EXCEPT ALL FROM kept)"
    )
    return bool(found.fetchall()[0][0])


def different(server: Database, house: Database, turn: int) -> list[str]:
    """Views that have other rows in a server than in DuckDB, of a third of them."""
    if not server.columns(ANALYTICS):
        return [*_PUBLISHED]
    return [name for name in _PUBLISHED[turn % 3 :: 3] if _view(server, name) != _view(house, name)]


def _view(database: Database, name: str) -> Counter[tuple[Any, ...]]:
    rows = database.execute(f"SELECT * FROM {ANALYTICS}.{name}")
    return Counter(tuple(map(_rounded, row)) for row in rows)


def _rounded(value: Any) -> Any:
    return round(float(value), 6) if isinstance(value, float | Decimal) else value


class Twin:
    """A DuckDB in memory with the tables of a server, and the views of its own for them."""

    def __init__(self) -> None:
        self.database = DuckDb(duckdb.connect())
        self.database.create_schema(DATASET)
        prepare_runs(self.database)
        migrate_tables(self.database)
        self._texts: dict[str, bytes] = {}
        """By table, its rows as the server wrote them last."""

    def fill(self, server: PostgresWarehouse, folder: Path) -> None:
        """Take over the tables that changed."""
        house, file = self.database, folder / "table.csv"
        columns = house.columns(DATASET)
        for table in (f"{DATASET}.{name}" for name in ("_runs", *DESCRIPTIONS)):
            names = ", ".join(columns[table])
            text = io.BytesIO()
            with server.connection.cursor() as cursor:
                rows = f"SELECT {names} FROM {table}"
                cursor.copy_expert(f"COPY ({rows}) TO STDOUT (FORMAT csv, NULL '\\N')", text)
            if text.getvalue() == self._texts.get(table):
                continue
            file.write_bytes(text.getvalue())
            house.execute(f"DELETE FROM {table}")
            house.execute(
                f"COPY {table} ({names}) FROM '{file}' (FORMAT csv, AUTO_DETECT false, "
                "HEADER false, PARALLEL false, DELIMITER ',', QUOTE '\"', ESCAPE '\"', "
                "NULLSTR '\\N', ALLOW_QUOTED_NULLS false)"
            )
            self._texts[table] = text.getvalue()
        apply_views(house, DESCRIPTIONS, "UTC")


def _select(database: Database, table: str, columns: list[str]) -> list[Any]:
    """Rows, with times as the model has them."""
    rows = database.execute(f"SELECT {', '.join(columns)} FROM {DATASET}.{table}")
    times = [at for at, name in enumerate(columns) if name in (*TIMES, "occurred_at")]
    found = [list(row) for row in rows]
    for row in found if times else ():
        for at in times:
            row[at] = _as_told(columns[at], row[at])
    return found


@lru_cache(KNOWN)
def _canonical(text: str) -> str:
    return canonical(json.loads(text))


@lru_cache(KNOWN)
def _as_told(name: str, moment: datetime | None) -> int | str | None:
    if name == "occurred_at" and moment:
        return round(moment.replace(tzinfo=UTC).timestamp() * 1000)
    return moment.strftime("%Y-%m-%d %H:%M:%S") if moment else None


def _watermarks(database: Database) -> dict[str, int]:
    listed: dict[str, datetime] = dict(
        database.execute(
            f"SELECT account_sid, max(listed_to) FROM {DATASET}._watermarks GROUP BY account_sid"
        )
    )
    return {sid: int(moment.replace(tzinfo=UTC).timestamp()) for sid, moment in listed.items()}
