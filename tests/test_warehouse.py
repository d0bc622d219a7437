"""The warehouse file: one run at a time, nobody else's file touched, readable by old engines."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.errors import SettingsError
from pipelines.run.destination import warehouse_path
from pipelines.run.pipeline import run
from pipelines.run.settings import DEFAULTS
from pipelines.simulator.server import InsightsServer
from pipelines.twilio_insights.progress import Progress
from pipelines.warehouse.file.warehouse_file import open_warehouse
from pipelines.warehouse.runs import RunRecord
from pipelines.warehouse.sql import sql_folder
from pipelines.warehouse.warehouse import BusyError, WarehouseError
from tests.conftest import POST_LOAD, ROOT, Command, Loaded, python, sid, slow, summary

pytestmark = pytest.mark.usefixtures("prepared")

HOUR = timedelta(hours=1)
SUMMARIES = "conference_insights.conference_summaries"


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
    server: InsightsServer,
    held_by_another_program: subprocess.Popen[str],
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipelines.warehouse.file.warehouse_file.LOCK_TIMEOUT", 0.1)
    done = command("run")
    assert done.returncode == 75
    assert f"(process {held_by_another_program.pid})" in done.stderr
    assert "Traceback" not in done.stderr
    assert server.requests == []


@pytest.mark.usefixtures("tables_only")
def test_a_backup_waits_for_a_run_and_a_run_does_not_wait_for_a_backup(
    loaded: Loaded, command: Command, tmp_path: Path
) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    lock = Path(f"{loaded.path}.dlt/run.lock")
    ended = subprocess.Popen("true")
    ended.wait()
    lock.write_text(f"doctor, process {ended.pid} on {socket.gethostname()}, started then")
    hold = ["flock", str(lock)]
    with subprocess.Popen([*hold, "sh", "-c", "echo; read line"], stdin=-1, stdout=-1) as backup:
        assert backup.stdout is not None
        backup.stdout.readline()
        done = command("run")
        assert done.returncode == 75
        assert "a program that does not say its name" in done.stderr
        backup.communicate(b"\n")
    with open_warehouse(loaded.path):
        refused = subprocess.run([*hold[:1], "--nonblock", *hold[1:], "true"], check=False)
        assert refused.returncode == 1


@pytest.mark.usefixtures("tables_only")
def test_a_file_that_is_let_go_is_waited_for(
    loaded: Loaded, held_by_another_program: subprocess.Popen[str]
) -> None:
    threading.Timer(0.5, held_by_another_program.communicate).start()
    loaded.run()
    loaded.assert_exact()


def status(path: Path, kind: str = "status") -> Any:
    return json.loads(path.with_name(f"{path.name}.{kind}.json").read_text())


@pytest.mark.thorough
def test_every_run_leaves_its_status_beside_the_warehouse(loaded: Loaded, command: Command) -> None:
    loaded.account.put(summary(1, HOUR, "in_progress"))
    done = loaded.run()
    said = status(loaded.path)
    assert (said["run"]["outcome"], said["run"]["phase"]) == ("ok", "publish")
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
    assert seen == ["prepare", "extract", "normalize", "load", "views", "checks", "publish"]


@pytest.mark.usefixtures("tables_only")
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


@pytest.mark.usefixtures("tables_only")
def test_a_table_of_runs_from_an_earlier_version_gets_the_new_columns(loaded: Loaded) -> None:
    loaded.run()
    with duckdb.connect(loaded.path) as connection:
        connection.execute("ALTER TABLE conference_insights._runs DROP COLUMN drift")
        connection.execute("ALTER TABLE conference_insights._runs DROP COLUMN gap_to")
    done = loaded.run()
    runs = loaded.query("SELECT run_id, drift FROM conference_insights._runs ORDER BY started_at")
    assert runs[1] == (done.run_id, None)


@pytest.mark.usefixtures("tables_only")
def test_a_second_run_is_refused_and_told_who_holds_it(loaded: Loaded, command: Command) -> None:
    with open_warehouse(loaded.path):
        done = command("run")
        assert done.returncode == 75
        assert f"process {os.getpid()} on " in done.stderr
        with pytest.raises(BusyError), open_warehouse(loaded.path):
            pass
    assert command("run").returncode == 0


@pytest.mark.programs
@pytest.mark.fresh
def test_engines_from_the_storage_version_on_read_the_warehouse(
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
    reader = python(program, str(loaded.path), PYTHONPATH=str(old_engine("1.4.5")))
    assert reader.communicate()[0] == f"1.4.5 [('{sid(1)}', 1)]\n"


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
    "name",
    [
        "conference_insights.duckdb",
        "analytics.2026.db",
        "information_schema.duckdb",
        ":memory:",
        "md:x",
    ],
)
def test_names_that_cannot_be_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", name)
    with pytest.raises(SettingsError):
        warehouse_path()


def test_the_file_is_the_only_database_with_small_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "memory.duckdb"
    with open_warehouse(path) as warehouse:
        warehouse.execute("CREATE TABLE numbers AS SELECT range AS number FROM range(100_000)")
        with warehouse.connection.cursor() as other:  # dlt, checks and the copy have their own
            rows = "SELECT row_group_id, max(count) FROM pragma_storage_info('numbers') GROUP BY 1"
            assert sorted(other.execute(rows).fetchall()) == [(0, 61_440), (1, 38_560)]
        names = "SELECT database_name, path FROM duckdb_databases() WHERE NOT internal"
        assert warehouse.execute(names) == [("warehouse", str(path))]
    assert not path.with_name("memory.duckdb.wal").exists()
    with duckdb.connect(path, read_only=True) as reader:
        assert reader.execute("SELECT count(*) FROM numbers").fetchall() == [(100_000,)]


def test_what_a_killed_process_spilled_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    spilled = tmp_path / "warehouse.duckdb.tmp"
    spilled.mkdir()
    (spilled / "duckdb_temp_storage_DEFAULT-0.tmp").touch()
    with open_warehouse(path):
        assert not spilled.exists()
    spilled.mkdir()
    (spilled / "duckdb_temp_storage_DEFAULT-0.tmp").touch()
    (spilled / "mine.txt").touch()
    with open_warehouse(path):
        assert [file.name for file in spilled.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("arguments", [["publish"], ["erase", "--older-than", "9d", "--yes"]])
def test_a_file_of_another_program_is_not_written_anew(
    arguments: list[str], command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "warehouse.duckdb"
    path.unlink(missing_ok=True)
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{path}' AS other (STORAGE_VERSION 'v1.2.0')")
        connection.execute("CREATE TABLE other.mine AS SELECT 1 AS a")
    before = path.read_bytes()
    assert command(*arguments).returncode == 74
    assert path.read_bytes() == before


def test_a_run_that_another_holds_up_at_last_has_its_row(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise BusyError("the lake has these accounts from another warehouse")

    loaded.run()
    monkeypatch.setattr(POST_LOAD, refused)
    with pytest.raises(BusyError):
        loaded.run()  # with nothing new
    runs = "SELECT outcome, error_class FROM conference_insights._runs ORDER BY started_at"
    assert loaded.query(runs) == [("ok", None), ("failed", "BusyError")]


def test_a_file_that_is_no_warehouse_is_left_alone(loaded: Loaded) -> None:
    loaded.path.write_text("a letter")
    with pytest.raises(WarehouseError, match="cannot open"):
        loaded.run()
    assert loaded.path.read_text() == "a letter"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="nowhere"), open_warehouse(tmp_path / "nowhere/w.db"):
        pass


@pytest.mark.thorough
@pytest.mark.fresh
def test_the_working_folder_is_private_and_beside_the_warehouse(
    loaded: Loaded, tmp_path: Path
) -> None:
    loaded.run()
    folder = loaded.path.with_name("warehouse.duckdb.dlt")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    status = f"{loaded.path.name}.status.json"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("home", loaded.path.name, folder.name, status, "warehouse.published"),
    ]
    assert list((tmp_path / "home").iterdir()) == []  # nor in dlt's own folder, which is there


@pytest.mark.usefixtures("tables_only")
@pytest.mark.parametrize("kept", [0.3, 0.9, *slow(0.6)])
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


@pytest.mark.fresh
def test_a_first_run_that_is_stopped_or_refused_says_why(loaded: Loaded, command: Command) -> None:
    stop = threading.Event()
    stop.set()
    run(Progress("run"), stop=stop)
    assert status(loaded.path)["run"]["outcome"] == "stopped"
    assert command("run", TWILIO_AUTH_TOKEN="wrong").returncode == 77


def test_config_toml_shows_what_the_code_assumes() -> None:
    import tomllib

    shown: dict[str, object] = tomllib.loads((ROOT / ".dlt/config.toml").read_text())
    for path, default in DEFAULTS.items():
        found: object = shown
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        if found is not None:
            assert found == default
    assert shown.keys() == {"checks", "destination_type", "report_timezone", "publish", "sources"}


def test_sql_is_found_in_the_checkout() -> None:
    assert sql_folder() == ROOT / "sql"


@pytest.mark.thorough
def test_a_file_of_a_former_storage_version_is_written_anew(loaded: Loaded) -> None:
    """With all that is in it, a view of the user's own included."""
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    former = loaded.path.with_name("former.duckdb")
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{loaded.path}' AS now")
        connection.execute(f"ATTACH '{former}' AS former (STORAGE_VERSION 'v1.2.0')")
        connection.execute("COPY FROM DATABASE now TO former")
        connection.execute("CREATE VIEW former.analytics.mine AS FROM former.analytics.conferences")
        connection.execute("DETACH former")
    former.replace(loaded.path)
    loaded.account.put(summary(2, HOUR))
    loaded.run()
    loaded.assert_exact()
    version = "SELECT tags['storage_version'] FROM duckdb_databases() WHERE path IS NOT NULL"
    assert loaded.query(version) == [("v1.4.0+",)]
    comments = "SELECT count(*) FROM duckdb_columns() WHERE comment IS NULL AND schema_name = "
    assert loaded.query(f"{comments} 'analytics' AND table_name <> 'mine'") == [(0,)]
