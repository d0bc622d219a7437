"""Participants as rows of the warehouse, for tests of what is made from them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import duckdb

from pipelines.simulator.account import ACCOUNT_SID
from tests.conftest import NOW, sid

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


PERSONAL = ("Ann's phone", "+15005550006", "client:ann")
JOINED = datetime(2026, 11, 18, 14, 31)
GOOD = {
    "packet_loss_percentage": 1.0,
    "jitter_avg": 2.0,
    "jitter_max": 40.0,
    "latency_avg": 60.0,
    "mos": 4.4,
}
Metrics = dict[str, dict[str, float]]


class People:
    """Writes any number of equal participants at once, with their listings."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection, self._next = connection, 1

    def put(
        self, number: int, conference: int, metrics: Metrics | None = None, **values: Any
    ) -> None:
        participant = {
            "conference_sid": sid(conference),
            "account_sid": ACCOUNT_SID,
            **dict(zip(("label", "calling_party", "called_party"), PERSONAL, strict=True)),
            "call_direction": "inbound",
            "call_type": "carrier",
            "country_code": "US",
            "participant_region": "us1",
            "join_time": JOINED,
            "duration_seconds": 60,
            "processing_state": "complete",
            "fetched_at": NOW.replace(tzinfo=None),
            "row_digest": 1,
        }
        self._list(conference)
        self._insert("conference_participants", number, participant | values)
        directions = {"inbound": GOOD, "outbound": GOOD} if metrics is None else metrics
        for direction, measures in directions.items():
            row = {"direction": direction, "is_silent": False} | measures
            self._insert("conference_participant_metrics", number, row)
        self._next += number

    def _list(self, conference: int) -> None:
        self._connection.execute(
            "INSERT INTO conference_insights._listings (resource, parent_key, parent_digest, "
            "listed_at, unfinished, attempts, _dlt_load_id) "
            "SELECT 'participants', conference_sid, row_digest, fetched_at, 0, 0, _dlt_load_id "
            "FROM conference_insights.conference_summaries WHERE conference_sid = $1 "
            "AND NOT EXISTS (FROM conference_insights._listings WHERE parent_key = $1)",
            [sid(conference)],
        )

    def _insert(self, table: str, number: int, row: dict[str, Any]) -> None:
        row = row | {"_dlt_load_id": "1"}
        columns, marks = ", ".join(row), ", ".join(f"${name}" for name in row)
        self._connection.execute(
            f"INSERT INTO conference_insights.{table} (participant_sid, {columns}) "
            f"SELECT format('CP{{:032x}}', n), {marks} FROM range($first, $end) AS numbers(n)",
            row | {"first": self._next, "end": self._next + number},
        )


def bad(**measures: float) -> Metrics:
    """Of these measures in one direction, without the other."""
    return {"outbound": GOOD | measures}
