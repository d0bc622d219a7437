"""How a command ends: its exit code, and what it says then, whoever stops it or stops reading."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from pipelines.cli import command_line
from tests import forked
from tests.conftest import ROOT, Command, Loaded, sid, summary

pytestmark = pytest.mark.usefixtures("prepared")
HOUR = timedelta(hours=1)


@pytest.mark.thorough
@pytest.mark.fresh
def test_the_final_line_tells_all(loaded: Loaded, command: Command) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.account.put(summary(2, HOUR, "in_progress"))
    done = command("run")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert re.fullmatch(
        r"run [0-9a-f]{16} \| 2026-10-21T14:30:00Z to 2026-11-20T14:30:00Z \| \d+ pages \| "
        r"\d+ requests \| 0 retries \| 2 new \| 0 updated \| 0 unchanged \| pending 0 -> 1 \| "
        r"\d+\.\d s\n",
        done.stdout,
    )
    assert done.stderr == f"Warehouse: {loaded.path} (NEW, created now)\n"
    assert command("run").stderr == f"Warehouse: {loaded.path}\n"


@pytest.mark.thorough
def test_each_command_is_the_same_in_a_process_of_its_own(
    loaded: Loaded, command: Command, process: Command
) -> None:
    """Most tests call it in theirs; `demo` has processes of its own in `test_demo.py`."""
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    reading = "reconcile", "report", f"show {sid(1)}", "status", "status --json", "doctor"
    changing = "run", "backfill --from 2d", "publish", "erase --older-than 400d --yes"
    every = *changing, *reading, "sql --dialect trino --view checks"
    assert {"demo", *(line.split()[0] for line in every)} == command_line.main.commands.keys()
    for line in every:
        here, there = (call(*line.split()) for call in (command, process))
        assert here.returncode == there.returncode == 0
        for said, also in ((here.stdout, there.stdout), (here.stderr, there.stderr)):
            assert without_numbers(said) == without_numbers(also)


def without_numbers(text: str) -> str:
    return re.sub(r"[\w.:+-]*\d[\w.:+-]*", "…", text)


def test_no_credentials_is_a_usage_error_that_names_what_to_set(command: Command) -> None:
    done = command("run")
    assert done.returncode == 2
    assert "TWILIO_ACCOUNT_SID" in done.stderr
    assert "Traceback" not in done.stderr


def test_refused_credentials_exit_77(loaded: Loaded, command: Command) -> None:
    done = command("run", TWILIO_AUTH_TOKEN="wrong-canary-token")
    assert done.returncode == 77
    assert "20003" in done.stderr
    assert "canary" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_an_api_that_is_down_exits_69(loaded: Loaded, command: Command) -> None:
    nowhere = {"SOURCES__TWILIO_INSIGHTS__BASE_URL": "http://127.0.0.1:9"}
    done = command("run", SOURCES__TWILIO_INSIGHTS__RETRY_BUDGET="1s", **nowhere)
    assert done.returncode == 69
    assert "ConnectError" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_used_exits_74(loaded: Loaded, command: Command) -> None:
    done = command("run", DESTINATION__DUCKDB__CREDENTIALS="/proc/nowhere/w.duckdb")
    assert done.returncode == 74
    assert "/proc/nowhere" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "output", ["warehouse.duckdb", "warehouse.duckdb.wal", ".dlt/mine.toml", "my_own_page.html"]
)
def test_a_report_replaces_nothing_but_a_report(
    sound: Loaded, command: Command, output: str
) -> None:
    file = sound.path.parent / output
    file.parent.mkdir(exist_ok=True)
    if file != sound.path:
        file.write_text("<!DOCTYPE html>\n<title>Mine</title>\n" if "html" in output else "a = 1")
    before = file.read_bytes()
    done = command("report", "--output", output)
    assert done.returncode == 2
    assert f"{file} is no report: write it to another file" in done.stderr
    assert file.read_bytes() == before
    assert command("report").returncode == command("report").returncode == 0


@pytest.mark.usefixtures("server")
def test_a_warehouse_in_a_folder_that_is_missing_is_one_message(command: Command) -> None:
    done = command("run", DESTINATION__DUCKDB__CREDENTIALS="nowhere/w.duckdb")
    assert done.returncode == 74
    assert "nowhere/w.duckdb: make its folder, " in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.thorough
@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", "2>&-", "| true", ">/dev/full"])
def test_a_run_is_well_whoever_reads_what_it_says(closed: str, loaded: Loaded) -> None:
    run = f"{sys.executable} -m pipelines run"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    script = f"set -o pipefail; {run} {closed}"
    done = subprocess.run(
        ["bash", "-c", script], env=env, capture_output=True, timeout=300, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert loaded.query("SELECT outcome FROM conference_insights._runs") == [("ok",)]


STRUCK = """
import os, signal, sys

class Strike:
    def find_spec(name, *_):
        if name == early:
            os.kill(os.getpid(), int(number))

early, number = sys.argv[1:]
sys.meta_path.insert(0, Strike)
from pipelines.__main__ import main
sys.argv[1:] = ["status", "--max-age", "2h"]
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "early",
    [
        "pipelines.cli.command_line",
        "click",
        "pipelines.logs",
        "pipelines.times",
        "pipelines.monitor.status",
    ],
)
def test_a_signal_is_one_from_the_first_moment_on(early: str, number: int) -> None:
    """It comes while that is imported."""
    struck = [sys.executable, "-c", STRUCK, early, str(int(number))]
    done = subprocess.run(struck, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (128 + number, False)
    assert "Aborted" not in done.stderr


@pytest.mark.parametrize("ignored", [False, True], ids=["a closed terminal", "nohup"])
def test_what_ignores_hang_ups_goes_on(ignored: bool) -> None:
    program = (
        "import signal; from pipelines.cli.shutdown import exit_on_error\n"
        f"signal.signal(signal.SIGHUP, signal.{'SIG_IGN' if ignored else 'SIG_DFL'})\n"
        "with exit_on_error(): signal.raise_signal(signal.SIGHUP)\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=env, timeout=300, check=False)
    assert done.returncode == (0 if ignored else 129)


def test_a_closed_stream_does_not_become_a_file(tmp_path: Path) -> None:
    program = (
        "import os; from pipelines import __main__; from pipelines.cli import command_line; "
        "command_line.main = lambda: "
        "open('said', 'w').write(str([os.path.samestat(os.fstat(n), os.stat(os.devnull)) "
        "for n in range(3)]))"
        "; __main__.main()"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    script = f'{sys.executable} -c "$0" <&- >&- 2>&-'
    subprocess.run(["bash", "-c", script, program], env=env, timeout=300, check=True)
    assert (tmp_path / "said").read_text() == "[True, True, True]"


@pytest.mark.parametrize("name", ["run", "status", "doctor", "report", "demo", "publish"])
def test_a_working_folder_that_was_deleted_is_named(name: str, tmp_path: Path) -> None:
    (folder := tmp_path / "gone").mkdir()
    deleted = f"import os; os.rmdir({str(folder)!r}); "
    code, said = forked.Forked(deleted + forked.COMMAND, name, folder=folder).end()
    assert (code, "The working folder was deleted" in said) == (74, True), said


def test_who_stops_reading_gets_141(loaded: Loaded) -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    script = f"set -o pipefail; {sys.executable} -m pipelines status | true"
    assert subprocess.run(["bash", "-c", script], env=env, timeout=300).returncode == 141


def test_the_last_line_says_when_a_run_failed(loaded: Loaded, command: Command) -> None:
    done = command("run", TWILIO_AUTH_TOKEN="wrong")
    assert " | FAILED | nothing listed | " in done.stdout
    done = command("run", TWILIO_AUTH_TOKEN="wrong", CONFERENCE_INSIGHTS_LOG="json")
    assert json.loads(done.stdout)["outcome"] == "failed"
