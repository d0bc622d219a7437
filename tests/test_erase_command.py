"""The command `erase` asks before it erases, and refuses a wrong usage and a warehouse that it
cannot have for itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import duckdb
import pytest

from pipelines.simulator.server import InsightsServer
from pipelines.warehouse.file.warehouse_file import DuckDbFile
from tests.conftest import ROOT, Command, Loaded, command_at
from tests.given_to_erase import GONE, RAW
from tests.given_to_erase import kept as kept


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--conference", GONE], "look with --dry-run, then erase with --yes"),
        ([], "Give one of"),
        (["--identity", "x", "--older-than", "1d"], "Give one of"),
        (["--older-than", "0d", "--yes"], "greater than zero"),
        (["--older-than", "soon", "--yes"], "not a duration"),
        (["--conference", "CF1", "--yes"], "32 hex digits"),
        (["--identity", " ", "--yes"], "as it is in the warehouse"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str, command: Command) -> None:
    done = command("erase", *arguments)
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param("y\n", 0, marks=pytest.mark.thorough),
        ("n\n", 0),
        ("\n", 0),
        ("\x04", 0),
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
    ],
)
def test_on_a_terminal_it_asks(
    kept: Path, server: InsightsServer, tmp_path: Path, answer: str | signal.Signals, code: int
) -> None:
    path = Path(shutil.copy(kept, tmp_path / "warehouse.duckdb"))
    keyboard, terminal = os.openpty()
    words = ["erase", "--conference", GONE]
    started = subprocess.Popen(
        [*command_at(server.account.now), *words],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "CONFERENCE_INSIGHTS_LOG": "human"},
    )
    assert started.stdout
    with started, os.fdopen(keyboard, "w") as pressed:
        said = ""
        while "Erase them? [y/N]: " not in said:
            said += (letter := started.stdout.read(1))
            assert letter, said
        if isinstance(answer, str):
            pressed.write(answer)
            pressed.flush()
        else:
            time.sleep(0.5)  # it asks before it waits, and a signal between the two waits too
            started.send_signal(answer)
        said += started.communicate(timeout=120)[0]
    os.close(terminal)
    assert started.returncode == code, said
    assert ("Traceback" in said, "bug" in said) == (False, False), said
    is_erased = answer == "y\n"
    assert ("Nothing was erased" in said) == (not is_erased and code == 0)
    with duckdb.connect(str(path), read_only=True) as connection:
        counts = f"SELECT count(*) FROM {RAW}conference_summaries"
        assert connection.execute(counts).fetchall() == [(3 - is_erased,)]


def test_it_needs_a_warehouse_that_nobody_holds(loaded: Loaded, command: Command) -> None:
    assert command("erase", "--older-than", "1d", "--yes").returncode == 74
    assert not loaded.path.exists()
    loaded.load(views=True)
    with DuckDbFile(loaded.path).open():
        for how in ("--yes", "--dry-run"):
            assert command("erase", "--older-than", "1d", how).returncode == 75
