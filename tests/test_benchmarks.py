"""The benchmark runs every program; at its real size it is run by hand."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.programs


def test_it_measures_every_program() -> None:
    command = [sys.executable, "-m", "tests.benchmarks", "--size", "1000", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--goals", "fresh", "--goals", "scheduled"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    programs = [line.split(" | ")[1] for line in done.stdout.splitlines() if " | " in line]
    assert {"limit", "ours", "sdk", "rest_api"} <= set(programs)
    assert "500 new, in a warehouse of 300" in done.stdout
    assert "merge" in done.stdout
