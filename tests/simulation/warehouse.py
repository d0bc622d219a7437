"""What the warehouse really holds, read with plain SQL that every engine takes."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from pipelines.run.migrations import migrate_tables
from pipelines.run.post_load import DESCRIPTIONS
from pipelines.warehouse.database import ANALYTICS, DATASET, Database
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
            row[-1] = canonical(json.loads(row[-1]))
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
)


def different(seen: Database, house: Database, turn: int) -> list[str]:
    """Views that have other rows in one than in the other, of a third of them."""
    if not house.columns(ANALYTICS):
        return [*_PUBLISHED]  # a copy from before the first views was put back
    return [name for name in _PUBLISHED[turn % 3 :: 3] if _view(seen, name) != _view(house, name)]


def _view(database: Database, name: str) -> Counter[tuple[Any, ...]]:
    rows = database.execute(f"SELECT * FROM {ANALYTICS}.{name}")
    return Counter(tuple(map(_rounded, row)) for row in rows)


def _rounded(value: Any) -> Any:
    return round(float(value), 6) if isinstance(value, float | Decimal) else value


def fill(house: Database, database: Database) -> None:
    """Give DuckDB the rows that another engine has, and its own views, unless it has them."""
    house.create_schema(DATASET)
    prepare_runs(house)
    migrate_tables(house)
    columns = house.columns(DATASET)
    for table in (f"{DATASET}.{name}" for name in ("_runs", *DESCRIPTIONS)):
        house.execute(f"DELETE FROM {table}")
        if rows := database.records(f"SELECT {', '.join(columns[table])} FROM {table}"):
            house.append(table, pa.Table.from_pylist(rows))
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
