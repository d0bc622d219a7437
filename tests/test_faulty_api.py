"""What the API does wrong holds up nothing else, and is named."""

from __future__ import annotations

import json
import threading
from contextlib import nullcontext, suppress
from datetime import datetime, timedelta
from typing import Any

import pytest

from pipelines.run.pipeline import Polling
from pipelines.simulator.account import Account, iso
from pipelines.simulator.server import InsightsHandler, InsightsServer
from pipelines.twilio_insights.api.client import ATTEMPTS
from pipelines.twilio_insights.errors import (
    BadAnswerError,
    RefusedError,
    UnavailableError,
)
from pipelines.twilio_insights.extract.refetch import SAMPLE
from tests.conftest import NOW, Loaded, sid, summary

pytestmark = pytest.mark.usefixtures("tables_only")

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def by_sid(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small pages that no listing takes fewer requests than a fetch each."""
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", "1")


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


def test_a_window_whose_page_token_expires_is_listed_again(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", "3")
    for number in range(20):  # in one second, so that no window has them on one page
        loaded.account.put(summary(number, MINUTE))
    real, expired = InsightsServer.list_page, threading.Semaphore(2)

    def expiring(server: InsightsServer, query: dict[str, str]) -> bytes:
        if "PageToken" in query and expired.acquire(blocking=False):
            raise ValueError("Invalid PageToken")
        return real(server, query)

    monkeypatch.setattr(InsightsServer, "list_page", expiring)
    assert loaded.run().rows_new == 20
    loaded.assert_exact()
    assert not expired.acquire(blocking=False)


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


def test_pending_ones_that_cannot_be_listed_are_fetched(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.finish_after_a_run(dict.fromkeys(range(5), 6 * DAY))
    real = InsightsServer.list_page

    def bad(server: InsightsServer, query: dict[str, str]) -> bytes:
        old = query["CreatedBefore"] < iso(NOW - 5 * DAY)
        return b'{"conferences": "none"}' if old else real(server, query)

    monkeypatch.setattr(InsightsServer, "list_page", bad)
    with pytest.raises(BadAnswerError):
        loaded.run()
    loaded.assert_exact()


@pytest.mark.parametrize("longest", [26 * HOUR, MINUTE])
def test_pending_ones_whose_listing_takes_too_long_are_had_all_the_same(
    loaded: Loaded, longest: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In parts, or by SID."""
    ages = [6 * DAY + hours * HOUR for hours in (0, 0, 30, 30)]
    loaded.finish_after_a_run(dict(enumerate(ages)))
    monkeypatch.setattr("pipelines.twilio_insights.api.client.ATTEMPTS", 1)
    real = InsightsServer.list_page

    def heavy(server: InsightsServer, query: dict[str, str]) -> bytes:
        after, before = (
            datetime.fromisoformat(query[f"Created{bound}"]) for bound in ("After", "Before")
        )
        old = before < NOW - 5 * DAY
        if old and before - after > longest:
            raise TimeoutError
        return real(server, query)

    def answer(handler: InsightsHandler) -> tuple[int, bytes]:
        try:
            return usual(handler)
        except TimeoutError:
            return 504, b"<html>"

    usual = InsightsHandler.answer
    monkeypatch.setattr(InsightsServer, "list_page", heavy)
    monkeypatch.setattr(InsightsHandler, "answer", answer)
    with nullcontext() if longest > HOUR else pytest.raises(UnavailableError):
        assert loaded.run().rows_refetched == 0
    loaded.assert_exact()


@pytest.mark.thorough
def test_a_window_that_cannot_be_read_does_not_hold_up_what_is_pending(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.put(summary(1, 6 * DAY, "in_progress"))
    loaded.run()
    loaded.account.put(summary(1, 6 * DAY))
    loaded.account.put(summary(2, -timedelta(minutes=1)))
    loaded.account.now += HOUR

    def bad(server: InsightsServer, query: dict[str, str]) -> bytes:
        return b'{"conferences": "none"}'

    with monkeypatch.context() as patch, pytest.raises(BadAnswerError):
        patch.setattr(InsightsServer, "list_page", bad)
        loaded.run()
    assert loaded.query("SELECT count(*) FROM conference_insights.conference_tags") == [(1,)]
    assert loaded.query("FROM analytics.completeness_by_day")
    loaded.run()
    loaded.assert_exact()


@pytest.mark.thorough
def test_a_watermark_from_a_wrong_clock_hides_nothing(loaded: Loaded) -> None:
    loaded.run()
    loaded.account.now = NOW + 400 * DAY
    loaded.run()
    loaded.account.now = NOW + 5 * DAY
    loaded.account.put(summary(1, -DAY))
    loaded.run()
    loaded.assert_exact()
    loaded.account.now += DAY
    assert loaded.run().window_from == NOW + 3 * DAY


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


def test_what_was_never_listed_and_is_deleted_is_named_with_its_dates(
    loaded: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    loaded.run()
    loaded.account.now = NOW + 25 * DAY
    assert loaded.run().gap_from is None
    assert "begins to delete it on 2026-12-20T14:30:00Z" in caplog.text
    loaded.account.now += 40 * DAY
    done = loaded.run()
    assert (done.gap_from, done.gap_to) == (NOW + 25 * DAY, NOW + 35 * DAY)
    assert "LOST: what was created from 2026-12-15T14:30:00Z to 2026-12-25" in caplog.text
    gap = "SELECT gap_from, gap_to FROM conference_insights._runs WHERE gap_from IS NOT NULL"
    assert loaded.query(gap) == [
        ((NOW + 25 * DAY).replace(tzinfo=None), (NOW + 35 * DAY).replace(tzinfo=None))
    ]


def test_the_retention_is_watched_while_the_api_is_down(
    loaded: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    loaded.run()
    loaded.account.now += 25 * DAY
    loaded.account.logins.clear()
    with pytest.raises(RefusedError):
        loaded.run()
    assert "begins to delete it on" in caplog.text


def test_what_the_documentation_does_not_know_is_named_once(loaded: Loaded) -> None:
    odd: dict[str, Any] = {"tags": ["low_mos", "very_new"], "brand_new": 1, "status": "on_hold"}
    loaded.account.put(summary(1, HOUR, detected_issues={"echo": 2}))
    loaded.account.put(summary(2, HOUR, **odd))
    loaded.account.put(summary(3, 2 * HOUR, **odd, account_sid="AC" + "e" * 32))
    done = loaded.run()
    assert done.drift == {
        "account_sid = AC" + "e" * 32: sid(3),
        "status = on_hold": done.drift["status = on_hold"],
        "tag = very_new": done.drift["tag = very_new"],
        "issue = echo": sid(1),
        "extra_fields = brand_new": done.drift["extra_fields = brand_new"],
    }
    assert {*done.drift.values()} <= {sid(1), sid(2), sid(3)}
    ((drift,),) = loaded.query("SELECT drift FROM conference_insights._runs")
    assert json.loads(drift) == done.drift
    loaded.account.put(summary(4, HOUR, **odd))
    loaded.account.put(summary(5, HOUR, end_reason="bored"))
    assert loaded.run().drift == {"end_reason = bored": sid(5)}


@pytest.mark.parametrize("page_size", ["1000", "1"], ids=["one page", "windows cut"])
def test_where_twilio_refuses_what_is_older_than_30_days_the_rest_is_loaded(
    loaded: Loaded,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    page_size: str,
) -> None:
    """What it answers there is not documented."""
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", page_size)
    refuse_before(monkeypatch, 30 * DAY)
    for number in range(1, 30):
        loaded.account.put(summary(number, number * DAY))
    done = loaded.run()
    loaded.assert_exact()
    assert done.loaded_to == NOW
    assert caplog.text.count("Twilio refuses to list from 2026-10-21T14:29:59Z") == 1
    loaded.account.now += 35 * DAY
    loaded.account.put(summary(40, -10 * DAY))
    assert loaded.run().rows_new == 1


def test_what_twilio_refuses_for_another_reason_is_no_question_of_age(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refuse_before(monkeypatch, 7 * DAY)
    with pytest.raises(BadAnswerError, match="code 17400"):
        loaded.run()
    assert len(loaded.server.requests) < 10
    assert "Twilio refuses" not in caplog.text


def refuse_before(monkeypatch: pytest.MonkeyPatch, age: timedelta) -> None:
    """Have the API answer 400 to a listing from before that."""
    real = InsightsServer.list_page

    def refusing(server: InsightsServer, query: dict[str, str]) -> bytes:
        if datetime.fromisoformat(query["CreatedAfter"]) < server.account.now - age:
            raise ValueError("Invalid query parameter: CreatedAfter")
        return real(server, query)

    monkeypatch.setattr(InsightsServer, "list_page", refusing)
