"""What the four tables must hold for what the API shows, worked out independently."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from pipelines.warehouse.database import Database
from pipelines.warehouse.duckdb_database import DuckDb
from pipelines.warehouse.sql import quoted

_of_thread = threading.local()
TIMES = ("create_time", "start_time", "end_time")
COLUMNS = (
    "conference_sid, account_sid, friendly_name, status, end_reason, ended_by, mixer_region, "
    "mixer_region_requested, processing_state, url, duration_seconds, connect_duration_seconds, "
    "max_participants, max_concurrent_participants, unique_participants, recording_enabled, "
    "create_time, start_time, end_time, links, extra_fields"
)

Contents = dict[str, Counter[tuple[Any, ...]]]


def of_api(rows: list[dict[str, Any]]) -> Contents:
    """For well-formed summaries."""
    contents: Contents = {
        "conference_summaries": Counter(),
        "conference_tags": Counter(),
        "conference_tag_info": Counter(),
        "conference_detected_issues": Counter(),
    }
    for row in rows:
        sid = row["conference_sid"]
        contents["conference_summaries"][_root(row)] += 1
        for tag in row["tags"] or []:
            contents["conference_tags"][sid, tag] += 1
        for tag, info in (row["tag_info"] or {}).items():
            for index, item in enumerate(info if isinstance(info, list) else [info]):
                contents["conference_tag_info"][_info(sid, tag, index, item)] += 1
        for issue, count in (row["detected_issues"] or {}).items():
            contents["conference_detected_issues"][sid, issue, count] += 1
    return contents


def of_warehouse(path: Path) -> Contents:
    with reading(path) as connection:
        return of_database(DuckDb(connection))


@contextmanager
def reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to the file, of the one engine of this thread: to start another takes longer
    than most queries."""
    if not hasattr(_of_thread, "engine"):
        _of_thread.engine = duckdb.connect()
    connection: duckdb.DuckDBPyConnection = _of_thread.engine
    connection.execute(f"ATTACH {quoted(str(path))} AS file (READ_ONLY); USE file")
    try:
        yield connection
    finally:
        connection.execute("USE memory; DETACH file")


def of_database(database: Database, dataset: str = "conference_insights") -> Contents:
    columns = {
        "conference_summaries": COLUMNS,
        "conference_tags": "conference_sid, tag",
        "conference_tag_info": (
            "conference_sid, tag, item_index, severity, reason, participant_identity, details"
        ),
        "conference_detected_issues": "conference_sid, issue, issue_count",
    }
    return {
        table: Counter(database.execute(f"SELECT {names} FROM {dataset}.{table}"))
        for table, names in columns.items()
    }


def _root(row: dict[str, Any]) -> tuple[Any, ...]:
    moments = {
        name: row[name] and datetime.strptime(row[name], "%Y-%m-%dT%H:%M:%SZ") for name in TIMES
    }
    links = row["links"] and json.dumps(row["links"], separators=(",", ":"), sort_keys=True)
    whole = row | moments | {"links": links, "extra_fields": None}
    return tuple(whole[name] for name in COLUMNS.split(", "))


def _info(sid: str, tag: str, index: int, item: dict[str, Any]) -> tuple[Any, ...]:
    known = [item.get(name) for name in ("severity", "reason", "participant_identity")]
    rest = {
        name: value
        for name, value in item.items()
        if name not in ("severity", "reason", "participant_identity")
    }
    details = json.dumps(rest, separators=(",", ":"), sort_keys=True) if rest else None
    return sid, tag, index, *known, details
