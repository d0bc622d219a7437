"""A program of its own process, measured; and what was measured, compared and printed."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.api import Api

RUN = (sys.executable, "-m", "pipelines", "run")


class Measured(NamedTuple):
    """Seconds of the clock, and of the processors for the process and its children."""

    seconds: float
    cpu: float
    peak_mb: float
    requests: int
    parts: dict[str, float]


def measure(api: Api, folder: Path, *command: str) -> Measured:
    """Run a program in the folder; its last line on stderr may tell where its time went."""
    api.cost()
    environment = (
        os.environ
        | api.environment
        | {"PYTHONPATH": str(Path.cwd()), "DLT_DATA_DIR": "dlt", "CONFERENCE_INSIGHTS_LOG": "human"}
    )
    begin = time.perf_counter()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        lines = said.read().splitlines()
    if process.returncode:
        raise SystemExit("\n".join([f"{' '.join(command)} failed:", *lines[-20:]]))
    parts = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    cpu = usage.ru_utime + usage.ru_stime
    return Measured(seconds, cpu, usage.ru_maxrss / 1024, api.cost()[0], parts)


def compare(found: list[Measured], limits: list[Measured]) -> tuple[float, float, float, float]:
    """Seconds of the clock and of the processors, and how many times those of the limit in the
    same round."""
    pairs = list(zip(found, limits, strict=True))
    return (
        statistics.median(m.seconds for m in found),
        statistics.median(m.cpu for m in found),
        statistics.median(m.seconds / limit.seconds for m, limit in pairs),
        statistics.median(m.cpu / limit.cpu for m, limit in pairs),
    )


def row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)
