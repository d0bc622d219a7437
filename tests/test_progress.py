"""What people see in a terminal while a run goes on, and what is left there after it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from tests.conftest import Loaded, summary
from tests.screen import Screen
from tests.test_logs import on_a_terminal

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("columns", [60, 80, 120])
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
    assert re.search(r"\d+ pages, 60 listed, 60 to write, 0 of 0 pending asked for again$", about)

    setting, warehouse, *more, last_line = filter(None, screen.text)
    assert setting == "REPORT_TIMEZON is no setting of this program, so it has no effect"
    assert warehouse == f"Warehouse: {loaded.path} (NEW, created now)"
    assert re.fullmatch(r"run [0-9a-f]{16} \| .* s", last_line)
    assert not re.search("[━╸╺%]", "".join(screen.lines))
    assert all(line.startswith("WARN: ") for line in more)
