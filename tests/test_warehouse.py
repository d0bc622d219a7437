"""The warehouse file: one run at a time, nobody else's file touched, readable by old engines."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dlt.common.configuration.exceptions import ConfigurationValueError

from pipelines.conference_insights import DLT_SETTINGS, run
from pipelines.simulator.account import Account
from pipelines.simulator.server import InsightsHandler, InsightsServer
from pipelines.twilio_insights import Progress
from pipelines.warehouse.file import BusyError, WarehouseError, open_warehouse, warehouse_path
from pipelines.warehouse.runs import RunRecord
from pipelines.warehouse.views import sql_folder
from tests import expected
from tests.conftest import NOW, ROOT, Loaded, environment, sid, summary

HOUR = timedelta(hours=1)
SUMMARIES = "conference_insights.conference_summaries"
Command = Callable[..., subprocess.CompletedProcess[str]]


def python(program: str, *arguments: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | env,
    )


@pytest.fixture
def held_by_another_program(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    holder = python(
        """
        import duckdb, sys
        with duckdb.connect(sys.argv[1]):
            print("open", flush=True)
            sys.stdin.read()
        """,
        str(tmp_path / "warehouse.duckdb"),
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "open\n"
    yield holder
    holder.communicate()


def test_a_file_held_by_another_program_is_named_and_exits_75(
    server: InsightsServer, held_by_another_program: subprocess.Popen[str], command: Command
) -> None:
    done = command("run")
    assert done.returncode == 75
    assert f"(process {held_by_another_program.pid})" in done.stderr
    assert "Traceback" not in done.stderr
    assert server.requests == []


def test_a_backup_waits_for_a_run_and_a_run_does_not_wait_for_a_backup(
    loaded: Loaded, command: Command, tmp_path: Path
) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    hold = ["flock", f"{loaded.path}.dlt/run.lock"]
    with subprocess.Popen([*hold, "sh", "-c", "echo; read line"], stdin=-1, stdout=-1) as backup:
        assert backup.stdout is not None
        backup.stdout.readline()
        done = command("run")
        assert done.returncode == 75
        assert "a program that copies it" in done.stderr
        backup.communicate(b"\n")
    with open_warehouse(loaded.path):
        refused = subprocess.run([*hold[:1], "--nonblock", *hold[1:], "true"], check=False)
        assert refused.returncode == 1


def test_a_file_that_is_let_go_is_waited_for(
    loaded: Loaded, held_by_another_program: subprocess.Popen[str]
) -> None:
    threading.Timer(0.5, held_by_another_program.communicate).start()
    loaded.run()
    loaded.assert_exact()


def status(path: Path, kind: str = "status") -> Any:
    return json.loads(path.with_name(f"{path.name}.{kind}.json").read_text())


def test_every_run_leaves_its_status_beside_the_warehouse(loaded: Loaded, command: Command) -> None:
    loaded.account.put(summary(1, HOUR, "in_progress"))
    done = loaded.run()
    said = status(loaded.path)
    assert (said["run"]["outcome"], said["run"]["phase"]) == ("ok", "views")
    assert (said["run"]["rows_new"], said["run"]["pending_after"]) == (1, 1)
    assert said["last_good"]["run_id"] == done.run_id
    assert said["last_good"]["window_to"] == "2026-11-20T14:30:00"
    loaded.account.logins.clear()
    assert command("run").returncode == 77
    said = status(loaded.path)
    assert said["run"]["outcome"] == "failed"
    assert said["run"]["error_class"] == "RefusedError"
    assert "Advanced Features" in said["run"]["error"]
    assert said["last_good"]["run_id"] == done.run_id


def test_the_status_tells_each_phase(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = RunRecord.phase

    def phase(record: RunRecord, name: str) -> None:
        real(record, name)
        said = status(loaded.path)["run"]
        assert (said["phase"], said["outcome"], said["pid"]) == (name, "running", os.getpid())
        seen.append(name)

    monkeypatch.setattr(RunRecord, "phase", phase)
    loaded.run()
    assert seen == ["finish", "extract", "normalize", "load", "views"]


def test_a_run_that_never_held_the_warehouse_says_so_elsewhere(
    loaded: Loaded, command: Command
) -> None:
    done = loaded.run()
    with open_warehouse(loaded.path):
        assert command("run").returncode == 75
    refused = status(loaded.path, "refused")["run"]
    assert (refused["outcome"], refused["error_class"]) == ("refused", "BusyError")
    assert command("run", TWILIO_ACCOUNT_SID="AC1").returncode == 2
    assert "account_sid" in status(loaded.path, "refused")["run"]["error"]
    assert status(loaded.path)["run"]["run_id"] == done.run_id


def test_a_table_of_runs_from_an_earlier_version_gets_the_new_columns(loaded: Loaded) -> None:
    loaded.run()
    with duckdb.connect(loaded.path) as connection:
        connection.execute("ALTER TABLE conference_insights._runs DROP COLUMN drift")
        connection.execute("ALTER TABLE conference_insights._runs DROP COLUMN gap_to")
    done = loaded.run()
    runs = loaded.query("SELECT run_id, drift FROM conference_insights._runs ORDER BY started_at")
    assert runs[1] == (done.run_id, None)


FULL = """
    import resource, sys
    from pipelines.command_line import main
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.argv[1:] = ["run"]
    main()
"""


@pytest.mark.parametrize("kib", [16, 200, 800, 2000])
def test_a_full_disk_exits_74_and_loses_nothing(loaded: Loaded, kib: int) -> None:
    """A quota on the size of any file stands for the disk, wherever in the run it is met."""
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    for number in range(2, 2000):
        text = random.Random(number).randbytes(2000).hex()
        loaded.account.put(summary(number, number * HOUR / 50, friendly_name=text))
    before = loaded.path.stat().st_size // 1024
    full = python(FULL, str((before + kib) * 1024), PYTHONPATH=str(ROOT))
    _, said = full.communicate(timeout=60)
    assert full.returncode == 74, said
    assert "Traceback" not in said
    assert "File too large" in said
    assert sid(1) in {sid for (sid,) in loaded.query("SELECT conference_sid FROM " + SUMMARIES)}
    loaded.run()
    loaded.assert_exact()


@pytest.mark.parametrize("damage", ["state.json", "schemas/twilio_insights.schema.json", "*"])
def test_a_damaged_working_folder_is_set_aside(
    loaded: Loaded, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    work = loaded.path.with_name("warehouse.duckdb.dlt") / "conference_insights"
    damaged = [file for file in work.rglob(damage) if file.is_file()]
    assert damaged
    for file in damaged:
        file.write_text("{")
    loaded.account.put(summary(2, HOUR))
    loaded.run()
    loaded.assert_exact()


def test_a_second_run_is_refused_and_told_who_holds_it(loaded: Loaded, command: Command) -> None:
    with open_warehouse(loaded.path):
        done = command("run")
        assert done.returncode == 75
        assert f"process {os.getpid()} on " in done.stderr
        with pytest.raises(BusyError), open_warehouse(loaded.path):
            pass
    assert command("run").returncode == 0


def test_the_storage_version_is_old_enough_for_bi_tools(
    loaded: Loaded, old_engine: Callable[[str], Path]
) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    loaded.run()
    program = """
        import duckdb, sys
        connection = duckdb.connect(sys.argv[1], read_only=True)
        print(duckdb.__version__, connection.execute(
            "SELECT conference_sid, complete FROM conference_insights.conference_summaries, "
            "analytics.completeness_by_day").fetchall())
    """
    reader = python(program, str(loaded.path), PYTHONPATH=str(old_engine("1.2.2")))
    assert reader.communicate()[0] == f"1.2.2 [('{sid(1)}', 1)]\n"


@pytest.mark.parametrize(
    ("configured", "path"),
    [
        (None, "warehouse.duckdb"),
        ("data.duckdb", "data.duckdb"),
        ("duckdb:///data.duckdb", "data.duckdb"),
        ("/somewhere/calls.db", "/somewhere/calls.db"),
    ],
)
def test_where_the_warehouse_is(
    configured: str | None, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if configured:
        monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", configured)
    assert warehouse_path() == tmp_path / path


@pytest.mark.parametrize(
    "name", ["conference_insights.duckdb", "analytics.2026.db", ":memory:", "md:x"]
)
def test_names_that_cannot_be_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", name)
    with pytest.raises(ConfigurationValueError):
        warehouse_path()


def test_a_refetched_summary_whose_package_never_completed_is_asked_for_again(
    loaded: Loaded,
) -> None:
    loaded.account.put(summary(1, 240 * HOUR, "in_progress"))
    loaded.run()
    loaded.account.put(summary(1, 240 * HOUR))
    loaded.run()
    with duckdb.connect(loaded.path) as connection:
        connection.execute("DELETE FROM conference_insights.conference_tags")
        connection.execute(
            "DELETE FROM conference_insights._dlt_loads WHERE load_id = "
            "(SELECT _dlt_load_id FROM conference_insights.conference_summaries)"
        )
    loaded.run()
    loaded.assert_exact()


def test_a_file_that_is_no_warehouse_is_left_alone(loaded: Loaded) -> None:
    loaded.path.write_text("a letter")
    with pytest.raises(WarehouseError, match="cannot open"):
        loaded.run()
    assert loaded.path.read_text() == "a letter"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="nowhere"), open_warehouse(tmp_path / "nowhere/w.db"):
        pass


def test_the_working_folder_is_private_and_beside_the_warehouse(
    loaded: Loaded, tmp_path: Path
) -> None:
    loaded.run()
    folder = loaded.path.with_name("warehouse.duckdb.dlt")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    status = f"{loaded.path.name}.status.json"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("home", loaded.path.name, folder.name, status),
    ]
    assert list((tmp_path / "home").iterdir()) == []  # nor in dlt's own folder, which is there


def any_in(folder: Path) -> bool:
    return any(folder.glob("*"))


def kill_run_when(
    condition: Callable[[], bool], folder: Path, number: int = signal.SIGKILL
) -> tuple[int, str]:
    """Start a run in a folder, send it a signal once the condition holds, and give its end."""
    run = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "run"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not condition() and run.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    run.send_signal(number)
    said = run.communicate(timeout=60)[1]
    return run.returncode, said


def test_two_warehouses_under_one_home_run_in_turns_and_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The first one is killed with a package on disk that is not loaded yet."""
    caplog.set_level("INFO", "conference_insights")
    accounts = [Account(NOW), Account(NOW)]
    folders = [tmp_path / "one", tmp_path / "two"]
    work = folders[0] / "warehouse.duckdb.dlt/conference_insights"
    with InsightsServer(accounts[0]) as one, InsightsServer(accounts[1]) as two:
        for turn, (which, server) in itertools.product(range(3), enumerate((one, two))):
            folders[which].mkdir(exist_ok=True)
            monkeypatch.chdir(folders[which])
            for name, value in environment(server).items():
                monkeypatch.setenv(name, value)
            for number in range(300):
                row = summary(turn * 1000 + number, number * HOUR / 20 + which * HOUR)
                accounts[which].put(row)
            if (turn, which) == (1, 0):
                code, _ = kill_run_when(partial(any_in, work / "normalize/extracted"), folders[0])
                assert code == -signal.SIGKILL
                assert any_in(work / "normalize/extracted") or any_in(work / "load/normalized")
                continue
            caplog.clear()
            run(Progress("run"))
            assert ("Finishing the load package" in caplog.text) == ((turn, which) == (2, 0))
    for folder, account in zip(folders, accounts, strict=True):
        found = expected.of_warehouse(folder / "warehouse.duckdb")
        assert found == expected.of_api(account.rows())
    with duckdb.connect(folders[0] / "warehouse.duckdb") as connection:
        runs = "SELECT outcome FROM conference_insights._runs ORDER BY started_at"
        assert connection.execute(runs).fetchall() == [("ok",), ("killed",), ("ok",)]


def test_a_kill_while_a_normalized_package_is_tidied_away_is_survived(
    loaded: Loaded, tmp_path: Path, command: Command
) -> None:
    """dlt deletes what it extracted once it is normalized; a kill may leave an empty folder."""
    for number in range(300):
        loaded.account.put(summary(number, number * HOUR / 20))
    work = tmp_path / "warehouse.duckdb.dlt/conference_insights"
    code, _ = kill_run_when(partial(any_in, work / "load/normalized"), tmp_path)
    assert code == -signal.SIGKILL
    (package,) = (work / "load/normalized").iterdir()
    (work / "normalize/extracted" / package.name).mkdir(exist_ok=True)
    done = command("run")
    assert done.returncode == 0, done.stderr
    assert "Finishing the load package" in done.stderr
    loaded.assert_exact()


def test_a_left_package_does_not_go_into_an_older_copy(
    loaded: Loaded, tmp_path: Path, command: Command
) -> None:
    """A killed run leaves a package; then an older copy of the file is put back."""
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    old = loaded.path.read_bytes()
    loaded.account.now += 10 * 24 * HOUR
    for number in range(2, 200):
        loaded.account.put(summary(number, -number * HOUR))
    loaded.run()
    loaded.account.now += 10 * 24 * HOUR
    for number in range(300, 400):
        loaded.account.put(summary(number, -number * HOUR))
    extracted = tmp_path / "warehouse.duckdb.dlt/conference_insights/normalize/extracted"
    kill_run_when(partial(any_in, extracted), tmp_path)
    loaded.path.write_bytes(old)
    loaded.path.with_name("warehouse.duckdb.wal").unlink(missing_ok=True)
    done = command("run")
    assert done.returncode == 0, done.stderr
    assert "set aside" in done.stderr
    loaded.assert_exact()
    reasons = list((tmp_path / "warehouse.duckdb.dlt/set_aside").glob("*/reason.txt"))
    assert len(reasons) == 1
    assert "the warehouse is at" in reasons[0].read_text()


def test_a_half_loaded_package_does_not_go_into_an_older_copy(loaded: Loaded) -> None:
    """The copy was made before the run that was killed, so that it lacks what that had loaded."""
    loaded.run()
    old = loaded.path.read_bytes()
    for number in range(100):
        loaded.account.put(summary(number, number * HOUR / 5))
    kill_before_merge(3)
    loaded.path.write_bytes(old)
    loaded.path.with_name("warehouse.duckdb.wal").unlink()
    done = loaded.run()
    assert "another copy of the file" in (done.left_package or "")
    loaded.assert_exact()


def test_child_rows_of_a_lost_package_do_not_stay_without_their_conference(loaded: Loaded) -> None:
    """Tables are merged one by one; a kill in between, and then the package was deleted."""
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    with duckdb.connect(loaded.path) as connection:
        connection.execute(
            "INSERT INTO conference_insights.conference_tags VALUES (?, 'low_mos', 'lost', NULL)",
            [sid(2)],
        )
    loaded.run()
    loaded.assert_exact()


def kill_before_merge(number: int) -> None:
    """Kill a run before the n-th merge statement of its package."""
    killed = python(KILLED, str(number), PYTHONPATH=str(ROOT))
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL


KILLED = """
    import os, sys
    from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
    from pipelines.command_line import main

    real, left = DuckDbSqlClient.execute_query, int(sys.argv.pop())

    def execute_query(client, query, *values):
        global left
        left -= query.startswith("DELETE") and "_staging" not in query[:40]
        return real(client, query, *values) if left else os.kill(os.getpid(), 9)

    DuckDbSqlClient.execute_query = execute_query
    sys.argv[1:] = ["run"]
    main()
"""


@pytest.mark.parametrize("table", ["conference_tags", "conference_summaries"])
def test_a_left_package_that_lacks_a_file_is_set_aside(
    loaded: Loaded, tmp_path: Path, table: str
) -> None:
    """As after power loss: the program itself never leaves one so."""
    for number in range(100):
        loaded.account.put(summary(number, number * HOUR / 5))
    work = tmp_path / "warehouse.duckdb.dlt/conference_insights/load/normalized"
    kill_run_when(partial(any_in, work), tmp_path)
    (file,) = work.rglob(f"new_jobs/{table}.*")
    file.unlink()
    done = loaded.run()
    assert f"has no file for {table}" in (done.left_package or "")
    loaded.assert_exact()


@pytest.mark.parametrize("size", [0, 4096, 8192])
def test_a_kill_while_the_file_is_created_leaves_nothing_in_the_way(
    loaded: Loaded, size: int
) -> None:
    loaded.path.with_name("warehouse.duckdb.new").write_bytes(bytes(size))
    loaded.run()
    loaded.assert_exact()


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_truncated_warehouse_exits_74_and_is_left_alone(
    loaded: Loaded, command: Command, kept: float
) -> None:
    for number in range(500):
        loaded.account.put(summary(number, number * HOUR / 50))
    loaded.run()
    damaged = loaded.path.read_bytes()[: int(loaded.path.stat().st_size * kept)]
    loaded.path.write_bytes(damaged)
    done = command("run")
    assert done.returncode == 74, done.stderr
    assert "Traceback" not in done.stderr
    assert loaded.path.read_bytes() == damaged


def test_a_merge_that_fails_leaves_the_rows_that_were_there(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR, "in_progress", tags=["low_mos"]))
    loaded.run()
    with duckdb.connect(loaded.path) as connection:
        connection.execute("CREATE UNIQUE INDEX one ON conference_insights.conference_tags (tag)")
    before = expected.of_warehouse(loaded.path)["conference_tags"]
    loaded.account.put(summary(1, HOUR, tags=["low_mos"]))
    loaded.account.put(summary(2, HOUR, tags=["low_mos"]))
    with pytest.raises(Exception, match="low_mos"):
        loaded.run()
    assert expected.of_warehouse(loaded.path)["conference_tags"] == before
    with duckdb.connect(loaded.path) as connection:
        connection.execute("DROP INDEX conference_insights.one")
    loaded.run()
    loaded.assert_exact()


def test_a_first_run_that_is_stopped_or_refused_says_why(loaded: Loaded, command: Command) -> None:
    stopped = Progress("run")
    stopped.stop.set()
    run(stopped)
    assert status(loaded.path)["run"]["outcome"] == "stopped"
    assert command("run", TWILIO_AUTH_TOKEN="wrong").returncode == 77


def test_rows_of_a_package_that_never_completed_do_not_count_as_stored(loaded: Loaded) -> None:
    """A kill between the merge of the root table and those of its children, and no package left."""
    loaded.account.put(summary(1, HOUR, "in_progress"))
    loaded.run()
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    loaded.assert_exact()
    with duckdb.connect(loaded.path) as connection:
        connection.execute("DELETE FROM conference_insights.conference_tags")
        connection.execute(
            "DELETE FROM conference_insights._dlt_loads WHERE load_id = "
            "(SELECT _dlt_load_id FROM conference_insights.conference_summaries)"
        )
    assert loaded.run().rows_updated == 1
    loaded.assert_exact()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_run_cleanly_and_keeps_what_is_finished(
    loaded: Loaded, tmp_path: Path, number: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", "5")
    loaded.server.latency = 0.05
    for count in range(400):
        loaded.account.put(summary(count, count * HOUR))
    ended, said = kill_run_when(lambda: len(loaded.server.requests) > 30, tmp_path, number)
    assert ended == code, said
    assert "Traceback" not in said
    outcome = "SELECT outcome, rows_new, window_to FROM conference_insights._runs"
    (stopped, new, until), *_ = loaded.query(outcome)
    assert stopped == "stopped"
    assert 0 < new < 400
    stored = "SELECT count(*), max(create_time) FROM conference_insights.conference_summaries"
    (count, latest), *_ = loaded.query(stored)
    assert count == new
    assert latest <= until
    loaded.server.latency = 0
    loaded.run()
    loaded.assert_exact()


def test_a_fault_in_the_middle_keeps_the_finished_windows(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", "5")
    for count in range(400):
        loaded.account.put(summary(count, count * HOUR))
    real, seen = InsightsHandler.answer, threading.Semaphore(40)

    def refuse(handler: InsightsHandler) -> tuple[int, bytes]:
        if seen.acquire(blocking=False):
            return real(handler)
        return 401, json.dumps({"code": 20003, "message": "Authenticate"}).encode()

    monkeypatch.setattr(InsightsHandler, "answer", refuse)
    done = command("run")
    assert done.returncode == 77
    assert "Advanced Features" in done.stderr
    assert "Traceback" not in done.stderr
    kept = loaded.query("SELECT count(*) FROM conference_insights.conference_summaries")[0][0]
    assert 0 < kept < 400
    assert loaded.query("SELECT outcome, error_class, rows_new FROM conference_insights._runs") == [
        ("failed", "RefusedError", kept)
    ]
    monkeypatch.setattr(InsightsHandler, "answer", real)
    again = loaded.run()
    loaded.assert_exact()
    assert again.rows_new == 400 - kept


def test_config_toml_shows_what_the_code_assumes() -> None:
    import tomllib

    config = tomllib.loads((ROOT / ".dlt/config.toml").read_text())
    for key, value in DLT_SETTINGS.items():
        found = config
        for part in key.split("."):
            found = found[part]
        assert found == value
    from pipelines.twilio_insights import TwilioInsightsConfiguration

    defaults = TwilioInsightsConfiguration()
    for name, value in config["sources"]["twilio_insights"].items():
        assert getattr(defaults, name) == value


def test_sql_is_found_in_the_checkout() -> None:
    assert sql_folder() == ROOT / "sql"
