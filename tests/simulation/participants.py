"""The model's participants: what the API shows of each from when on, and what that must become."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tests.simulation.account import DAY, HOUR, MINUTE, Conference, canonical, iso

ASKED_AGAIN = 26 * HOUR
"""A listing that had too few, or a 404, is made again within a day, and runs are not that often."""
Contents = tuple[tuple[Any, ...], frozenset[Any], frozenset[Any], frozenset[Any]]
"""Root row, then rows of metrics, events and coaching."""

ROOT = [
    "conference_sid",
    "account_sid",
    "label",
    "calling_party",
    "called_party",
    "call_type",
    "country_code",
    "processing_state",
    "duration_seconds",
    "enter_muted",
    "properties",
    "extra_fields",
]
METRICS = ["direction", "total_packets_lost", "jitter_avg", "mos", "is_silent", "tags", "details"]


@dataclass(frozen=True)
class PersonVersion:
    """What the API shows of a participant from a moment (seconds since 1970) on."""

    since: int
    state: str | None
    body: bytes
    contents: Contents

    @property
    def rank(self) -> int:
        return {"in_progress": 1, "timeout": 2, "complete": 3}.get(self.state or "", 0)


@dataclass
class Person:
    sid: str
    conference: Conference
    versions: list[PersonVersion]
    late: bool
    """It has a summary only after its conference is final."""

    def which(self, contents: Contents, until: int) -> PersonVersion | None:
        """The newest version shown until then that is just so."""
        shown = (v for v in reversed(self.versions) if v.since <= until)
        return next((v for v in shown if v.contents == contents), None)

    def at(self, now: int) -> PersonVersion | None:
        return next((v for v in reversed(self.versions) if v.since <= now), None)


def people_of(conference: Conference) -> list[Person]:
    """As many as the summary says, which change only before they are final, or when it does."""
    dice = random.Random(f"people of {conference.sid}")
    finals = [(v.since, _count(v.body)) for v in conference.versions if v.rank >= 2]
    changes = {v.since for was, v in pairwise(conference.versions) if v.body != was.body}
    people = []
    for number in range(max((count for _, count in finals), default=0)):
        seen = next(since for since, count in finals if count > number)
        late = dice.random() < 0.1
        appears = seen + dice.randrange(MINUTE, 3 * HOUR) if late else seen - dice.randrange(600)
        done = max(appears, seen) + dice.choice([0, 0, dice.randrange(1, 2 * DAY)])
        sid = f"CP{dice.getrandbits(128):032x}"
        row = _row(dice, sid, conference)
        rows = [(appears, row | {"processing_state": dice.choice(["in_progress", None])})]
        rows.append((done, row | _outcome(dice)))
        corrected = [s for s, _ in finals if s > done and dice.random() < 0.5 and s in changes]
        complete = {"processing_state": "complete"}  # a correction does not make it less final
        rows += [(since, row | _outcome(dice) | complete) for since in corrected]
        versions = [_version(since, content) for since, content in rows]
        people.append(Person(sid, conference, versions, late))
    return people


def _count(body: bytes) -> int:
    return int(json.loads(body)["unique_participants"] or 0)


def _row(dice: random.Random, sid: str, conference: Conference) -> dict[str, Any]:
    return {
        "participant_sid": sid,
        "conference_sid": conference.sid,
        "account_sid": conference.account,
        "label": dice.choice([None, "agent ☎", "x'; DROP--"]),
        "from": f"+1555{dice.randrange(10**7):07}",
        "to": dice.choice([None, "client:ünknown"]),
        "call_type": dice.choice(["carrier", "client", "sip", "fax"]),
        "country_code": dice.choice(["US", "DE", None]),
        "join_time": iso(conference.created),
        "duration_seconds": None,
        "coached_participants": None,
        "events": None,
        "metrics": None,
        "properties": {"enter_muted": dice.random() < 0.5},
    }


def _outcome(dice: random.Random) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        direction: {
            "total_packets_lost": dice.randrange(50),
            "jitter": {"avg": dice.choice([0, 0.34, 7.25])},
            "mos": dice.choice([4, 4.4, 2.5]),
        }
        | dice.choice([{}, {}, {"tags": ["silent"]}, {"rtt": {"p95": 3}}])
        for direction in ("inbound", "outbound")
        if dice.random() < 0.9
    }
    outcome = {
        "processing_state": dice.choice(["complete"] * 9 + ["timeout"]),
        "duration_seconds": dice.randrange(9999),
        "coached_participants": [f"CA{dice.getrandbits(128):032x}" for _ in range(2)]
        if dice.random() < 0.1
        else None,
        "metrics": metrics or None,
        "events": {
            kind: [1_785_000_000_000 + dice.randrange(10**9) for _ in range(dice.randrange(3))]
            for kind in ("mute", "hold", "brand_new")
        },
        "properties": dice.choice([None, {}, {"enter_muted": True}, {"whisper": [1]}, "odd"]),
    }
    if dice.random() < 0.1:
        outcome["brand_new"] = {"a": None}
    return outcome


def _version(since: int, row: dict[str, Any]) -> PersonVersion:
    return PersonVersion(since, row["processing_state"], json.dumps(row).encode(), contents_of(row))


def contents_of(row: dict[str, Any]) -> Contents:
    """The four tables' rows of a participant."""
    given = row["properties"]
    known = given.get("enter_muted") if isinstance(given, dict) else None
    rest = {k: v for k, v in given.items() if k != "enter_muted"} if known is not None else given
    root = (
        *(row[n] for n in ("conference_sid", "account_sid", "label", "from", "to", "call_type")),
        *(row[n] for n in ("country_code", "processing_state", "duration_seconds")),
        known,
        canonical(rest) if rest else None,
        canonical({"brand_new": row["brand_new"]}) if "brand_new" in row else None,
    )
    metrics = (
        (
            direction,
            of["total_packets_lost"],
            float(of["jitter"]["avg"]),
            float(of["mos"]),
            "silent" in of.get("tags", ()),
            canonical(of["tags"]) if "tags" in of else None,
            canonical({"rtt": of["rtt"]}) if "rtt" in of else None,
        )
        for direction, of in (row["metrics"] or {}).items()
    )
    events = (
        (kind, index, at)
        for kind, times in (row["events"] or {}).items()
        for index, at in enumerate(times)
    )
    return root, frozenset(metrics), frozenset(events), frozenset(row["coached_participants"] or ())
