"""A final summary that a listing shows otherwise than it is stored is asked for by SID, and only
what is confirmed replaces it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from pipelines.simulator.account import Account
from pipelines.simulator.server import InsightsHandler, InsightsServer
from pipelines.twilio_insights.api.client import ATTEMPTS
from pipelines.twilio_insights.extract.refetch import SAMPLE
from tests.conftest import NOW, Loaded, sid, summary

pytestmark = pytest.mark.usefixtures("tables_only")

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize("seen_before", [True, False], ids=["replaced", "never seen"])
def test_a_replica_that_still_shows_what_was_corrected_changes_nothing(
    loaded: Loaded, seen_before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, corrected = summary(1, HOUR), summary(1, HOUR, tags=["low_mos"])
    if seen_before:
        loaded.account.put(old)
        loaded.run()
    loaded.account.put(corrected)
    first = loaded.run()
    assert first.final_changed == ([sid(1)] if seen_before else [])
    real = InsightsServer.list_page

    def lagging(server: InsightsServer, query: dict[str, str]) -> bytes:
        page = json.loads(real(server, query))
        page["conferences"] = [old for _ in page["conferences"]]
        return json.dumps(page).encode()

    with monkeypatch.context() as patch:
        patch.setattr(InsightsServer, "list_page", lagging)
        done = loaded.run()
    assert (done.rows_updated, done.rows_unchanged) == (0, 1)
    loaded.assert_exact()


def lag(patch: pytest.MonkeyPatch, shown: dict[str, Any]) -> None:
    """Have listings show these copies, as a replica that lags behind does."""
    real = InsightsServer.list_page

    def list_page(server: InsightsServer, query: dict[str, str]) -> bytes:
        page = json.loads(real(server, query))
        found = page["conferences"]
        page["conferences"] = [shown.get(row["conference_sid"], row) for row in found]
        return json.dumps(page).encode()

    patch.setattr(InsightsServer, "list_page", list_page)


def test_a_change_of_all_summaries_needs_no_fetch_each(loaded: Loaded) -> None:
    for number in range(250):
        loaded.account.put(summary(number, HOUR))
    loaded.run()
    for number in range(250):
        loaded.account.put(summary(number, HOUR, end_reason="conference_ended_via_api"))
    done = loaded.run()
    assert (done.rows_updated, len(done.final_changed)) == (250, 250)
    assert done.rows_refetched == SAMPLE
    loaded.assert_exact()


@pytest.mark.thorough
@pytest.mark.parametrize("changed", [0, 90, 125], ids=["none", "some", "half"])
def test_a_listing_that_lags_behind_in_many_replaces_nothing(
    loaded: Loaded, changed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Some have changed, which it shows already."""
    old = {sid(number): summary(number, HOUR) for number in range(250)}
    for number in range(250):
        loaded.account.put(summary(number, HOUR, tags=["low_mos"]))
    loaded.run()
    for number in range(changed):
        old[sid(number)] = summary(number, HOUR, end_reason="conference_ended_via_api")
        loaded.account.put(old[sid(number)])
    with pytest.MonkeyPatch.context() as patch:
        lag(patch, old)
        done = loaded.run()
    assert (done.rows_updated, done.rows_refetched) == (changed, 250)
    assert "lags behind, so all are asked for by SID" in caplog.text
    loaded.assert_exact()


@pytest.mark.thorough
def test_many_that_read_otherwise_stay_while_nothing_can_be_fetched(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.twilio_insights.api.client.MAX_BACKOFF", 0.001)
    for number in range(150):
        loaded.account.put(summary(number, HOUR))
    loaded.run()
    for number in range(150):
        loaded.account.put(summary(number, HOUR, end_reason="conference_ended_via_api"))
    real = InsightsHandler.answer

    def failing(handler: InsightsHandler) -> tuple[int, bytes]:
        return (503, b"{}") if "CF" in handler.path else real(handler)

    with monkeypatch.context() as patch:
        patch.setattr(InsightsHandler, "answer", failing)
        done = loaded.run()
    assert (done.rows_updated, len({*done.unreadable})) == (0, 150)
    assert len(loaded.server.requests) < 2 * SAMPLE * ATTEMPTS + 20
    outcomes = "SELECT DISTINCT outcome FROM conference_insights._refetches"
    assert loaded.query(outcomes) == [("unconfirmed",)]
    for number in range(50):  # as they are stored, so that no listing makes them doubtful again
        loaded.account.put(summary(number, HOUR))
    loaded.run()
    loaded.assert_exact()
    assert loaded.query(outcomes) == [(None,)]


@pytest.mark.thorough
def test_a_correction_that_cannot_be_confirmed_is_asked_for_until_it_is(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listing goes on meanwhile, and leaves it behind the lookback."""
    monkeypatch.setattr("pipelines.twilio_insights.api.client.MAX_BACKOFF", 0.01)
    for number in range(4):
        loaded.account.put(summary(number, 47 * HOUR))
    loaded.run()
    for number in range(4):
        loaded.account.put(summary(number, 47 * HOUR, tags=["low_mos"]))
    loaded.account.put(summary(9, MINUTE))
    real = InsightsHandler.answer

    def failing(handler: InsightsHandler) -> tuple[int, bytes]:
        return (503, b"{}") if "CF" in handler.path else real(handler)

    with monkeypatch.context() as patch:
        patch.setattr(InsightsHandler, "answer", failing)
        assert len(loaded.run().unreadable) == 4
    outcomes = "SELECT DISTINCT outcome FROM conference_insights._refetches"
    assert loaded.query(outcomes) == [("unconfirmed",)]
    loaded.account.now += 5 * HOUR
    loaded.run()
    loaded.assert_exact()
    assert loaded.query(outcomes) == [(None,)]


@pytest.mark.thorough
def test_what_is_confirmed_as_its_neighbours_are_listed_is_written_once(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many pending ones of its hour are listed again, which shows the correction too."""
    monkeypatch.setattr("pipelines.twilio_insights.api.client.MAX_BACKOFF", 0.01)
    for number in range(20):
        loaded.account.put(summary(number, 47 * HOUR, "in_progress"))
    loaded.account.put(summary(20, 47 * HOUR))
    loaded.run()
    loaded.account.put(summary(20, 47 * HOUR, tags=["low_mos"]))
    loaded.account.now += 3 * HOUR
    real = InsightsHandler.answer

    def failing(handler: InsightsHandler) -> tuple[int, bytes]:
        return (503, b"{}") if "CF" in handler.path else real(handler)

    with monkeypatch.context() as patch:
        patch.setattr(InsightsHandler, "answer", failing)
        assert loaded.run().unreadable == [sid(20)]
    loaded.account.now += 5 * HOUR
    done = loaded.run()
    assert done.final_changed == [sid(20)]
    loaded.assert_exact()


@pytest.mark.thorough
def test_a_listing_that_lags_behind_does_not_end_the_asking(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.twilio_insights.api.client.MAX_BACKOFF", 0.01)
    old = summary(1, HOUR)
    loaded.account.put(old)
    loaded.run()
    real = InsightsHandler.answer

    def failing(handler: InsightsHandler) -> tuple[int, bytes]:
        return (503, b"{}") if "CF" in handler.path else real(handler)

    monkeypatch.setattr(InsightsHandler, "answer", failing)
    for shown in (summary(1, HOUR, tags=["low_mos"]), old):
        loaded.account.put(shown)
        loaded.run()
        outcome = "SELECT outcome FROM conference_insights._refetches"
        assert loaded.query(outcome) == [("unconfirmed",)]


def test_a_copy_with_another_creation_time_is_no_new_summary(loaded: Loaded) -> None:
    loaded.account.put(summary(1, 20 * DAY))
    loaded.run()
    final = loaded.account.rows()
    twin = Account(NOW)
    twin.put(summary(1, HOUR, "in_progress"))
    loaded.account.__dict__.update(twin.__dict__)
    done = loaded.run()
    assert (done.rows_new, done.rows_unchanged) == (0, 1)
    loaded.account.__dict__.update(Account(NOW).__dict__)
    loaded.account.put(final[0])
    loaded.assert_exact()
