"""Where a copy lacks participants, columns or values, `show` says so or says nothing of them."""

from __future__ import annotations

import json
import re

import pytest

from pipelines.run.post_load import publish_now
from tests.conftest import Command, Loaded, sid, summary
from tests.shown_conference import HOUR, LINES, WAREHOUSE, change, copy_of
from tests.shown_conference import copied as copied
from tests.shown_conference import known as known
from tests.test_logs import on_a_terminal

PERSONAL = ("Weekly", "Alice", "+14155550100", "+4930123456", "client:alice", "participant_sids")
ABSENT = {
    2: "none: Twilio lists none",
    3: "not loaded yet: a run lists them once the conference is final",
    4: "not loaded: Twilio deletes them after 30 days",
    6: "not loaded: Twilio answers 404; they are asked for again, later and later",
    5: "not loaded yet: the next `conference-insights run` lists them, or a later one if many "
    "conferences wait",
}


@pytest.mark.parametrize("number", ABSENT)
def test_it_says_why_there_are_no_participants(
    number: int, known: Loaded, command: Command
) -> None:
    place = {WAREHOUSE: str(known.path)}
    done = command("show", sid(number), **place)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Participants   {ABSENT[number]}\n" in done.stdout
    assert not re.search("^(Participant|Media) ", done.stdout, re.MULTILINE)
    found = json.loads(command("show", sid(number), "--json", **place).stdout)
    assert found["participants"] == []
    assert found["absence"] == ABSENT[number]


def test_it_says_that_participants_are_not_loaded(copied: Loaded, command: Command) -> None:
    off = "UPDATE analytics.conference_health_card SET participants_state = 'not_listed'"
    change(copy_of(copied), off)
    done = command("show", sid(5))
    assert "not loaded: set SOURCES__TWILIO_INSIGHTS__PARTICIPANTS=true, then run" in done.stdout


def test_a_copy_of_an_earlier_version_shows_the_conference(
    copied: Loaded, command: Command
) -> None:
    card = "ALTER TABLE analytics.conference_health_card DROP COLUMN IF EXISTS"
    change(
        copy_of(copied),
        "DROP TABLE IF EXISTS analytics.participants",
        "DROP TABLE IF EXISTS analytics.participant_events",
        *(
            f"{card} {name}"
            for name in (
                *("participants", "poor_participants", "participant_list"),
                "participants_state",
            )
        ),
    )
    done = command("show", sid(1))
    assert done.returncode == 0, done.stderr
    before, _, _ = LINES.partition("Coaches ")
    assert done.stdout.startswith(before.replace(", participant 1", ""))
    assert "Participants   unknown: an earlier version made this copy; the next" in done.stdout


def test_what_twilio_did_not_give_is_not_made_up(copied: Loaded, command: Command) -> None:
    change(
        copy_of(copied),
        "UPDATE analytics.participants SET call_sid = NULL, join_time = NULL",
        *(
            f"UPDATE analytics.{view} SET ended_by = NULL, processing_state = NULL, "
            "mixer_region_requested = mixer_region, create_time = NULL"
            for view in ("conferences", "conference_health_card")
        ),
    )
    done = command("show", sid(1))
    assert done.returncode == 0, done.stderr
    for line in (
        "Created        -",
        "Summary        final (no processing state)",
        "End            participant with end conference on exit left",
        "Region         us1, as requested",
    ):
        assert line in done.stdout.splitlines()
    assert "None" not in done.stdout
    assert "20 Nov 13:37:30 1 mute" in re.sub(" +", " ", on_a_terminal("show", sid(1)))


@pytest.mark.thorough
def test_personal_data_that_the_copy_lacks_is_not_missed(
    copied: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLISH__PERSONAL_DATA", "false")
    publish_now()
    for option in ((), ("--json",)):
        done = command("show", sid(1), *option)
        assert (done.returncode, done.stderr) == (0, "")
        assert [text for text in PERSONAL if text in done.stdout] == []
    said = [line for line in LINES.splitlines() if not any(text in line for text in PERSONAL)]
    assert [line for line in said if line not in command("show", sid(1)).stdout.splitlines()] == []


@pytest.mark.thorough
def test_a_conference_that_only_a_backfill_loaded(loaded: Loaded, command: Command) -> None:
    loaded.account.put(summary(1, HOUR, friendly_name=None))
    assert command("backfill", "--conference", sid(1)).returncode == 0
    done = command("show", sid(1))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Data until     -; all times are UTC\n" in done.stdout
    assert "Name" not in done.stdout
