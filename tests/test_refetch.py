"""What is pending is asked for with as few requests as there can be."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.extract.destination_state import Pending
from pipelines.twilio_insights.extract.refetch import windows_to_list
from pipelines.twilio_insights.extract.windows import MAX_SPAN
from tests.conftest import NOW, Loaded, sid, summary

pytestmark = pytest.mark.usefixtures("tables_only")

HOUR = timedelta(hours=1)
MIDNIGHT = NOW.replace(hour=0, minute=0)


@pytest.mark.thorough
def test_an_evening_of_pending_ones_is_listed(loaded: Loaded) -> None:
    loaded.finish_after_a_run({n: 75 * HOUR + n * HOUR / 800 for n in range(3000)})
    assert loaded.run().rows_updated == 3000
    assert len(loaded.server.requests) < 15
    loaded.assert_exact()


def test_five_scattered_ones_among_many_are_fetched(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", "100")
    pending = {number: 5 * 24 * HOUR + number * HOUR / 10 for number in range(100, 1100, 200)}
    for number in range(1200):
        loaded.account.put(summary(number, 5 * 24 * HOUR + number * HOUR / 10))
    loaded.finish_after_a_run(pending)
    done = loaded.run()
    assert (done.rows_refetched, done.rows_updated) == (5, 5)
    loaded.assert_exact()


def test_one_that_is_missing_from_its_hour_is_asked_for_by_sid(loaded: Loaded) -> None:
    for number in range(10):
        loaded.account.put(summary(number, 75 * HOUR, "in_progress"))
    loaded.run()
    loaded.account.forget(sid(3))
    done = loaded.run()
    assert done.rows_refetched == 1
    outcome = "SELECT key, outcome FROM conference_insights._refetches"
    assert loaded.query(outcome) == [(sid(3), "gone")]


def test_those_far_apart_are_fetched(loaded: Loaded) -> None:
    """A listing that holds them all would be made in windows, one request each."""
    loaded.finish_after_a_run({n: days * 24 * HOUR for n, days in enumerate((29, 20, 10, 3))})
    done = loaded.run()
    assert (done.rows_refetched, done.rows_updated) == (4, 4)
    loaded.assert_exact()


@pytest.mark.parametrize("absurd", ["9999-12-31T23:59:59Z", "2226-11-28T10:00:00Z"])
def test_one_that_says_it_is_yet_to_be_created_is_asked_for_by_sid(
    loaded: Loaded, absurd: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__ACCOUNTS", "all")
    absurdly_timed(monkeypatch, {sid(number): absurd for number in (2, 3, 12)})
    other = loaded.account.add_subaccount("AC" + "1" * 32)
    for number, account in ((1, loaded.account), (2, loaded.account), (3, loaded.account)):
        account.put(summary(number, 75 * HOUR, "in_progress"))
    other.put(summary(12, 75 * HOUR, "in_progress"))
    assert loaded.run().rows_new == 4
    for number, account in ((1, loaded.account), (2, loaded.account), (12, other)):
        account.put(summary(number, 75 * HOUR))
    done = loaded.run()
    assert (done.rows_updated, done.unreadable, done.pending_after) == (3, [], 1)
    assert len(loaded.server.requests) < 20


def absurdly_timed(patch: pytest.MonkeyPatch, times: dict[str, str]) -> None:
    """Have the API say that these were created at another time than that by which it lists them."""
    real = InsightsHandler.answer

    def answer(handler: InsightsHandler) -> tuple[int, bytes]:
        status, body = real(handler)
        page = json.loads(body)
        for row in page.get("conferences", [page]):
            if row.get("conference_sid") in times:
                row["create_time"] = times[row["conference_sid"]]
        return status, json.dumps(page).encode()

    patch.setattr(InsightsHandler, "answer", answer)


@given(
    due=st.lists(st.integers(0, 200), max_size=60),
    rows=st.dictionaries(st.integers(0, 200), st.integers(0, 5000)),
    page_size=st.integers(1, 1000),
)
def test_listing_never_takes_more_requests_than_fetching(
    due: list[int], rows: dict[int, int], page_size: int
) -> None:
    pending = [Pending(sid(n), None, MIDNIGHT + hour * HOUR) for n, hour in enumerate(due)]
    by_hour = {MIDNIGHT + hour * HOUR: count for hour, count in rows.items()}
    found = windows_to_list(pending, by_hour, page_size)
    assert all(a.end <= b.start for a, b in pairwise(found))
    for start, end in found:
        windows = ceil((end - start) / MAX_SPAN)
        pages = sum(n for hour, n in by_hour.items() if start <= hour < end) // page_size + windows
        assert pages < sum(start <= asked.created < end for asked in pending if asked.created)
