"""A listing that expires, cannot be read or takes too long is made again or in parts, and holds up
nothing that is pending."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from datetime import datetime, timedelta

import pytest

from pipelines.simulator.account import iso
from pipelines.simulator.server import InsightsHandler, InsightsServer
from pipelines.twilio_insights.errors import BadAnswerError, UnavailableError
from tests.conftest import NOW, Loaded, summary

pytestmark = pytest.mark.usefixtures("tables_only")

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


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
