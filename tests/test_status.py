"""`status` tells how the warehouse is, and never opens it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.monitor.health import diagnose
from pipelines.monitor.status import read_status, show_status, status_lines
from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN
from pipelines.times import format_duration
from pipelines.twilio_insights.errors import RefusedError
from pipelines.warehouse.checks import ChecksError
from pipelines.warehouse.file.warehouse_file import DuckDbFile, open_warehouse, working_folder
from pipelines.warehouse.status_files import StatusFiles
from tests.conftest import ROOT, Command, Loaded, kill_when, sid, summary

pytestmark = pytest.mark.usefixtures("prepared")

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def told(loaded: Loaded) -> dict[str, Any]:
    return read_status(DuckDbFile(loaded.path), datetime.now(UTC))


def trouble(loaded: Loaded, **limits: Any) -> list[str]:
    return [finding.what for finding in diagnose(told(loaded), **limits)]


@pytest.mark.thorough
def test_it_tells_what_the_warehouse_holds(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR))
    for number, age in {2: HOUR / 2, 3: 5 * HOUR, 4: 6 * HOUR, 5: 9 * DAY, 6: 29 * DAY}.items():
        loaded.account.put(summary(number, age, "in_progress"))
    loaded.load()
    loaded.account.now += 2 * DAY
    loaded.account.put(summary(7, HOUR, "in_progress", tags=["brand_new"]))
    loaded.account.forget(sid(5))
    loaded.run()
    status = told(loaded)
    assert status["rows"]["conference_summaries"] == 7
    ages = {row["age"]: (row["conferences"], row["waiting"]) for row in status["pending"]}
    assert ages == {"1 to 3 days": (4, 0), "3 to 27 days": (1, 1)}
    assert status["pending"][1]["next_try"] == loaded.account.now + HOUR
    assert status["expired"] == 1
    assert status["drift"] == {"tag = brand_new": sid(7)}
    assert [check["check_name"] for check in status["checks"]] == ["nothing_undocumented"]
    assert status["watermark"] == loaded.account.now
    assert status["unlisted_deleted_from"] == loaded.account.now + 30 * DAY
    assert status["lookback"] == "48h"
    assert status["last_good"]["run_id"] == status["last_run"]["run_id"]
    assert status["published"]["age_seconds"] < 60
    assert status["bytes"]["warehouse"] == loaded.path.stat().st_size
    lines = dict(status_lines(status))
    assert lines["Pending"].startswith(
        "5: 4 1 to 3 days, 1 3 to 27 days; the next run asks again; 1"
    )
    assert lines["Drift"] == f"tag = brand_new (first {sid(7)})"


def test_json_is_what_the_page_describes(loaded: Loaded, command: Command) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    done = command("status", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    described = (ROOT / "pipelines/operations.md").read_text().partition("status --json` has")[2]
    assert [name for name in said if f"`{name}`" not in described.partition("\n## ")[0]] == []
    assert said["watermark"] == "2026-11-20T14:30:00Z"


def test_it_holds_up_no_run_and_is_held_up_by_none(sound: Loaded, command: Command) -> None:
    with open_warehouse(sound.path):
        done = command("status")
    assert done.returncode == 0
    assert "Last good run" in done.stdout
    sound.path.write_text("what it never reads")
    assert command("status").returncode == 0


@pytest.mark.parametrize(("age", "code"), [(HOUR, 0), (3 * HOUR, 3)], ids=["fresh", "stale"])
def test_a_monitor_is_told_what_is_stale(
    age: timedelta, code: int, sound: Loaded, command: Command
) -> None:
    age_last_run(sound, age)
    done = command("status", "--max-age", "2h")
    assert (done.returncode, "FAIL  Stale" in done.stdout) == (code, bool(code))
    assert command("status").returncode == 0


def age_last_run(loaded: Loaded, age: timedelta) -> None:
    file = loaded.path.with_name(f"{loaded.path.name}.status.json")
    content = json.loads(file.read_text())
    for run in (content["run"], content["last_good"]):
        for name in ("started_at", "ended_at"):
            run[name] = (datetime.fromisoformat(run[name]) - age).isoformat()
    file.write_text(json.dumps(content))


def test_where_nothing_ran_everything_is_stale(command: Command, tmp_path: Path) -> None:
    assert "No run has left its status here yet" in command("status").stdout
    (tmp_path / "warehouse.duckdb").unlink()
    done = command("status")
    assert done.returncode == 0
    assert "warehouse.duckdb, not created yet" in done.stdout
    assert "No run has been made here yet" in done.stdout
    done = command("status", "--max-age", "7d")
    assert done.returncode == 3
    assert "FAIL  Stale: there was no good run; 7 days" in done.stdout


@pytest.mark.usefixtures("tables_only")
def test_a_backfill_is_no_good_run(loaded: Loaded, command: Command) -> None:
    loaded.run()
    first = told(loaded)["last_good"]["run_id"]
    assert command("backfill", "--from", "2d").returncode == 0
    status = told(loaded)
    assert (status["last_good"]["run_id"], status["last_run"]["command"]) == (first, "backfill")


@pytest.mark.thorough
def test_a_killed_run_is_named(loaded: Loaded, tmp_path: Path) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.server.latency = 0.3
    status = loaded.path.with_name(f"{loaded.path.name}.status.json")
    kill_when(lambda: status.exists() and "extract" in status.read_text(), tmp_path)
    assert trouble(loaded)[0].endswith("was killed (step extract)")
    # As in a new container, where another process has its number and a backup has the lock.
    content = json.loads(status.read_text())
    content["run"]["pid"] = os.getpid()
    status.write_text(json.dumps(content))
    assert trouble(loaded)[0].endswith("was killed (step extract)")
    with (working_folder(loaded.path) / "run.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert trouble(loaded)[0].endswith("was killed (step extract)")
    loaded.server.latency = 0
    loaded.run()
    assert trouble(loaded) == []


@pytest.mark.usefixtures("tables_only")
def test_a_run_that_is_on_is_alive_wherever_it_is_looked_at_from(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.put(summary(1, HOUR))
    seen: list[Any] = []

    def look(_: object) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(os, "kill", lambda *_: os.getpgid(-1))  # processes of other containers
            seen.append(told(loaded)["last_run"]["is_alive"])
            patch.setattr(socket, "gethostname", lambda: "another")
            seen.append(told(loaded)["last_run"]["is_alive"])

    loaded.run(on_change=look)
    assert set(seen) == {True}
    assert told(loaded)["last_run"]["is_alive"] is False


@pytest.mark.usefixtures("tables_only")
def test_a_look_at_the_lock_is_in_no_runs_way(loaded: Loaded) -> None:
    loaded.run()
    with (working_folder(loaded.path) / "run.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        threading.Timer(0.01, fcntl.flock, (lock, fcntl.LOCK_UN)).start()
        loaded.run()


@pytest.mark.thorough
def test_a_failed_and_a_refused_run_are_named(loaded: Loaded, command: Command) -> None:
    loaded.load()
    loaded.account.logins.clear()
    command("run")
    assert trouble(loaded)[0].startswith("The last run failed (step prepare), RefusedError: Twilio")
    assert command("run", TWILIO_AUTH_TOKEN="").returncode == 2
    assert "could not start, SettingsError: No credentials" in trouble(loaded)[1]
    loaded.account.logins.add((ACCOUNT_SID, AUTH_TOKEN))
    loaded.run()
    assert trouble(loaded) == []


@pytest.mark.thorough
def test_the_retention_clock_warns_before_it_is_too_late(loaded: Loaded) -> None:
    loaded.account.now = datetime.now(UTC) - 21 * DAY
    loaded.run()
    assert "Unlisted data starts to expire in" in trouble(loaded)[0]
    loaded.account.now = datetime.now(UTC) - 31 * DAY
    loaded.path.unlink()
    loaded.run()
    assert "Twilio has been deleting unlisted data" in trouble(loaded)[0]


def test_a_copy_that_is_gone_is_missed(sound: Loaded) -> None:
    no_copy(sound)
    assert trouble(sound) == ["There is no published copy"]


def no_copy(loaded: Loaded) -> None:
    loaded.path.with_name("warehouse.published").joinpath("current").unlink()


def unsound(loaded: Loaded) -> None:
    with duckdb.connect(loaded.path) as connection:
        table = "conference_insights.conference_tags"
        connection.execute(f"INSERT INTO {table} FROM {table} LIMIT 1")
    loaded.account.now += HOUR  # so that all is checked
    with pytest.raises(ChecksError):
        loaded.run()


def deleted(loaded: Loaded) -> None:
    file = loaded.path.with_name(f"{loaded.path.name}.status.json")
    content = json.loads(file.read_text())
    for watermark in content["holds"]["watermarks"]:
        watermark["loaded_to"] = (datetime.now(UTC) - 31 * DAY).isoformat()
    file.write_text(json.dumps(content))


def failed(loaded: Loaded) -> None:
    loaded.account.logins.clear()
    with pytest.raises(RefusedError):
        loaded.run()


@pytest.mark.parametrize(
    ("makes", "code", "said"),
    [
        ([], 0, ""),
        ([failed], 0, "WARN  The last run failed"),
        ([no_copy], 74, "FAIL  There is no published copy"),
        ([unsound], 65, "FAIL  "),
        ([deleted], 3, "FAIL  Since 20"),
        ([failed, deleted, no_copy], 74, "FAIL  There is no published copy"),
    ],
    ids=lambda value: "+".join(m.__name__ for m in value) if isinstance(value, list) else "",
)
def test_a_monitor_gets_the_code_of_the_worst_failure(
    makes: list[Callable[[Loaded], None]],
    code: int,
    said: str,
    sound: Loaded,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for make in makes:
        make(sound)
    assert show_status(True, None) == code
    json.loads(capsys.readouterr().out)
    assert show_status(False, None) == code
    assert said in capsys.readouterr().out


@pytest.mark.usefixtures("tables_only")
def test_a_warehouse_that_is_gone_is_missed(loaded: Loaded, command: Command) -> None:
    loaded.run()
    loaded.path.unlink()
    done = command("status", "--max-age", "2h")
    assert (done.returncode, f"FAIL  {loaded.path} is gone" in done.stdout) == (74, True)


def test_a_disk_that_is_not_there_leaves_the_rest_to_be_told(tmp_path: Path) -> None:
    status = read_status(DuckDbFile(tmp_path / "not mounted" / "w.duckdb"), datetime.now(UTC))
    assert "free" not in status["bytes"]
    assert dict(status_lines(status))["Warehouse"].endswith("w.duckdb, not created yet")


@pytest.mark.thorough
def test_a_status_file_of_another_version_is_not_read(loaded: Loaded, command: Command) -> None:
    loaded.load()
    file = loaded.path.with_name(f"{loaded.path.name}.status.json")
    for content in ("null", "[]", '{"run": {}}', '{"run": {"outcome": "ok"}, "last_good": {}}'):
        file.write_text(content)
        done = command("status", RUNTIME__SLACK_INCOMING_HOOK="http://127.0.0.1:9/")
        assert (done.returncode, "No run has left its status here yet" in done.stdout) == (0, True)
        with open_warehouse(loaded.path) as warehouse:
            StatusFiles(loaded.path).renew(warehouse, loaded.path)  # as `publish` does at its end
        assert file.read_text() == content
    loaded.run()
    assert trouble(loaded) == []


@pytest.mark.usefixtures("tables_only")
def test_drift_that_is_named_like_a_time_is_drift(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR, updated_at="2026-11-20T10:00:00Z"))
    loaded.run()
    assert [*told(loaded)["drift"].values()] == [sid(1)]


@pytest.mark.usefixtures("tables_only")
def test_a_table_of_the_user_is_counted_like_any(loaded: Loaded) -> None:
    loaded.run()
    with duckdb.connect(loaded.path) as connection:
        connection.execute('CREATE TABLE conference_insights."my-notes" AS SELECT 1 AS a')
    loaded.run()
    assert told(loaded)["rows"]["my-notes"] == 1


@pytest.mark.thorough
def test_the_watermark_is_what_is_loaded_whatever_failed_since(
    loaded: Loaded, command: Command
) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.load()
    with duckdb.connect(loaded.path) as connection:
        table = "conference_insights.conference_tags"
        connection.execute(f"INSERT INTO {table} FROM {table} LIMIT 1")
    loaded.account.now += 5 * DAY
    assert command("run").returncode == 65
    assert told(loaded)["watermark"] == loaded.account.now
    with duckdb.connect(loaded.path) as connection:
        connection.execute(f"DELETE FROM {table}")
    assert command("publish").returncode == 0
    assert (told(loaded)["checks"], told(loaded)["watermark"]) == ([], loaded.account.now)
    with duckdb.connect(
        loaded.path.with_name("warehouse.published") / "current/insights.duckdb"
    ) as copy:
        (as_of,) = copy.execute("SELECT as_of FROM analytics.data_as_of").fetchall()[0]
    assert as_of == loaded.account.now.replace(tzinfo=None)


def test_a_broken_status_file_is_one_message(loaded: Loaded, command: Command) -> None:
    loaded.path.with_name(f"{loaded.path.name}.status.json").write_text('{"run": ')
    done = command("status")
    assert done.returncode == 74
    assert "the next run rewrites it" in done.stderr


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (240, "4 min"),
        (11520, "3 h 12 min"),
        (86400, "1 day"),
        (190800, "2 days 5 h"),
    ],
)
def test_durations_are_spoken(seconds: int, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@pytest.mark.thorough
@pytest.mark.fresh
def test_checks_that_were_not_made_have_not_passed(loaded: Loaded) -> None:
    stop = threading.Event()
    loaded.account.put(summary(1, HOUR))
    loaded.run(stop=stop, on_change=lambda _: stop.set())
    assert dict(status_lines(told(loaded)))["Checks"] == "not run yet"
    loaded.run()
    assert dict(status_lines(told(loaded)))["Checks"] == "passed"
