"""Runs that are killed, stopped or run out of disk: the next one leaves everything exact."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import duckdb
import pytest

from pipelines.conference_insights import run
from pipelines.simulator.account import Account
from pipelines.simulator.server import InsightsHandler, InsightsServer
from pipelines.twilio_insights import Progress
from tests import expected
from tests.conftest import NOW, ROOT, Loaded, environment, python, sid, summary

HOUR = timedelta(hours=1)
SUMMARIES = "conference_insights.conference_summaries"
Command = Callable[..., subprocess.CompletedProcess[str]]


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
    ended, said = kill_run_when(lambda: len(loaded.server.requests) > 60, tmp_path, number)
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
