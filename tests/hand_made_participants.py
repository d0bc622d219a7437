"""Thirty conferences with hand-made participants, in every form that the API shows them in."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from pipelines.simulator.account import Account, Row
from pipelines.simulator.participants import participant_row
from tests.conftest import NOW, sid, summary

HOUR = timedelta(hours=1)
LATER = 10 * HOUR
"""Between the two runs; one conference becomes older than what Twilio keeps meanwhile."""
ZONE, OFFSET = "Asia/Kolkata", timedelta(hours=5, minutes=30)
PENDING, OLD, LATE = 7, 11, 13
"""Conferences: one is not final; one is too old after the second run, and one of its participants
never final; the participants of one are final only then."""
DIRECTIONS = ("inbound", "outbound")
PROPERTIES = (
    *("start_conference_on_enter", "end_conference_on_exit", "play_early_media", "early_media"),
    *("enter_muted", "beep_on_enter", "beep_on_exit"),
)


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
