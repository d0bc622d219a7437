"""Windows cover a stretch without gap or overlap, however it is cut, and stay bounded."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.times import parse_duration, parse_moment
from pipelines.twilio_insights import windows
from pipelines.twilio_insights.client import Page
from pipelines.twilio_insights.errors import (
    BadAnswerError,
    UnavailableError,
)
from pipelines.twilio_insights.progress import Progress
from pipelines.twilio_insights.windows import OVERLAP, list_windows, span_for

START = datetime(2026, 11, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Api:
    """Lists rows by their second of creation, `page_size` a page."""

    def __init__(self, seconds: list[int], page_size: int, concurrency: int) -> None:
        self.settings = SimpleNamespace(max_concurrency=concurrency, page_size=page_size)
        self.progress = Progress()
        self.seconds = sorted(seconds)
        self.listed: list[tuple[datetime, datetime]] = []
        self.fail_from: datetime | None = None
        self._lock = threading.Lock()

    def list_pages(self, after: datetime, before: datetime) -> Iterator[Page]:
        with self._lock:
            self.listed.append((after, before))
        if self.fail_from is not None and before > self.fail_from:
            raise UnavailableError("down", "503")
        rows = [s for s in self.seconds if after < START + s * SECOND < before]
        size = self.settings.page_size
        for first in range(0, max(len(rows), 1), size):
            more = "next" if first + size < len(rows) else None
            yield Page(rows[first : first + size], START, more)


@settings(max_examples=150, deadline=None)
@given(
    seconds=st.lists(st.integers(0, 20_000), max_size=120),
    stretch=st.integers(1, 20_000),
    span=st.integers(1, 30_000),
    page_size=st.integers(1, 7),
    concurrency=st.integers(1, 5),
)
def test_every_second_is_listed_and_windows_follow_each_other(
    seconds: list[int], stretch: int, span: int, page_size: int, concurrency: int
) -> None:
    api: Any = Api(seconds, page_size, concurrency)
    end = START + stretch * SECOND
    found = list(list_windows(api, START, end, span * SECOND))
    edges = [START, *(listed.window.end for listed in found)]
    assert [listed.window.start for listed in found] == edges[:-1]
    assert edges[-1] == end
    rows = {row for listed in found for page in listed.pages for row in page.rows}
    assert rows >= {second for second in seconds if second < stretch}
    assert all(
        len(listed.pages) <= windows.MAX_PAGES
        for listed in found
        if listed.window.span > 2 * SECOND
    )
    assert all(before - after > OVERLAP for after, before in api.listed)


def test_a_fault_is_raised_after_the_windows_before_it() -> None:
    api: Any = Api([], 10, 4)
    api.fail_from = START + timedelta(hours=5)
    found = []
    with pytest.raises(UnavailableError):
        for listed in list_windows(api, START, START + timedelta(days=2), timedelta(hours=1)):
            found.append(listed.window.end)
    assert found == [START + timedelta(hours=hour) for hour in range(1, len(found) + 1)]
    assert found


def test_a_listing_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "ENDLESS", 20)
    api = Api([], page_size=1, concurrency=1)
    api.list_pages = lambda after, before: itertools.repeat(Page([], START, "more"))  # type: ignore[method-assign]
    with pytest.raises(BadAnswerError, match="still more"):
        list(list_windows(api, START, START + 2 * SECOND))  # type: ignore[arg-type]


def test_no_more_than_the_allowed_windows_are_in_flight() -> None:
    api: Any = Api([], 10, 3)
    listing = list_windows(api, START, START + timedelta(days=30), timedelta(hours=1))
    next(listing)
    listing.close()  # type: ignore[attr-defined]
    assert len(api.listed) <= 4
    assert not [t for t in threading.enumerate() if t.name.startswith("window")]


@given(rows=st.integers(0, 10**7), hours=st.integers(1, 720), page_size=st.integers(1, 1000))
def test_spans_are_whole_seconds_within_bounds(rows: int, hours: int, page_size: int) -> None:
    span = span_for(rows, timedelta(hours=hours), page_size)
    assert windows.MIN_SPAN <= span <= windows.MAX_SPAN
    assert span % SECOND == timedelta()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604800)]
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "h", "-1h", "1.5h", "1w", "9999999999d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="90s"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-01", START),
        ("2026-11-01T02:00:00+02:00", START),
        ("2026-11-01T00:00:00.9Z", START),
        ("2d", START - timedelta(days=2)),
    ],
)
def test_moments(text: str, moment: datetime) -> None:
    assert parse_moment(text, START) == moment


def test_what_is_no_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="29d"):
        parse_moment("yesterday", START)
