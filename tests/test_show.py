"""`show`: what the copy has of one conference, as a person and as a program want to read it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.report.conference import measures, read_conference
from pipelines.run.post_load import publish_now
from pipelines.simulator.account import ACCOUNT_SID, Account
from tests.conftest import NOW, Command, Loaded, loaded_once, sid, slow, summary
from tests.screen import Screen
from tests.test_logs import on_a_terminal

HOUR = timedelta(hours=1)
CREATED = NOW - HOUR  # 13:30
ALICE, BOB, CARLA = (f"CP{number:032x}" for number in range(1, 4))
CALLS = {one: one.replace("CP", "CA") for one in (ALICE, BOB, CARLA)}
RED = "\x1b[31m"
PERSONAL = ("Weekly", "Alice", "+14155550100", "+4930123456", "client:alice", "participant_sids")
WAREHOUSE = "DESTINATION__DUCKDB__CREDENTIALS"


def at(minutes: float) -> datetime:
    """So long after the creation, as stored."""
    return (CREATED + timedelta(minutes=minutes)).replace(tzinfo=None)


def insert(connection: duckdb.DuckDBPyConnection, table: str, **values: Any) -> None:
    """A row, with what must not be NULL."""
    values["_dlt_load_id"] = "1"
    if table == "conference_participants":
        values |= {"fetched_at": at(60), "row_digest": 1}
    marks = ", ".join(f"${name}" for name in values)
    connection.execute(
        f"INSERT INTO conference_insights.{table} ({', '.join(values)}) VALUES ({marks})", values
    )


def put_participants(connection: duckdb.DuckDBPyConnection) -> None:
    """Alice has a bad line, Bob coaches her from afar, and Carla was never measured."""
    people: dict[str, dict[str, Any]] = {
        ALICE: {
            "label": f"Alice{RED}",
            "calling_party": "+14155550100",
            "called_party": "+4930123456",
            "call_direction": "inbound",
            "call_type": "carrier",
            "call_status": "completed",
            "country_code": "US",
            "participant_region": "us1",
            "is_moderator": True,
            "is_coach": False,
            "join_time": at(1),
            "leave_time": at(10),
            "duration_seconds": 540,
            "processing_state": "complete",
        },
        BOB: {
            "call_direction": "outbound",
            "call_type": "client",
            "call_status": "completed",
            "participant_region": "ie1",
            "is_moderator": False,
            "is_coach": True,
            "join_time": at(2),
            "leave_time": at(9),
            "duration_seconds": 420,
            "processing_state": "complete",
        },
        CARLA: {"processing_state": "in_progress"},
    }
    for one, values in people.items():
        insert(
            connection,
            "conference_participants",
            participant_sid=one,
            conference_sid=sid(1),
            call_sid=CALLS[one],
            **values,
        )
    bad = {
        "total_packets_lost": 60,
        "total_packets_received": 940,
        "packet_loss_percentage": 6.0,
        "jitter_avg": 12.345,
        "jitter_max": 45.0,
        "latency_avg": 149.9,
        "latency_max": 1200.0,
        "mos": 3.5,
        "is_silent": False,
    }
    good = {
        "packet_loss_percentage": 0.0,
        "jitter_avg": 30.0,
        "jitter_max": 19.9,
        "latency_avg": 40.0,
        "latency_max": 60.0,
        "mos": 4.41,
        "is_silent": False,
    }
    for one, direction, values in (
        (ALICE, "inbound", bad),
        (ALICE, "outbound", good),
        (BOB, "inbound", {"latency_avg": 150.0, "is_silent": True}),
        (BOB, "outbound", dict.fromkeys(good)),
    ):
        table = "conference_participant_metrics"
        insert(connection, table, participant_sid=one, direction=direction, **values)
    for one, event, index, minutes in (
        (ALICE, "mute", 0, 3),
        (ALICE, "mute", 1, 7.5),
        (ALICE, "un_mute", 0, 4),
        (BOB, "coaching", 0, 2.5),
    ):
        table = "conference_participant_events"
        named = {"event": event, "event_index": index, "occurred_at": at(minutes)}
        insert(connection, table, participant_sid=one, **named)
    table = "conference_participant_coaching"
    insert(connection, table, participant_sid=BOB, coached_call_sid=CALLS[ALICE])


def list_participants(connection: duckdb.DuckDBPyConnection, answers: dict[int, int]) -> None:
    """Say that those of these conferences were asked for, and what the answer was."""
    for number, status in answers.items():
        insert(
            connection,
            "_listings",
            resource="participants",
            parent_key=sid(number),
            parent_digest=1,
            listed_at=at(60),
            unfinished=0,
            attempts=int(status == 404),
            last_status=status,
        )


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Iterator[Loaded]:
    """A conference with three participants and some without, for tests that only read."""
    account = Account(NOW)
    account.put(
        summary(
            1,
            HOUR,
            friendly_name=f"Weekly{RED} call\n",
            start_time="2026-11-20T13:31:00Z",
            end_reason="participant_with_end_conference_on_exit_left",
            ended_by=CALLS[ALICE],
            mixer_region="us1",
            mixer_region_requested="ie1",
            recording_enabled=True,
            unique_participants=3,
            max_concurrent_participants=2,
            tags=["high_jitter", "duplicate_identity", "start_failure"],
            tag_info={
                "high_jitter": {"severity": "high"},
                "start_failure": {"reason": "no_concurrent_participants"},
                "duplicate_identity": [
                    {"participant_identity": "client:alice", "participant_sids": [ALICE, BOB]}
                ],
            },
            detected_issues={"call_quality": 2, "participant_behavior": 0, "other_thing": 1},
        )
    )
    account.put(summary(2, 2 * HOUR))
    account.put(summary(3, 3 * HOUR, "in_progress"))
    account.put(summary(4, timedelta(days=29)))
    account.put(summary(5, 5 * HOUR))
    with loaded_once(account, tmp_path_factory.mktemp("known"), empty_warehouse) as loaded:
        loaded.load()
        loaded.account.now += timedelta(days=2)
        loaded.account.put(summary(6, timedelta(hours=-47)))
        loaded.load()
        with duckdb.connect(loaded.path) as connection:
            put_participants(connection)
            list_participants(connection, {1: 200, 2: 200, 6: 404})
        publish_now()
        yield loaded


@pytest.fixture
def copied(known: Loaded, loaded: Loaded) -> Loaded:
    """The same in the test's own folder, with its copies."""
    shutil.copytree(known.path.parent, loaded.path.parent, symlinks=True, dirs_exist_ok=True)
    return loaded


def copy_of(loaded: Loaded) -> Path:
    return (loaded.path.with_name("warehouse.published") / "current/insights.duckdb").resolve()


def change(copy: Path, *statements: str) -> None:
    """Let the copy be what others made of it."""
    copy.chmod(0o644)
    with duckdb.connect(copy) as connection:
        for statement in statements:
            connection.execute(statement)


LINES = f"""\
Conference     {sid(1)}
Name           Weekly\\x1b[31m call\\n
Account        {ACCOUNT_SID}
Created        2026-11-20 13:30:00
Started        2026-11-20 13:31:00
Ended          2026-11-20 13:40:00
Length         10 min
Status         completed
Summary        final (processing state complete)
End            participant with end conference on exit left, {CALLS[ALICE]}, participant 1
Region         us1, ie1 requested
Size           3 unique, 2 at once, 250 allowed
Recording      enabled
Tag            duplicate identity: client:alice, participant_sids:{ALICE}, {BOB}
Tag            high jitter: severity high
Tag            start failure: no concurrent participants
Issues         2 call quality, 1 other
Coaches        participant 2 coached 1 call
Participants   3, 2 of them poor, 1 of them not final
Data until     2026-11-22 14:30:00; all times are UTC
Participant    1 | {ALICE} | join 2026-11-20 13:31:00 | leave 2026-11-20 13:40:00 | 9.0 min | \
carrier inbound | US us1 | {CALLS[ALICE]} | Alice\\x1b[31m | \
+14155550100 to +4930123456 | moderator | high jitter, high loss, low MOS
Media          1 | {ALICE} | inbound | loss 6 % ! | jitter 12.35/45 ms ! | \
latency 149.9/1,200 ms | MOS 3.5 !
Media          1 | {ALICE} | outbound | loss 0 % | jitter 30/19.9 ms | latency 40/60 ms | MOS 4.41
Participant    2 | {BOB} | join 2026-11-20 13:32:00 | leave 2026-11-20 13:39:00 | 7.0 min | \
client outbound | ie1 | {CALLS[BOB]} | coach | high latency, silent
Media          2 | {BOB} | inbound | latency 150/- ms ! | silent
Participant    3 | {CARLA} | join - | leave - | {CALLS[CARLA]}
Event          2026-11-20 13:30:00 | conference | created
Event          2026-11-20 13:31:00 | conference | started
Event          2026-11-20 13:31:00 | 1 | {ALICE} | joined
Event          2026-11-20 13:32:00 | 2 | {BOB} | joined
Event          2026-11-20 13:32:30 | 2 | {BOB} | coaching
Event          2026-11-20 13:33:00 | 1 | {ALICE} | mute
Event          2026-11-20 13:34:00 | 1 | {ALICE} | un mute
Event          2026-11-20 13:37:30 | 1 | {ALICE} | mute
Event          2026-11-20 13:39:00 | 2 | {BOB} | left
Event          2026-11-20 13:40:00 | 1 | {ALICE} | left
Event          2026-11-20 13:40:00 | conference | ended
"""


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


ABSENT = {
    2: "none: Twilio lists none",
    3: "not loaded yet: a run lists them once the conference is final",
    4: "not loaded: Twilio deletes them after 30 days",
    6: "not loaded: Twilio answers 404; they are asked for again, later and later",
    5: "not loaded yet: the next `conference-insights run` lists them, or a later one if many "
    "conferences wait",
}


@pytest.mark.parametrize("number", ABSENT)
def test_it_says_why_there_are_no_participants(
    number: int, known: Loaded, command: Command
) -> None:
    place = {WAREHOUSE: str(known.path)}
    done = command("show", sid(number), **place)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Participants   {ABSENT[number]}\n" in done.stdout
    assert not re.search("^(Participant|Media) ", done.stdout, re.MULTILINE)
    found = json.loads(command("show", sid(number), "--json", **place).stdout)
    assert found["participants"] == []
    assert found["absence"] == ABSENT[number]


def test_it_says_that_participants_are_not_loaded(copied: Loaded, command: Command) -> None:
    off = "UPDATE analytics.conference_health_card SET participants_state = 'not_listed'"
    change(copy_of(copied), off)
    done = command("show", sid(5))
    assert "not loaded: set SOURCES__TWILIO_INSIGHTS__PARTICIPANTS=true, then run" in done.stdout


def test_a_copy_of_an_earlier_version_shows_the_conference(
    copied: Loaded, command: Command
) -> None:
    card = "ALTER TABLE analytics.conference_health_card DROP COLUMN IF EXISTS"
    change(
        copy_of(copied),
        "DROP TABLE IF EXISTS analytics.participants",
        "DROP TABLE IF EXISTS analytics.participant_events",
        *(
            f"{card} {name}"
            for name in (
                *("participants", "poor_participants", "participant_list"),
                "participants_state",
            )
        ),
    )
    done = command("show", sid(1))
    assert done.returncode == 0, done.stderr
    before, _, _ = LINES.partition("Coaches ")
    assert done.stdout.startswith(before.replace(", participant 1", ""))
    assert "Participants   unknown: an earlier version made this copy; the next" in done.stdout


def test_what_twilio_did_not_give_is_not_made_up(copied: Loaded, command: Command) -> None:
    change(
        copy_of(copied),
        "UPDATE analytics.participants SET call_sid = NULL, join_time = NULL",
        *(
            f"UPDATE analytics.{view} SET ended_by = NULL, processing_state = NULL, "
            "mixer_region_requested = mixer_region, create_time = NULL"
            for view in ("conferences", "conference_health_card")
        ),
    )
    done = command("show", sid(1))
    assert done.returncode == 0, done.stderr
    for line in (
        "Created        -",
        "Summary        final (no processing state)",
        "End            participant with end conference on exit left",
        "Region         us1, as requested",
    ):
        assert line in done.stdout.splitlines()
    assert "None" not in done.stdout
    assert "20 Nov 13:37:30 1 mute" in re.sub(" +", " ", on_a_terminal("show", sid(1)))


@pytest.mark.thorough
def test_personal_data_that_the_copy_lacks_is_not_missed(
    copied: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLISH__PERSONAL_DATA", "false")
    publish_now()
    for option in ((), ("--json",)):
        done = command("show", sid(1), *option)
        assert (done.returncode, done.stderr) == (0, "")
        assert [text for text in PERSONAL if text in done.stdout] == []
    said = [line for line in LINES.splitlines() if not any(text in line for text in PERSONAL)]
    assert [line for line in said if line not in command("show", sid(1)).stdout.splitlines()] == []


@pytest.mark.parametrize("wrong", ["", "CF1", "CA" + "0" * 32, "CF" + "g" * 32, f"{sid(1)}\n", RED])
def test_what_is_no_sid_is_a_usage_error(wrong: str, command: Command) -> None:
    done = command("show", wrong)
    assert done.returncode == 2
    assert "CF and 32 hex digits, as in CF0123456789abcdef0123456789abcdef" in done.stderr
    assert RED not in done.stderr


def test_one_conference_at_a_time(command: Command) -> None:
    assert command("show").returncode == command("show", sid(1), sid(2)).returncode == 2


@pytest.mark.parametrize("option", [(), ("--json",)])
def test_an_unknown_conference_leads_to_a_backfill(
    option: tuple[str, ...], known: Loaded, command: Command
) -> None:
    done = command("show", sid(9), *option, **{WAREHOUSE: str(known.path)})
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert f"Error: {sid(9)} is not in " in done.stderr
    assert f"`conference-insights backfill --conference {sid(9)}`" in done.stderr


def test_without_a_copy_it_ends_as_the_report_does(loaded: Loaded, command: Command) -> None:
    done, also = command("show", sid(1)), command("report")
    assert done.returncode == also.returncode == 74
    assert done.stderr == also.stderr
    assert "Nothing is published at " in done.stderr


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("CREATE VIEW analytics.mine AS SELECT 1", "mine is no table"),
        ("DROP TABLE analytics.conferences", "conferences does not exist"),
    ],
)
def test_a_copy_that_no_run_made_is_refused(
    statement: str, words: str, copied: Loaded, command: Command
) -> None:
    change(copy_of(copied), statement)
    done = command("show", sid(1))
    assert (done.returncode, done.stdout) == (74, "")
    assert words in done.stderr
    assert "run `conference-insights publish`" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.thorough
def test_a_conference_that_only_a_backfill_loaded(loaded: Loaded, command: Command) -> None:
    loaded.account.put(summary(1, HOUR, friendly_name=None))
    assert command("backfill", "--conference", sid(1)).returncode == 0
    done = command("show", sid(1))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Data until     -; all times are UTC\n" in done.stdout
    assert "Name" not in done.stdout
