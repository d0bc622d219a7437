"""What a killed run leaves in the working folder is finished first, or set aside."""

from __future__ import annotations

import itertools
import re
import signal
from datetime import timedelta
from functools import partial
from pathlib import Path

import duckdb
import pytest

from pipelines.run import recovery as left_package
from pipelines.run.pipeline import run
from pipelines.simulator.account import Account
from pipelines.simulator.server import InsightsServer
from pipelines.twilio_insights.errors import RefusedError
from pipelines.twilio_insights.progress import Progress
from tests import expected
from tests.conftest import (
    NOW,
    Command,
    Loaded,
    environment,
    kill_when,
    summary,
)
from tests.forked import Forked

pytestmark = pytest.mark.usefixtures("tables_only")

HOUR = timedelta(hours=1)
TRACED = "Traceback (most recent call last):\n"


def any_in(folder: Path) -> bool:
    return any(folder.glob("*"))


@pytest.mark.thorough
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
                code, _ = kill_when(partial(any_in, work / "normalize/extracted"), folders[0])
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
    code, _ = kill_when(partial(any_in, work / "load/normalized"), tmp_path)
    assert code == -signal.SIGKILL
    (package,) = (work / "load/normalized").iterdir()
    (work / "normalize/extracted" / package.name).mkdir(exist_ok=True)
    done = command("run")
    assert done.returncode == 0, done.stderr
    assert "Finishing the load package" in done.stderr
    loaded.assert_exact()


@pytest.mark.thorough
def test_a_left_package_does_not_go_into_an_older_copy(
    loaded: Loaded, tmp_path: Path, command: Command
) -> None:
    """A killed run leaves a package; then an older copy of the file is put back."""
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    old = loaded.path.read_bytes()
    loaded.account.now += 2 * 24 * HOUR
    for number in range(2, 200):
        loaded.account.put(summary(number, -number * HOUR / 10))
    loaded.run()
    loaded.account.now += 2 * 24 * HOUR
    for number in range(300, 400):
        loaded.account.put(summary(number, -number * HOUR / 10))
    kill_before_merge(1)
    loaded.path.write_bytes(old)
    loaded.path.with_name("warehouse.duckdb.wal").unlink(missing_ok=True)
    done = command("run")
    assert done.returncode == 0, done.stderr
    assert "set aside" in done.stderr
    loaded.assert_exact()
    reasons = list((tmp_path / "warehouse.duckdb.dlt/set_aside").glob("*/reason.txt"))
    assert len(reasons) == 1
    assert "the warehouse is at" in reasons[0].read_text()


@pytest.mark.thorough
def test_a_package_that_was_being_loaded_goes_whole_into_a_copy_from_before(
    loaded: Loaded,
) -> None:
    """Whatever the working folder says of it: the copy knows nothing of the package."""
    loaded.run()
    old = loaded.path.read_bytes()
    for number in range(100):
        loaded.account.put(summary(number, number * HOUR / 5))
    kill_before_merge(3)
    loaded.path.write_bytes(old)
    loaded.path.with_name("warehouse.duckdb.wal").unlink()
    assert loaded.run().left_package == "finished, 100 summaries"
    loaded.assert_exact()


@pytest.mark.parametrize("table", ["conference_tags", "conference_summaries"])
def test_a_left_package_that_lacks_a_file_is_set_aside(
    loaded: Loaded, tmp_path: Path, table: str
) -> None:
    """As after power loss: the program itself never leaves one so."""
    for number in range(100):
        loaded.account.put(summary(number, number * HOUR / 5))
    work = tmp_path / "warehouse.duckdb.dlt/conference_insights/load/normalized"
    kill_when(partial(any_in, work), tmp_path)
    (file,) = work.rglob(f"new_jobs/{table}.*")
    file.unlink()
    done = loaded.run()
    assert f"has no file for {table}" in (done.left_package or "")
    loaded.assert_exact()


def test_the_reason_is_what_went_wrong_not_where(loaded: Loaded, tmp_path: Path) -> None:
    """dlt gives a traceback as the message of a job that can never succeed."""
    loaded.account.put(summary(1, HOUR))
    work = tmp_path / "warehouse.duckdb.dlt/conference_insights/load/normalized"
    kill_when(partial(any_in, work), tmp_path)
    (file,) = work.rglob("new_jobs/conference_tags.*")
    file.with_suffix(".insert_values").write_bytes(b"garbage")
    file.unlink()
    said = loaded.run().left_package or ""
    assert re.match(r"set aside: [\w.]+(Error|Exception)", said), said
    loaded.assert_exact()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("One.\nTwo.", "One."),
        ("", "RuntimeError('')"),
        (f'\n"""\n{TRACED}  File "a"\n    b\nKeyError: 5\n"""', "KeyError: 5"),
        (f"failed: {TRACED}  a\n\nb.C: d\ne\n. It is aborted.", "b.C: d"),
        (f"{TRACED} a\nA: 1\n\nThe direct cause:\n\n{TRACED} c\nB: 2", "B: 2"),
    ],
)
def test_the_reason_is_one_line(text: str, reason: str) -> None:
    assert left_package.reason_of(RuntimeError(text)) == reason
    assert left_package.reason_of(KeyError("nonsense")) == "KeyError('nonsense')"


@pytest.mark.thorough
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


@pytest.mark.fresh
@pytest.mark.parametrize("size", [0, 4096, 8192])
def test_a_kill_while_the_file_is_created_leaves_nothing_in_the_way(
    loaded: Loaded, size: int
) -> None:
    loaded.path.with_name("warehouse.duckdb.new").write_bytes(bytes(size))
    loaded.load()
    loaded.assert_exact()


def kill_before_merge(number: int) -> None:
    """Kill a run before the n-th merge statement of its package."""
    assert Forked(KILLED, str(number)).end()[0] == -signal.SIGKILL


KILLED = """
    import os, sys
    from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
    from pipelines.cli.command_line import main

    real, left = DuckDbSqlClient.execute_query, int(sys.argv.pop())

    def execute_query(client, query, *values):
        global left
        left -= query.startswith("DELETE") and "_staging" not in query[:40]
        return real(client, query, *values) if left else os.kill(os.getpid(), 9)

    DuckDbSqlClient.execute_query = execute_query
    sys.argv[1:] = ["run"]
    main()
"""


@pytest.mark.thorough
@pytest.mark.fresh
def test_the_views_are_there_although_the_api_is_gone_once_a_package_is_finished(
    loaded: Loaded,
) -> None:
    for number in range(100):
        loaded.account.put(summary(number, number * HOUR / 5))
    kill_before_merge(3)
    loaded.server.account.logins = set()
    with pytest.raises(RefusedError):
        loaded.run()
    shown = loaded.query("SELECT sum(conferences) FROM analytics.completeness_by_day")
    assert shown == [(100,)]
