"""What tables and views must have of hand-made participants: plain Python on what the API shows,
without SQL and without anything of the program."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from pipelines.simulator.account import ACCOUNT_SID, Row
from tests.conftest import NOW, sid
from tests.hand_made_participants import (
    DIRECTIONS,
    OFFSET,
    OLD,
    PENDING,
    PROPERTIES,
    age,
    hand_made,
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
