"""Pages decoded to structs say what they say when they are decoded to plain objects."""

from __future__ import annotations

import json
import sys
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.twilio_insights import codec
from pipelines.twilio_insights.api import decoding
from pipelines.twilio_insights.api.decoding import MAX_LEARNED, PageDecoder, Record, format_of
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.codec import to_json
from pipelines.twilio_insights.errors import BadAnswerError
from pipelines.twilio_insights.extract.records import RecordPage
from pipelines.twilio_insights.resources import CONFERENCES
from tests.conftest import NOW, sid, summary

HEADERS = httpx.Headers({"content-type": "application/json"})
FIELDS = format_of(CONFERENCES).names
BASE = summary(1, NOW - NOW) | {
    "tags": ["low_mos", "high_jitter"],
    "tag_info": {"low_mos": [{"severity": "high", "x": 1}, {"participant_identity": "Zoë"}]},
    "detected_issues": {"call_quality": 2, "another": 0},
}


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


ODD = [
    *(b"600.0 6e2 -0 -0.0 0.1 1e999 NaN -Infinity true false null {} [] 01 - 1. tru".split()),
    *(str(2**bits + more).encode() for bits in (31, 53, 63, 64, 70) for more in (-1, 0, 1)),
    *(b"-9223372036854775808 -9223372036854775809 1234567890123456789.5 [18446744073709551616]"
      b' {"b":1,"a":[1.50,{"z":1,"y":12345678901234567890123}]} {"a":1,"a":2.0,"b":null}').split(),
    rb'"\ud800"', rb'"\ud83d\ude00"', rb'"\\ud800"', rb'"\u0000\u001f\/\u2028"', rb'"\x"',
    b'"a\tb"', b'"\xff"', b'"\xe2"', b'"\xed\xa0\x80"', '"é\u2028😀"'.encode(), b'["low_mos", 5]',
    b'["low_mos","low_mos",null]', b'{"a" : {"reason": null}, "b":[], "c":[7,{"severity":"s"}]}',
    b'{"conference_participants":5}', '{"z":"1","a":"é","😀":"2","\ufffd":"3"}'.encode(),
    b'{"low_mos":1.0,"x":"2","y":2147483649,"z":null}', b'"2026-11-20T10:00:00.25+02:00"',
    b'"9999-12-31T23:59:59-23:00"', b'"yesterday"', b'"in_progress"', b'"timeout"',
    *map(deep, (100, 251, 252, 253, 254, 255, 256)),
]  # fmt: skip
TEXTS = st.text() | st.sampled_from(["\ud800", "a\x7f", "😀"])
VALUES = (
    st.sampled_from(ODD)
    | st.builds(lambda text: json.dumps(text).encode(), TEXTS)
    | st.builds(
        lambda value: json.dumps(value, ensure_ascii=False).encode(errors="replace"),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=6,
        ),
    )
)
KEYS = st.sampled_from(
    [*FIELDS, "voice_bots", "from", "class", "a", "conference_si\\u0064", "Odd", ""]
)
SPACES = st.sampled_from([b"", b"", b"", b" ", b"\r\n\t "])
PLAIN = {name: json.dumps(value).encode() for name, value in BASE.items()}


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    """A summary: some fields missing, some with other values, some twice, some unknown."""
    fields = {**PLAIN, "conference_sid": b'"%b"' % sid(draw(st.integers(1, 5))).encode()}
    pairs = [pair for pair in fields.items() if pair[0] not in draw(st.sets(KEYS, max_size=1))]
    pairs += draw(st.lists(st.tuples(KEYS, VALUES), max_size=2))
    if draw(st.booleans()):
        pairs = draw(st.permutations(pairs))
    space = draw(SPACES)
    members = (b'%b"%b"%b:%b' % (space, k.encode(), space, v) for k, v in pairs)
    return b"{%b}" % (space + b",").join(members)


ELEMENTS = objects() | VALUES


@st.composite
def pages(draw: st.DrawFn) -> bytes:
    elements = draw(SPACES).join([b"[", b",".join(draw(st.lists(ELEMENTS, max_size=5))), b"]"])
    more = draw(st.sampled_from([b"", b"", b',"extra":' + draw(VALUES), b',"conferences":[]']))
    return b'{"conferences":%b,"meta":{"next_page_url":null}%b}' % (elements, more)


def said(body: Any) -> Any:
    """All that is loaded from a page; None if it is refused."""
    if not isinstance(body, dict) or not isinstance(body.get("conferences"), list):
        return body
    try:
        answer = RecordPage(CONFERENCES, Page(body["conferences"], NOW))
        tables = answer.tables([*answer.versions]) if answer.versions else {}
        rejected = [(to_json(element), *why) for element, *why in answer.rejected]
    except BadAnswerError:
        return None
    rows = {  # in any order
        name: (table.schema, sorted(table.to_pylist(), key=repr)) for name, table in tables.items()
    }
    return body.get("meta"), answer.versions, rejected, answer.by_hour(), rows


@pytest.mark.thorough
@settings(max_examples=200, deadline=None)
@given(pages())
def test_a_page_says_the_same_however_it_is_decoded(content: bytes) -> None:
    expected = said(codec.decode(HEADERS, content))
    decoder = PageDecoder(CONFERENCES)
    for _ in range(2):  # the second time it knows unknown fields by name
        assert said(decoder.decode(HEADERS, content)) == expected


@pytest.mark.parametrize("field", [*FIELDS[1:], "voice_bots"])
def test_a_value_says_the_same_in_every_field(field: str) -> None:
    """Of the values that can stand on a page without making all of it odd."""
    values = [value for value in ODD if _stands(value)]
    assert len(values) > 50
    rows = []
    for number, value in enumerate(values):
        fields = PLAIN | {"conference_sid": b'"%b"' % sid(number).encode(), field: value}
        rows.append(b"{%b}" % b",".join(b'"%b":%b' % (k.encode(), v) for k, v in fields.items()))
    content = b'{"conferences":[%b]}' % b",".join(rows)
    found = PageDecoder(CONFERENCES).decode(HEADERS, content)
    assert any(isinstance(row, Record) for row in found["conferences"])
    assert said(found) == said(codec.decode(HEADERS, content))


def _stands(value: bytes) -> bool:
    try:
        return bool(msgspec.json.decode(value, type=msgspec.Raw))
    except msgspec.DecodeError:
        return False


def decoded(rows: list[Any], decoder: PageDecoder | None = None) -> list[Any]:
    content = json.dumps({"conferences": rows, "meta": {"next_page_url": None}}).encode()
    found: list[Any] = (decoder or PageDecoder(CONFERENCES)).decode(HEADERS, content)["conferences"]
    assert said({"conferences": found}) == said({"conferences": rows})
    return found


def ordinary(number: int, **values: Any) -> dict[str, Any]:
    return BASE | {"conference_sid": sid(number)} | values


def test_the_struct_has_the_columns_of_the_table() -> None:
    assert format_of(CONFERENCES).known.__struct_fields__ == (*sorted(FIELDS),)


def test_missing_fields_are_ordinary_and_not_null() -> None:
    missing = {name: value for name, value in ordinary(1).items() if name == "conference_sid"}
    null = ordinary(1, **dict.fromkeys(FIELDS[1:]))
    first, second = decoded([missing, null])
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert decoding.digest(first) != decoding.digest(second)


def test_a_field_that_all_have_is_learned() -> None:
    rows = [ordinary(n, voice_bots={"b": n, "a": [n]}, **{"from": None}) for n in range(20)]
    found = decoded(rows)
    assert all(isinstance(row, Record) for row in found)
    text = RecordPage(CONFERENCES, Page(found, NOW)).tables([sid(7)])["conference_summaries"][
        "extra_fields"
    ]
    assert text.to_pylist() == ['{"from":null,"voice_bots":{"a":[7],"b":7}}']


def test_names_are_learned_up_to_a_limit() -> None:
    decoder = PageDecoder(CONFERENCES)
    rows = [ordinary(1, **{f"new_{n}": n}) for n in range(MAX_LEARNED + 1)]
    found = [decoded([row], decoder)[0] for row in rows]
    assert [type(row) is dict for row in found] == [False] * MAX_LEARNED + [True]
    assert isinstance(decoded([rows[0]], decoder)[0], Record)


@pytest.mark.parametrize(
    "odd",
    [
        {"status": 5},
        {"Odd": 1},
        {"duration_seconds": 7.0},
        {"x": 2**70},
    ],
    ids=str,
)
def test_an_odd_row_leaves_the_others_ordinary(odd: dict[str, Any]) -> None:
    rows = [ordinary(n) for n in range(9)]
    rows[4] |= odd
    content = json.dumps({"conferences": rows}).encode()
    found = PageDecoder(CONFERENCES).decode(HEADERS, content)["conferences"]
    assert [isinstance(row, Record) for row in found] == [n != 4 for n in range(9)]
    assert said({"conferences": found}) == said(codec.decode(HEADERS, content))


@pytest.mark.parametrize("name", [rb'"\ud800"', b'"\xff"'], ids=str)
def test_a_name_cut_in_the_middle_of_a_character_leaves_the_others_ordinary(name: bytes) -> None:
    rows = [ordinary(1), ordinary(2, friendly_name="cut"), ordinary(3)]
    content = json.dumps({"conferences": rows}).encode().replace(b'"cut"', name)
    found = PageDecoder(CONFERENCES).decode(HEADERS, content)["conferences"]
    assert isinstance(found[0], Record)
    assert isinstance(found[2], Record)
    assert said({"conferences": found}) == said(codec.decode(HEADERS, content))


@pytest.mark.parametrize(
    "odd", ["CF1", sid(1) + "\n", " " + sid(1), sid(1).lower(), None, 5], ids=repr
)
def test_what_has_no_sid_is_no_summary(odd: Any) -> None:
    found = decoded([ordinary(1), ordinary(2, conference_sid=odd)])
    assert [isinstance(row, Record) for row in found] == [True, False]


def test_nothing_of_the_page_stays_in_memory() -> None:
    rows = [
        ordinary(n, voice_bots=[n, "x" * 2000], status=["completed", 5][n > 3]) for n in range(6)
    ]
    content = json.dumps({"conferences": rows, "meta": {}}).encode()
    before = sys.getrefcount(content)
    found = PageDecoder(CONFERENCES).decode(HEADERS, content)
    assert len(found["conferences"]) == 6
    assert sys.getrefcount(content) == before


def test_an_ordinary_summary_takes_half_the_memory_of_an_odd_one() -> None:
    first, second = (
        RecordPage(CONFERENCES, Page(decoded([ordinary(1, status=s)]), NOW))
        for s in ("completed", 5)
    )
    assert (first.buffered_rows, second.buffered_rows) == (8, 15)


def test_what_many_say_is_read_once() -> None:
    first, second = decoded([ordinary(1), ordinary(2)])
    assert isinstance(first, Record)
    assert all(getattr(first, f.name) is getattr(second, f.name) for f in CONFERENCES.children)
