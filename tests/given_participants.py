"""Participants as rows of the warehouse, for tests of what is made from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import duckdb

from pipelines.simulator.account import ACCOUNT_SID
from tests.conftest import sid

RAW = "conference_insights."
ROOT = f"{RAW}conference_participants"
CHILDREN = [f"{RAW}conference_participant_{kind}" for kind in ("metrics", "events", "coaching")]
Row = dict[str, Any]


def participant(number: int, conference: int | str, **values: Any) -> Row:
    """One that is complete, with one good direction; a conference by its number or SID."""
    metrics = {"inbound": {"latency_avg": 20.0, "mos": 4.5}}
    row = {"number": number, "conference": conference, "processing_state": "complete"}
    return row | {"metrics": metrics} | values


def put_participants(
    connection: duckdb.DuckDBPyConnection,
    participants: Iterable[Row] = (),
    listings: Iterable[Row] = (),
    load_id: str = "1",
) -> None:
    """Write them in place of those that were there, as a load package would."""

    def insert(table: str, **row: Any) -> None:
        row["_dlt_load_id"] = load_id
        marks = ", ".join(f"${name}" for name in row)
        connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", row)

    connection.execute("BEGIN")
    for given in participants:
        row = dict(given)
        number = row.pop("number")
        key = {"participant_sid": f"CP{number:032x}"}
        metrics, events = row.pop("metrics", {}), row.pop("events", {})
        for table in (ROOT, *CHILDREN):
            connection.execute(f"DELETE FROM {table} WHERE participant_sid = $participant_sid", key)
        for direction, values in metrics.items():
            insert(CHILDREN[0], **key, direction=direction, **values)
        for event, moments in events.items():
            for index, moment in enumerate(moments):
                insert(CHILDREN[1], **key, event=event, event_index=index, occurred_at=moment)
        for coached in row.pop("coached", ()):
            insert(CHILDREN[2], **key, coached_call_sid=f"CA{coached:032x}")
        sids = {"conference_sid": _sid(row.pop("conference")), "call_sid": f"CA{number:032x}"}
        ours = {"account_sid": ACCOUNT_SID, "fetched_at": "2026-11-20", "row_digest": number}
        insert(ROOT, **key, **sids, **ours, **row)
    always = {"parent_digest": 1, "listed_at": "2026-11-20", "unfinished": 0, "attempts": 0}
    for given in listings:
        row = {**always, **given}
        key = {"parent_key": _sid(row.pop("conference"))}
        connection.execute(f"DELETE FROM {RAW}_listings WHERE parent_key = $parent_key", key)
        insert(f"{RAW}_listings", resource="participants", **key, **row)
    connection.execute("COMMIT")


def _sid(conference: int | str) -> str:
    return sid(conference) if isinstance(conference, int) else conference
