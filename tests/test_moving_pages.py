"""Summaries that disappear while their pages are read take no other with them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from pipelines.simulator.server import InsightsServer
from tests.conftest import Loaded, summary

pytestmark = pytest.mark.usefixtures("tables_only")

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


@contextmanager
def between_pages(happens: Callable[[str], None], times: int) -> Iterator[None]:
    """Something happens after a page that has a next one; it is told the first SID of that page."""
    real, left = InsightsServer.list_page, iter(range(times, 0, -1))

    def list_page(server: InsightsServer, query: dict[str, str]) -> bytes:
        body = real(server, query)
        page = json.loads(body)
        if page["meta"]["next_page_url"] and next(left, 0):
            happens(page["conferences"][0]["conference_sid"])
        return body

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InsightsServer, "list_page", list_page)
        yield
    assert next(left, 0) < times, "nothing happened"


@pytest.fixture(params=["newest first", "oldest first", "by SID"])
def any_order(
    request: pytest.FixtureRequest, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> Loaded:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", "5")
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__CREATED_AFTER", "2026-11-18")
    loaded.server.pages_move = True
    loaded.server.newest_first = request.param == "newest first"
    if request.param == "by SID":
        real = loaded.account.created_between
        loaded.account.created_between = lambda *window: sorted(real(*window))  # type: ignore[method-assign]
    return loaded


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("apart", "times"), [(60 * SECOND, 6), (0 * SECOND, 40)], ids=["apart", "in a second"]
)
def test_what_was_shown_is_deleted_meanwhile(
    any_order: Loaded, apart: timedelta, times: int
) -> None:
    for number in range(60):
        any_order.account.put(summary(number, DAY + number * apart))
    with between_pages(any_order.account.forget, times):
        any_order.run()
    assert_nothing_is_missing(any_order)


def test_the_oldest_pass_their_retention_meanwhile(any_order: Loaded) -> None:
    account = any_order.account
    account.retention = DAY
    for number in range(40):
        account.put(summary(number, DAY - number * SECOND))

    def wait(_: str) -> None:
        account.now += SECOND

    with between_pages(wait, 15):
        any_order.run()
    assert_nothing_is_missing(any_order)


def assert_nothing_is_missing(loaded: Loaded) -> None:
    stored = loaded.query("SELECT conference_sid FROM conference_insights.conference_summaries")
    there = {row["conference_sid"] for row in loaded.account.rows()}
    assert len(there) > 15
    assert there <= {sid for (sid,) in stored}
