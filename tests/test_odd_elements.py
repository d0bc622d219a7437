"""One odd element stops no other, whatever it is that makes it odd."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from pipelines.exit_codes import BUG, exit_code
from pipelines.simulator.account import iso
from pipelines.simulator.server import InsightsServer
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.api.decoding import PageDecoder, text_of
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.codec import DEEPEST, shallow, to_json
from pipelines.twilio_insights.errors import UnforeseenError
from pipelines.twilio_insights.extract import flatten
from pipelines.twilio_insights.extract.records import RecordPage
from pipelines.twilio_insights.extract.volume import HOUR, VolumeEstimate, Window
from pipelines.twilio_insights.resources import CONFERENCES, Resource
from tests.conftest import NOW, Loaded, sid, summary
from tests.test_pages import FIELDS, HEADERS, ODD, PLAIN, deep

pytestmark = pytest.mark.usefixtures("tables_only")

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
TIMES = [
    "0001-01-01T00:00:00+01:00",
    "0001-01-01T00:00:00Z",
    "0000-00-00T00:00:00Z",
    "-0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-14:00",
    "10000-01-01T00:00:00Z",
    "292278994-08-17T07:12:55Z",
    "1677-09-21T00:12:43Z",
    "2262-04-12T00:00:00Z",
    "2026-11-20T24:00:00Z",
    "2026-11-20T23:59:60Z",
    "2026-11-20",
    "2026-W47-5",
    "20261120T1030",
    "2026-11-20T10",
    "2026-11-20T10:00:00+24:00",
    "2026-11-20T10:00:00+23:59",
    "2026-11-20T10:00:00.123456789Z",
    "2026-02-30T00:00:00Z",
    "2026-11-20t10:00:00z",
    "2026-11-20T1x:00:00Z",
    "2026-11-20T10:00:00+01:00:30",
    "2026-11-20T10:00:00[UTC]",
]
VALUES = [
    *ODD,
    *(json.dumps(moment).encode() for moment in TIMES),
    *map(deep, (DEEPEST - 3, DEEPEST, DEEPEST + 1, 990, 1024, 30_000)),
    *(b'{"a":' * levels + b"1" + b"}" * levels for levels in (254, 990, 30_000)),
    *(b"1" * digits for digits in (400, 3999, 4000, 10_000)),
    b"-1e400",
]


def element(number: int, **values: bytes) -> bytes:
    fields = PLAIN | {"conference_sid": b'"%b"' % sid(number).encode()} | values
    return b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), v) for name, v in fields.items())


def is_json(value: bytes) -> bool:
    try:
        json.loads(value, parse_int=str)
    except RecursionError:
        return True
    except ValueError:
        return False
    return True


@pytest.mark.thorough
@pytest.mark.parametrize("field", [*FIELDS, "voice_bots", "Odd"])
@pytest.mark.parametrize("all_new", [True, False], ids=["flattened at once", "later"])
def test_no_value_of_any_field_stops_another_element(field: str, all_new: bool) -> None:
    values = [value for value in VALUES if is_json(value)]
    elements = [element(1), *(element(n, **{field: v}) for n, v in enumerate(values, 10))]
    content = b'{"conferences":[%b],"meta":{"next_page_url":null}}' % b",".join(elements)
    page = Page(PageDecoder(CONFERENCES).decode(HEADERS, content)["conferences"], NOW)
    answer = RecordPage(CONFERENCES, page, all_new)
    assert answer.created_in(Window(NOW - HOUR, NOW)) is not None
    assert answer.by_hour().total() <= len(elements)
    stored = answer.tables([*answer.versions])["conference_summaries"]["conference_sid"].to_pylist()
    assert len({*stored}) + len(answer.rejected) >= len(elements) - (field == "conference_sid")
    assert all(to_json(odd.element) for odd in answer.rejected)
    assert sid(1) in stored


def test_what_is_nested_too_deep_is_kept_as_text() -> None:
    assert shallow(b'{"a":[[1]],"b":"[[["}', 2) == b'{"a":["[1]"],"b":"[[["}'
    content = b'{"conferences":[%b],"meta":{"next_page_url":null}}' % element(1, odd=deep(3000))
    alone = b'{"conferences":[%b],"meta":{"next_page_url":null}}' % element(1, odd=deep(600))
    for body, levels in ((content, 3000), (alone, 600)):
        answer = RecordPage(
            CONFERENCES, Page(PageDecoder(CONFERENCES).decode(HEADERS, body)["conferences"], NOW)
        )
        (extra,) = answer.tables([sid(1)])["conference_summaries"]["extra_fields"].to_pylist()
        assert extra.count("[") == levels


def in_listings(monkeypatch: pytest.MonkeyPatch, odd: dict[str, bytes]) -> None:
    """Have the API list some summaries with other creation times, or whatever replaces them."""
    real = InsightsServer.list_page

    def list_page(server: InsightsServer, query: dict[str, str]) -> bytes:
        page = json.loads(real(server, query))
        for row in page["conferences"]:
            if row["conference_sid"] in odd:
                row["create_time"] = row["conference_sid"] * 2
        body = json.dumps(page).encode()
        for number, value in odd.items():
            body = body.replace(b'"%b"' % (number * 2).encode(), value)
        return body

    monkeypatch.setattr(InsightsServer, "list_page", list_page)


def test_odd_times_among_many_pages_load_with_all_others(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", "7")
    odd = [json.dumps(moment).encode() for moment in TIMES] + [b"5", deep(1500)]
    for number in range(120):
        loaded.account.put(summary(number, DAY + number * MINUTE))
    in_listings(monkeypatch, {sid(4 * number): value for number, value in enumerate(odd)})
    for _ in range(2):
        loaded.run()
    count = "SELECT count(*), count(create_time) FROM conference_insights.conference_summaries"
    ((rows, times),) = loaded.query(count)
    assert rows == 120
    assert times > 95


@pytest.mark.thorough
def test_odd_values_of_all_fields_load_at_once(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = [value for value in VALUES if is_json(value)]
    some = enumerate([*FIELDS, "voice_bots", "Odd"])  # each value in every fourth field
    fields = [(field, value) for first, field in some for value in values[first % 4 :: 4]]
    elements = [element(n, **{field: value}) for n, (field, value) in enumerate(fields, 10)]
    real = InsightsServer.list_page

    def list_page(server: InsightsServer, query: dict[str, str]) -> bytes:
        if query["CreatedBefore"] < iso(NOW) or query["PageSize"] == "1":
            return real(server, query)
        return b'{"conferences":[%b],"meta":{"next_page_url":null}}' % b",".join(elements)

    monkeypatch.setattr(InsightsServer, "list_page", list_page)
    loaded.account.put(summary(1, DAY))
    done = loaded.run()
    assert done.rows_new + done.rows_rejected >= len(elements) - len(values)
    stored = "SELECT count(*) FROM conference_insights.conference_summaries"
    assert loaded.query(stored) == [(done.rows_new,)]


def test_what_nobody_has_thought_of_is_rejected_by_itself(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = flatten.flatten

    def failing(resource: Resource, rows: Any, *rest: Any) -> Any:
        if any(json.loads(text_of(row))["conference_sid"] == sid(3) for row in rows):
            raise LookupError("unheard of")
        return real(resource, rows, *rest)

    for number in range(6):
        loaded.account.put(summary(number, DAY, "in_progress" if number < 5 else "complete"))
    monkeypatch.setattr(flatten, "flatten", failing)
    assert loaded.run().rows_rejected == 1
    loaded.account.put(summary(0, DAY))
    loaded.run()
    stored = "SELECT count(*) FROM conference_insights.conference_summaries"
    assert loaded.query(stored) == [(5,)]
    rejected = "SELECT reason, row LIKE '%in_progress%' FROM conference_insights._rejected_rows"
    assert loaded.query(rejected) == [("LookupError: unheard of", True)]


def test_a_window_that_fails_unforeseen_leaves_what_is_before_it_and_what_is_pending(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.put(summary(1, 10 * DAY, "in_progress"))
    loaded.run()
    loaded.account.put(summary(1, 10 * DAY))
    loaded.account.put(summary(2, 30 * HOUR))
    loaded.account.put(summary(3, MINUTE))
    real = InsightsClient.list_pages

    def failing(client: InsightsClient, *listed: Any) -> Any:
        for page in real(client, *listed):
            if any(getattr(row, "conference_sid", "") == sid(3) for row in page.rows):
                raise ZeroDivisionError("unheard of")
            yield page

    monkeypatch.setattr(InsightsClient, "list_pages", failing)
    monkeypatch.setattr("pipelines.twilio_insights.extract.windows.MAX_SPAN", HOUR)
    with pytest.raises(UnforeseenError, match="ZeroDivisionError unheard of") as raised:
        loaded.run()
    assert exit_code(raised.value) == BUG
    stored = "SELECT count(*) FROM conference_insights.conference_summaries"
    assert loaded.query(stored) == [(2,)]
    assert loaded.query("SELECT count(*) FROM conference_insights.conference_tags") == [(2,)]


def test_a_fetch_that_fails_unforeseen_stops_no_other(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", "1")
    loaded.finish_after_a_run(dict.fromkeys(range(4), 6 * DAY))
    real = InsightsClient.fetch

    def failing(client: InsightsClient, resource: Resource, number: str) -> Page:
        if number == sid(2):
            raise ZeroDivisionError("unheard of")
        return real(client, resource, number)

    monkeypatch.setattr(InsightsClient, "fetch", failing)
    done = loaded.run()
    assert (done.rows_updated, done.unreadable) == (3, [sid(2)])


def test_a_listing_whose_threads_die_does_not_hang(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: Any) -> Window:
        raise ZeroDivisionError("unheard of")

    monkeypatch.setattr(VolumeEstimate, "first", failing)
    with pytest.raises(UnforeseenError):
        loaded.run()
