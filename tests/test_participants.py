"""Participants as they are received become rows, field by field, and nothing is lost."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from pipelines.twilio_insights.api.decoding import PageDecoder, Record, digest
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.extract.flatten import Tables, flatten
from pipelines.twilio_insights.extract.records import RecordPage
from pipelines.twilio_insights.resources import RESOURCES
from tests.conftest import NOW, ROOT
from tests.test_pages import HEADERS

PARTICIPANTS = RESOURCES["participants"]
SAMPLES = json.loads((ROOT / "tests/samples/participants.json").read_text())
(FULL,) = (body for name, body in SAMPLES.items() if name.endswith("readFull"))
ADDED = ("_tombstone", "_dlt_load_id", "row_digest", "fetched_at")


def official_rows() -> list[dict[str, Any]]:
    listed = [row for body in SAMPLES.values() for row in body.get("participants", ())]
    return listed + [body for body in SAMPLES.values() if "participant_sid" in body]


def rows_of(tables: Tables, name: str) -> list[dict[str, Any]]:
    table = tables[f"conference_participant{name}"].to_pylist()
    return [{k: v for k, v in row.items() if k not in ADDED} for row in table]


def loaded(row: dict[str, Any], is_ordinary: bool = True) -> Tables:
    """The rows of one participant, decoded from bytes, or from a parsed element as odd ones are."""
    if not is_ordinary:
        return flatten(PARTICIPANTS, [row], [digest(row)], [NOW])
    body = json.dumps({"meta": {"next_page_url": None}, "participants": [row]}).encode()
    received = PageDecoder(PARTICIPANTS).decode(HEADERS, body)["participants"]
    assert digest(received[0]) == digest(row)
    page = RecordPage(PARTICIPANTS, Page(received, NOW))
    return page.tables([*page.versions])


def test_all_properties_of_the_samples_have_a_place() -> None:
    places = {column.field for column in PARTICIPANTS.columns} | {*PARTICIPANTS.objects}
    places |= {field.name for field in PARTICIPANTS.children}
    assert all(row.keys() == places and len(row) == 27 for row in official_rows())


@pytest.mark.parametrize("is_ordinary", [True, False])
def test_the_official_samples_load_field_by_field(is_ordinary: bool) -> None:
    first, second = FULL["participants"]
    tables = loaded(second, is_ordinary)
    (row,) = rows_of(tables, "s")
    assert row == {
        "participant_sid": "CP" + "a" * 31 + "b",
        "conference_sid": "CF" + "a" * 32,
        "account_sid": "AC" + "a" * 32,
        "call_sid": "CA" + "a" * 31 + "b",
        "label": None,
        "calling_party": "+10000000000",
        "called_party": "+10000000002",
        "call_direction": "outbound",
        "call_type": "carrier",
        "call_status": "completed",
        "country_code": "US",
        "participant_region": "us1",
        "conference_region": "us1",
        "is_moderator": True,
        "is_coach": False,
        "join_time": datetime(2021, 10, 8, 2, 58, 52),
        "leave_time": datetime(2021, 10, 8, 2, 59, 54),
        "duration_seconds": 63,
        "outbound_queue_length": 0,
        "outbound_time_in_queue": 321,
        "jitter_buffer_size": None,
        "processing_state": "complete",
        "start_conference_on_enter": False,
        "end_conference_on_exit": False,
        "play_early_media": None,
        "early_media": False,
        "enter_muted": True,
        "beep_on_enter": False,
        "beep_on_exit": False,
        "properties": None,
        "url": second["url"],
        "extra_fields": None,
    }
    silent = {"participant_sid": row["participant_sid"], "latency_avg": 0.0, "latency_max": 0.0}
    assert rows_of(tables, "_metrics") == [
        silent
        | {"direction": "inbound", "total_packets_lost": 0, "total_packets_received": 16}
        | {"packet_loss_percentage": 0.0, "jitter_avg": 0.26, "jitter_max": 0.45, "mos": 4.4}
        | {"is_silent": False, "tags": None, "details": None},
        silent
        | {"direction": "outbound", "total_packets_lost": 0, "total_packets_received": 42}
        | {"packet_loss_percentage": 0.0, "jitter_avg": 0.03, "jitter_max": 0.08, "mos": 4.4}
        | {"is_silent": True, "tags": '["silent"]', "details": None},
    ]
    at = {"event": "mute", "event_index": 0, "occurred_at": datetime(2021, 10, 8, 14, 58, 51)}
    at |= {"participant_sid": row["participant_sid"]}
    assert rows_of(tables, "_events") == [at]
    assert tables["conference_participant_coaching"]["_tombstone"].to_pylist() == [True]

    tables = loaded(first, is_ordinary)
    (row,) = rows_of(tables, "s")
    assert (row["play_early_media"], row["early_media"]) == (True, None)
    assert tables["conference_participant_events"]["_tombstone"].to_pylist() == [True]


def test_each_sample_is_an_ordinary_record() -> None:
    for body in SAMPLES.values():
        if rows := body.get("participants"):
            decoded = PageDecoder(PARTICIPANTS).decode(HEADERS, json.dumps(body).encode())
            assert all(isinstance(row, Record) for row in decoded["participants"])
            assert [digest(row) for row in decoded["participants"]] == [*map(digest, rows)]


BASE = FULL["participants"][0]
ODD: list[tuple[str, Any, dict[str, Any], Any]] = [
    # field, value as received, columns, kept in extra_fields
    ("from", 15550001, {"calling_party": None}, 15550001),
    ("to", None, {"called_party": None}, None),
    ("is_coach", "yes", {"is_coach": None}, "yes"),
    ("properties", None, {"properties": None, "enter_muted": None}, None),
    ("properties", {}, {"properties": None, "enter_muted": None}, None),
    ("properties", {"enter_muted": None}, {"properties": None, "enter_muted": None}, None),
    ("properties", {"enter_muted": 1}, {"properties": '{"enter_muted":1}'}, None),
    (
        "properties",
        {"enter_muted": True, "whisper": {"a": [None]}},
        {"properties": '{"whisper":{"a":[null]}}', "enter_muted": True},
        None,
    ),
    ("properties", ["odd"], {"properties": '["odd"]', "enter_muted": None}, None),
    ("properties", "odd", {"properties": '"odd"'}, None),
    ("whisper", True, {}, True),
]


@pytest.mark.parametrize("is_ordinary", [True, False])
@pytest.mark.parametrize(("field", "value", "columns", "kept"), ODD, ids=lambda v: str(v)[:30])
def test_what_does_not_fit_is_kept(
    field: str, value: Any, columns: dict[str, Any], kept: Any, is_ordinary: bool
) -> None:
    (row,) = rows_of(loaded(BASE | {field: value}, is_ordinary), "s")
    assert row | columns == row
    extra = row["extra_fields"] and json.loads(row["extra_fields"])
    assert extra == (None if kept is None else {field: kept})


METRICS: list[tuple[Any, list[dict[str, Any]], Any]] = [
    # as received, rows with what is not NULL, kept in extra_fields
    ({"inbound": None}, [{"direction": "inbound"}], None),
    ({"inbound": {}}, [{"direction": "inbound", "is_silent": False}], None),
    (
        {"inbound": {"mos": 4, "jitter": {"avg": 0, "max": 1, "p95": 2}, "rtt": {"avg": 3}}},
        [
            {"direction": "inbound", "mos": 4.0, "jitter_avg": 0.0, "jitter_max": 1.0}
            | {"is_silent": False, "details": '{"jitter":{"p95":2},"rtt":{"avg":3}}'}
        ],
        None,
    ),
    (
        {"sideways": {"mos": "good", "jitter": 5, "latency": {"avg": None}}},
        [{"direction": "sideways", "is_silent": False} | {"details": '{"jitter":5,"mos":"good"}'}],
        None,
    ),
    (
        {"inbound": {"tags": ["silent", "loud"]}, "outbound": {"tags": "silent"}},
        [
            {"direction": "inbound", "is_silent": True, "tags": '["silent","loud"]'},
            {"direction": "outbound", "is_silent": False, "tags": '"silent"'},
        ],
        None,
    ),
    ({"inbound": [1]}, [{"direction": "inbound", "details": "[1]"}], None),
    (
        {"inbound": {"mos": 2**63}},
        [{"direction": "inbound", "is_silent": False, "mos": 2.0**63}],
        None,
    ),
    (
        {"inbound": {"mos": 2**53 + 1}},
        [{"direction": "inbound", "is_silent": False, "details": '{"mos":9007199254740993}'}],
        None,
    ),
    (
        {"inbound": {"mos": 10**400}},
        [{"direction": "inbound", "is_silent": False, "details": f'{{"mos": {10**400}}}'}],
        None,
    ),
    ([1], [], [1]),
    (0, [], 0),
]


@pytest.mark.parametrize("is_ordinary", [True, False])
@pytest.mark.parametrize(("metrics", "rows", "kept"), METRICS, ids=lambda v: str(v)[:30])
def test_every_shape_of_metrics_becomes_rows(
    metrics: Any, rows: list[dict[str, Any]], kept: Any, is_ordinary: bool
) -> None:
    tables = loaded(BASE | {"metrics": metrics}, is_ordinary)
    found = rows_of(tables, "_metrics")
    given = [{k: v for k, v in row.items() if v is not None} for row in found]
    sid = {"participant_sid": BASE["participant_sid"]}
    assert given == [sid | row for row in rows] or (not rows and given == [sid | {"direction": ""}])
    extra = rows_of(tables, "s")[0]["extra_fields"]
    assert (extra and json.loads(extra)) == (None if kept is None else {"metrics": kept})


AT = datetime(2021, 10, 7, 18, 58, 51)
EVENTS: list[tuple[Any, list[tuple[Any, ...]], Any]] = [
    ({"hold": [1633633131000, 1633633131000]}, [("hold", 0, AT), ("hold", 1, AT)], None),
    ({"brand_new": [1633633131000.0]}, [("brand_new", 0, AT)], None),
    ({"hold": 1633633131000}, [("hold", 0, AT)], None),
    ({"hold": [1633633131250]}, [("hold", 0, AT.replace(microsecond=250000))], None),
    ({"hold": [], "mute": None}, [], None),
    (
        {"hold": ["soon", 1633633131000, None], "mute": [1633633131000]},
        [("hold", 0, None), ("hold", 1, AT), ("hold", 2, None), ("mute", 0, AT)],
        {"hold": ["soon", 1633633131000, None]},
    ),
    ({"hold": [10**30]}, [("hold", 0, None)], {"hold": [10**30]}),
    ({"hold": [True]}, [("hold", 0, None)], {"hold": [True]}),
    ({"hold": [-(10**14)]}, [("hold", 0, None)], {"hold": [-(10**14)]}),
    ([1633633131000], [], [1633633131000]),
    ("hold", [], "hold"),
]


@pytest.mark.parametrize("is_ordinary", [True, False])
@pytest.mark.parametrize(("events", "rows", "kept"), EVENTS, ids=lambda v: str(v)[:30])
def test_every_shape_of_events_becomes_rows(
    events: Any, rows: list[tuple[Any, ...]], kept: Any, is_ordinary: bool
) -> None:
    tables = loaded(BASE | {"events": events}, is_ordinary)
    found = rows_of(tables, "_events")
    names = ("event", "event_index", "occurred_at")
    assert [tuple(row[name] for name in names) for row in found] == (rows or [("", 0, None)])
    tombstones = tables["conference_participant_events"]["_tombstone"]
    assert tombstones.null_count == len(rows)
    extra = rows_of(tables, "s")[0]["extra_fields"]
    assert (extra and json.loads(extra)) == (None if kept is None else {"events": kept})


def test_each_coached_call_is_a_row() -> None:
    calls = ["CA" + "1" * 32, "CA" + "2" * 32, "CA" + "1" * 32, 7]
    tables = loaded(BASE | {"is_coach": True, "coached_participants": calls})
    found = rows_of(tables, "_coaching")
    assert [row["coached_call_sid"] for row in found] == calls[:2]
    assert rows_of(tables, "s")[0]["extra_fields"] == '{"coached_participants":[7]}'
