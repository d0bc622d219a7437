"""Made-up participants, such that they agree with the summary of their conference."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import NamedTuple

from pipelines.simulator.account import Account, Row, iso
from pipelines.simulator.participants import participant_row
from pipelines.simulator.sample_metrics import QUALITY_TAGS, sample_metrics

BAD_REGION = "jp1"
"""Where most of those with bad quality are."""
_REGIONS = ["us1"] * 6 + ["ie1"] * 3 + ["de1"] * 2 + ["au1", BAD_REGION]
_COUNTRIES = {
    "us1": [("US", 1), ("US", 1), ("US", 1), ("CA", 1), ("MX", 52)],
    "ie1": [("GB", 44), ("GB", 44), ("IE", 353), ("FR", 33)],
    "de1": [("DE", 49), ("DE", 49), ("AT", 43), ("CH", 41)],
    "au1": [("AU", 61), ("AU", 61), ("NZ", 64)],
    BAD_REGION: [("JP", 81)],
}


class _Stay(NamedTuple):
    """A participant, of whom a caller who joins twice is two."""

    caller: int
    joined: datetime
    left: datetime | None
    sid: str
    call_sid: str

    @property
    def seconds(self) -> int:
        return (self.left - self.joined).seconds if self.left else 0


def sample_participants(account: Account, conference_sid: str) -> list[Row]:
    """Those of a conference as they read now, the same whenever they are asked for.

    Whoever has joined is there. Most are complete some minutes after the conference's end, some
    later than its own summary, and a few never.
    """
    version = account.last_version(conference_sid)
    conference, dice = version.row or {}, random.Random(conference_sid)
    people = conference["unique_participants"] or dice.randint(2, 4)
    stays = _stays(dice, conference, people)
    issues = conference["detected_issues"] or {}
    shuffled = dice.sample(range(len(stays)), len(stays))
    poor = shuffled[: issues.get("call_quality", 0)]
    silent = shuffled[::-1][: issues.get("participant_behavior", 0)]
    tags = [tag for tag in QUALITY_TAGS if tag in (conference["tags"] or ())] or QUALITY_TAGS
    bad = {stays[at].caller for at in poor}
    callers = [_caller(dice, conference, number, number in bad) for number in range(people)]
    coach = len(stays) - 1 if people > 2 and dice.random() < 0.08 else None
    rows = []
    for at, stay in enumerate(stays):
        coached = [stays[0].call_sid] if at == coach else []
        row = participant_row(stay.sid, conference_sid, stay.joined)
        row |= callers[stay.caller] | _settings(dice, stay, coached)
        faults = tags if at in poor[:1] else [dice.choice(tags)] if at in poor else []
        metrics = sample_metrics(dice, stay.seconds, faults, at in silent)
        final: Row = {
            "processing_state": "complete",
            "events": _events(dice, stay, coached),
            "metrics": metrics if conference["status"] != "not_started" else None,
        }
        fate, wait = dice.random(), timedelta(seconds=dice.randrange(60, 600))
        if stay.left is None or (fate < 0.004 and at not in poor + silent):
            final, summarized = {"processing_state": "timeout"}, stay.joined + timedelta(days=1)
        elif fate > 0.92:
            summarized = version.since + 9 * wait  # later than the conference's own summary
        else:
            summarized = datetime.fromisoformat(conference["end_time"]) + wait
        if stay.left and stay.left <= account.now:
            row |= {"leave_time": iso(stay.left), "duration_seconds": stay.seconds + 1}
            row["call_status"] = "completed"
        if stay.joined <= account.now:
            rows.append(row | final if summarized <= account.now else row)
    return rows


def _stays(dice: random.Random, conference: Row, people: int) -> list[_Stay]:
    """Who is there from when to when: at one time as many as there were at the most."""
    started = datetime.fromisoformat(conference["start_time"] or conference["create_time"])
    ended = conference["end_time"] and datetime.fromisoformat(conference["end_time"])
    whole = (ended - started if ended else timedelta(minutes=10)).total_seconds()
    twice = (conference["tag_info"] or {}).get("duplicate_identity")
    parts = [(0, 0.0, 1.0)]
    parts += [(number, dice.uniform(0, 0.3), dice.uniform(0.6, 1)) for number in range(1, people)]
    if people > (conference["max_concurrent_participants"] or people):
        # The last one comes when another has left.
        parts[-2:] = [(people - 2, parts[-2][1], 0.4), (people - 1, 0.5, 1.0)]
    for number, joined, left in [*parts]:
        rejoins = dice.random() < 0.05 or (twice and number == 0)
        if ended and rejoins and joined <= 0.3 and left >= 0.6:
            parts[number] = number, joined, 0.4
            parts.append((number, 0.45, left))
    parts.sort(key=lambda part: part[1])
    last = max(at for at, part in enumerate(parts) if part[2] == 1)
    same = list(twice[0].get("participant_sids", ())) if twice else []
    stays = []
    for at, (number, *between) in enumerate(parts):
        join, leave = (started + timedelta(seconds=int(whole * part)) for part in between)
        sid, call = f"CP{dice.getrandbits(128):032x}", f"CA{dice.getrandbits(128):032x}"
        sid = same.pop(0) if same and number == 0 else sid
        call = conference["ended_by"] or call if at == last else call
        stays.append(_Stay(number, join, leave if ended else None, sid, call))
    return stays


def _caller(dice: random.Random, conference: Row, number: int, is_bad: bool) -> Row:
    mixer = conference["mixer_region"]
    region = mixer if dice.random() < 0.75 and mixer in _COUNTRIES else dice.choice(_REGIONS)
    if is_bad and dice.random() < 0.6:
        region = BAD_REGION
    country, prefix = dice.choice(_COUNTRIES[region])
    call_type = dice.choices(["carrier", "client", "sip"], [6, 3, 1])[0]
    party = f"+{prefix}000{dice.randrange(10**7):07}"
    twice = (conference["tag_info"] or {}).get("duplicate_identity")
    if twice and number == 0:
        call_type, party = "client", twice[0]["participant_identity"]
    elif call_type != "carrier":
        party = f"client:guest-{number}" if call_type == "client" else f"sip:{number}@example.com"
    row = {
        "participant_region": region,
        "conference_region": mixer,
        "country_code": None if call_type == "client" else country,
        "call_type": call_type,
        "call_direction": "inbound",
        "from": party,
        "to": "+10000000000",
    }
    if dice.random() < 0.3:
        row |= {
            "call_direction": "outbound",
            "from": row["to"],
            "to": party,
            "label": dice.choice([None, "customer", "agent", "supervisor"]),
            "outbound_queue_length": dice.randrange(3),
            "outbound_time_in_queue": dice.randrange(200, 4000),
        }
    return row


def _settings(dice: random.Random, stay: _Stay, coached: list[str]) -> Row:
    starts, ends = stay.caller == 0, dice.random() < 0.1
    return {
        "call_sid": stay.call_sid,
        "call_status": "answered",
        "is_moderator": starts or ends,
        "is_coach": bool(coached),
        "coached_participants": coached or None,
        "jitter_buffer_size": dice.choice([None, None, "large", "medium", "small", "off"]),
        "properties": {
            "start_conference_on_enter": starts,
            "end_conference_on_exit": ends,
            dice.choice(["play_early_media", "early_media"]): dice.random() < 0.5,
            "enter_muted": dice.random() < 0.1,
            "beep_on_enter": dice.random() < 0.2,
            "beep_on_exit": False,
        },
    }


def _events(dice: random.Random, stay: _Stay, coached: list[str]) -> dict[str, list[int]] | None:
    joined, length = int(stay.joined.timestamp()) * 1000, 1000 * stay.seconds + 1
    events = {
        kind: sorted(joined + dice.randrange(length) for _ in range(dice.randint(1, 3)))
        for kind, share in (("mute", 0.2), ("hold", 0.06))
        if dice.random() < share
    }
    if coached:
        events |= {"coaching": [joined], "coaching_stopped": [joined + length - 1]}
    return events or None
