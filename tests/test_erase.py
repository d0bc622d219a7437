"""`erase` leaves nothing of a conference, of somebody or of what is old, and it stays away."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.run.destination import publish_settings
from pipelines.run.erase import erase
from pipelines.run.erasures import Subject, erase_rows, finish_erasures
from pipelines.run.migrations import migrate_tables
from pipelines.run.pipeline import Backfill, run
from pipelines.run.post_load import forget_former, publish_now
from pipelines.simulator.account import Account, iso
from pipelines.simulator.participants import participant_row
from pipelines.simulator.server import InsightsHandler, InsightsServer
from pipelines.twilio_insights.api.bounds import Oversized
from pipelines.twilio_insights.extract.personal import KEEP
from pipelines.twilio_insights.extract.records import created_of
from pipelines.twilio_insights.progress import Progress
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.twilio_insights.tables import TABLES
from pipelines.warehouse.file.warehouse_file import DuckDbFile
from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.runs import prepare_runs
from pipelines.warehouse.warehouse import WarehouseError
from tests.comparisons import compare, kinds
from tests.conftest import NOW, ROOT, Command, Loaded, command_at, loaded_once, sid, summary
from tests.file_contents import texts
from tests.forked import Forked
from tests.test_readme import blocks

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RAW = "conference_insights."
TIME = "pipelines.times.machine_time"
OWN = "SOURCES__TWILIO_INSIGHTS__"
WHO, OTHER = "client:anna.canary", "client:bob"
GONE, STAYS = sid(0xCA11AB1E), sid(2)
PERSON = "CP" + "ca11ab1e" * 4
TRACES = (GONE, PERSON)
KEY = "a-key-that-nobody-guesses"


def put(account: Account) -> None:
    """Two conferences with a participant each, of which one is somebody who is elsewhere too."""
    details = {"participant_identity": WHO, "severity": "low", "seen": [{"by": [WHO]}]}
    tagged = {"high_jitter": details}
    for number, age in ((0xCA11AB1E, 2), (2, 3)):
        unknown = {"voice_bots" + str(number): "new"}
        account.put(summary(number, age * HOUR, friendly_name=WHO, tag_info=tagged) | unknown)
        key = PERSON if number != 2 else "CP" + "2" * 32
        person = participant_row(key, sid(number), NOW - age * HOUR) | {
            "label": WHO,
            "from": WHO,
            "to": OTHER,
            "properties": {"x": WHO},
            "metrics": {"inbound": {"mos": 4.4, "who": {WHO: 1}}},
            "events": {"mute": [1732113000000]},
            "processing_state": "complete",
        }
        account.put_participants(sid(number), [person])
    account.put(summary(3, 40 * HOUR, friendly_name=OTHER))
    account.put_participants(sid(3), [])


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listings have an element that is no conference, and names one."""
    list_more(monkeypatch, [{"of": GONE, "named": WHO}])


def list_more(monkeypatch: pytest.MonkeyPatch, elements: list[Any]) -> None:
    """Have each page that is not empty end with these."""
    real = InsightsHandler.answer

    def answer(handler: Any) -> tuple[int, bytes]:
        status, body = real(handler)
        content = json.loads(body) if status == 200 else {}
        if content.get("conferences"):
            content["conferences"] += elements
            body = json.dumps(content).encode()
        return status, body

    monkeypatch.setattr(InsightsHandler, "answer", answer)


@pytest.fixture
def full(loaded: Loaded, with_participants: None, odd: None, tables_only: None) -> Loaded:
    """A warehouse that has all of it in every table."""
    put(loaded.account)
    loaded.run()
    fill(loaded)
    return loaded


def fill(loaded: Loaded) -> None:
    """What runs leave where something went wrong."""
    change(
        loaded,
        f"INSERT INTO {RAW}_refetches VALUES ('conferences', '{GONE}', 1, 404, '{NOW:%F}', NULL, "
        "'gone', 'x')",
        f'UPDATE {RAW}_runs SET final_changed = \'["{GONE}", "{STAYS}"]\', '
        f"unreadable = '[\"{PERSON}\"]', left_package = 'set aside: of {GONE}'",
        f"UPDATE {RAW}accounts SET last_error = 'No {GONE}'",
    )
    aside = Path(f"{loaded.path}.dlt/set_aside/1")
    aside.mkdir(parents=True)
    (aside / "reason.txt").write_text(f"{GONE} {WHO}")


@pytest.fixture
def rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are not made anew, which is most of it: for tests that look at rows."""
    monkeypatch.setattr("pipelines.run.erase.forget_former", lambda *_: None)


def change(loaded: Loaded, *statements: str) -> None:
    with closing(duckdb.connect(str(loaded.path))) as connection:
        for statement in statements:
            connection.execute(statement)


def found_in(folder: Path, *traces: str, said: str = "") -> list[str]:
    all_texts = [*texts(folder), ("output", said.encode())]
    return [f"{t} in {name}" for name, text in all_texts for t in traces if t.encode() in text]


def noted(loaded: Loaded) -> list[tuple[Any, ...]]:
    columns = "kind, digest IS NOT NULL, created_before, counts, finished_at IS NOT NULL"
    return loaded.query(f"SELECT {columns} FROM {RAW}_erasures ORDER BY erased_at")


def counted(loaded: Loaded, where: str = "true") -> int:
    return int(loaded.query(f"SELECT count(*) FROM {RAW}conference_summaries WHERE {where}")[0][0])


def backfill(*conferences: str) -> Progress:
    scope = Backfill(conferences=conferences) if conferences else Backfill("29d")
    return run(Progress("backfill"), backfill=scope)


@pytest.mark.thorough
def test_nothing_is_left_of_a_conference(
    loaded: Loaded,
    with_participants: None,
    odd: None,
    prepared: None,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full, folder = loaded, loaded.path.parent
    monkeypatch.setenv("PUBLISH__LAKE", str(folder / "lake"))
    put(full.account)
    full.run()
    fill(full)
    before = "\n".join(found_in(folder, *TRACES))
    for place in ("warehouse.duckdb", "insights.duckdb", "lake", "unpacked", "set_aside"):
        assert place in before, place
    asked = command("erase", "--conference", GONE, "--dry-run")
    assert asked.returncode == 0, asked.stderr
    assert "conference_summaries: 1 row would be erased" in asked.stdout
    assert noted(full) == []
    done = command("erase", "--conference", GONE, "--yes", CONFERENCE_INSIGHTS_LOG="json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.replace("erased", "would be erased") == asked.stdout
    assert found_in(folder, *TRACES, said=done.stdout + done.stderr) == []
    ((kind, has_digest, _, counts, is_finished),) = noted(full)
    assert (kind, has_digest, is_finished) == ("conference", True, True)
    gone = json.loads(counts)
    for table in (
        *("conference_summaries", "conference_tags", "conference_tag_info", "_listings", "_runs"),
        *("conference_participants", "conference_participant_metrics", "_drift", "_rejected_rows"),
        *("conference_participant_events", "conference_detected_issues", "_refetches", "accounts"),
    ):
        assert gone[table], table
    assert counted(full) == 2
    assert full.query(
        f"SELECT final_changed, unreadable FROM {RAW}_runs WHERE command = 'run'"
    ) == [(json.dumps([STAYS]), None)]
    rows = full.query(f"SELECT command, outcome FROM {RAW}_runs ORDER BY started_at")
    assert rows == [("run", "ok"), ("erase", "ok")]
    assert json.loads(command("status", "--json").stdout)["last_good"]["command"] == "run"
    copy = folder / "warehouse.published/current/insights.duckdb"
    with duckdb.connect(str(copy), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM analytics.conferences").fetchall() == [(2,)]


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["conference", "identity", "switch"])
def test_copies_and_a_lake_that_were_not_set_follow_once_they_are(
    how: str,
    loaded: Loaded,
    with_participants: None,
    prepared: None,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where somebody erases by hand, without the variables of the schedule."""
    folder = loaded.path.parent
    places = {"PUBLISH__LAKE": str(folder / "lake"), "PUBLISH__DIRECTORY": str(folder / "bi")}
    traces = TRACES if how == "conference" else (WHO,)

    def run_with_places() -> None:
        with monkeypatch.context() as schedule:
            for name, value in places.items():
                schedule.setenv(name, value)
            loaded.run()

    put(loaded.account)
    run_with_places()
    if how == "switch":
        monkeypatch.setenv(f"{OWN}PERSONAL_DATA", "drop")
        loaded.run()
    else:
        done = command("erase", f"--{how}", GONE if how == "conference" else WHO, "--yes")
        assert done.returncode == 0, done.stderr
    left = "\n".join(found_in(folder, *traces))
    assert "bi/" in left
    assert "lake" in left
    if how == "identity":  # so that nothing tells which copy was the last
        (folder / "bi/current").unlink()
    run_with_places()
    assert found_in(folder, *traces) == []


@pytest.mark.thorough
def test_it_does_not_come_back(
    full: Loaded,
    rows_only: None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TIME, lambda: NOW)
    found = erase(Subject((GONE,)), threading.Event())
    assert found.counts["conference_summaries"] == 1
    full.account.put(summary(0xCA11AB1E, 2 * HOUR, "timeout", friendly_name="another"))
    by_sid = partial(backfill, GONE)
    for load in (full.run, backfill, by_sid, partial(compare, repair=True)):
        caplog.clear()
        load()
        assert counted(full, f"conference_sid = '{GONE}'") == 0
        assert ("erased here: 1 of the given conferences" in caplog.text) is (load is by_sid)
    compared = compare()
    assert kinds(compared) == {"erased": 1}
    change(full, f"UPDATE {RAW}_erasures SET erased_at = erased_at - INTERVAL 32 DAY")
    full.run()
    assert [row[1] for row in noted(full)] == [False]
    backfill()
    assert counted(full, f"conference_sid = '{GONE}'") == 1, "Twilio has nothing so old in fact"


def test_a_schedule_erases_what_is_old(
    rows_only: None, full: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TIME, lambda: NOW)
    quiet = command("erase", "--older-than", "400d", "--yes")
    assert (quiet.returncode, quiet.stdout, noted(full)) == (0, "", [])
    first = command("erase", "--older-than", "1d", "--yes")
    assert "conference_summaries: 1 row erased" in first.stdout, first.stderr
    assert counted(full) == 2
    assert noted(full)[0][:3] == ("older_than", False, datetime(2026, 11, 19, 14, 30))
    monkeypatch.setattr("pipelines.run.erase.forget_former", lambda *_: pytest.fail("rebuilt"))
    again = command("erase", "--older-than", "1d", "--yes")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    backfill()
    assert counted(full) == 2


def test_what_is_old_and_was_rejected_does_not_come_back(
    rows_only: None, loaded: Loaded, tables_only: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it says when it was created, whenever it arrived."""
    times = {"old": iso(NOW - 25 * DAY), "young": iso(NOW - DAY), "odd": "25 days ago"}
    listed = [{"conference_sid": name, "create_time": at} for name, at in times.items()]
    list_more(monkeypatch, [*listed, {"nothing": 1}, ["no object"]])
    loaded.account.put(summary(1, DAY))
    backfill()
    erase(Subject(created_before=NOW - 20 * DAY), threading.Event())
    for load in (lambda: None, backfill):
        load()
        rows = loaded.query(f"SELECT row FROM {RAW}_rejected_rows")
        assert len(rows) == 4
        assert '"old"' not in str(rows)


def test_what_was_not_parsed_says_when_it_was_created_too() -> None:
    text = b'{"create_time": "2026-11-01T00:00:00Z", "tags": []}'
    at = datetime(2026, 11, 1, tzinfo=UTC)
    assert created_of(CONFERENCES, Oversized(text, "")) == at
    assert created_of(CONFERENCES, Oversized(text.replace(b"01T", b"99T"), "")) is None


@pytest.mark.parametrize("days", [40, -40], ids=["ahead", "behind"])
def test_a_wrong_clock_of_this_machine_brings_nothing_back(
    full: Loaded, rows_only: None, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(TIME, lambda: NOW + min(days, 0) * DAY)
        erase(Subject((GONE,)), threading.Event())
    with monkeypatch.context() as patch:
        patch.setattr(TIME, lambda: NOW + max(days, 0) * DAY)
        full.run()
    monkeypatch.setattr(TIME, lambda: NOW)
    backfill()
    assert counted(full, f"conference_sid = '{GONE}'") == 0


def test_an_age_counts_from_the_last_listing_at_the_latest(
    full: Loaded, rows_only: None, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TIME, lambda: NOW + 395 * DAY)
    for arguments in (["--dry-run"], ["--yes"]):
        done = command("erase", "--older-than", "396d", *arguments)
        assert (done.returncode, counted(full)) == (0, 3)
        assert "Nothing was listed for 395 days, by this machine's clock" in done.stderr
    assert "1 row erased" in command("erase", "--older-than", "1d", "--yes").stdout


def test_the_line_for_a_scheduler_is_right(command: Command) -> None:
    (line,) = blocks("crontab", (ROOT / "pipelines/scheduling.md").read_text())
    words = line.partition("bin/conference-insights ")[2].partition(" >>")[0]
    done = command(*words.split())
    assert (words, done.returncode) == ("erase --older-than 400d --yes", 74), done.stderr


def test_an_unknown_conference_does_not_come_either(
    full: Loaded, rows_only: None, command: Command
) -> None:
    unknown = sid(77)
    done = command("erase", "--conference", unknown, "--yes")
    assert (done.returncode, done.stdout) == (0, "There is nothing to erase\n")
    full.account.put(summary(77, HOUR / 2))
    backfill(unknown)
    assert counted(full) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--conference", GONE], "look with --dry-run, then erase with --yes"),
        ([], "Give one of"),
        (["--identity", "x", "--older-than", "1d"], "Give one of"),
        (["--older-than", "0d", "--yes"], "greater than zero"),
        (["--older-than", "soon", "--yes"], "not a duration"),
        (["--conference", "CF1", "--yes"], "32 hex digits"),
        (["--identity", " ", "--yes"], "as it is in the warehouse"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str, command: Command) -> None:
    done = command("erase", *arguments)
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param("y\n", 0, marks=pytest.mark.thorough),
        ("n\n", 0),
        ("\n", 0),
        ("\x04", 0),
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
    ],
)
def test_on_a_terminal_it_asks(
    kept: Path, server: InsightsServer, tmp_path: Path, answer: str | signal.Signals, code: int
) -> None:
    path = Path(shutil.copy(kept, tmp_path / "warehouse.duckdb"))
    keyboard, terminal = os.openpty()
    words = ["erase", "--conference", GONE]
    started = subprocess.Popen(
        [*command_at(server.account.now), *words],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "CONFERENCE_INSIGHTS_LOG": "human"},
    )
    assert started.stdout
    with started, os.fdopen(keyboard, "w") as pressed:
        said = ""
        while "Erase them? [y/N]: " not in said:
            said += (letter := started.stdout.read(1))
            assert letter, said
        if isinstance(answer, str):
            pressed.write(answer)
            pressed.flush()
        else:
            time.sleep(0.5)  # it asks before it waits, and a signal between the two waits too
            started.send_signal(answer)
        said += started.communicate(timeout=120)[0]
    os.close(terminal)
    assert started.returncode == code, said
    assert ("Traceback" in said, "bug" in said) == (False, False), said
    is_erased = answer == "y\n"
    assert ("Nothing was erased" in said) == (not is_erased and code == 0)
    with duckdb.connect(str(path), read_only=True) as connection:
        counts = f"SELECT count(*) FROM {RAW}conference_summaries"
        assert connection.execute(counts).fetchall() == [(3 - is_erased,)]


@pytest.mark.thorough
def test_nothing_is_left_of_what_a_killed_process_spilled(
    kept: Path, server: InsightsServer, tmp_path: Path, command: Command
) -> None:
    path = Path(shutil.copy(kept, tmp_path / "warehouse.duckdb"))
    spilled = path.with_name(f"{path.name}.tmp") / "duckdb_temp_storage_DEFAULT-0.tmp"
    spilled.parent.mkdir()
    spilled.write_text(f"{GONE} {PERSON}")
    done = command("erase", "--conference", GONE, "--yes")
    assert (done.returncode, found_in(tmp_path, *TRACES)) == (0, []), done.stderr


@pytest.mark.thorough
def test_nothing_is_spilled_elsewhere_than_beside_its_file(
    kept: Path, server: InsightsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = Path(shutil.copy(kept, tmp_path / "warehouse.duckdb")), duckdb.connect
    folders = list[str]()

    def connect(*arguments: Any, **options: Any) -> duckdb.DuckDBPyConnection:
        opened = real(*arguments, **options)
        ((folder,),) = opened.execute("SELECT current_setting('temp_directory')").fetchall()
        folders.append(folder)
        return opened

    monkeypatch.setattr(duckdb, "connect", connect)
    erase(Subject((GONE,)), threading.Event())
    assert {*folders} == {f"{path}.tmp"}
    assert len(folders) > 2


def test_a_copy_that_cannot_be_deleted_is_no_success(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(loaded.account)
    loaded.run()
    delete, (copy,) = shutil.rmtree, tmp_path.glob("warehouse.published/2*")

    def of_another_user(path: Path, ignore_errors: bool = False) -> None:
        if path != copy:
            delete(path, ignore_errors)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", of_another_user)
        with pytest.raises(WarehouseError, match=f"{copy} cannot be deleted"):
            erase(Subject((GONE,)), threading.Event())
    assert copy.exists()
    loaded.run()
    assert not copy.exists()
    assert loaded.query(f"SELECT count(*) FROM {RAW}_erasures WHERE finished_at IS NULL") == [(0,)]


def test_it_needs_a_warehouse_that_nobody_holds(loaded: Loaded, command: Command) -> None:
    assert command("erase", "--older-than", "1d", "--yes").returncode == 74
    assert not loaded.path.exists()
    loaded.load(views=True)
    with DuckDbFile(loaded.path).open():
        for how in ("--yes", "--dry-run"):
            assert command("erase", "--older-than", "1d", how).returncode == 75


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Path:
    """A warehouse that has all of it."""
    account = Account(NOW)
    put(account)
    with loaded_once(account, tmp_path_factory.mktemp("kept"), empty_warehouse) as loaded:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(f"{OWN}PARTICIPANTS", "true")
            loaded.load(views=True)
        return loaded.path


@pytest.mark.thorough
@pytest.mark.parametrize(
    "point",
    [
        "erasures.digest_of",  # some rows are deleted, and nothing is committed
        "post_load.apply_views",  # all of them are
        "warehouse_file.rebuild",  # the connection is closed
        "publishing.delete_old",  # the new copy is there, and the former too
    ],
)
def test_one_that_is_killed_is_finished_by_the_next_command(
    kept: Path, tmp_path: Path, point: str
) -> None:
    path = Path(shutil.copy(kept, tmp_path / "warehouse.duckdb"))
    killed = """
        import os, signal, sys, threading
        from pipelines.run import erase, erasures, post_load
        from pipelines.warehouse.copy import publishing
        from pipelines.warehouse.file import warehouse_file

        module, name = sys.argv[2].split(".")
        module = globals()[module]
        setattr(module, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        erase.erase(erasures.Subject((sys.argv[1],)), threading.Event())
    """
    code, said = Forked(killed, GONE, point, folder=tmp_path).end()
    assert code == -signal.SIGKILL, said
    rows = (
        f"SELECT (SELECT count(*) FROM {RAW}conference_summaries), "
        f"(SELECT count(*) FROM {RAW}_erasures WHERE finished_at IS NULL)"
    )
    is_committed = point != "erasures.digest_of"
    with duckdb.connect(str(path)) as connection:
        assert connection.execute(rows).fetchall() == [(3 - is_committed, int(is_committed))]
    if is_committed:
        publish_now()
    else:
        erase(Subject((GONE,)), threading.Event())
    with duckdb.connect(str(path)) as connection:
        assert connection.execute(rows).fetchall() == [(2, 0)]
    assert found_in(tmp_path, *TRACES) == []


@pytest.mark.thorough
@pytest.mark.parametrize(
    "subject",
    [Subject((GONE,)), Subject(identity=WHO), Subject(created_before=NOW - DAY)],
    ids=["conference", "identity", "age"],
)
def test_a_server_has_the_same(kept: Path, database: str, tmp_path: Path, subject: Subject) -> None:
    path = Path(shutil.copy(kept, tmp_path / "warehouse.duckdb"))
    tables = [*(table.name for table in TABLES), "_runs"]
    with DuckDbFile(path).open() as file, PostgresServer(database).open() as warehouse:
        prepare_runs(warehouse)
        migrate_tables(warehouse)
        warehouse.prepare_indexes({table.name: table.key for table in TABLES})
        warehouse.execute(f"CREATE TABLE {RAW}_dlt_loads AS SELECT '1' AS load_id")
        for name in tables:
            warehouse.append(
                f"{RAW}{name}", file.connection.sql(f"FROM {RAW}{name}").to_arrow_table()
            )
        assert subject.count(file, KEEP) == subject.count(warehouse, KEEP)
        counts = [erase_rows(one, subject, KEEP, "x") for one in (file, warehouse)]
        assert counts[0] == counts[1] == subject.count(warehouse, KEEP) + counts[0]
        for name in tables:
            if name != "_erasures":
                read = f"SELECT * FROM {RAW}{name}"
                assert sorted(map(repr, file.execute(read))) == sorted(
                    map(repr, warehouse.execute(read))
                )
        settings = publish_settings(PostgresServer(database))
        finish_erasures(warehouse, partial(forget_former, warehouse, settings))
        statistics = "SELECT CAST(most_common_vals AS VARCHAR) FROM pg_catalog.pg_stats"
        trace = subject.identity or (subject.conferences or (sid(3),))[0]
        assert trace not in repr(warehouse.execute(statistics))
        finished = f"SELECT count(*) FROM {RAW}_erasures WHERE finished_at IS NOT NULL"
        assert warehouse.execute(finished) == [(1,)]
