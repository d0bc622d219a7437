"""What people see in a terminal while a run goes on, and what is left there after it."""

from __future__ import annotations

import os
import re
from datetime import timedelta

import pytest

from tests.conftest import Loaded, slow, summary
from tests.screen import Screen
from tests.test_logs import on_a_terminal, start_on_a_terminal

pytestmark = pytest.mark.usefixtures("prepared")

HOUR = timedelta(hours=1)


def hang_up(*arguments: str, at: bytes) -> int:
    """The command's end, after its terminal went away when it had written that."""
    started, ours = start_on_a_terminal(*arguments)
    said = b""
    while at not in said:
        said += os.read(ours, 4096)
    os.close(ours)
    return started.wait(60)


@pytest.mark.thorough
def test_a_terminal_that_goes_away_is_no_trouble_of_the_run(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.server.latency = 0.2
    assert hang_up("run", at=b"Warehouse: ") == 0
    assert loaded.query("SELECT outcome, rows_new FROM conference_insights._runs") == [("ok", 1)]


def test_what_only_tells_ends_as_without_its_reader(loaded: Loaded) -> None:
    loaded.server.latency = 1.0
    assert hang_up("doctor", at=b"account_sid") == 141


@pytest.mark.thorough
@pytest.mark.parametrize("columns", [60, *slow(80, 120)])
def test_a_bar_that_can_be_read_and_leaves_no_trace(
    columns: int, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", "5")
    monkeypatch.setenv("REPORT_TIMEZON", "UTC")
    for number in range(60):
        state = "in_progress" if number % 6 == 0 else "complete"
        loaded.account.put(summary(number, number * 12 * HOUR, state, tags=["brand_new"]))
    loaded.server.latency = 0.05
    screen = Screen(columns, on_a_terminal("run", columns=columns))

    bars = [line for frame in screen.frames for line in frame if re.search(r"\d%", line)]
    assert " 0% " in bars[0]
    assert " 100% " in bars[-1]
    for frame in screen.frames:
        for line in frame:
            assert len(line) <= columns
            assert ("%" in line) == bool(re.search("[━╸╺]", line)), "a bar on a line of its own"
    assert min(len(re.findall("[━╸╺]", bar)) for bar in bars) >= columns // 3
    last = next(frame for frame in reversed(screen.frames) if "100%" in str(frame))
    about = " ".join(line.strip() for line in last if line)
    assert re.search(r"\d+ pages, 60 listed, 60 to write, 0 pending, 0 asked for by SID$", about)

    setting, warehouse, *more, last_line = filter(None, screen.text)
    assert setting == "REPORT_TIMEZON is not a setting of this program, so it has no effect"
    assert warehouse == f"Warehouse: {loaded.path}"
    assert re.fullmatch(r"run [0-9a-f]{16} \| .* s", last_line)
    assert not re.search("[━╸╺%]", "".join(screen.lines))
    assert all(line.startswith("WARN: ") for line in more)
