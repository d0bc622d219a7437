"""A summary that cannot be fetched holds up no other, and is asked for again."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta

import pytest

from pipelines.run.pipeline import Polling
from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.api.client import ATTEMPTS
from pipelines.twilio_insights.errors import BadAnswerError, UnavailableError
from tests.conftest import Loaded, sid, summary

pytestmark = pytest.mark.usefixtures("tables_only")

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def by_sid(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small pages that no listing takes fewer requests than a fetch each."""
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", "1")


@pytest.mark.thorough
@pytest.mark.usefixtures("by_sid")
def test_a_summary_that_is_refused_does_not_hold_up_the_others(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        loaded.account.put(summary(number, 6 * DAY, "in_progress"))
    loaded.run()
    for number in (1, 3):
        loaded.account.put(summary(number, 6 * DAY))
    real = InsightsHandler.answer

    def refusing(handler: InsightsHandler) -> tuple[int, bytes]:
        return (400, b'{"code": 20001}') if sid(2) in handler.path else real(handler)

    monkeypatch.setattr(InsightsHandler, "answer", refusing)
    assert loaded.run().rows_updated == 2
    assert loaded.query("SELECT key, last_status FROM conference_insights._refetches") == [
        (sid(2), 400)
    ]


@pytest.mark.thorough
@pytest.mark.usefixtures("by_sid")
@pytest.mark.parametrize(
    ("status", "body"), [(200, b'{"conference_sid": "CF"}'), (503, b"{}")], ids=["wrong", "503"]
)
def test_a_summary_without_a_usable_answer_does_not_hold_up_the_others(
    loaded: Loaded, status: int, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.twilio_insights.api.client.MAX_BACKOFF", 0.01)
    loaded.finish_after_a_run(dict.fromkeys((1, 2, 3), 6 * DAY))
    real = InsightsHandler.answer

    def confusing(handler: InsightsHandler) -> tuple[int, bytes]:
        return (status, body) if sid(1) in handler.path else real(handler)

    monkeypatch.setattr(InsightsHandler, "answer", confusing)
    done = loaded.run()
    assert (done.rows_updated, done.unreadable, done.pending_after) == (2, [sid(1)], 1)


@pytest.mark.usefixtures("by_sid")
def test_one_that_is_refused_by_itself_holds_up_no_other(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.finish_after_a_run(dict.fromkeys(range(6), 6 * DAY))
    real = InsightsHandler.answer

    def refusing(handler: InsightsHandler) -> tuple[int, bytes]:
        return (403, b'{"code": 20403}') if sid(0) in handler.path else real(handler)

    monkeypatch.setattr(InsightsHandler, "answer", refusing)
    done = loaded.run()
    assert (done.rows_updated, done.unreadable) == (5, [sid(0)])


def test_a_gateway_that_answers_404_to_everything_makes_nothing_gone(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.put(summary(1, 6 * DAY, "in_progress"))
    loaded.run()
    real = InsightsHandler.answer

    def lost(handler: InsightsHandler) -> tuple[int, bytes]:
        return (404, b"<html>") if sid(1) in handler.path else real(handler)

    monkeypatch.setattr(InsightsHandler, "answer", lost)
    assert loaded.run().unreadable == [sid(1)]
    assert loaded.query("FROM conference_insights._refetches") == []


@pytest.mark.thorough
@pytest.mark.usefixtures("by_sid")
def test_some_that_always_fail_do_not_stand_before_the_others(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.twilio_insights.api.client.MAX_BACKOFF", 0.01)
    bad = {sid(number) for number in range(3)}
    loaded.finish_after_a_run(dict.fromkeys(range(20), 6 * DAY))
    real = InsightsHandler.answer

    def failing(handler: InsightsHandler) -> tuple[int, bytes]:
        fails = any(sid in handler.path for sid in bad)
        return (400, b"no") if fails else real(handler)

    monkeypatch.setattr(InsightsHandler, "answer", failing)
    for _ in range(3):
        with suppress(BadAnswerError):
            loaded.run()
    final = "SELECT count(*) FROM conference_insights.conference_tags"
    assert loaded.query(final) == [(17,)]


@pytest.mark.thorough
def test_polling_goes_on_asking_for_what_could_not_be_fetched(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.put(summary(1, HOUR, "in_progress"))
    real, seen = InsightsHandler.answer, threading.Semaphore(1)

    def failing(handler: InsightsHandler) -> tuple[int, bytes]:
        if sid(1) in handler.path:
            if seen.acquire(blocking=False):
                return 500, b"<html>"
            loaded.account.put(summary(1, HOUR))
        return real(handler)

    monkeypatch.setattr(InsightsHandler, "answer", failing)
    monkeypatch.setattr("pipelines.twilio_insights.api.client.ATTEMPTS", 1)
    done = loaded.run(Polling(timedelta(seconds=0.1), timedelta(seconds=20)))
    assert done.pending_after == 0
    loaded.assert_exact()


@pytest.mark.thorough
@pytest.mark.usefixtures("by_sid")
def test_an_api_that_fails_every_fetch_is_down(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.twilio_insights.api.client.MAX_BACKOFF", 0.01)
    for number in range(100):
        loaded.account.put(summary(number, 6 * DAY, "in_progress"))
    loaded.run()
    real = InsightsHandler.answer

    def failing(handler: InsightsHandler) -> tuple[int, bytes]:
        return (503, b"{}") if "CF" in handler.path else real(handler)

    monkeypatch.setattr(InsightsHandler, "answer", failing)
    with pytest.raises(UnavailableError):
        loaded.run()
    assert len(loaded.server.requests) < 50 * ATTEMPTS
