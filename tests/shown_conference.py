"""A conference with three participants and some without, in a copy, and what `show` says of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.run.post_load import publish_now
from pipelines.simulator.account import ACCOUNT_SID, Account
from tests.conftest import NOW, Loaded, loaded_once, sid, summary

HOUR = timedelta(hours=1)
CREATED = NOW - HOUR  # 13:30
ALICE, BOB, CARLA = (f"CP{number:032x}" for number in range(1, 4))
CALLS = {one: one.replace("CP", "CA") for one in (ALICE, BOB, CARLA)}
RED = "\x1b[31m"
WAREHOUSE = "DESTINATION__DUCKDB__CREDENTIALS"


def at(minutes: float) -> datetime:
    """So long after the creation, as stored."""
    return (CREATED + timedelta(minutes=minutes)).replace(tzinfo=None)


def insert(connection: duckdb.DuckDBPyConnection, table: str, **values: Any) -> None:
    """A row, with what must not be NULL."""
    values["_dlt_load_id"] = "1"
    if table == "conference_participants":
        values |= {"fetched_at": at(60), "row_digest": 1}
    marks = ", ".join(f"${name}" for name in values)
    connection.execute(
        f"INSERT INTO conference_insights.{table} ({', '.join(values)}) VALUES ({marks})", values
    )


def put_participants(connection: duckdb.DuckDBPyConnection) -> None:
    """Alice has a bad line, Bob coaches her from afar, and Carla was never measured."""
    people: dict[str, dict[str, Any]] = {
        ALICE: {
            "label": f"Alice{RED}",
            "calling_party": "+14155550100",
            "called_party": "+4930123456",
            "call_direction": "inbound",
            "call_type": "carrier",
            "call_status": "completed",
            "country_code": "US",
            "participant_region": "us1",
            "is_moderator": True,
            "is_coach": False,
            "join_time": at(1),
            "leave_time": at(10),
            "duration_seconds": 540,
            "processing_state": "complete",
        },
        BOB: {
            "call_direction": "outbound",
            "call_type": "client",
            "call_status": "completed",
            "participant_region": "ie1",
            "is_moderator": False,
            "is_coach": True,
            "join_time": at(2),
            "leave_time": at(9),
            "duration_seconds": 420,
            "processing_state": "complete",
        },
        CARLA: {"processing_state": "in_progress"},
    }
    for one, values in people.items():
        insert(
            connection,
            "conference_participants",
            participant_sid=one,
            conference_sid=sid(1),
            call_sid=CALLS[one],
            **values,
        )
    bad = {
        "total_packets_lost": 60,
        "total_packets_received": 940,
        "packet_loss_percentage": 6.0,
        "jitter_avg": 12.345,
        "jitter_max": 45.0,
        "latency_avg": 149.9,
        "latency_max": 1200.0,
        "mos": 3.5,
        "is_silent": False,
    }
    good = {
        "packet_loss_percentage": 0.0,
        "jitter_avg": 30.0,
        "jitter_max": 19.9,
        "latency_avg": 40.0,
        "latency_max": 60.0,
        "mos": 4.41,
        "is_silent": False,
    }
    for one, direction, values in (
        (ALICE, "inbound", bad),
        (ALICE, "outbound", good),
        (BOB, "inbound", {"latency_avg": 150.0, "is_silent": True}),
        (BOB, "outbound", dict.fromkeys(good)),
    ):
        table = "conference_participant_metrics"
        insert(connection, table, participant_sid=one, direction=direction, **values)
    for one, event, index, minutes in (
        (ALICE, "mute", 0, 3),
        (ALICE, "mute", 1, 7.5),
        (ALICE, "un_mute", 0, 4),
        (BOB, "coaching", 0, 2.5),
    ):
        table = "conference_participant_events"
        named = {"event": event, "event_index": index, "occurred_at": at(minutes)}
        insert(connection, table, participant_sid=one, **named)
    table = "conference_participant_coaching"
    insert(connection, table, participant_sid=BOB, coached_call_sid=CALLS[ALICE])


def list_participants(connection: duckdb.DuckDBPyConnection, answers: dict[int, int]) -> None:
    """Say that those of these conferences were asked for, and what the answer was."""
    for number, status in answers.items():
        insert(
            connection,
            "_listings",
            resource="participants",
            parent_key=sid(number),
            parent_digest=1,
            listed_at=at(60),
            unfinished=0,
            attempts=int(status == 404),
            last_status=status,
        )


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Iterator[Loaded]:
    """A conference with three participants and some without, for tests that only read."""
    account = Account(NOW)
    account.put(
        summary(
            1,
            HOUR,
            friendly_name=f"Weekly{RED} call\n",
            start_time="2026-11-20T13:31:00Z",
            end_reason="participant_with_end_conference_on_exit_left",
            ended_by=CALLS[ALICE],
            mixer_region="us1",
            mixer_region_requested="ie1",
            recording_enabled=True,
            unique_participants=3,
            max_concurrent_participants=2,
            tags=["high_jitter", "duplicate_identity", "start_failure"],
            tag_info={
                "high_jitter": {"severity": "high"},
                "start_failure": {"reason": "no_concurrent_participants"},
                "duplicate_identity": [
                    {"participant_identity": "client:alice", "participant_sids": [ALICE, BOB]}
                ],
            },
            detected_issues={"call_quality": 2, "participant_behavior": 0, "other_thing": 1},
        )
    )
    account.put(summary(2, 2 * HOUR))
    account.put(summary(3, 3 * HOUR, "in_progress"))
    account.put(summary(4, timedelta(days=29)))
    account.put(summary(5, 5 * HOUR))
    with loaded_once(account, tmp_path_factory.mktemp("known"), empty_warehouse) as loaded:
        loaded.load()
        loaded.account.now += timedelta(days=2)
        loaded.account.put(summary(6, timedelta(hours=-47)))
        loaded.load()
        with duckdb.connect(loaded.path) as connection:
            put_participants(connection)
            list_participants(connection, {1: 200, 2: 200, 6: 404})
        publish_now()
        yield loaded


@pytest.fixture
def copied(known: Loaded, loaded: Loaded) -> Loaded:
    """The same in the test's own folder, with its copies."""
    shutil.copytree(known.path.parent, loaded.path.parent, symlinks=True, dirs_exist_ok=True)
    return loaded


def copy_of(loaded: Loaded) -> Path:
    return (loaded.path.with_name("warehouse.published") / "current/insights.duckdb").resolve()


def change(copy: Path, *statements: str) -> None:
    """Let the copy be what others made of it."""
    copy.chmod(0o644)
    with duckdb.connect(copy) as connection:
        for statement in statements:
            connection.execute(statement)


LINES = f"""\
Conference     {sid(1)}
Name           Weekly\\x1b[31m call\\n
Account        {ACCOUNT_SID}
Created        2026-11-20 13:30:00
Started        2026-11-20 13:31:00
Ended          2026-11-20 13:40:00
Length         10 min
Status         completed
Summary        final (processing state complete)
End            participant with end conference on exit left, {CALLS[ALICE]}, participant 1
Region         us1, ie1 requested
Size           3 unique, 2 at once, 250 allowed
Recording      enabled
Tag            duplicate identity: client:alice, participant_sids:{ALICE}, {BOB}
Tag            high jitter: severity high
Tag            start failure: no concurrent participants
Issues         2 call quality, 1 other
Coaches        participant 2 coached 1 call
Participants   3, 2 of them poor, 1 of them not final
Data until     2026-11-22 14:30:00; all times are UTC
Participant    1 | {ALICE} | join 2026-11-20 13:31:00 | leave 2026-11-20 13:40:00 | 9.0 min | \
carrier inbound | US us1 | {CALLS[ALICE]} | Alice\\x1b[31m | \
+14155550100 to +4930123456 | moderator | high jitter, high loss, low MOS
Media          1 | {ALICE} | inbound | loss 6 % ! | jitter 12.35/45 ms ! | \
latency 149.9/1,200 ms | MOS 3.5 !
Media          1 | {ALICE} | outbound | loss 0 % | jitter 30/19.9 ms | latency 40/60 ms | MOS 4.41
Participant    2 | {BOB} | join 2026-11-20 13:32:00 | leave 2026-11-20 13:39:00 | 7.0 min | \
client outbound | ie1 | {CALLS[BOB]} | coach | high latency, silent
Media          2 | {BOB} | inbound | latency 150/- ms ! | silent
Participant    3 | {CARLA} | join - | leave - | {CALLS[CARLA]}
Event          2026-11-20 13:30:00 | conference | created
Event          2026-11-20 13:31:00 | conference | started
Event          2026-11-20 13:31:00 | 1 | {ALICE} | joined
Event          2026-11-20 13:32:00 | 2 | {BOB} | joined
Event          2026-11-20 13:32:30 | 2 | {BOB} | coaching
Event          2026-11-20 13:33:00 | 1 | {ALICE} | mute
Event          2026-11-20 13:34:00 | 1 | {ALICE} | un mute
Event          2026-11-20 13:37:30 | 1 | {ALICE} | mute
Event          2026-11-20 13:39:00 | 2 | {BOB} | left
Event          2026-11-20 13:40:00 | 1 | {ALICE} | left
Event          2026-11-20 13:40:00 | conference | ended
"""
