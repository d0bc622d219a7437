"""Plain lines for people, JSON lines for programs, and one last line a run."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import termios
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import NOW, ROOT, Command, Loaded, command_at, summary

pytestmark = pytest.mark.usefixtures("prepared")

HOUR = timedelta(hours=1)


def as_json(output: str) -> list[Any]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.thorough
@pytest.mark.fresh
def test_programs_read_json_lines(loaded: Loaded, command: Command) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.account.put(summary(2, HOUR, "in_progress", tags=["brand_new"]))
    done = command("run", CONFERENCE_INSIGHTS_LOG="")
    (last,) = as_json(done.stdout)
    assert (last["rows_new"], last["pending_after"], last["retries"]) == (2, 1, {})
    assert last["window_to"] == "2026-11-20T14:30:00+00:00"
    assert last["message"].startswith(f"run {last['run_id']} | ")
    said = as_json(done.stderr)
    assert said[0]["level"] == "INFO"
    assert said[0]["message"] == f"Warehouse: {loaded.path} (NEW, created now)"
    assert [line["level"] for line in said[1:]] == ["WARNING"]
    assert all(line["time"].endswith("+00:00") for line in said)


def test_an_error_is_a_json_line_too(loaded: Loaded, command: Command) -> None:
    loaded.account.logins.clear()
    done = command("--log", "json", "run")
    assert done.returncode == 77
    last = as_json(done.stderr)[-1]
    assert (last["level"], last["message"][:14]) == ("ERROR", "Error: Twilio ")


def test_a_bug_keeps_its_traceback_on_its_line() -> None:
    program = (
        "import pipelines.monitor.status as s; from pipelines.cli.command_line import main\n"
        "def read_status(*_): raise ZeroDivisionError\n"
        "s.read_status = read_status; main(['status'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (line,) = as_json(done.stderr)
    assert "ZeroDivisionError" in line["traceback"]


def start_on_a_terminal(
    *arguments: str, columns: int = 80, **env: str
) -> tuple[subprocess.Popen[bytes], int]:
    """The command where stdout and stderr are one terminal, and our end of that."""
    ours, theirs = pty.openpty()
    whole = {name: said for name, said in os.environ.items() if name not in ("COLUMNS", "LINES")}
    termios.tcsetwinsize(theirs, (24, columns))
    started = subprocess.Popen(
        [*command_at(NOW), *arguments],
        stdout=theirs,
        stderr=theirs,
        env=whole | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"} | env,
    )
    os.close(theirs)
    return started, ours


def on_a_terminal(*arguments: str, columns: int = 80, **env: str) -> str:
    """What the command writes there."""
    started, ours = start_on_a_terminal(*arguments, columns=columns, **env)
    output = b""
    while chunk := read(ours):
        output += chunk
    os.close(ours)
    assert started.wait(60) == 0
    return output.decode()


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""


@pytest.mark.thorough
def test_people_read_plain_lines(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR))
    said = on_a_terminal("run")
    assert f"Warehouse: {loaded.path}" in said
    assert "| 1 new |" in said.splitlines()[-1]
    assert "{" not in said


@pytest.mark.thorough
def test_colors_help_people_and_go_where_they_are_not_wanted(loaded: Loaded) -> None:
    loaded.run()
    assert "\x1b[1m" in on_a_terminal("status")
    assert "\x1b" not in on_a_terminal("status", NO_COLOR="1")


@pytest.mark.thorough
def test_the_progress_tells_pages_rows_pending_and_time_left(
    loaded: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.cli.console.SECONDS_BETWEEN_LINES", 0)
    for number in range(1, 40):
        loaded.account.put(summary(number, number * 18 * HOUR))
    said = command("run", SOURCES__TWILIO_INSIGHTS__PAGE_SIZE="5").stderr
    words = ("% listed", " pages, ", " listed, ", " to write, ", " asked for by SID", " left")
    assert any(all(word in line for word in words) for line in said.splitlines()), said
