"""How much it costs that conferences are in many accounts, or that accounts have none."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.benchmarks.api import Traffic, served
from tests.benchmarks.measuring import RUN, Measured, compare, measure, row

LATENCY = 0.2
CONCURRENCY = 4
"""Requests at once, the default of `max_concurrency`."""


def idle(subaccounts: int, rounds: int) -> None:
    """A run with nothing new where subaccounts have no conferences, against the bare waiting time:
    that of its requests, if they follow each other without a pause."""
    found = []
    with served(Traffic(1_000, latency=LATENCY, idle=subaccounts)) as api:
        with tempfile.TemporaryDirectory() as folder:
            measure(api, Path(folder), *RUN)
            for _ in range(rounds):
                api.later()
                found.append(measure(api, Path(folder), *RUN))
    waits = [Measured(m.requests * LATENCY / CONCURRENCY, m.cpu, 0, 0, {}) for m in found]
    seconds, cpu, ratio, _ = compare(found, waits)
    title = f"{subaccounts:,} idle subaccounts, {LATENCY * 1000:.0f} ms an answer"
    row(title, "bare waiting time", f"{compare(waits, waits)[0]:.1f} s", "1.00", "")
    asked = f"{max(m.requests for m in found):,} requests, {found[-1].peak_mb:.0f} MB"
    row(title, "ours", f"{seconds:.1f} s ({cpu:.1f} s CPU)", f"{ratio:.2f}", asked)


def against_one(accounts: int, rounds: int, each: int = 100) -> None:
    """A fresh load of many accounts with few conferences each, against one that has them all."""
    one: list[Measured] = []
    many: list[Measured] = []
    with (
        served(Traffic(accounts * each)) as single,
        served(Traffic(each, subaccounts=accounts - 1)) as several,
    ):
        for _ in range(rounds):
            for api, found in ((single, one), (several, many)):
                with tempfile.TemporaryDirectory() as folder:
                    found.append(measure(api, Path(folder), *RUN))
    for title, found in (("one account", one), (f"{accounts:,} accounts", many)):
        seconds, cpu, ratio, cpu_ratio = compare(found, one)
        row(
            f"{accounts * each:,} summaries in {title}",
            "ours",
            f"{seconds:.1f} s ({cpu:.1f} s CPU)",
            f"{ratio:.2f} ({cpu_ratio:.2f})",
            f"{found[-1].requests:,} requests, {max(m.peak_mb for m in found):.0f} MB",
        )
