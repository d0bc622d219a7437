"""The model: conferences, what the API shows of each from when on, what that must become."""

from __future__ import annotations

import json
import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

MINUTE, HOUR, DAY = 60, 3600, 86_400
RETENTION = 30 * DAY
REACH = 46 * HOUR
"""What appears or is corrected so long after the creation is within the default lookback."""
UNSETTLED = 8 * DAY
"""What was created longer before the first run is only listed by it, and disappears some day: one
in eight of these conferences is there."""

ACCOUNTS = tuple("AC" + digit * 32 for digit in "567")
ACCOUNT_SID = ACCOUNTS[0]
"""That of the credentials; the others are its subaccounts."""
NEIGHBOUR = "AC" + 32 * "8"
"""One with credentials of its own, which others load into the same database."""
TEXTS = [
    "account_sid",
    "friendly_name",
    "status",
    "end_reason",
    "ended_by",
    "mixer_region",
    "mixer_region_requested",
    "processing_state",
    "url",
]
NUMBERS = [
    "duration_seconds",
    "connect_duration_seconds",
    "max_participants",
    "max_concurrent_participants",
    "unique_participants",
]
TIMES = ["create_time", "start_time", "end_time"]
_TAGS = ["high_jitter", "low_mos", "quality_warnings", "detected_silence", "brand_new_tag"]

Contents = tuple[tuple[Any, ...], frozenset[Any], frozenset[Any], frozenset[Any]]
"""Root row and child rows, as the four tables must hold them."""


@dataclass(frozen=True)
class Version:
    """What the API shows of a conference from a moment (seconds since 1970) on."""

    since: int
    state: str | None
    body: bytes
    contents: Contents

    @property
    def rank(self) -> int:
        return {"in_progress": 1, "timeout": 2, "complete": 3}.get(self.state or "", 0)


@dataclass
class Conference:
    sid: str
    account: str
    created: int
    versions: list[Version]
    gone: int | None
    """When the API forgets it early."""

    @property
    def late(self) -> bool:
        """It appears, or changes once it was final, beyond the lookback's reach."""
        finals = [v for v in self.versions if v.rank >= 2]
        return any(v.since > self.created + REACH for v in [self.versions[0], *finals[1:]])

    def at(self, now: int, lag: int = 0) -> Version | None:
        """What can be seen now, on a replica that lags behind."""
        if self.created < now - RETENTION or (self.gone is not None and self.gone <= now):
            return None
        seen = [v for v in self.versions if v.since <= now - lag]
        return seen[-1] if seen else None


class Account:
    """All conferences, by creation time, of one or more accounts, and the API's clock."""

    def __init__(
        self,
        dice: random.Random,
        start: int,
        span: int,
        count: int,
        accounts: int,
        has_neighbour: bool,
    ) -> None:
        self.now, self.sids = start, ACCOUNTS[:accounts]
        created = [start - 32 * DAY + dice.randrange(32 * DAY + span) for _ in range(count)]
        created = [
            moment
            for number, moment in enumerate(created)
            if moment >= start - UNSETTLED or number % 8 == 0
        ]
        created += 30 * dice.sample(created, 3)  # so many in a second are more than a page has
        created.sort()
        everyone = [*self.sids, NEIGHBOUR]
        shares = [*[6, 2, 1][:accounts], 2 * has_neighbour]
        self.conferences = [
            _conference(dice, moment, dice.choices(everyone, shares)[0]) for moment in created
        ]
        self.by_sid = {c.sid: c for c in self.conferences}
        self._created = created

    def created_between(self, after: int, before: int, inclusive: bool) -> list[Conference]:
        first, last = (bisect_left, bisect_right) if inclusive else (bisect_right, bisect_left)
        return self.conferences[first(self._created, after) : last(self._created, before)]


def iso(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _conference(dice: random.Random, created: int, account: str) -> Conference:
    sid, fate = f"CF{dice.getrandbits(128):032x}", dice.random()
    ended = created + 5 + int(dice.lognormvariate(6.5, 1.2))
    done = ended + dice.randrange(2 * MINUTE, 40 * MINUTE)
    appears = created + dice.randrange(30, 15 * MINUTE)
    if fate < 0.05:
        appears = created + dice.randrange(15 * MINUTE, REACH)
    elif fate < 0.06:
        appears = created + dice.randrange(50 * HOUR, 60 * HOUR)
    elif fate < 0.10:  # slow to become final
        done = ended + dice.randrange(DAY, 6 * DAY)
    done = max(done, appears)
    running = _row(dice, sid, created) | {"account_sid": account}
    running["processing_state"] = dice.choice(["in_progress"] * 8 + [None, "partial"])
    final = running | _outcome(dice, created, ended)
    rows = [(appears, running)]
    if fate > 0.985:
        pass  # never becomes final
    elif fate > 0.965:
        lost = {"status": "summary_timeout", "processing_state": "timeout"}
        rows.append((max(created + DAY, appears + 1), running | lost))
    else:
        if dice.random() < 0.3 and ended > appears:
            rows.append((ended, final | {"processing_state": "in_progress", "tags": None}))
        rows.append((done, final))
        if dice.random() < 0.05 and done + MINUTE < created + REACH:
            corrected = final | _outcome(dice, created, ended)
            rows.append((dice.randrange(done + MINUTE, created + REACH), corrected))
    gone = appears + dice.randrange(HOUR, 20 * DAY) if dice.random() < 0.02 else None
    return Conference(sid, account, created, [_version(sid, *entry) for entry in rows], gone)


def _row(dice: random.Random, sid: str, created: int) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys([*TEXTS, *TIMES, *NUMBERS])
    base = f"https://insights.twilio.com/v1/Conferences/{sid}"
    return row | {
        "conference_sid": sid,
        "friendly_name": dice.choice(["Stand-up", "", "Ünïcode ☎ \U0001f600", "x'; DROP--", None]),
        "create_time": iso(created),
        "status": "in_progress",
        "max_participants": 250,
        "recording_enabled": dice.choice([True, False, None]),
        "mixer_region": "us1",
        "detected_issues": None,
        "tags": None,
        "tag_info": None,
        "url": base,
        "links": {"conference_participants": f"{base}/Participants"},
    }


def _outcome(dice: random.Random, created: int, ended: int) -> dict[str, Any]:
    tags = [tag for tag in _TAGS if dice.random() < 0.2]
    shapes: list[Any] = [
        {"severity": "low"},
        {"reason": "r", "n": 1},
        [{"participant_identity": "p"}, {}],
        {},
    ]
    outcome: dict[str, Any] = {
        "status": "completed",
        "start_time": dice.choice([iso(created + 3), None]),
        "end_time": iso(ended),
        "duration_seconds": ended - created,
        "unique_participants": dice.randrange(1, 99) % 4,
        "end_reason": "last_participant_left",
        "tags": dice.choice([tags, None, tags]),
        "tag_info": {tag: dice.choice(shapes) for tag in tags} or None,
        "detected_issues": {"call_quality": dice.randrange(4), "echo": 0},
        "processing_state": "complete",
    }
    if dice.random() < 0.05:
        odd = {"brand_new": [1, {"a": None}], "duration_seconds": 7.5, "ended_by": 5, "tags": "x"}
        name = dice.choice(list(odd))
        outcome[name] = odd[name]
    if dice.random() < 0.03:
        outcome["max_participants"] = 2 ** dice.choice([40, 70]) + dice.randrange(9)
    return outcome


def _version(sid: str, since: int, row: dict[str, Any]) -> Version:
    return Version(since, row["processing_state"], json.dumps(row).encode(), contents_of(row))


def contents_of(row: dict[str, Any]) -> Contents:
    """The four tables' rows of a summary: each value as its column's type, or in extra_fields."""
    extra = {
        name: value
        for name, value in row.items()
        if (name in TEXTS and not isinstance(value, str | None))
        or (name in NUMBERS and not (value is None or (type(value) is int and abs(value) <= 2**31)))
        or name == "brand_new"
        or (name == "tags" and not isinstance(value, list | None))
    }
    fits: dict[str, Any] = {name: None if name in extra else row[name] for name in row}
    root = (
        *(fits[name] for name in (*TEXTS, *NUMBERS)),
        fits["recording_enabled"],
        *(fits[name] and fits[name].removesuffix("Z").replace("T", " ") for name in TIMES),
        canonical(row["links"]),
        canonical(extra) if extra else None,
    )
    return (
        root,
        frozenset(fits["tags"] or ()),
        frozenset(_info_rows(row["tag_info"] or {})),
        frozenset((row["detected_issues"] or {}).items()),
    )


def _info_rows(tag_info: dict[str, Any]) -> Iterable[tuple[Any, ...]]:
    named = ("severity", "reason", "participant_identity")
    for tag, info in tag_info.items():
        for index, item in enumerate(info if isinstance(info, list) else [info]):
            rest = {name: value for name, value in item.items() if name not in named}
            yield (tag, index, *map(item.get, named), canonical(rest) if rest else None)


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
