"""Participants in a warehouse, as a load leaves them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import duckdb

from pipelines.simulator.account import ACCOUNT_SID
from tests.conftest import NOW, sid

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
    """Writes participants into the warehouse as a load leaves them."""

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
