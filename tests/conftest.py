"""A simulated account, its API on loopback, and a warehouse of its own for every test."""

from __future__ import annotations

import atexit
import gc
import io
import logging
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import compress
from operator import not_
from pathlib import Path
from typing import Any
from zlib import crc32

import duckdb
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from pipelines.cli import command_line
from pipelines.run.pipeline import Polling, run
from pipelines.run.post_load import run_post_load
from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN, Account, Row, iso, running_row
from pipelines.simulator.server import InsightsServer
from pipelines.twilio_insights.progress import Progress
from tests import expected
from tests.beside import install_beside as install_beside
from tests.forked import COMMAND, Forked
from tests.in_memory import folder_in_memory
from tests.postgres_server import database as database
from tests.postgres_server import postgres as postgres

gc.freeze()  # what is imported is never garbage, and each run looks for some
atexit.register(gc.unfreeze)  # or DuckDB's modules say at the exit that they leak
_connect = duckdb.connect
# More threads only cost time where there is little data; processes of their own have all.
duckdb.connect = lambda database=":memory:", read_only=False, config=None: _connect(
    database, read_only, {"threads": 1} | (config or {})
)
if place := folder_in_memory():
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", place)

NOW = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
ROOT = Path(__file__).parents[1]
POST_LOAD = "pipelines.run.pipeline.run_post_load"
MACHINE_TIME = "pipelines.twilio_insights.api.clock.machine_time"
Command = Callable[..., subprocess.CompletedProcess[str]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--share", metavar="N/M", help="the N-th of M shares of the chosen tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose the share that `--share` asks for: the same in each process of a run, another one if N
    grows, as in CI from commit to commit."""
    if share := config.getoption("share"):
        number, of = map(int, share.split("/"))
        chosen = [crc32(item.nodeid.encode()) % of == number % of for item in items]
        config.hook.pytest_deselected(items=[*compress(items, map(not_, chosen))])
        items[:] = compress(items, chosen)


@pytest.fixture(autouse=True)
def _own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's settings reaches a test, and nothing of a test another."""
    for name in os.environ:
        if name.startswith(
            (
                "TWILIO_",
                "SOURCES__",
                "DESTINATION__",
                "RUNTIME__",
                "LOAD__",
                "PUBLISH__",
                "REPORT_",
                "CONFERENCE_",
            )
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "home/dlt"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    with suppress(KeyError):
        del Container()[PluggableRunContext]  # that of a run, which is the process's


@pytest.fixture
def account() -> Account:
    return Account(NOW)


@pytest.fixture
def server(account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[InsightsServer]:
    with InsightsServer(account) as insights:
        monkeypatch.setattr(MACHINE_TIME, lambda: insights.account.now)
        for name, value in environment(insights).items():
            monkeypatch.setenv(name, value)
        yield insights


def environment(server: InsightsServer) -> dict[str, str]:
    return {
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        "SOURCES__TWILIO_INSIGHTS__BASE_URL": server.url,
    }


@dataclass
class Loaded:
    """A warehouse that follows the simulated account."""

    account: Account
    server: InsightsServer
    path: Path

    def run(
        self,
        polling: Polling | None = None,
        stop: threading.Event | None = None,
        **kwargs: Any,
    ) -> Progress:
        self.server.requests.clear()
        return run(Progress("run", **kwargs), polling, stop=stop)

    def load(self, views: bool = False) -> Progress:
        """Run to the end of the load, or with `views` to that of the views, without checks and a
        copy: what a test begins with."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(POST_LOAD, views_alone if views else lambda *_, **__: None)
            return self.run()

    def finish_after_a_run(self, ages: dict[int, timedelta]) -> None:
        """Summaries that were pending when a run loaded them, and are final since."""
        for number, age in ages.items():
            self.account.put(summary(number, age, "in_progress"))
        self.run()
        for number, age in ages.items():
            self.account.put(summary(number, age))

    def assert_exact(self) -> None:
        assert expected.of_warehouse(self.path) == expected.of_api(self.account.rows())

    def query(self, sql: str) -> list[Any]:
        with expected.reading(self.path) as connection:
            return connection.execute(sql).fetchall()


def views_alone(*arguments: Any, **options: Any) -> None:
    run_post_load(*arguments, **options | {"only_views": True})


@pytest.fixture
def loaded(account: Account, server: InsightsServer, tmp_path: Path) -> Loaded:
    return Loaded(account, server, tmp_path / "warehouse.duckdb")


@contextmanager
def loaded_once(account: Account, folder: Path, empty: Path | None = None) -> Iterator[Loaded]:
    """A warehouse of a whole module, for tests that only read it; it may begin as a copy of an
    empty one."""
    with InsightsServer(account) as server, pytest.MonkeyPatch.context() as patch:
        path = folder / "warehouse.duckdb"
        if empty:
            shutil.copy(empty, path)
        settings = {"DESTINATION__DUCKDB__CREDENTIALS": str(path), "DLT_DATA_DIR": str(folder)}
        for name, value in (environment(server) | settings).items():
            patch.setenv(name, value)
        patch.setattr(MACHINE_TIME, lambda: account.now)
        yield Loaded(account, server, path)


@pytest.fixture(scope="session")
def empty_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All tables and views, as a run makes them, with nothing in them, not even that run."""
    with loaded_once(Account(NOW), tmp_path_factory.mktemp("empty")) as loaded:
        loaded.load(views=True)
        with duckdb.connect(loaded.path) as connection:
            for table in ("_runs", "_watermarks", "_dlt_loads"):
                connection.execute(f"DELETE FROM conference_insights.{table}")
        return loaded.path


@pytest.fixture
def prepared(empty_warehouse: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The first run of a test need not make tables and views, which is most of it: for tests of
    something else."""
    if not is_fresh(request):
        shutil.copy(empty_warehouse, tmp_path / "warehouse.duckdb")


@pytest.fixture
def tables_only(
    prepared: None, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Besides, runs of this process end with their load, without views, checks and a copy, which
    are half of a run: for tests that look at tables only."""
    if not is_fresh(request):
        monkeypatch.setattr(POST_LOAD, lambda *_, **__: None)


@pytest.fixture
def views_only(prepared: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, but with their views: for tests that look at views, not at checks or a copy."""
    monkeypatch.setattr(POST_LOAD, views_alone)


@pytest.fixture
def with_participants(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs load them too."""
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PARTICIPANTS", "true")


def is_fresh(request: pytest.FixtureRequest) -> bool:
    return request.node.get_closest_marker("fresh") is not None


@pytest.fixture(scope="session")
def well(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Loaded:
    """A run has left all well, by the real clock, by which `status` and `doctor` judge."""
    account = Account(datetime.now(UTC))
    for number in range(1, 4):
        account.put(summary(number, NOW - account.now + timedelta(hours=number)))
    with loaded_once(account, tmp_path_factory.mktemp("well"), empty_warehouse) as loaded:
        loaded.run()
    return loaded


def copy_all(former: Path, path: Path) -> None:
    """All that runs left of a warehouse, in the folder of another."""
    shutil.copytree(former.parent, path.parent, symlinks=True, dirs_exist_ok=True)
    status = path.with_name(f"{path.name}.status.json")
    status.write_text(status.read_text().replace(str(former.parent), str(path.parent)))


@pytest.fixture
def sound(loaded: Loaded, well: Loaded) -> Loaded:
    """The same in the test's folder, of an account of its own, whose clock is right."""
    copy_all(well.path, loaded.path)
    loaded.account.now = datetime.now(UTC)
    for row in well.account.rows():
        loaded.account.put(row)
    return loaded


def slow(*cases: Any) -> list[Any]:
    """Cases of a parametrized test that say again what its quick ones say."""
    return [pytest.param(case, marks=pytest.mark.slow) for case in cases]


def sid(number: int) -> str:
    return f"CF{number:032x}"


def summary(number: int, age: timedelta, state: str = "complete", **values: Any) -> Row:
    """A conference created `age` before NOW; final ones have a tag and issues."""
    row = running_row(sid(number), NOW - age) | {"processing_state": state}
    if state == "complete":
        row |= {
            "status": "completed",
            "end_time": iso(NOW - age + timedelta(minutes=10)),
            "duration_seconds": 600,
            "tags": ["high_jitter"],
            "tag_info": {"high_jitter": {"severity": "low"}},
            "detected_issues": {"call_quality": number % 3, "participant_behavior": 0},
        }
    return row | values


def python(program: str, *arguments: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | env,
    )


def kill_when(
    condition: Callable[[], bool],
    folder: Path,
    number: int = signal.SIGKILL,
    command: str = "run",
) -> tuple[int, str]:
    """Start a command in a folder, send it a signal once the condition holds, and give its end."""
    # What runs the tests may ignore hang-ups, as nohup does, and children would too.
    as_usual = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    started = Forked(as_usual + COMMAND, command, folder=folder)
    deadline = time.monotonic() + 300
    while not condition() and started.is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    with suppress(ProcessLookupError):
        os.kill(started.pid, number)
    return started.end()


_AT = """
import runpy, sys
from datetime import datetime
from pipelines import times
now = datetime.fromisoformat(sys.argv.pop(1))
times.machine_time = lambda: now
runpy.run_module("pipelines", run_name="__main__", alter_sys=True)
"""


def command_at(now: datetime) -> list[str]:
    """The command on a machine whose clock goes with an account's."""
    return [sys.executable, "-c", _AT, now.isoformat()]


@pytest.fixture
def process(tmp_path: Path, account: Account) -> Command:
    """Run `conference-insights` as a user would, in a folder of its own; this machine's clock goes
    with the account's."""

    def call(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command_at(account.now), *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "CONFERENCE_INSIGHTS_LOG": "human", **env},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return call


@pytest.fixture
def command(tmp_path: Path, account: Account) -> Command:
    """The same in this process, which need not start an interpreter and import everything."""

    def call(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        with _like_a_process(tmp_path, account.now) as (stdout, stderr):
            os.environ.update({"CONFERENCE_INSIGHTS_LOG": "human"} | env)
            with pytest.raises(SystemExit) as ended:
                command_line.main(arguments, "conference-insights")
        said = stdout.getvalue(), stderr.getvalue()
        return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), *said)

    return call


@contextmanager
def _like_a_process(folder: Path, now: datetime) -> Iterator[tuple[io.StringIO, io.StringIO]]:
    """Leave this process as it was, whatever a command changes in what it takes for its own."""
    stdout, stderr, environment = io.StringIO(), io.StringIO(), dict(os.environ)
    root, ours = logging.getLogger(), logging.getLogger("conference_insights")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    signals = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    threshold, mask = gc.get_threshold(), os.umask(0)
    os.umask(mask)
    root.handlers.clear()
    try:
        with chdir(folder), redirect_stdout(stdout), redirect_stderr(stderr):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(MACHINE_TIME, lambda: now)
                patch.setattr(gc, "freeze", lambda: None)
                patch.setattr(gc, "unfreeze", lambda: None)
                yield stdout, stderr
    finally:
        os.environ.clear()
        os.environ.update(environment)
        root.handlers[:] = handlers
        root.setLevel(levels[0])
        ours.setLevel(levels[1])
        for number, handler in signals.items():
            signal.signal(number, handler)
        gc.set_threshold(*threshold)
        os.umask(mask)


@pytest.fixture(scope="session")
def old_engine() -> Callable[[str], Path]:
    """An older DuckDB: give its version, get its folder."""
    return lambda version: install_beside(f"duckdb-{version}", f"duckdb=={version}")
