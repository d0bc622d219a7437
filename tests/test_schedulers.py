"""The page on schedulers: every example in it runs in its scheduler, as it stands there."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from configparser import RawConfigParser
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import click
import duckdb
import pytest
import yaml

from pipelines.cli.command_line import main
from pipelines.simulator.account import Account
from pipelines.simulator.sample_data import busy_tree
from pipelines.simulator.server import InsightsServer
from pipelines.warehouse.duckdb_database import DuckDb
from pipelines.warehouse.postgres import PostgresServer
from tests import expected
from tests.conftest import ROOT, Loaded, environment, summary
from tests.machine import Machine, booted, wait_for
from tests.test_readme import SETTINGS, blocks, run_shell

PAGE = (ROOT / "pipelines/scheduling.md").read_text()
FILES = {
    named[1]: block
    for language in ("ini", "python", "yaml")
    for block in blocks(language, PAGE)
    if (named := re.match(r"# (\S+)\n", block))
}
UNITS = {name: text for name, text in FILES.items() if name.startswith("/etc/systemd")}
SETUP, BY_HAND, START = blocks("sh", PAGE)
(CRON,) = blocks("cron", PAGE)
(RETENTION,) = blocks("crontab", PAGE)  # run by tests/test_erased_by_age.py
PROGRAM = "/opt/conference-insights/bin/conference-insights"
HOME = "/var/lib/conference-insights"
RUN, SWEEP = "conference-insights-run", "conference-insights-sweep"
ENDED = re.compile(r"\b(run|backfill) \w{16} \| [^\"\n]*[\d.]+ s\b")
BOTH = {"run", "backfill"}
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def test_units_have_what_systemd_must_know() -> None:
    shared, *units = UNITS
    for unit in units:
        parsed = RawConfigParser(strict=False)
        parsed.optionxform = str  # type: ignore[assignment, method-assign]
        parsed.read_string(UNITS[unit])
        assert parsed["Unit"]["Description"]
        if unit.endswith(".timer"):
            assert parsed["Timer"]["OnCalendar"]
            assert parsed["Install"]["WantedBy"] == "timers.target"
            assert f"{unit.removesuffix('timer')}service" in units
        else:
            assert parsed["Service"]["ExecStart"].startswith("/")
    assert shared.endswith("/conference-insights-.service.d/common.conf")


def test_every_command_of_the_page_exists() -> None:
    called = re.findall(r"conference-insights (?:\{.*?\} )?(run|backfill)((?: --\w+ \w+)*)", PAGE)
    assert {name for name, _ in called} == {"run", "backfill"}
    for name, options in called:
        command = main.get_command(click.Context(main), name)
        assert command
        command.make_context(name, options.split())


def test_every_example_is_run_by_a_test_or_marked() -> None:
    for part in PAGE.split("\n## "):
        for language in re.findall(r"^```(\w+)$", part, re.MULTILINE):
            assert "*Not run.*" in part or all(
                block in (SETUP, BY_HAND, START, CRON, RETENTION) or block in FILES.values()
                for block in blocks(language, part)
            )
    for name, block in FILES.items():
        if name.endswith(".py"):
            compile(block, name, "exec")
    for block in blocks("yaml", PAGE):
        assert all(isinstance(document, dict) for document in yaml.safe_load_all(block))


def test_the_environment_file_names_known_settings() -> None:
    names = re.findall(r"^(\w+)=", FILES["conference-insights.env"], re.MULTILINE)
    assert len(names) == 4
    assert all(f"`{name}`" in SETTINGS for name in names if name != "ALERT_URL")


@pytest.mark.parametrize("target", re.findall(r"\]\(#([^)]+)\)", PAGE))
def test_every_link_within_the_page_has_its_place(target: str) -> None:
    assert f'<a id="{target}"></a>' in PAGE


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The program is installed in it by the page's own words."""
    setup = tmp_path_factory.mktemp("setup")
    pip = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--wheel-dir", str(setup)]
    subprocess.run([*pip, str(ROOT)], check=True)
    shutil.copy(ROOT / ".ci/constraints.txt", setup)
    (setup / "conference-insights.env").write_text(FILES["conference-insights.env"])
    with booted(tmp_path_factory.mktemp("machine"), setup) as machine:
        # Python's own library, for those who may not enter the folder that it was built for.
        machine.write("/etc/ld.so.conf.d/00-python.conf", "/opt/python/lib\n")
        machine.call("ldconfig")
        machine.call("sh", "-euc", f"cd /opt/setup\n{SETUP}")
        yield machine


def test_by_hand_a_command_has_user_folder_and_settings_of_the_runs(tmp_path: Path) -> None:
    user, _, shell = BY_HAND.partition("sh -c ")
    assert user == "sudo -u conference-insights "
    (tmp_path / "the.env").write_text("DESTINATION__DUCKDB__CREDENTIALS=of_the_file.duckdb\n")
    for place, own in (
        (PROGRAM, "conference-insights"),
        (HOME, str(tmp_path)),
        ("/etc/conference-insights.env", str(tmp_path / "the.env")),
    ):
        assert place in shell
        assert place in CRON
        shell = shell.replace(place, own)
    said = run_shell(f"sh -c {shell.replace('sh status', 'sh status --json')}", tmp_path.parent)
    assert json.loads(said)["warehouse"] == str(tmp_path / "of_the_file.duckdb")


@dataclass
class Installed:
    """The program in a machine, with a warehouse that follows the simulated account."""

    machine: Machine
    account: Account
    server: InsightsServer

    def configure(self, **settings: str) -> None:
        lines = (
            f"{name}={value}\n" for name, value in (environment(self.server) | settings).items()
        )
        self.machine.call("tee", "/etc/conference-insights.env", said="".join(lines))

    def assert_exact(self) -> None:
        found = expected.of_warehouse(self.machine.root / f"{HOME[1:]}/warehouse.duckdb")
        assert found == expected.of_api(self.account.rows())

    def has_ended(self, unit: str) -> bool:
        said = self.machine.call("journalctl", "--output=cat", f"--unit={unit}")
        return bool(ENDED.search(said)) and self.state(unit) == "inactive"

    def state(self, unit: str) -> str:
        return self.machine.show(unit, "ActiveState")

    def exit_code(self, unit: str) -> str:
        return self.machine.show(unit, "ExecMainStatus")


@pytest.fixture
def installed(machine: Machine, account: Account, server: InsightsServer) -> Iterator[Installed]:
    fill(account)
    installed = Installed(machine, account, server)
    installed.configure()
    yield installed
    machine.call("sh", "-euc", f"rm -rf {HOME}/*")


@pytest.mark.slow
def test_cron_runs_the_lines_of_the_page(installed: Installed) -> None:
    machine = installed.machine
    if machine.run("which", "cron").returncode:
        machine.call("apt-get", "install", "--yes", "--quiet", "cron")
    machine.call("sh", "-euc", "rm -f /etc/cron.d/* && : > /etc/crontab")
    run, sweep = re.findall(r"^(\S+ \S+) .+$", CRON, re.MULTILINE)
    soon = datetime.now() + timedelta(seconds=65)
    lines = CRON.replace(run, "* *").replace(f"{sweep} * * 0", f"{soon:%M %H} * * *")
    machine.write("/etc/cron.d/conference-insights", lines)
    log = machine.root / f"{HOME[1:]}/run.log"
    machine.call("systemctl", "start", "cron")
    try:
        wait_for(lambda: log.exists() and set(ENDED.findall(log.read_text())) == BOTH, 200)
    finally:
        machine.call("systemctl", "stop", "cron")
        machine.call("flock", f"{HOME}/warehouse.duckdb.dlt/run.lock", "true")
    installed.assert_exact()
    machine.call("rm", "/etc/cron.d/conference-insights")


@pytest.fixture
def units(installed: Installed) -> Iterator[Installed]:
    for name, text in UNITS.items():
        installed.machine.write(name, text)
    # With a timer that refers to it, systemd keeps in mind how a service ended.
    installed.machine.call("systemctl", "enable", f"{RUN}.timer", f"{SWEEP}.timer")
    installed.machine.call("systemctl", "daemon-reload")
    yield installed
    installed.machine.call("systemctl", "stop", f"{RUN}.timer", f"{SWEEP}.timer", RUN, SWEEP)
    installed.machine.run("systemctl", "reset-failed")


@pytest.fixture
def alerts() -> Iterator[Alerts]:
    with Alerts(("127.0.0.1", 0), AlertHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


class Alerts(HTTPServer):
    """Keeps what it is told."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.told: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class AlertHandler(BaseHTTPRequestHandler):
    server: Alerts

    def do_POST(self) -> None:
        self.server.told.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.mark.slow
def test_the_notice_of_systemd_has_its_webhook_in_no_argument(
    alerts: Alerts, tmp_path: Path
) -> None:
    """Which every user of the machine sees; the line is read here as systemd does."""
    (unit,) = (text for name, text in UNITS.items() if "failed" in name)
    (line,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    given = {"ALERT_URL": f"{alerts.url}x?a=$HOME&b='c'", "MONITOR_EXIT_STATUS": "77"}
    stated = {"%%": "%", "%i": RUN, "%H": "here", "$$": "$"}
    stated |= {f"${{{name}}}": value for name, value in given.items()}
    read = re.compile("|".join(map(re.escape, stated)))
    words = [read.sub(lambda found: stated[found[0]], word) for word in shlex.split(line)]
    seen = tmp_path / "curl"
    seen.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >arguments\nexec {shutil.which("curl")} "$@"\n'
    )
    seen.chmod(0o755)
    words = [word.replace("/usr/bin/curl", str(seen)) for word in words]
    assert alerts.url not in str(words)
    subprocess.run(words, env=os.environ | given, cwd=tmp_path, check=True)
    assert alerts.url not in (tmp_path / "arguments").read_text()
    (told,) = (json.loads(text)["text"] for text in alerts.told)
    assert told == f"{RUN} failed on here with exit code 77"


@pytest.mark.slow
def test_the_wheel_has_the_page(machine: Machine) -> None:
    (folder,) = re.findall(r"`(/opt/conference-insights/lib/[^`]+)`", PAGE)
    assert machine.call("sh", "-c", f"cat {folder}/scheduling.md") == PAGE.strip()
    machine.call("sh", "-euc", f"test -f {folder}/sql/README.md")


@pytest.mark.slow
def test_systemd_finds_nothing_wrong_with_the_units(units: Installed) -> None:
    verified = units.machine.run("systemd-analyze", "verify", *list(UNITS)[1:])
    assert (verified.returncode, verified.stderr) == (0, "")
    # Of 10, which is a service that nothing is kept from.
    units.machine.call("systemd-analyze", "security", "--threshold=20", f"{RUN}.service")


@pytest.mark.slow
def test_the_timers_run_the_services_confined(units: Installed) -> None:
    machine = units.machine
    start = [START, f"systemctl restart {SWEEP}.timer"]
    for name, command in zip((RUN, SWEEP), start, strict=True):
        # As if it was on long ago: `Persistent` makes up for it.
        stamp = f"/var/lib/systemd/timers/stamp-{name}.timer"
        machine.call("install", "-D", "/dev/null", stamp)
        machine.call("touch", "--date=14 days ago", stamp)
        machine.call("sh", "-euc", command)
        wait_for(lambda unit=name: units.has_ended(unit))  # type: ignore[misc]
    units.assert_exact()

    go_on(units.account)
    machine.call("systemctl", "start", RUN)
    units.assert_exact()
    by_hand = BY_HAND.replace("sudo -u conference-insights", "runuser -u conference-insights --")
    assert f"{HOME}/warehouse.published/current" in machine.call("sh", "-euc", by_hand)
    other = ("setpriv", "--reuid=nobody", "--clear-groups", "test", "-r")
    assert machine.run(*other, f"{HOME}/warehouse.duckdb").returncode == 1
    assert (
        machine.run(*other, f"{HOME}/warehouse.published/current/insights.duckdb").returncode == 0
    )


@pytest.mark.slow
def test_a_busy_warehouse_is_waited_for_and_alerts_nobody(units: Installed, alerts: Alerts) -> None:
    machine = units.machine
    units.configure(ALERT_URL=alerts.url)
    machine.call("systemctl", "start", RUN)
    lock = f"{HOME}/warehouse.duckdb.dlt/run.lock"
    with ThreadPoolExecutor() as others:
        others.submit(machine.call, "flock", lock, "sleep", "8")
        wait_for(lambda: machine.run("flock", "--nonblock", lock, "true").returncode == 1)
        machine.call("systemctl", "start", RUN)
        assert units.exit_code(RUN) == "75"
        machine.call("systemctl", "start", "--no-block", SWEEP)
        wait_for(lambda: machine.show(SWEEP, "SubState") == "auto-restart")
        assert units.exit_code(SWEEP) == "75"
    wait_for(lambda: units.state(SWEEP) == "inactive")
    assert units.exit_code(SWEEP) == "0"
    assert alerts.told == []
    units.assert_exact()


@pytest.mark.slow
def test_a_refusal_is_told_and_a_stop_is_not(units: Installed, alerts: Alerts) -> None:
    machine = units.machine
    units.configure(ALERT_URL=alerts.url)
    units.server.latency = 0.3
    machine.call("systemctl", "start", "--no-block", RUN)
    wait_for(lambda: bool(units.server.requests))
    machine.call("systemctl", "stop", RUN)
    assert (units.exit_code(RUN), units.state(RUN)) == ("143", "inactive")
    assert alerts.told == []

    units.configure(ALERT_URL=alerts.url, TWILIO_AUTH_TOKEN="wrong")
    assert machine.run("systemctl", "start", RUN).returncode == 1
    assert (units.exit_code(RUN), units.state(RUN)) == ("77", "failed")
    wait_for(lambda: bool(alerts.told))
    (told,) = (json.loads(text)["text"] for text in alerts.told)
    assert re.fullmatch(rf"{RUN} failed on \S+ with exit code 77", told)


@dataclass
class Tool:
    """A scheduler in an environment of its own, with this project, and a folder with its files."""

    programs: Path
    folder: Path

    def call(self, *command: str, **env: str) -> str:
        done = self.run(*command, **env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.programs / command[0], *command[1:]],
            cwd=self.folder,
            env=os.environ | QUIET | env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


QUIET = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
"""Nothing leaves this machine."""


@pytest.fixture
def tool(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    """Its files, as in the page, but for the program of this environment and the test's folder."""
    folder = tmp_path / request.param
    for file, text in FILES.items():
        if file.endswith((".py", "dagster.yaml")):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            here = text.replace(PROGRAM, str(Path(sys.executable).with_name("conference-insights")))
            (folder / file).write_text(here.replace(HOME, str(tmp_path)))
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "warehouse.duckdb"))
    for name in ("AIRFLOW_HOME", "DAGSTER_HOME", "PREFECT_HOME"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    tool = Tool(install_beside(request.param), folder)
    if request.param == "airflow":  # making its own database takes half a minute
        database = Path(sys.prefix) / "airflow/airflow.db"
        if not database.exists():
            tool.call("airflow", "db", "migrate")
            shutil.copy(folder / database.name, f"{database}.new")
            Path(f"{database}.new").rename(database)
        shutil.copyfile(database, folder / database.name)
    return tool


def install_beside(name: str) -> Path:
    """Install a scheduler beside this environment, once, and this project as it is now."""
    folder = Path(sys.prefix) / name
    pip = [str(folder / "bin/pip"), "--quiet", "--disable-pip-version-check", "install"]
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            pins = ROOT / f"tests/{name}_constraints.txt"
            subprocess.run([*pip, "--requirement", str(pins)], check=True)
            (folder / "done").touch()
        subprocess.run([*pip, "--no-deps", "--force-reinstall", str(ROOT)], check=True)
    return folder / "bin"


GUARDED = """
import os, runpy, sys, time

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        os.write(2, f"{event} {arguments}".encode())
        os._exit(1)  # from whatever thread

sys.addaudithook(refuse)
runpy.run_path(sys.argv[1])
time.sleep(1)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tool", "file"),
    [
        ("airflow", "dags/conference_insights.py"),
        ("airflow", "dags/conferences_by_workers.py"),
        ("airflow", "dags/conferences_by_dlt.py"),
        ("dagster", "conference_insights.py"),
        ("dagster", "conferences_by_dlt.py"),
        ("prefect", "conference_insights_flow.py"),
    ],
    indirect=["tool"],
)
def test_reading_a_file_needs_no_network_and_no_credentials(tool: Tool, file: str) -> None:
    assert not any(name.startswith("TWILIO_") for name in os.environ)
    tool.call("python", "-c", GUARDED, file)


def fill(account: Account) -> None:
    account.put(summary(1, HOUR))
    account.put(summary(2, MINUTE, "in_progress"))


def go_on(account: Account) -> None:
    account.put(summary(2, MINUTE))
    account.put(summary(3, -MINUTE))
    account.now += HOUR


def assert_exact_in_calls(loaded: Loaded) -> None:
    with duckdb.connect(loaded.path, read_only=True) as connection:
        found = expected.of_database(DuckDb(connection), "calls")
    assert found == expected.of_api(loaded.account.rows())


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["airflow"], indirect=True)
def test_airflow_calls_the_command(tool: Tool, loaded: Loaded) -> None:
    fill(loaded.account)
    tool.call("airflow", "dags", "test", "conference_insights")
    loaded.assert_exact()
    go_on(loaded.account)
    tool.call("airflow", "dags", "test", "conference_insights")
    loaded.assert_exact()
    with (loaded.path.with_name("warehouse.duckdb.dlt") / "run.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "skipped" in tool.call("airflow", "dags", "test", "conference_insights").lower()
        # One attempt of it: the whole would wait for its retries.
        sweep = tool.run("airflow", "tasks", "test", "conference_insights_sweep", "backfill")
        assert "exit code 75" in sweep.stdout + sweep.stderr
    tool.call("airflow", "dags", "test", "conference_insights_sweep")
    loaded.assert_exact()
    assert [run for (run,) in loaded.query(RUNS)] == ["run", "run", "backfill"]


RUNS = "SELECT command FROM conference_insights._runs WHERE outcome = 'ok' ORDER BY started_at"


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["airflow"], indirect=True)
def test_airflow_cuts_accounts_among_workers(
    tool: Tool, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = busy_tree(datetime.now(UTC) - MINUTE, days=3, per_day=10)
    good = {one.sid: len(one.rows()) for one in tree.tree() if not one.refusal()}
    file = tool.folder / "dags/conferences_by_workers.py"
    accounts = re.sub(r"(?<=ACCOUNTS = )\[.*?\]", repr([*good]), file.read_text())
    file.write_text(accounts)
    with InsightsServer(tree) as server:
        where = {"DESTINATION_TYPE": "postgres", "DESTINATION__POSTGRES__CREDENTIALS": database}
        for name, value in (environment(server) | where).items():
            monkeypatch.setenv(name, value)
        tool.call("airflow", "dags", "test", "conferences_by_workers")
    with PostgresServer(database).read() as warehouse:
        known = "SELECT account_sid, count(*) FROM conference_insights.conference_summaries"
        assert dict(warehouse.execute(f"{known} GROUP BY 1")) == good
        ended = "SELECT outcome, accounts FROM conference_insights._runs"
        assert warehouse.execute(ended) == [("ok", 1)] * 2


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["airflow"], indirect=True)
def test_airflow_runs_the_source_by_dlt(tool: Tool, loaded: Loaded) -> None:
    fill(loaded.account)
    tool.call("airflow", "dags", "test", "conferences_by_dlt")
    assert_exact_in_calls(loaded)
    go_on(loaded.account)
    for _ in range(2):
        tool.call("airflow", "dags", "test", "conferences_by_dlt")
        assert_exact_in_calls(loaded)
    assert list(tool.folder.glob("dlt_*"))  # as the page says


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["dagster"], indirect=True)
def test_dagster_calls_the_command(tool: Tool, loaded: Loaded) -> None:
    materialize = ("dagster", "asset", "materialize", "-f", "conference_insights.py", "--select=*")
    fill(loaded.account)
    tool.call(*materialize)
    loaded.assert_exact()
    go_on(loaded.account)
    tool.call(*materialize)
    loaded.assert_exact()
    tool.call("dagster", "job", "execute", "-f", "conference_insights.py", "-j", "sweep")
    loaded.assert_exact()
    assert [run for (run,) in loaded.query(RUNS)] == ["run", "run", "backfill"]


TWICE = """
import dagster
from conferences_by_dlt import conference_tables, defs

for _ in range(2):
    assert defs.resolve_implicit_global_asset_job_def().execute_in_process().success
one = [dagster.AssetKey("dlt_twilio_insights_conference_tags")]
assert one[0] in conference_tables.keys
part = defs.resolve_implicit_global_asset_job_def().execute_in_process(
    asset_selection=one, raise_on_error=False
)
assert not part.success
"""


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["dagster"], indirect=True)
def test_dagster_runs_the_source_by_dlt(tool: Tool, loaded: Loaded) -> None:
    fill(loaded.account)
    assert "These tables share one listing" in tool.call("python", "-c", TWICE)
    assert_exact_in_calls(loaded)
    go_on(loaded.account)
    tool.call("dagster", "asset", "materialize", "-f", "conferences_by_dlt.py", "--select=*")
    assert_exact_in_calls(loaded)


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["prefect"], indirect=True)
def test_prefect_calls_the_command(tool: Tool, loaded: Loaded) -> None:
    once = "from conference_insights_flow import load_conferences as load; load()"
    fill(loaded.account)
    tool.call("python", "-c", once)
    loaded.assert_exact()
    go_on(loaded.account)
    tool.call("python", "-c", once)
    loaded.assert_exact()
