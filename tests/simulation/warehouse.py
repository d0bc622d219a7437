"""What the file really holds, read with plain DuckDB and nothing of the program."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

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


@dataclass
class Stored:
    """The four tables of conferences and those of participants by SID, the watermarks by account
    (seconds since 1970) and the rows of `_runs`."""

    summaries: dict[str, Contents]
    people: dict[str, participants.Contents]
    doubled: list[str]
    orphans: set[str]
    watermarks: dict[str, int]
    runs: list[dict[str, Any]]


def read(path: Path) -> Stored:
    with duckdb.connect(path, read_only=True) as connection:
        listed = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        tables = {name for (name,) in listed}
        if "conference_summaries" not in tables:
            runs = _rows(connection, "_runs", "ORDER BY started_at") if "_runs" in tables else []
            return Stored({}, {}, [], set(), {}, runs)
        listed = _select(connection, "conference_summaries", ["conference_sid", *_ROOT])
        children: list[dict[str, list[Any]]] = []
        doubled = [sid for sid, n in Counter(sid for sid, *_ in listed).items() if n > 1]
        for table, columns in _CHILDREN.items():
            of_sid: dict[str, list[Any]] = defaultdict(list)
            for sid, *row in _select(connection, table, ["conference_sid", *columns]):
                of_sid[sid].append(row[0] if table == "conference_tags" else tuple(row))
            doubled += [sid for sid, rows in of_sid.items() if len(rows) != len(set(rows))]
            children.append(of_sid)
        summaries: dict[str, Contents] = {}
        for sid, *row in listed:
            if row[-1] is not None:
                row[-1] = canonical(json.loads(row[-1]))
            tags, info, issues = (frozenset(of_sid.get(sid, ())) for of_sid in children)
            summaries[sid] = (tuple(row), tags, info, issues)
        people, people_doubled, people_orphans = _people(connection, tables)
        return Stored(
            summaries,
            people,
            doubled + people_doubled,
            ({sid for of_sid in children for sid in of_sid} - summaries.keys()) | people_orphans,
            _watermarks(connection),
            _rows(connection, "_runs", "ORDER BY started_at"),
        )


_OF_PEOPLE = {
    "metrics": participants.METRICS,
    "events": ["event", "event_index", "epoch_ms(occurred_at)"],
    "coaching": ["coached_call_sid"],
}


def _people(
    connection: duckdb.DuckDBPyConnection, tables: set[str]
) -> tuple[dict[str, participants.Contents], list[str], set[str]]:
    """The participants, those that are there twice, and children that belong to none."""
    if "conference_participants" not in tables:
        return {}, [], set()
    columns = ["participant_sid", *participants.ROOT]
    listed = _select(connection, "conference_participants", columns)
    doubled = [sid for sid, n in Counter(sid for sid, *_ in listed).items() if n > 1]
    children: list[dict[str, list[Any]]] = []
    for name, of in _OF_PEOPLE.items():
        of_sid: dict[str, list[Any]] = defaultdict(list)
        table = f"conference_participant_{name}"
        for sid, *row in _select(connection, table, ["participant_sid", *of]):
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
)


def stale_copies(path: Path, turn: int) -> list[str]:
    """Tables of the published copy, if there is one, that are not what the views say.

    They take turns, a third of them each time.

    Raises:
        duckdb.Error: it cannot be read.
    """
    published = path.with_name("warehouse.published") / "current/insights.duckdb"
    if not published.exists():
        return []
    with duckdb.connect(published, read_only=True) as copied, duckdb.connect(path) as views:
        found = {
            name: Counter(copied.execute(f"FROM analytics.{name}").fetchall())
            for name in _PUBLISHED[turn % 3 :: 3]
        }
        made = views.execute("SELECT 1 FROM duckdb_views() WHERE schema_name = 'analytics'")
        if not made.fetchall():
            return [*found]  # a copy from before the first views was put back
        return [
            name
            for name, rows in found.items()
            if rows != Counter(views.execute(f"FROM analytics.{name}").fetchall())
        ]


def _select(connection: duckdb.DuckDBPyConnection, table: str, columns: list[str]) -> list[Any]:
    named = [
        f"strftime({name}, '%Y-%m-%d %H:%M:%S')" if name in TIMES else name for name in columns
    ]
    sql = f"SELECT {', '.join(named)} FROM conference_insights.{table}"
    return connection.execute(sql).fetchall()


def _rows(connection: duckdb.DuckDBPyConnection, table: str, rest: str) -> list[dict[str, Any]]:
    answer = connection.execute(f"FROM conference_insights.{table} {rest}")
    names = [name for name, *_ in answer.description]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def _watermarks(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    listed = connection.execute(
        "SELECT account_sid, max(epoch(listed_to))::BIGINT FROM conference_insights._watermarks "
        "GROUP BY account_sid"
    )
    return dict(listed.fetchall())
