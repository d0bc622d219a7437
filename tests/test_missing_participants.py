"""Participants that cannot be had are asked for later, and keep no others from being loaded."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest

from pipelines.exit_codes import REFUSED, UNAVAILABLE
from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.errors import InsightsError, UnavailableError
from pipelines.twilio_insights.settings import Settings
from tests.conftest import Loaded, environment, sid, summary
from tests.test_loading_participants import (
    DATASET,
    DAY,
    HOUR,
    PREFIX,
    asked,
    counts,
    people,
    person,
    put,
)
from tests.test_readme import PAGES, blocks, run_shell

pytestmark = pytest.mark.usefixtures("tables_only", "with_participants")


@pytest.mark.thorough
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


@pytest.mark.thorough
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


@pytest.mark.thorough
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


def test_those_of_other_credentials_are_not_asked_for(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(loaded, 1)
    other = "AC" + "e" * 32
    loaded.account.put(summary(2, 2 * HOUR, account_sid=other))
    loaded.run()
    assert asked(loaded) == [1]


@pytest.mark.thorough
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
    assert len(asked(loaded)) < 9  # some are asked ahead of the answer that is the fifth
    assert f"Account {child.sid}: Twilio has no participants of it" in caplog.text
    assert 1 <= counts(progress)["waiting"] <= 3
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


@pytest.mark.thorough
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


@pytest.mark.thorough
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


@pytest.mark.thorough
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


@pytest.mark.thorough
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


@pytest.mark.thorough
def test_credentials_of_its_own_add_what_those_of_the_parent_cannot_have(loaded: Loaded) -> None:
    child = loaded.account.add_subaccount("AC" + "1" * 32, "Support")
    child.put(summary(1, 5 * HOUR, unique_participants=1))
    child.put_participants(sid(1), [person(100, 1)])
    put(loaded, 2)
    loaded.server.fetches_of_subaccounts = False
    (both,) = (b for b in blocks("sh", PAGES["pipelines/participants.md"]) if "AUTH_TOKEN" in b)
    both = both.replace("AC...", child.sid).replace("TOKEN=...", f"TOKEN={child.auth_token}")
    first, second = both.splitlines()
    for shell, found in ((first, [200]), (second, [100, 200]), (first, [100, 200])):
        run_shell(shell, loaded.path.parent, **environment(loaded.server))
        assert sorted(people(loaded)) == found
        conferences = loaded.query(f"SELECT count(*) FROM {DATASET}.conference_summaries")
        assert conferences == [(2,)]
    followed = f"SELECT DISTINCT followed_by FROM {DATASET}.accounts"
    assert loaded.query(followed) == [(loaded.account.sid,)]


@pytest.mark.thorough
def test_those_that_were_missing_by_a_wrong_clock_are_asked_for_at_once(loaded: Loaded) -> None:
    put(loaded, 1)
    loaded.account.put_participants(sid(1), [])  # as yet
    loaded.account.now += 20 * DAY
    loaded.load()
    loaded.account.now -= 20 * DAY
    for again in (True, False):
        loaded.load()
        assert asked(loaded) == [1] * again
