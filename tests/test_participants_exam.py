"""Thirty conferences with hand-made participants: every table and view of them, worked out here.

The expectation is plain Python on what the API shows. It uses no SQL and nothing of the program.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.simulator.account import ACCOUNT_SID, Account, Row
from pipelines.simulator.participants import participant_row
from tests.conftest import NOW, Loaded, loaded_once, sid, summary

HOUR = timedelta(hours=1)
LATER = 10 * HOUR
"""Between the two runs; one conference becomes older than what Twilio keeps meanwhile."""
ZONE, OFFSET = "Asia/Kolkata", timedelta(hours=5, minutes=30)
PENDING, OLD, LATE = 7, 11, 13
"""Conferences: one is not final; one is too old after the second run, and one of its participants
never final; the participants of one are final only then."""
OURS = {"fetched_at", "row_digest", "_dlt_load_id", "_tombstone"}
JSON = ("properties", "extra_fields", "tags", "details")
DIRECTIONS = ("inbound", "outbound")
PROPERTIES = (
    *("start_conference_on_enter", "end_conference_on_exit", "play_early_media", "early_media"),
    *("enter_muted", "beep_on_enter", "beep_on_exit"),
)
PLAIN = (
    *("participant_sid", "conference_sid", "account_sid", "call_sid", "label", "call_direction"),
    *("call_type", "call_status", "country_code", "participant_region", "conference_region"),
    *("is_moderator", "is_coach", "duration_seconds", "outbound_queue_length"),
    *("outbound_time_in_queue", "jitter_buffer_size", "processing_state", "url"),
)
MEASURES = {
    "packets_lost": ("total_packets_lost",),
    "packets_received": ("total_packets_received",),
    "packet_loss_percentage": ("packet_loss_percentage",),
    "jitter_avg": ("jitter", "avg"),
    "jitter_max": ("jitter", "max"),
    "latency_avg": ("latency", "avg"),
    "latency_max": ("latency", "max"),
    "mos": ("mos",),
}
QUALITY = (*list(MEASURES)[2:],)
GRAIN = (
    *("created_date", "account_sid", "account_name", "country_code", "call_type"),
    *("call_direction", "participant_region"),
)

KEYS = {
    "conference_participants": ("participant_sid",),
    "conference_participant_metrics": ("participant_sid", "direction"),
    "conference_participant_events": ("participant_sid", "event", "event_index"),
    "conference_participant_coaching": ("participant_sid", "coached_call_sid"),
    "_listings": ("parent_key",),
    "participants": ("participant_sid",),
    "participant_events": ("participant_sid", "event", "event_index"),
    "participant_quality": GRAIN,
}


def age(conference: int) -> timedelta:
    """Of a conference at the first run: from an hour to some days, at odd minutes."""
    return timedelta(days=29, hours=20) if conference == OLD else conference * HOUR * 3.37


def hand_made(conference: int) -> list[Row]:
    """Participants whose values lie at the thresholds, in every form that Twilio has."""
    dice, created = random.Random(conference), NOW - age(conference)
    people = []
    for number in range(conference % 5):
        one = 100 * conference + number
        joined = (created + timedelta(seconds=dice.randrange(60))).replace(microsecond=0)
        row = participant_row(f"CP{one:032x}", sid(conference), joined)
        people.append(
            row
            | {
                "call_sid": f"CA{one:032x}",
                "label": dice.choice([None, "", "agent", "Zoë \u202e"]),
                "from": dice.choice(["+14155550100", "client:anna", None]),
                "to": dice.choice(["+4930123456", "sip:bob@example.com"]),
                "call_direction": dice.choice(["inbound", "outbound", None]),
                "call_type": dice.choice(["carrier", "client", "sip", "brand_new"]),
                "call_status": dice.choice(["completed", "answered", None]),
                "country_code": dice.choice(["US", "DE", None]),
                "participant_region": dice.choice(["us1", "jp1", None]),
                "conference_region": "us1",
                "is_moderator": dice.choice([True, False, None]),
                "is_coach": dice.choice([True, False]),
                "coached_participants": dice.choice(
                    [None, [], [f"CA{1:032x}"], [f"CA{1:032x}", f"CA{2:032x}"]]
                ),
                "leave_time": f"{joined + timedelta(minutes=9):%Y-%m-%dT%H:%M:%SZ}",
                "duration_seconds": dice.choice([None, 0, 540]),
                "outbound_queue_length": dice.choice([None, 3]),
                "outbound_time_in_queue": dice.choice([None, 2500]),
                "jitter_buffer_size": dice.choice([None, "large", "off"]),
                "processing_state": dice.choice(["complete", "complete", "timeout"]),
                "properties": _properties(dice),
                "events": _events(dice, joined),
                "metrics": _metrics(dice),
            }
            | dice.choice([{}, {}, {"carrier_name": {"b": 1, "a": [None]}}])
        )
    return people


def _properties(dice: random.Random) -> Row | None:
    some = {name: dice.choice([True, False, None]) for name in PROPERTIES if dice.random() < 0.7}
    other = {"wait_url": "https://example.com/?a=1"}
    shapes: list[Row | None] = [None, {}, some, some, some | other]
    return dice.choice(shapes)


def _events(dice: random.Random, joined: datetime) -> Row | None:
    start = int(joined.timestamp()) * 1000
    some = {
        kind: sorted(
            start + dice.choice([-1500, dice.randrange(540_000)]) for _ in range(dice.randrange(4))
        )
        for kind in ("mute", "hold", "coaching", "raised_hand")
        if dice.random() < 0.5
    }
    return dice.choice([None, {}, some, some, some])


def _metrics(dice: random.Random) -> Row | None:
    both = {direction: _direction(dice) for direction in DIRECTIONS}
    shapes: list[Row | None] = [None, both, both, both, {"inbound": _direction(dice)}]
    return dice.choice(shapes)


def _direction(dice: random.Random) -> Row | None:
    jitters = [(4.99, 50), (5, 20), (5.0, 19.99), (12.3, 45.5)]
    latencies: list[Row] = [{"avg": 149.9, "max": 900}, {"avg": 150, "max": 151.5}, {"avg": 0.0}]
    tags: list[Row] = [{}, {"tags": None}, {"tags": []}, {"tags": ["silent"]}]
    whole: Row = {
        "total_packets_lost": dice.randrange(1000),
        "total_packets_received": dice.randrange(100_000),
        "packet_loss_percentage": dice.choice([0, 4.99, 5, 5.0, 7.25]),
        "jitter": dice.choice(
            [None, *(dict(zip(("avg", "max"), j, strict=True)) for j in jitters)]
        ),
        "latency": dice.choice(latencies),
        "mos": dice.choice([3.5, 3.51, 4, 1.25]),
    }
    whole |= dice.choice([*tags, {"tags": ["silent", "brand_new"]}, {"codec": "opus"}])
    counted = {"total_packets_lost": 1, "total_packets_received": 2, "mos": None}
    shapes: list[Row | None] = [None, counted, whole, whole, whole, whole]
    return dice.choice(shapes)


def put_conferences(account: Account) -> None:
    for number in range(1, 31):
        state = "in_progress" if number == PENDING else "complete"
        account.put(summary(number, age(number), state))
        rows = hand_made(number)
        if number == LATE:
            first = [row | {"processing_state": "in_progress", "metrics": None} for row in rows]
            account.put_participants(sid(number), first)
            account.put_participants(sid(number), rows, since=NOW + LATER)
        elif number == OLD:
            account.put_participants(sid(number), [rows[0] | {"processing_state": None}])
        else:
            account.put_participants(sid(number), rows)


def shown() -> list[Row]:
    """What the API shows in the end, of conferences that are final."""
    found = [row for number in range(1, 31) if number != PENDING for row in hand_made(number)]
    return [
        row | ({"processing_state": None} if row["conference_sid"] == sid(OLD) else {})
        for row in found
    ]


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Iterator[Loaded]:
    account = Account(NOW)
    put_conferences(account)
    with loaded_once(account, tmp_path_factory.mktemp("exam"), empty_warehouse) as loaded:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SOURCES__TWILIO_INSIGHTS__PARTICIPANTS", "true")
            patch.setenv("REPORT_TIMEZONE", ZONE)
            loaded.load()
            account.now += LATER
            loaded.run()
        yield loaded


def moment(text: str | None) -> datetime | None:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ") if text else None


def moment_of(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(milliseconds=milliseconds)


def in_metrics(row: Row, direction: str, path: Iterable[str]) -> Any:
    found = (row["metrics"] or {}).get(direction)
    for name in path:
        found = (found or {}).get(name)
    return found


def is_silent(row: Row, direction: str) -> bool | None:
    metrics = in_metrics(row, direction, ())
    return None if metrics is None else "silent" in (metrics.get("tags") or [])


# What the raw tables must hold.


def participants(row: Row) -> Row:
    properties = row["properties"] or {}
    rest = {name: value for name, value in properties.items() if name not in PROPERTIES}
    unknown = {name: value for name, value in row.items() if name == "carrier_name"}
    return {
        **{name: row[name] for name in PLAIN},
        "calling_party": row["from"],
        "called_party": row["to"],
        "join_time": moment(row["join_time"]),
        "leave_time": moment(row["leave_time"]),
        **{name: properties.get(name) for name in PROPERTIES},
        "properties": rest or None,
        "extra_fields": unknown or None,
    }


def metrics(row: Row) -> Iterator[Row]:
    for direction, of in (row["metrics"] or {}).items():
        yield {
            "participant_sid": row["participant_sid"],
            "direction": direction,
            "total_packets_lost": in_metrics(row, direction, ["total_packets_lost"]),
            "total_packets_received": in_metrics(row, direction, ["total_packets_received"]),
            **{name: in_metrics(row, direction, MEASURES[name]) for name in QUALITY},
            "is_silent": is_silent(row, direction),
            "tags": (of or {}).get("tags") or None,
            "details": {"codec": "opus"} if "codec" in (of or {}) else None,
        }


def events(row: Row) -> Iterator[Row]:
    for event, moments in (row["events"] or {}).items():
        for index, milliseconds in enumerate(moments):
            yield {
                "participant_sid": row["participant_sid"],
                "event": event,
                "event_index": index,
                "occurred_at": moment_of(milliseconds),
            }


def coaching(row: Row) -> Iterator[Row]:
    for call in row["coached_participants"] or []:
        yield {"participant_sid": row["participant_sid"], "coached_call_sid": call}


def listings() -> Iterator[Row]:
    for number in range(1, 31):
        if number != PENDING:
            unfinished = sum(row["conference_sid"] == sid(OLD) for row in hand_made(number))
            yield {"parent_key": sid(number), "unfinished": unfinished, "last_status": 200}


# What the views must say.


def created(row: Row) -> datetime:
    """Local time of the conference's creation."""
    number = int(row["conference_sid"][2:], 16)
    return (NOW - age(number)).replace(tzinfo=None, microsecond=0) + OFFSET


def findings(row: Row) -> Row:
    flags = dict.fromkeys(("latency_high", "jitter_high", "loss_high", "mos_low"), False)
    measured = False
    for direction in DIRECTIONS:
        of = {name: in_metrics(row, direction, MEASURES[name]) for name in QUALITY}
        measured |= any(value is not None for value in of.values())
        flags["latency_high"] |= (of["latency_avg"] or 0) >= 150
        flags["jitter_high"] |= (of["jitter_avg"] or 0) >= 5 and (of["jitter_max"] or 0) >= 20
        flags["loss_high"] |= (of["packet_loss_percentage"] or 0) >= 5
        flags["mos_low"] |= of["mos"] is not None and of["mos"] <= 3.5
    found: Row = {f"is_{name}": flag for name, flag in flags.items()}
    found["is_poor"] = any(flags.values())
    return found if measured else dict.fromkeys(found)


def wide(row: Row) -> Row:
    raw = participants(row)
    for name in ("url", "properties", "extra_fields"):
        del raw[name]
    early = raw.pop("early_media"), raw.pop("play_early_media")
    is_old = row["conference_sid"] == sid(OLD)
    return {
        **raw,
        "account_name": ACCOUNT_SID,
        "early_media": early[1] if early[0] is None else early[0],
        "coached_calls": len(row["coached_participants"] or []),
        "event_count": sum(map(len, (row["events"] or {}).values())),
        "created_hour": created(row).replace(minute=0, second=0),
        "created_date": created(row).date(),
        "participant_completeness": "expired" if is_old else "final",
        **{
            f"{direction}_{name}": in_metrics(row, direction, path)
            for direction in DIRECTIONS
            for name, path in MEASURES.items()
        },
        **{f"is_silent_{direction}": is_silent(row, direction) for direction in DIRECTIONS},
        **findings(row),
    }


def of_events(row: Row) -> Iterator[Row]:
    joined = moment(row["join_time"])
    for event in events(row):
        yield event | {
            "conference_sid": row["conference_sid"],
            "account_sid": ACCOUNT_SID,
            "account_name": ACCOUNT_SID,
            "created_date": created(row).date(),
            "call_type": row["call_type"],
            "country_code": row["country_code"],
            "seconds_after_join": (event["occurred_at"] - joined) // timedelta(seconds=1),
        }


def quality(rows: Iterable[Row]) -> Iterator[Row]:
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in map(wide, rows):
        groups[tuple(row[name] for name in GRAIN)].append(row)

    def total(group: list[Row], name: str) -> Any:
        known = [row[name] for row in group if row[name] is not None]
        return round(sum(known), 6) if known else None

    for key, group in groups.items():
        found = dict(zip(GRAIN, key, strict=True))
        found |= {
            "participants": len(group),
            "measured": sum(row["is_poor"] is not None for row in group),
            "silent": sum(
                bool(row["is_silent_inbound"] or row["is_silent_outbound"]) for row in group
            ),
            "total_seconds": total(group, "duration_seconds"),
        }
        for flag in ("poor", "latency_high", "jitter_high", "loss_high", "mos_low"):
            found[flag] = sum(row[f"is_{flag}"] is True for row in group)
        for direction in DIRECTIONS:
            for packets in ("packets_lost", "packets_received"):
                found[f"{direction}_{packets}"] = total(group, f"{direction}_{packets}")
            name = f"{direction}_mos"
            found[f"{name}_total"] = total(group, name)
            found[f"{name}_measured"] = sum(row[name] is not None for row in group)
        yield found


def assert_equal(found: list[Row], wanted: list[Row], key: Iterable[str]) -> None:
    """The same rows, once each; what differs is told by row and column."""
    have, want = ({tuple(row[k] for k in key): row for row in rows} for rows in (found, wanted))
    assert len(want) == len(wanted) > 0, "the key is not one"
    assert len(found) == len(have)
    assert have.keys() == want.keys()
    assert {
        (*one, name): (have[one][name], value)
        for one, row in want.items()
        for name, value in row.items()
        if have[one][name] != value
    } == {}


def read(file: Path, table: str, wanted: list[Row]) -> list[Row]:
    """All rows of a table that has these columns and, of the program, only those of `OURS`."""
    with duckdb.connect(file, read_only=True) as connection:
        columns = {name for name, *_ in connection.table(table).description} - OURS
        assert table.endswith("_listings") or columns == wanted[0].keys()
        names = sorted(wanted[0])
        rows = connection.execute(f"SELECT {', '.join(names)} FROM {table}").fetchall()
    return [
        {n: json.loads(v) if n in JSON and v else v for n, v in zip(names, row, strict=True)}
        for row in rows
    ]


@pytest.mark.thorough
def test_every_table_is_as_worked_out(examined: Loaded) -> None:
    rows = shown()
    tables = {
        "conference_participants": [participants(row) for row in rows],
        "conference_participant_metrics": [one for row in rows for one in metrics(row)],
        "conference_participant_events": [one for row in rows for one in events(row)],
        "conference_participant_coaching": [one for row in rows for one in coaching(row)],
        "_listings": list(listings()),
    }
    for table, wanted in tables.items():
        found = read(examined.path, f"conference_insights.{table}", wanted)
        assert_equal(found, wanted, KEYS[table])


def test_every_view_is_as_worked_out(examined: Loaded) -> None:
    rows = shown()
    views = {
        "participants": [wide(row) for row in rows],
        "participant_events": [one for row in rows for one in of_events(row)],
        "participant_quality": list(quality(rows)),
    }
    copy = examined.path.with_name("warehouse.published") / "current/insights.duckdb"
    for file in (examined.path, copy.resolve()):
        for view, wanted in views.items():
            assert_equal(read(file, f"analytics.{view}", wanted), wanted, KEYS[view])


def test_the_exam_has_every_case() -> None:
    """So that none of the above holds for want of what it is about."""
    rows = [wide(row) for row in shown()]
    for name in ("is_latency_high", "is_jitter_high", "is_loss_high", "is_mos_low", "is_poor"):
        assert {row[name] for row in rows} == {True, False, None}
    for name in ("is_silent_inbound", "early_media", "enter_muted"):
        assert {row[name] for row in rows} == {True, False, None}
    assert {row["participant_completeness"] for row in rows} == {"final", "expired"}
    assert {row["conference_sid"] for row in rows} >= {sid(LATE), sid(OLD)}
    assert any(event["seconds_after_join"] < 0 for row in shown() for event in of_events(row))
    assert any(created(row).date() != (created(row) - OFFSET).date() for row in shown())
    assert len({row["created_date"] for row in rows}) > 3
    assert len(rows) == sum(number % 5 for number in range(1, 31) if number != PENDING)


def test_the_health_card_counts_them(examined: Loaded) -> None:
    rows = [wide(row) for row in shown()]
    wanted = {
        sid(number): (
            sum(row["conference_sid"] == sid(number) for row in rows),
            sum(row["conference_sid"] == sid(number) and row["is_poor"] is True for row in rows),
        )
        for number in range(1, 31)
    } | {sid(PENDING): (None, None)}
    found = examined.query(
        "SELECT conference_sid, participants, poor_participants "
        "FROM analytics.conference_health_card"
    )
    assert {one: tuple(counts) for one, *counts in found} == wanted
