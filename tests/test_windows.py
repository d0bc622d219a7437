"""Windows cover a stretch without gap or overlap, however it is cut, and stay bounded."""

from __future__ import annotations

import itertools
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.simulator.account import iso
from pipelines.times import parse_duration, parse_moment
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.errors import QueryTimeoutError, UnavailableError
from pipelines.twilio_insights.extract import lister as listing
from pipelines.twilio_insights.extract.lister import OVERLAP, WindowedLister
from pipelines.twilio_insights.extract.records import RecordPage
from pipelines.twilio_insights.extract.volume import DAY, HOUR, VolumeEstimate, Window
from pipelines.twilio_insights.extract.windows import AccountRange, Listed, raise_unless_listed
from pipelines.twilio_insights.progress import Progress
from pipelines.twilio_insights.resources import CONFERENCES, Resource
from tests.conftest import sid, summary

START = datetime(2026, 11, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
Order = Callable[[list[float]], list[float]]


class Api:
    """Lists rows by their second of creation, `page_size` a page."""

    def __init__(self, seconds: Sequence[float], page_size: int, concurrency: int) -> None:
        self.settings = SimpleNamespace(
            max_concurrency=concurrency, page_size=page_size, account_sid="AC"
        )
        self.progress, self.stop = Progress(), threading.Event()
        self.seconds = sorted(seconds)
        self.listed: list[tuple[datetime, datetime]] = []
        self.accounts: list[str] = []
        """Whose each was."""
        self.broken: dict[str, threading.Event] = {}
        """Accounts that fail, once something has happened."""
        self.longest = timedelta.max - DAY
        """A listing of more takes the API too long."""
        self.kind = ""
        """Of the error that it ends with, if it is not Twilio's own."""
        self.fail_from: datetime | None = None
        self.pages: list[int] = []
        """Taken of each listing."""
        self.order: Order = list
        self.page_limit: int | None = None
        """Of the API's own, whatever is asked for."""
        self.vanishing = 0
        """So many disappear, each when a page is asked for after the one that showed it."""
        self._lock = threading.Lock()

    def list_pages(
        self, _: Resource, after: datetime, before: datetime, account: str, *__: object
    ) -> Iterator[Page]:
        with self._lock:
            self.listed.append((after, before))
            self.accounts.append(account)
        if account in self.broken:
            self.broken[account].wait()
            raise UnavailableError("down", "503")
        if before - after > self.longest + OVERLAP:
            if self.kind:
                raise UnavailableError("it takes too long", self.kind)
            raise QueryTimeoutError("it takes too long", "QueryTimeout")
        if self.fail_from is not None and before > self.fail_from:
            raise UnavailableError("down", "503")
        size, at = self.page_limit or self.settings.page_size, len(self.pages)
        self.pages.append(0)
        for first in itertools.count(0, size):
            with self._lock:
                lower = bisect_right(self.seconds, (after - START) / SECOND)
                upper = bisect_left(self.seconds, (before - START) / SECOND)
                rows = self.order(self.seconds[lower:upper])
                if first and self.vanishing:
                    self.vanishing -= 1
                    self.seconds.remove(rows.pop(0))
            self.pages[at] += 1
            more = "next" if first + size < len(rows) else None
            yield Page([row(s) for s in rows[first : first + size]], START, more)
            if more is None:
                return


def row(second: float) -> dict[str, str]:
    number = round(second * 1000)
    return {"conference_sid": f"CF{number:032}", "create_time": iso(START + second * SECOND)}


def by_nothing(rows: list[float]) -> list[float]:
    return sorted(rows, key=lambda second: second * 7907 % 7919)


def listed(api: Any, *of: Any) -> Iterator[Listed]:
    with closing(lister(api, *of)) as one:
        for _, outcome in one:
            yield raise_unless_listed(outcome)


def lister(
    api: Any,
    start: datetime,
    end: datetime,
    known: dict[datetime, int] | None = None,
    known_to: datetime | None = None,
) -> WindowedLister:
    size = api.settings.page_size
    whole = AccountRange("AC", Window(start, end), known or {}, size, known_to=known_to)
    return WindowedLister(api, CONFERENCES, [whole])


def test_an_hour_that_was_listed_and_had_none_takes_no_request_of_its_own() -> None:
    """Else a Sunday would be listed in as many windows as the Saturday before it."""
    busy = {START + hour * HOUR: 100 for hour in range(24)}
    rows = [hour * 3600 + 36.0 * number for hour in range(24) for number in range(100)]
    later = START + 2 * DAY
    for known_to, requests in ((None, 52), (later, 27)):
        api: Any = Api([*rows, 47.5 * 3600], 100, 1)
        found = [*listed(api, START, later, busy, known_to)]
        assert [sum(len(one.pages) for one in found), len(api.listed)] == [requests] * 2


def test_hours_that_only_seemed_to_be_listed_take_no_more_requests_than_unknown_ones() -> None:
    """As those between a conference that was loaded by its SID and the first that was listed."""
    rows = [36.0 * number for number in range(9600)]
    requests = []
    for known_to in (None, START + 4 * DAY):
        api: Any = Api(rows, 100, 1)
        assert [*listed(api, START, START + 4 * DAY, {START: 1}, known_to)]
        requests.append(len(api.listed))
    assert requests[1] <= requests[0] + 2


@settings(max_examples=150, deadline=None)
@given(
    seconds=st.lists(st.integers(0, 20_000), max_size=120, unique=True),
    stretch=st.integers(1, 20_000),
    known=st.dictionaries(st.integers(-24, 6), st.integers(0, 40)),
    known_to=st.none() | st.integers(-24, 6),
    page_size=st.integers(1, 7),
    concurrency=st.integers(1, 5),
    ahead=st.integers(1, 40),
    order=st.sampled_from([list, lambda rows: rows[::-1], by_nothing]),
    page_limit=st.none() | st.integers(1, 3),
    vanishing=st.integers(0, 3),
)
def test_every_second_is_listed_and_windows_follow_each_other(
    seconds: list[int],
    stretch: int,
    known: dict[int, int],
    known_to: int | None,
    page_size: int,
    concurrency: int,
    ahead: int,
    order: Order,
    page_limit: int | None,
    vanishing: int,
) -> None:
    api: Any = Api(seconds, page_size, concurrency)
    api.order, api.page_limit, api.vanishing = order, page_limit, vanishing
    end = START + stretch * SECOND
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "PREFETCH_ROWS", ahead)
        rows_of = {START + hour * HOUR: rows for hour, rows in known.items()}
        until = None if known_to is None else START + known_to * HOUR
        found = list(listed(api, START, end, rows_of, until))
    edges = [START, *(one.window.end for one in found)]
    assert [one.window.start for one in found] == edges[:-1]
    assert edges[-1] == end
    sids = {sid for one in found for page in one.pages for sid in page.versions}
    assert sids >= {row(s)["conference_sid"] for s in api.seconds if s < stretch}
    if page_limit is None:
        assert all(len(one.pages) == 1 for one in found if one.window.span > SECOND)
    assert all(before - after > OVERLAP for after, before in api.listed)


def test_a_fault_is_raised_after_the_windows_before_it() -> None:
    api: Any = Api([], 10, 4)
    api.fail_from = START + timedelta(hours=5)
    found = []
    with pytest.raises(UnavailableError):
        for one in listed(api, START, START + timedelta(days=2)):
            found.append(one.window.end)
    assert found
    assert found == sorted(found)
    assert found[-1] <= api.fail_from


def test_accounts_take_turns_and_one_that_fails_keeps_no_other_waiting() -> None:
    """Five never answer before all others have ended; another has as much as all of them."""
    api: Any = Api(list(range(0, 24 * 3600, 20)), 100, 2)
    others_ended = threading.Event()
    api.broken = {f"broken {number}": others_ended for number in range(5)}
    quiet = Window(START - DAY, START - HOUR)
    ranges = [AccountRange(name, quiet, {}, 100, at_once=True) for name in api.broken]
    ranges += [AccountRange("large", Window(START, START + DAY), {}, 100, at_once=True)]
    ranges += [AccountRange(f"idle {n}", quiet, {}, 100, at_once=True) for n in range(40)]
    ended: list[str] = []
    failed: list[str] = []
    with closing(WindowedLister(api, CONFERENCES, ranges)) as one:
        for turn, outcome in one:
            if isinstance(outcome, Exception):
                failed.append(turn.account)
            elif turn.is_complete:
                ended.append(turn.account)
            if len(ended) == 41:
                others_ended.set()
        assert one.is_done
    assert sorted(failed) == sorted(api.broken)
    assert ended[-1] == "large", "it has many windows, and the others do not wait for them"
    assert max(api.accounts.count(f"idle {n}") for n in range(40)) == 1


def test_a_range_that_takes_twilio_too_long_is_listed_in_parts() -> None:
    api: Any = Api(list(range(0, 24 * 3600, 60)), 1000, 2)
    api.longest = 3 * HOUR
    whole = AccountRange("AC", Window(START, START + DAY), {}, 1000, at_once=True)
    with closing(WindowedLister(api, CONFERENCES, [whole])) as one:
        found = [raise_unless_listed(outcome) for _, outcome in one]
    assert {key for one in found for page in one.pages for key in page.versions} == {
        row(second)["conference_sid"] for second in api.seconds
    }
    api.longest = SECOND
    with closing(WindowedLister(api, CONFERENCES, [AccountRange("AC", whole.whole, {}, 9)])) as two:
        ((_, outcome),) = two
    assert isinstance(outcome, QueryTimeoutError)


@pytest.mark.parametrize("kind", ["504", "408", "ReadTimeout"])
def test_so_is_one_that_gives_no_answer_if_a_second_of_it_does(kind: str) -> None:
    api: Any = Api(list(range(0, 10 * 24 * 3600, 3600)), 1000, 2)
    api.longest, api.kind = 26 * HOUR, kind
    whole = Window(START, START + 10 * DAY)
    found = [*listed(api, *whole, {START: 1})]
    assert {key for one in found for page in one.pages for key in page.versions} == {
        row(second)["conference_sid"] for second in api.seconds
    }
    failed = [before for after, before in api.listed if before - after > api.longest + OVERLAP]
    assert len(failed) <= 2, "it is learned how long one may be"
    api.longest = 30 * SECOND  # no hour can be listed
    with pytest.raises(UnavailableError):
        next(listed(api, *whole, {START: 1}))
    api.longest, before = -SECOND, len(api.listed)  # the API is down
    with pytest.raises(UnavailableError):
        next(listed(api, *whole, {START: 1}))
    assert len(api.listed) <= before + 2 * 2


def test_a_dropped_range_leaves_nothing_behind() -> None:
    api: Any = Api(list(range(0, 24 * 3600, 60)), 100, 2)
    ranges = [AccountRange(name, Window(START, START + DAY), {}, 100) for name in "ab"]
    seen = set[str]()
    with closing(WindowedLister(api, CONFERENCES, ranges)) as one:
        for turn, outcome in one:
            listed = raise_unless_listed(outcome)
            if turn.account == "a":
                one.drop(turn)
                one.drop(turn)
            else:
                seen.update(*(page.versions for page in listed.pages))
        assert one._buffered_rows == 0
    assert len(seen) == 24 * 60


def test_it_lists_ahead_but_not_without_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SMALL_PAGE", 1)  # flattened rows count once
    monkeypatch.setattr(listing, "PREFETCH_ROWS", 30)
    monkeypatch.setattr(listing, "PREFETCH_ROWS_WHILE_LOADING", 90)
    api: Any = Api(list(range(0, 30 * 24 * 3600, 600)), 10, 3)
    with closing(lister(api, START, START + timedelta(days=30))) as one:

        def ahead(at_least: int) -> int:
            deadline = time.monotonic() + 10
            while one._buffered_rows < at_least and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.1)
            return one._buffered_rows

        first = raise_unless_listed(next(iter(one))[1])
        assert 30 <= ahead(30) <= 30 + 3 * 10
        one.prefetch_more()
        assert 90 <= ahead(90) <= 90 + 3 * 10
        second = raise_unless_listed(next(iter(one))[1])
        assert first.window.end == second.window.start
    assert not [t for t in threading.enumerate() if t.name.startswith("window")]


def test_quiet_nights_take_few_requests_and_busy_noons_many() -> None:
    noon = [8 * 3600 + second for second in range(0, 8 * 3600, 10)]
    seconds = [day * 86400 + second for day in range(10) for second in noon]
    api: Any = Api(seconds, 100, 4)
    found = list(listed(api, START, START + timedelta(days=10)))
    assert sum(len(page.versions) for one in found for page in one.pages) >= len(seconds)
    assert sum(api.pages) <= 1.3 * len(seconds) / 100


@pytest.mark.parametrize("order", [list, lambda rows: rows[::-1], by_nothing])
def test_a_window_that_is_too_full_is_cut_after_one_page(
    order: Order,
) -> None:
    api: Any = Api(list(range(0, 3600, 2)), 10, 1)
    api.order = order
    list(listed(api, START, START + HOUR))
    assert {*api.pages} == {1}
    assert len(api.pages) < 2.5 * 180  # so many are full


@pytest.mark.parametrize("limit", [None, 4])
@pytest.mark.parametrize("vanishing", [0, 1, 9])
def test_what_no_window_can_have_on_one_page_is_read_until_nothing_is_missing(
    limit: int | None, vanishing: int
) -> None:
    api: Any = Api([60 + n / 100 for n in range(60)], 7, 2)
    api.page_limit, api.vanishing = limit, vanishing
    found = list(listed(api, START + 60 * SECOND, START + 61 * SECOND))
    sids = {sid for one in found for page in one.pages for sid in page.versions}
    assert sids >= {row(s)["conference_sid"] for s in api.seconds}
    assert len(api.pages) <= 2 + vanishing


def test_what_disappears_for_ever_holds_up_nothing(caplog: pytest.LogCaptureFixture) -> None:
    api: Any = Api([60 + n / 1000 for n in range(900)], 50, 1)
    api.vanishing = 900
    (found,) = listed(api, START + 60 * SECOND, START + 61 * SECOND)
    assert len(api.pages) == listing.MAX_READINGS
    assert found.pages
    assert "had disappeared" in caplog.text


@pytest.mark.parametrize("absurd", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:00"])
def test_where_a_window_is_cut_lies_within_it(absurd: str) -> None:
    window = Window(START, START + HOUR)
    odd = {"conference_sid": f"CF{'a' * 32}", "create_time": absurd}
    found = RecordPage(CONFERENCES, Page([odd, row(60), row(120), row(7200)], START)).created_in(
        window
    )
    assert found == [START + 60 * SECOND, START + 120 * SECOND]


def test_what_is_flattened_ahead_gives_the_same_rows_in_less_memory() -> None:
    rows = [summary(number, HOUR, tags=["a"] * (number % 3)) for number in range(9)]
    rows += [rows[4], rows[5] | {"processing_state": "in_progress"}, {"no": "conference"}]
    ahead, later = (
        RecordPage(CONFERENCES, Page(rows, START), all_new) for all_new in (True, False)
    )
    assert (ahead.buffered_rows, later.buffered_rows) == (9, 9 * 15)
    for sids in ([sid(number) for number in range(9)], [sid(7)], [sid(8), sid(0)]):
        for name, table in later.tables(sids).items():
            assert in_order(ahead.tables(sids)[name]) == in_order(table)
    assert ahead.by_hour() == later.by_hour()
    assert ahead.rejected == later.rejected


def in_order(table: Any) -> list[str]:
    return sorted(map(str, table.to_pylist()))


def test_a_burst_is_found_in_few_listings() -> None:
    api: Any = Api(list(range(90_000, 90_030)), 1, 1)
    found = list(listed(api, START, START + timedelta(days=4)))
    assert sum(len(page.versions) for one in found for page in one.pages) >= 30
    assert len(api.listed) < 200


@given(
    counts=st.dictionaries(st.integers(0, 47), st.integers(0, 10**7), min_size=1),
    start=st.integers(0, 48 * 3600),
    rows=st.integers(1, 10_000),
)
def test_windows_end_after_whole_seconds_within_bounds(
    counts: dict[int, int], start: int, rows: int
) -> None:
    traffic = VolumeEstimate({START + hour * HOUR: count for hour, count in counts.items()})
    begin = START + start * SECOND
    whole = Window(begin, begin + 2 * DAY)
    first = traffic.first(whole, rows)
    assert first.start == begin
    assert begin + SECOND <= first.end <= whole.end
    assert first.end.microsecond == 0


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
