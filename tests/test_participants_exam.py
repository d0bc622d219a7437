"""Thirty conferences with hand-made participants: every table and view of them is as worked out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
import pytest

from pipelines.simulator.account import Account, Row
from tests.conftest import NOW, Loaded, loaded_once, sid
from tests.expected_participants import (
    GRAIN,
    coaching,
    created,
    events,
    listings,
    metrics,
    of_events,
    participants,
    quality,
    wide,
)
from tests.hand_made_participants import (
    LATE,
    LATER,
    OFFSET,
    OLD,
    PENDING,
    ZONE,
    put_conferences,
    shown,
)

OURS = {"fetched_at", "row_digest", "_dlt_load_id", "_tombstone"}
JSON = ("properties", "extra_fields", "tags", "details")
KEYS = {
    "conference_participants": ("participant_sid",),
    "conference_participant_metrics": ("participant_sid", "direction"),
    "conference_participant_events": ("participant_sid", "event", "event_index"),
    "conference_participant_coaching": ("participant_sid", "coached_call_sid"),
    "_listings": ("parent_key",),
    "participants": ("participant_sid",),
    "participant_events": ("participant_sid", "event", "event_index"),
    "participant_quality": GRAIN,
}


@pytest.fixture(scope="module")
def examined(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Iterator[Loaded]:
    account = Account(NOW)
    put_conferences(account)
    with loaded_once(account, tmp_path_factory.mktemp("exam"), empty_warehouse) as loaded:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SOURCES__TWILIO_INSIGHTS__PARTICIPANTS", "true")
            patch.setenv("REPORT_TIMEZONE", ZONE)
            loaded.load()
            account.now += LATER
            loaded.run()
        yield loaded


def assert_equal(found: list[Row], wanted: list[Row], key: Iterable[str]) -> None:
    """The same rows, once each; what differs is told by row and column."""
    have, want = ({tuple(row[k] for k in key): row for row in rows} for rows in (found, wanted))
    assert len(want) == len(wanted) > 0, "the key is not one"
    assert len(found) == len(have)
    assert have.keys() == want.keys()
    assert {
        (*one, name): (have[one][name], value)
        for one, row in want.items()
        for name, value in row.items()
        if have[one][name] != value
    } == {}


def read(file: Path, table: str, wanted: list[Row]) -> list[Row]:
    """All rows of a table that has these columns and, of the program, only those of `OURS`."""
    with duckdb.connect(file, read_only=True) as connection:
        columns = {name for name, *_ in connection.table(table).description} - OURS
        assert table.endswith("_listings") or columns == wanted[0].keys()
        names = sorted(wanted[0])
        rows = connection.execute(f"SELECT {', '.join(names)} FROM {table}").fetchall()
    return [
        {n: json.loads(v) if n in JSON and v else v for n, v in zip(names, row, strict=True)}
        for row in rows
    ]


@pytest.mark.thorough
def test_every_table_is_as_worked_out(examined: Loaded) -> None:
    rows = shown()
    tables = {
        "conference_participants": [participants(row) for row in rows],
        "conference_participant_metrics": [one for row in rows for one in metrics(row)],
        "conference_participant_events": [one for row in rows for one in events(row)],
        "conference_participant_coaching": [one for row in rows for one in coaching(row)],
        "_listings": list(listings()),
    }
    for table, wanted in tables.items():
        found = read(examined.path, f"conference_insights.{table}", wanted)
        assert_equal(found, wanted, KEYS[table])


def test_every_view_is_as_worked_out(examined: Loaded) -> None:
    rows = shown()
    views = {
        "participants": [wide(row) for row in rows],
        "participant_events": [one for row in rows for one in of_events(row)],
        "participant_quality": list(quality(rows)),
    }
    copy = examined.path.with_name("warehouse.published") / "current/insights.duckdb"
    for file in (examined.path, copy.resolve()):
        for view, wanted in views.items():
            assert_equal(read(file, f"analytics.{view}", wanted), wanted, KEYS[view])


def test_the_exam_has_every_case() -> None:
    """So that none of the above holds for want of what it is about."""
    rows = [wide(row) for row in shown()]
    for name in ("is_latency_high", "is_jitter_high", "is_loss_high", "is_mos_low", "is_poor"):
        assert {row[name] for row in rows} == {True, False, None}
    for name in ("is_silent_inbound", "early_media", "enter_muted"):
        assert {row[name] for row in rows} == {True, False, None}
    assert {row["participant_completeness"] for row in rows} == {"final", "expired"}
    assert {row["conference_sid"] for row in rows} >= {sid(LATE), sid(OLD)}
    assert any(event["seconds_after_join"] < 0 for row in shown() for event in of_events(row))
    assert any(created(row).date() != (created(row) - OFFSET).date() for row in shown())
    assert len({row["created_date"] for row in rows}) > 3
    assert len(rows) == sum(number % 5 for number in range(1, 31) if number != PENDING)


def test_the_health_card_counts_them(examined: Loaded) -> None:
    rows = [wide(row) for row in shown()]
    wanted = {
        sid(number): (
            sum(row["conference_sid"] == sid(number) for row in rows),
            sum(row["conference_sid"] == sid(number) and row["is_poor"] is True for row in rows),
        )
        for number in range(1, 31)
    } | {sid(PENDING): (None, None)}
    found = examined.query(
        "SELECT conference_sid, participants, poor_participants "
        "FROM analytics.conference_health_card"
    )
    assert {one: tuple(counts) for one, *counts in found} == wanted
