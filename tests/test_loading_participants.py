"""Participants are asked for once their conference is final, within a number of requests a run, and
again until they are final and as their conference is now."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from pipelines.exit_codes import REFUSED, UNAVAILABLE
from pipelines.lifecycle import RETENTION
from pipelines.run.pipeline import Backfill, run
from pipelines.simulator.account import Row
from pipelines.simulator.participants import participant_row
from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.errors import InsightsError, UnavailableError
from pipelines.twilio_insights.progress import Progress
from pipelines.twilio_insights.settings import Settings
from tests.conftest import NOW, Command, Loaded, sid, summary

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DATASET = "conference_insights"
PREFIX = "SOURCES__TWILIO_INSIGHTS__"
pytestmark = pytest.mark.usefixtures("tables_only")


@pytest.fixture(autouse=True)
def _with_participants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}PARTICIPANTS", "true")


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


def test_404_is_asked_again_later_and_later_and_one_that_changed_at_once(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(loaded, 1)
    answer = InsightsHandler.answer

    def missing(handler: InsightsHandler) -> tuple[int, bytes]:
        is_listing = urlsplit(handler.path).path.endswith("/Participants")
        return (404, b'{"code": 20404, "status": 404}') if is_listing else answer(handler)

    monkeypatch.setattr(InsightsHandler, "answer", missing)
    loaded.load()
    for hours in (1, 2, 4):
        loaded.account.now += (hours - 1) * HOUR
        loaded.load()
        assert asked(loaded) == []
        loaded.account.now += HOUR
        loaded.load()
        assert asked(loaded) == [1]
    loaded.account.put(summary(1, 5 * HOUR, unique_participants=1, end_reason="corrected"))
    monkeypatch.setattr(InsightsHandler, "answer", answer)
    loaded.load()
    assert asked(loaded) == [1]
    assert people(loaded) == {100: "complete"}


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


def test_what_fails_for_one_stops_no_other(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = InsightsHandler.answer

    def failing(handler: InsightsHandler) -> tuple[int, bytes]:
        path = urlsplit(handler.path).path
        if path.endswith(f"{sid(2)}/Participants"):
            return 403, b'{"code": 17007, "message": "Advanced Features", "status": 403}'
        if path.endswith(f"{sid(4)}/Participants"):
            return 200, b'{"participants": "none"}'
        return answer(handler)

    monkeypatch.setattr(InsightsHandler, "answer", failing)
    monkeypatch.setenv(f"{PREFIX}MAX_CONCURRENCY", "1")
    for number in range(1, 6):
        put(loaded, number, number * HOUR)
    progress = loaded.run()
    assert {*people(loaded)} == {100, 300, 500}
    assert progress.unreadable == [sid(2), sid(4)]
    assert counts(progress)["waiting"] == 2
    loaded.run()
    assert asked(loaded) == []  # they are asked again after an hour
    loaded.account.now += HOUR
    monkeypatch.setattr(InsightsHandler, "answer", answer)
    loaded.run()
    assert {*people(loaded)} == {100, 200, 300, 400, 500}


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, b'{"code": 20003, "message": "Authenticate", "status": 401}', REFUSED),
        (403, b'{"code": 17007, "message": "Features", "status": 403}', REFUSED),
        (400, b"{}", UNAVAILABLE),
    ],
)
def test_an_account_that_always_fails_is_given_up_and_the_run_fails(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, code: int
) -> None:
    answer = InsightsHandler.answer

    def failing(handler: InsightsHandler) -> tuple[int, bytes]:
        is_listing = urlsplit(handler.path).path.endswith("/Participants")
        return (status, body) if is_listing else answer(handler)

    for number in range(1, 80):
        put(loaded, number, number * HOUR)
    monkeypatch.setattr(InsightsHandler, "answer", failing)
    with pytest.raises(InsightsError, match="Participants of CF") as failed:
        loaded.run()
    assert failed.value.exit_code == code
    assert len(asked(loaded)) < 40
    assert loaded.query(f"SELECT count(*) FROM {DATASET}.conference_summaries") == [(79,)]
    monkeypatch.setattr(InsightsHandler, "answer", answer)
    loaded.account.now += HOUR
    loaded.run()
    assert len(people(loaded)) == 79


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


def test_those_of_other_credentials_are_not_asked_for(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(loaded, 1)
    other = "AC" + "e" * 32
    loaded.account.put(summary(2, 2 * HOUR, account_sid=other))
    loaded.run()
    assert asked(loaded) == [1]


def test_subaccounts_are_asked_for_and_one_that_is_not_served_is_named(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(f"{PREFIX}ACCOUNTS", "all")
    monkeypatch.setenv(f"{PREFIX}MAX_CONCURRENCY", "1")
    child = loaded.account.add_subaccount("AC" + "1" * 32, "Support")
    for number in range(1, 9):
        child.put(summary(number, number * HOUR, unique_participants=1))
        child.put_participants(sid(number), [person(number * 100, number)])
    put(loaded, 20)
    loaded.server.fetches_of_subaccounts = False
    progress = loaded.run()
    assert people(loaded) == {2000: "complete"}
    assert len(asked(loaded)) <= 7
    assert f"Account {child.sid}: Twilio has no participants of it" in caplog.text
    assert counts(progress)["waiting"] == 3
    loaded.server.fetches_of_subaccounts = True
    loaded.account.now += HOUR
    loaded.run()
    assert len(people(loaded)) == 9
    # From now on it is known to be served, so that some without any keep no others waiting.
    answer = InsightsHandler.answer

    def answering(handler: InsightsHandler) -> tuple[int, bytes]:
        lost = [f"/v1/Conferences/{sid(number)}/Participants" for number in range(31, 37)]
        is_lost = urlsplit(handler.path).path in lost
        return (404, b'{"code": 20404, "status": 404}') if is_lost else answer(handler)

    monkeypatch.setattr(InsightsHandler, "answer", answering)
    for number in range(31, 38):
        child.put(summary(number, number * HOUR, unique_participants=1))
        child.put_participants(sid(number), [person(number * 100, number)])
    loaded.run()
    assert 3700 in people(loaded)


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


def test_an_element_that_is_no_participant_is_rejected_and_the_rest_is_loaded(
    loaded: Loaded,
) -> None:
    loaded.account.put(summary(1, HOUR, unique_participants=1))
    rows = [person(1, 1), person(2, 1) | {"participant_sid": None}]
    loaded.account.put_participants(sid(1), rows)
    progress = loaded.run()
    assert people(loaded) == {1: "complete"}
    assert counts(progress)["rows_rejected"] == 1
    assert loaded.query(f"SELECT reason FROM {DATASET}._rejected_rows") == [("no participant_sid",)]


@pytest.mark.fresh
@pytest.mark.parametrize("other", [sid(2), sid(77), 5, {"a": 1}])
def test_a_participant_of_another_conference_than_was_asked_for_is_rejected(
    loaded: Loaded, other: Any
) -> None:
    """Else it would keep the copy as it is, or be there for two conferences in turn."""
    put(loaded, 1, people=2)
    put(loaded, 2)
    rows = [person(100, 1), person(200, 1, conference_sid=other, label="elsewhere")]
    loaded.account.put_participants(sid(1), rows)
    progress = loaded.run()
    assert {*people(loaded)} == {100, 200}
    reasons = loaded.query(f"SELECT reason FROM {DATASET}._rejected_rows")
    assert reasons == [("another conference_sid than was asked for",)]
    assert counts(progress)["rows_rejected"] == 1
    labels = f"SELECT label FROM {DATASET}.conference_participants WHERE label IS NOT NULL"
    assert loaded.query(labels) == []


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


@pytest.mark.parametrize("status", [500, 429, 504])
def test_some_that_always_fail_do_not_stand_before_the_others(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    answer = InsightsHandler.answer

    def failing(handler: InsightsHandler) -> tuple[int, bytes]:
        path = urlsplit(handler.path).path
        is_wrong = any(path.endswith(f"{sid(number)}/Participants") for number in (1, 2, 3))
        return (status, b"{}") if is_wrong else answer(handler)

    monkeypatch.setattr(InsightsHandler, "answer", failing)
    monkeypatch.setattr("pipelines.twilio_insights.api.client.MAX_BACKOFF", 0.0)
    for number in range(1, 60):
        put(loaded, number, number * HOUR)
    with pytest.raises(UnavailableError, match="Participants of CF"):
        loaded.run()
    loaded.run()
    assert len(people(loaded)) == 56


def test_a_404_of_one_region_keeps_none_from_being_asked_for_in_another(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    regions, answer, here = {1: "", 2: "ie1"}, InsightsHandler.answer, ""

    def regional(handler: InsightsHandler) -> tuple[int, bytes]:
        *_, key, last = urlsplit(handler.path).path.split("/")
        if last == "Participants" and regions[int(key[2:], 16)] != here:
            return 404, b'{"code": 20404, "status": 404}'
        return answer(handler)

    def run_in(region: str) -> None:
        nonlocal here
        here = region
        monkeypatch.setattr(Settings, "region", region)
        loaded.account.now += HOUR / 2
        loaded.run()

    monkeypatch.setattr(InsightsHandler, "answer", regional)
    put(loaded, 2)
    loaded.account.put_participants(sid(2), [person(200, 2, "in_progress")])
    for region in ("", "ie1", ""):
        run_in(region)
    put(loaded, 1)
    loaded.account.put_participants(sid(2), [person(200, 2)])
    for region in ("ie1", "", "ie1"):
        run_in(region)
    assert people(loaded) == {100: "complete", 200: "complete"}
    run_in("")
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


def test_a_404_for_some_credentials_keeps_none_from_being_asked_for_with_others(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = loaded.account.add_subaccount("AC" + "1" * 32, "Support")
    child.put(summary(1, 5 * HOUR, unique_participants=1))
    child.put_participants(sid(1), [person(100, 1, "in_progress")])
    loaded.server.fetches_of_subaccounts = False
    own = {"TWILIO_ACCOUNT_SID": child.sid, "TWILIO_AUTH_TOKEN": child.auth_token}
    parents = {"TWILIO_ACCOUNT_SID": loaded.account.sid, f"{PREFIX}ACCOUNTS": "all"}
    parents["TWILIO_AUTH_TOKEN"] = loaded.account.auth_token

    def run_with(settings: dict[str, str]) -> None:
        monkeypatch.delenv(f"{PREFIX}ACCOUNTS", raising=False)
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        loaded.account.now += HOUR / 2
        loaded.run()

    for settings in (parents, own):
        run_with(settings)
    assert people(loaded) == {100: "in_progress"}
    child.put_participants(sid(1), [person(100, 1)])
    for settings in (parents, own):
        run_with(settings)
    assert people(loaded) == {100: "complete"}
    run_with(parents)
    assert asked(loaded) == []
