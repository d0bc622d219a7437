"""How long the participants of many conferences take, which are a request each."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.benchmarks.api import Traffic, served
from tests.benchmarks.measuring import RUN, Measured, compare, measure, row

LATENCY, CONCURRENCY = 0.2, 32
PREFIX = "SOURCES__TWILIO_INSIGHTS__"


def participants(conferences: int, rounds: int) -> None:
    """A first load of them into a warehouse that has the conferences, and a run with nothing new,
    against the bare waiting time: that of the requests, if they follow each other without a
    pause."""
    first: list[Measured] = []
    again: list[Measured] = []
    with served(Traffic(conferences, latency=LATENCY, participants=4)) as api:
        settings = {"PARTICIPANTS": "true", "PARTICIPANT_REQUESTS": str(conferences)}
        on = {f"{PREFIX}{name}": value for name, value in settings.items()}
        on[f"{PREFIX}MAX_CONCURRENCY"] = str(CONCURRENCY)
        without = dict(api.environment)
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                measure(api, Path(folder), *RUN)
                api.environment |= on
                first.append(measure(api, Path(folder), *RUN))
                api.later()
                again.append(measure(api, Path(folder), *RUN))
                api.environment = dict(without)
    waits = [Measured(m.requests * LATENCY / CONCURRENCY, m.cpu, 0, 0, {}) for m in first]
    title = f"4 participants of each of {conferences:,} conferences, {LATENCY * 1000:.0f} ms"
    seconds, cpu, ratio, _ = compare(first, waits)
    row(title, "bare waiting time", f"{compare(waits, waits)[0]:.1f} s", "1.00", "")
    asked = f"{first[-1].requests:,} requests, {max(m.peak_mb for m in first):.0f} MB"
    row(title, "ours", f"{seconds:.1f} s ({cpu:.1f} s CPU)", f"{ratio:.2f}", asked)
    seconds, cpu, *_ = compare(again, again)
    nothing = f"{again[-1].requests:,} requests"
    row("the same again, nothing new", "ours", f"{seconds:.1f} s ({cpu:.1f} s CPU)", "", nothing)
