"""A busy account: made-up conferences with everything that real ones have, from one seed."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from pipelines.simulator.account import ACCOUNT_SID, Account, Row, iso, running_row
from pipelines.simulator.sample_metrics import QUALITY_TAGS
from pipelines.simulator.sample_participants import sample_participants

_CALLS_BY_HOUR = [1, 1, 1, 1, 2, 3, 6, 12, 22, 30, 28, 24, 20, 26, 30, 28, 22, 14, 8, 5, 4, 3, 2, 1]
_REGIONS = ["us1"] * 6 + ["ie1", "ie1", "de1", "au1", "jp1"]
_END_REASONS = ["last_participant_left"] * 6 + [
    "participant_with_end_conference_on_exit_left",
    "conference_ended_via_api",
    "last_participant_kicked",
]
_BAD_WEEK = range(-14, -7)
"""Days before today, between good ones."""
_TEAMS = ("Support", "Sales", "Onboarding", "Incident bridge", "Weekly", "Interview")


def busy_account(
    now: datetime, days: int = 7, per_day: int = 600, seed: int = 7, sid: str = ACCOUNT_SID
) -> Account:
    """An account with `per_day` conferences on each of the `days` before today, today and after.

    Most calls are made by day, so it is busiest when `now` is about noon, UTC.
    """
    account = Account(now, sid)
    _fill(account, days, per_day, seed)
    return account


def busy_tree(now: datetime, days: int = 7, per_day: int = 600, idle: int = 0) -> Account:
    """A busy account with two subaccounts, which have a third and a tenth of its conferences and of
    which the second is refused, and with `idle` subaccounts, which have none.

    In the week before the last one the quality is bad, everywhere; some conferences are mixed in
    another region than requested; it is busiest around `now`; and no summary is later than a day.
    """
    parent = Account(now)
    _fill(parent, days, per_day, seed=7, has_story=True)
    support = parent.add_subaccount(subaccount_sid(1), "Customer support")
    service = parent.add_subaccount(subaccount_sid(2), "Field service")
    _fill(support, days, per_day // 3, seed=8, has_story=True)
    _fill(service, days, per_day // 10, seed=9, has_story=True)
    service.advanced_features = False
    for number in range(1, idle + 1):
        parent.add_subaccount(subaccount_sid(2 + number), f"Branch {number}")
    return parent


def subaccount_sid(number: int) -> str:
    return f"AC{number:032x}"


def _fill(account: Account, days: int, per_day: int, seed: int, has_story: bool = False) -> None:
    dice = random.Random(seed)
    account.participants_sampler = sample_participants
    today = account.now.replace(hour=0, minute=0, second=0)
    for _ in range((days + 2) * per_day):
        day = dice.randint(-days, 1)
        hour = timedelta(days=day, hours=dice.choices(range(24), _CALLS_BY_HOUR)[0])
        created = today + hour + timedelta(seconds=dice.randrange(3600))
        is_bad = has_story and day in _BAD_WEEK
        _put_conference(account, dice, created, has_story, 0.6 if is_bad else 0.22)
    for _ in range(per_day // 3 if has_story else 0):
        created = account.now + timedelta(seconds=dice.randrange(-2400, 2400))
        _put_conference(account, dice, created, has_story, 0.22)


def _put_conference(
    account: Account, dice: random.Random, created: datetime, has_story: bool, bad_quality: float
) -> None:
    """Its summary appears within minutes; mostly it is final up to 30 minutes after the end."""
    fate = dice.random()
    started = created + timedelta(seconds=dice.randrange(1, 30))
    ended = started + timedelta(seconds=int(dice.lognormvariate(6.2, 1.1)) + 5)
    slow = timedelta(days=dice.randint(1, 6)) if 0.004 < fate < 0.01 else timedelta()
    slow = min(slow, timedelta(days=1)) if has_story else slow
    complete = ended + slow + timedelta(seconds=dice.randrange(120, 1800))
    appears = min(created + timedelta(seconds=dice.randrange(30, 900)), complete)
    running = running_row(f"CF{dice.getrandbits(128):032x}", created) | {
        "friendly_name": f"{dice.choice(_TEAMS)} {dice.randrange(1000)}",
        "start_time": iso(started),
        "mixer_region": (region := dice.choice(_REGIONS)),
        "mixer_region_requested": region if dice.random() < 0.6 else None,
        "recording_enabled": dice.random() < 0.4,
    }
    is_elsewhere = has_story and fate < 0.06 and region != _REGIONS[0]
    if is_elsewhere:
        running["mixer_region_requested"] = _REGIONS[0]
    account.put(running, appears)
    if fate < 0.004:  # Twilio never hears of its end
        lost = {"status": "summary_timeout", "processing_state": "timeout"}
        account.put(running | lost, created + timedelta(hours=24))
        return
    final = running | _outcome(dice, started, ended, fate > 0.97, bad_quality)
    if is_elsewhere:
        final["tags"] = [*(final["tags"] or ()), "region_configuration_issues"]
        final["detected_issues"]["region_configuration"] = 1
    if ended > appears:
        unfinished = {"processing_state": "in_progress", "tags": None, "tag_info": None}
        account.put(final | unfinished, ended)
    account.put(final, complete)


def _outcome(
    dice: random.Random, started: datetime, ended: datetime, not_started: bool, bad_quality: float
) -> Row:
    people, seconds = 2 + min(248, int(dice.expovariate(0.45))), (ended - started).seconds
    tags: list[str] = []
    info: Row = {}
    issues = {"call_quality": 0, "region_configuration": 0, "participant_behavior": 0}
    if not_started:
        people, seconds, tags = 1, 0, ["start_failure", "no_concurrent_participants"]
        info["start_failure"] = {"reason": "no_concurrent_participants"}
    elif dice.random() < bad_quality:
        found = [tag for tag in QUALITY_TAGS if dice.random() < 0.45]
        tags += ["quality_warnings", *(found or ["high_jitter"])]
        issues["call_quality"] = dice.randint(1, people)
        info["quality_warnings"] = {"severity": dice.choice(["low", "medium", "high"])}
    if not not_started and dice.random() < 0.09:
        tags += ["participant_behavior_issues", "detected_silence"]
        issues["participant_behavior"] = dice.randint(1, people)
    if not not_started and dice.random() < 0.03:
        tags.append("duplicate_identity")
        participants = [f"CP{dice.getrandbits(128):032x}" for _ in range(2)]
        twice = {"participant_identity": f"client:agent-{people}", "participant_sids": participants}
        info["duplicate_identity"] = [twice]
    return {
        "start_time": None if not_started else iso(started),
        "end_time": iso(ended),
        "duration_seconds": seconds + 1,
        "connect_duration_seconds": seconds,
        "status": "not_started" if not_started else "completed",
        "max_concurrent_participants": people,
        "unique_participants": people + (dice.random() < 0.1),
        "end_reason": None if not_started else dice.choice(_END_REASONS),
        "ended_by": None if not_started else f"CA{dice.getrandbits(128):032x}",
        "tags": tags or None,
        "tag_info": info or None,
        "detected_issues": issues,
        "processing_state": "complete",
    }
