"""`show` writes lines for a program, tables for a terminal and JSON, all with what the copy has."""

from __future__ import annotations

import json
import re

import duckdb
import pytest

from pipelines.report.conference import measures, read_conference
from pipelines.run.post_load import publish_now
from tests.conftest import Command, Loaded, sid, slow
from tests.screen import Screen
from tests.shown_conference import ALICE, BOB, CALLS, CARLA, LINES, RED, WAREHOUSE, at, copy_of
from tests.shown_conference import copied as copied
from tests.shown_conference import known as known
from tests.test_logs import on_a_terminal


@pytest.mark.thorough
def test_lines_that_each_stand_for_themselves(known: Loaded, command: Command) -> None:
    done = command("show", sid(1), **{WAREHOUSE: str(known.path)})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == LINES


def test_json_has_the_rows_of_the_views(known: Loaded, command: Command) -> None:
    done = command("show", "--json", sid(1), **{WAREHOUSE: str(known.path)})
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    views = {"participants": "participants", "participant_events": "participant_events"}
    with duckdb.connect(copy_of(known), read_only=True) as connection:
        for name, view in (views | {"tags": "conference_tag_details"}).items():
            rows = connection.execute(
                f"FROM analytics.{view} WHERE conference_sid = ?", [sid(1)]
            ).fetchall()
            columns = [column for column, *_ in connection.table(f"analytics.{view}").description]
            assert {tuple(row) for row in found[name]} == {tuple(columns)}
            assert len(found[name]) == len(rows)
        for view in ("conferences", "conference_health_card"):
            columns = [column for column, *_ in connection.table(f"analytics.{view}").description]
            assert {*columns} <= found["conference"].keys()
    assert found["conference"]["friendly_name"] == f"Weekly{RED} call\n"
    assert found["conference"]["create_time"] == "2026-11-20T13:30:00Z"
    assert found["conference"]["created_hour"] == "2026-11-20T13:00:00"
    assert found["conference"]["created_date"] == "2026-11-20"
    assert [row["participant_sid"] for row in found["participants"]] == [ALICE, BOB, CARLA]
    assert found["participants"][0]["inbound_jitter_avg"] == 12.345
    assert found["participant_events"][0]["occurred_at"] == "2026-11-20T13:32:30Z"
    assert found["data_as_of"]["report_timezone"] == "UTC"
    assert found["absence"] is None


@pytest.mark.parametrize("columns", [80, *slow(60, 200)])
def test_tables_that_fit_a_terminal(columns: int, copied: Loaded) -> None:
    written = on_a_terminal("show", sid(1), columns=columns)
    assert "\x1b[1;31m6 % !" in written
    screen = Screen(columns, written)
    assert screen.frames == []
    assert all(len(line) <= columns for line in screen.lines)
    squeezed = [re.sub(r"\s+", " ", line).strip() for line in screen.lines]
    wanted = [
        f"Conference {sid(1)}",
        "Name Weekly\\x1b[31m call\\n",
        "Data until 2026-11-22 14:30:00; all times are UTC",
        "# Direction Loss Jitter Latency MOS",
        "1 inbound 6 % ! 12.35/45 ms ! 149.9/1,200 ms 3.5 !",
        "1 outbound 0 % 30/19.9 ms 40/60 ms 4.41",
        "2 inbound 150/- ms ! silent",
        "13:30:00 created",
        "13:32:30 2 coaching",
    ]
    if columns == 80:
        wanted += [
            "# Joined Left Length Call Region What was wrong",
            "1 13:31:00 13:40:00 9.0 min carrier US us1 high jitter,",
            "3 - -",
            f"1 {ALICE} | {CALLS[ALICE]} |",
            "Alice\\x1b[31m | +14155550100 to +4930123456 | moderator",
        ]
    if columns >= 80:
        assert [line for line in wanted if line not in squeezed] == []


def test_no_colors_where_they_are_not_wanted(copied: Loaded) -> None:
    assert "\x1b" not in on_a_terminal("show", sid(1), NO_COLOR="1")


def test_a_terminal_of_no_columns_is_one_of_unknown_size(copied: Loaded) -> None:
    assert sid(1) in on_a_terminal("show", sid(1), COLUMNS="0")


@pytest.mark.thorough
def test_times_are_in_the_report_timezone(
    copied: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORT_TIMEZONE", "Asia/Kolkata")
    with duckdb.connect(copied.path) as connection:
        connection.execute(
            "UPDATE conference_insights.conference_participants SET leave_time = ? "
            "WHERE participant_sid = ?",
            [at(6 * 60), ALICE],
        )
    publish_now()
    lines = command("show", sid(1)).stdout
    assert "Created        2026-11-20 19:00:00\n" in lines
    assert "all times are Asia/Kolkata\n" in lines
    assert f"Event          2026-11-20 19:02:30 | 2 | {BOB} | coaching\n" in lines
    assert f"Event          2026-11-21 01:00:00 | 1 | {ALICE} | left\n" in lines
    screen = Screen(100, on_a_terminal("show", sid(1), columns=100))
    squeezed = [re.sub(r"\s+", " ", line).strip() for line in screen.lines]
    assert "19:02:30 2 coaching" in squeezed
    assert "21 Nov 01:00:00 1 left" in squeezed
    assert json.loads(command("show", "--json", sid(1)).stdout)["participants"][0][
        "leave_time"
    ] == ("2026-11-20T19:30:00Z")


def test_what_is_marked_is_what_the_view_finds(known: Loaded) -> None:
    flags = {
        "loss": "is_loss_high",
        "jitter": "is_jitter_high",
        "latency": "is_latency_high",
        "MOS": "is_mos_low",
    }
    found = read_conference(copy_of(known), sid(1))
    for row in found.participants:
        marked = {
            name
            for direction in ("inbound", "outbound")
            for name, _, is_poor in measures(row, direction)
            if is_poor and name
        }
        assert marked == {name for name, flag in flags.items() if row[flag]}
