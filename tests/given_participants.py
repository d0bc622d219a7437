"""Participants as rows of the warehouse, for tests of what is made from them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

from pipelines.simulator.account import ACCOUNT_SID
from tests.conftest import sid

RAW = "conference_insights."
ROOT = f"{RAW}conference_participants"
Row = dict[str, Any]


def participant(number: int, conference: int, **values: Any) -> Row:
    """One that is complete, with one good direction."""
    metrics = {"inbound": {"latency_avg": 20.0, "mos": 4.5}}
    return {
        "number": number,
        "conference": conference,
        "processing_state": "complete",
        "metrics": metrics,
    } | values


def put_participants(
    path: Path,
    participants: Iterable[Row] = (),
    listings: Iterable[Row] = (),
    load_id: str = "1",
) -> None:
    """Add them, as a load package would write them."""
    with duckdb.connect(path) as connection:

        def insert(table: str, **row: Any) -> None:
            row["_dlt_load_id"] = load_id
            marks = ", ".join(f"${name}" for name in row)
            connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", row)

        for given in participants:
            row = dict(given)
            number, conference = row.pop("number"), row.pop("conference")
            metrics, events = row.pop("metrics", {}), row.pop("events", {})
            key = f"CP{number:032x}"
            for coached in row.pop("coached", ()):
                coach = {"participant_sid": key, "coached_call_sid": f"CA{coached:032x}"}
                insert(f"{RAW}conference_participant_coaching", **coach)
            for direction, values in metrics.items():
                about = {"participant_sid": key, "direction": direction}
                insert(f"{RAW}conference_participant_metrics", **about, **values)
            for event, moments in events.items():
                for index, moment in enumerate(moments):
                    about = {"participant_sid": key, "event": event, "event_index": index}
                    insert(f"{RAW}conference_participant_events", **about, occurred_at=moment)
            sids = {"conference_sid": sid(conference), "call_sid": f"CA{number:032x}"}
            ours = {"account_sid": ACCOUNT_SID, "fetched_at": "2026-11-20", "row_digest": number}
            insert(ROOT, participant_sid=key, **sids, **ours, **row)
        always = {"parent_digest": 1, "listed_at": "2026-11-20", "unfinished": 0, "attempts": 0}
        for given in listings:
            row = {**always, **given}
            about = {"resource": "participants", "parent_key": sid(row.pop("conference"))}
            insert(f"{RAW}_listings", **about, **row)
