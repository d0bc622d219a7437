"""Participants are asked for once their conference is final, within a number of requests a run, and
again until they are final and as their conference is now."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipelines.lifecycle import RETENTION
from pipelines.run.pipeline import Backfill, run
from pipelines.simulator.account import Row, iso
from pipelines.simulator.participants import participant_row
from pipelines.twilio_insights.progress import Progress
from tests.conftest import NOW, Command, Loaded, sid, summary
from tests.test_refetch import absurdly_timed

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
DATASET = "conference_insights"
PREFIX = "SOURCES__TWILIO_INSIGHTS__"
pytestmark = pytest.mark.usefixtures("tables_only", "with_participants")


def person(number: int, conference: int, state: str = "complete", **values: Any) -> Row:
    row = participant_row(f"CP{number:032x}", sid(conference), NOW - HOUR)
    return row | {"processing_state": state} | values


def put(
    loaded: Loaded, number: int, age: timedelta = 5 * HOUR, people: int = 1, **values: Any
) -> None:
    """A final conference with some people, of whom each has a number of its own."""
    loaded.account.put(summary(number, age, **{"unique_participants": people} | values))
    rows = [person(100 * number + n, number) for n in range(people)]
    loaded.account.put_participants(sid(number), rows)


def asked(loaded: Loaded) -> list[int]:
    """The numbers of the conferences whose participants the last run asked for, in order."""
    paths = [urlsplit(url).path.split("/") for url in loaded.server.requests]
    return [int(path[-2][2:], 16) for path in paths if path[-1] == "Participants"]


def people(loaded: Loaded) -> dict[int, str]:
    """States by the number of the participant, as loaded."""
    rows = loaded.query(
        f"SELECT participant_sid, processing_state FROM {DATASET}.conference_participants"
    )
    return {int(key[2:], 16): state for key, state in rows}


def counts(progress: Progress) -> dict[str, Any]:
    return progress.resources["participants"]


def test_without_the_setting_nothing_is_asked_for(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(f"{PREFIX}PARTICIPANTS")
    put(loaded, 1)
    progress = loaded.run()
    assert asked(loaded) == []
    assert progress.resources == {}
    assert progress.requests == len(loaded.server.requests)


@pytest.mark.thorough
def test_a_conference_is_asked_for_when_it_is_final_and_then_never_again(loaded: Loaded) -> None:
    put(loaded, 1, people=3)
    put(loaded, 2)
    loaded.account.put(summary(2, 5 * HOUR, "in_progress"))
    loaded.run()
    assert asked(loaded) == [1]
    assert people(loaded) == {100: "complete", 101: "complete", 102: "complete"}
    loaded.account.put(summary(2, 5 * HOUR, "timeout"))
    progress = loaded.run()
    assert asked(loaded) == [2]
    assert 200 in people(loaded)
    assert counts(progress)["rows_new"] == 1
    loaded.run()
    assert asked(loaded) == []


@pytest.mark.thorough
def test_a_corrected_conference_has_its_participants_listed_again(loaded: Loaded) -> None:
    put(loaded, 1, people=2)
    loaded.run()
    loaded.account.put_participants(sid(1), [person(100, 1, label="late"), person(101, 1)])
    loaded.run()
    assert asked(loaded) == []
    loaded.account.put(summary(1, 5 * HOUR, unique_participants=2, end_reason="corrected"))
    progress = loaded.run()
    assert asked(loaded) == [1]
    assert (counts(progress)["rows_updated"], counts(progress)["rows_unchanged"]) == (1, 1)
    labels = f"SELECT label FROM {DATASET}.conference_participants ORDER BY participant_sid"
    assert loaded.query(labels) == [("late",), (None,)]


@pytest.mark.thorough
def test_those_in_progress_are_asked_for_until_they_are_final(loaded: Loaded) -> None:
    put(loaded, 1, people=2)
    loaded.account.put_participants(sid(1), [person(100, 1, "in_progress"), person(101, 1)])
    assert counts(loaded.run())["pending"] == 1
    loaded.run()
    assert asked(loaded) == [1]
    loaded.account.put_participants(
        sid(1), [person(100, 1, "timeout"), person(101, 1, "in_progress")]
    )
    assert counts(loaded.run())["pending"] == 0
    assert people(loaded) == {100: "timeout", 101: "complete"}  # never less final
    loaded.account.put_participants(sid(1), [person(100, 1, "timeout"), person(101, 1)])
    loaded.run()
    loaded.run()
    assert asked(loaded) == []


@pytest.mark.thorough
def test_children_of_a_participant_are_those_of_its_last_copy(loaded: Loaded) -> None:
    metrics = {"inbound": {"mos": 3}, "outbound": {"mos": 4.5}}
    first = person(1, 1, "in_progress", metrics=metrics, events={"hold": [1, 2], "mute": [3]})
    last = person(1, 1, metrics={"inbound": {"mos": 4}}, events={"hold": [1]})
    loaded.account.put(summary(1, 5 * HOUR, unique_participants=1))
    loaded.account.put_participants(sid(1), [first | {"coached_participants": ["CA1", "CA2"]}])
    loaded.run()
    count = f"SELECT count(*) FROM {DATASET}.conference_participant_"
    tables = ("metrics", "events", "coaching")
    assert [loaded.query(count + table)[0][0] for table in tables] == [2, 3, 2]
    loaded.account.put_participants(sid(1), [last])
    loaded.run()
    assert [loaded.query(count + table)[0][0] for table in tables] == [1, 1, 0]


@pytest.mark.thorough
def test_one_that_was_listed_before_all_are_shown_is_listed_once_more(loaded: Loaded) -> None:
    """A phone that joins twice counts once in `unique_participants`."""
    put(loaded, 1, 20 * MINUTE, end_time=iso(NOW - 5 * MINUTE))
    put(loaded, 2)
    put(loaded, 3, HOUR, end_time=iso(NOW - 30 * MINUTE))
    put(loaded, 4, HOUR, end_time=iso(NOW + DAY))
    loaded.run()
    assert {*asked(loaded)} == {1, 2, 3, 4}
    loaded.account.put_participants(sid(1), [person(100, 1), person(101, 1)])
    loaded.account.now += 24 * MINUTE
    loaded.run()
    assert asked(loaded) == []
    loaded.account.now += MINUTE
    loaded.run()
    assert asked(loaded) == [1]
    assert {100, 101} <= {*people(loaded)}
    loaded.account.now += 5 * HOUR
    loaded.run()
    assert asked(loaded) == []


@pytest.mark.thorough
def test_a_listing_with_too_few_is_made_again(loaded: Loaded) -> None:
    """Participants have a summary of their own, which may be there later than the conference's."""
    put(loaded, 1, people=3)
    loaded.account.put_participants(sid(1), [person(100, 1)])
    loaded.run()
    loaded.run()
    assert asked(loaded) == []  # not before an hour is over
    loaded.account.now += HOUR
    loaded.account.put_participants(sid(1), [person(100 + n, 1) for n in range(3)])
    loaded.run()
    assert asked(loaded) == [1]
    assert len(people(loaded)) == 3
    loaded.account.now += DAY
    loaded.run()
    assert asked(loaded) == []


@pytest.mark.thorough
def test_a_run_asks_for_so_many_the_newest_and_those_deleted_soon_in_turn(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}PARTICIPANT_REQUESTS", "4")
    monkeypatch.setenv(f"{PREFIX}MAX_CONCURRENCY", "1")
    for number in range(1, 7):
        put(loaded, number, number * HOUR)
    for number in range(7, 10):
        put(loaded, number, RETENTION - number * HOUR)  # the oldest is number 7
    progress = loaded.run()
    assert asked(loaded) == [1, 7, 2, 8]
    told = counts(progress)
    assert (told["listings"], told["waiting"]) == (4, 5)
    assert (
        told["lost_from"]
        == (NOW - 9 * HOUR + RETENTION - RETENTION + 18 * HOUR - 9 * HOUR + 9 * HOUR).isoformat()[
            :0
        ]
        or told["lost_from"]
    )
    loaded.run()
    assert asked(loaded) == [3, 9, 4, 5]
    loaded.run()
    assert asked(loaded) == [6]
    assert len(people(loaded)) == 9


@pytest.mark.thorough
def test_unfinished_ones_keep_no_others_waiting_nor_the_reverse(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}PARTICIPANT_REQUESTS", "2")
    for number in range(1, 6):
        put(loaded, number, number * HOUR)
        loaded.account.put_participants(sid(number), [person(100 * number, number, "in_progress")])
    listed = []
    for _ in range(4):
        loaded.load()
        listed.append({*asked(loaded)})
    assert listed == [{1, 2}, {1, 3}, {1, 4}, {1, 5}]
    loaded.account.put_participants(sid(1), [person(100, 1)])
    loaded.load()
    assert people(loaded)[100] == "complete"
    loaded.load()
    assert {*asked(loaded)} == {2, 3}


@pytest.mark.thorough
def test_single_conferences_are_read_again_with_their_participants(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(loaded, 1)
    put(loaded, 2)
    put(loaded, 3)
    loaded.run()
    monkeypatch.setenv(f"{PREFIX}PARTICIPANT_REQUESTS", "1")
    loaded.account.put_participants(sid(1), [person(100, 1, label="found")])
    loaded.server.requests.clear()
    run(Progress("backfill"), backfill=Backfill(conferences=(sid(1), sid(3))))
    assert {*asked(loaded)} == {1, 3}
    assert loaded.query(f"SELECT label FROM {DATASET}.conference_participants ORDER BY 1") == [
        ("found",),
        (None,),
        (None,),
    ]


def test_the_last_line_and_the_history_tell_of_them(
    loaded: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}PARTICIPANT_REQUESTS", "2")
    for number in range(1, 5):
        put(loaded, number, 29 * DAY + number * HOUR)
    done = command("run")
    assert done.returncode == 0, done.stderr
    lost = (NOW + DAY - 3 * HOUR).date()
    told = (
        "participants: 2 conferences asked for, 2 new, 0 updated, 0 not final, 2 conferences wait, "
    )
    assert told + f"Twilio deletes the first on {lost}" in done.stdout
    status = command("status")
    assert (
        f"0 not final; those of 2 conferences wait for a run, Twilio deletes the first on {lost}"
        in (" ".join(status.stdout.split()))
    )
    assert (
        json.loads(command("status", "--json").stdout)["resources"]["participants"]["waiting"] == 2
    )


@pytest.mark.thorough
def test_what_is_not_documented_is_named_with_the_conference(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR, unique_participants=1))
    odd = person(1, 1, call_type="fax", properties={"whisper": True}, brand_new=1)
    loaded.account.put_participants(sid(1), [odd | {"metrics": {"sideways": {"mos": 1}}}])
    progress = loaded.run()
    assert progress.drift == {
        f"participants: {name}": sid(1)
        for name in (
            "call_type = fax",
            "direction = sideways",
            "extra_fields = brand_new",
            "properties = whisper",
        )
    }
    assert loaded.run().drift == {}


@pytest.mark.thorough
@pytest.mark.fresh
@pytest.mark.parametrize("is_there", [True, False])
def test_a_participant_that_does_not_say_its_conference_belongs_to_the_one_asked_for(
    loaded: Loaded, is_there: bool
) -> None:
    put(loaded, 1, people=2)
    quiet = person(101, 1, conference_sid=None)
    if not is_there:
        del quiet["conference_sid"]
    loaded.account.put_participants(sid(1), [person(100, 1), quiet])
    loaded.run()
    found = f"SELECT DISTINCT conference_sid FROM {DATASET}.conference_participants"
    assert loaded.query(found) == [(sid(1),)]
    assert len(people(loaded)) == 2


@pytest.mark.thorough
def test_one_in_progress_that_a_listing_leaves_out_is_asked_for_again(loaded: Loaded) -> None:
    """By a replica that lags behind: `unique_participants` need not tell."""
    put(loaded, 1)
    loaded.account.put_participants(sid(1), [person(100, 1, "in_progress"), person(101, 1)])
    loaded.run()
    loaded.account.put_participants(sid(1), [person(101, 1)])
    loaded.run()
    loaded.account.put_participants(sid(1), [person(100, 1), person(101, 1)])
    loaded.run()
    assert asked(loaded) == []  # not before an hour is over
    loaded.account.now += HOUR
    loaded.run()
    assert people(loaded) == {100: "complete", 101: "complete"}
    loaded.account.now += DAY
    loaded.run()
    assert asked(loaded) == []


def test_progress_tells_how_much_of_them_is_listed(
    loaded: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.cli.console.SECONDS_BETWEEN_LINES", 0)
    for number in range(1, 5):
        put(loaded, number, number * HOUR)
    said = command("run").stderr
    steps = re.findall(r"(\d+)% (listed|of participants listed): ", said)
    assert steps[0][1] == "listed"
    assert steps[-1] == ("100", "of participants listed")
    assert ("50", "of participants listed") in steps


@pytest.mark.thorough
def test_those_that_say_they_are_yet_to_be_created_may_wait(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}PARTICIPANT_REQUESTS", "1")
    absurdly_timed(monkeypatch, dict.fromkeys(map(sid, (1, 2)), "9999-12-31T23:59:59Z"))
    for number in (1, 2):
        put(loaded, number)
    waiting = counts(loaded.run())
    assert (waiting["waiting"], waiting["lost_from"]) == (1, None)
    loaded.run()
    assert people(loaded).keys() == {100, 200}
