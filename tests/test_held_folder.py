"""A temporary folder is gone after its process, also after one that was killed."""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest

from pipelines.warehouse.held_folder import held_folder
from tests.conftest import ROOT, python

HOLD = """
import sys, time
from pathlib import Path
from pipelines.warehouse.held_folder import held_folder
with held_folder("ours-") as folder:
    Path(folder, "package").mkdir()
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_what_a_killed_process_left_is_deleted_and_what_is_held_is_not(shared: Path) -> None:
    with python(HOLD, PYTHONPATH=str(ROOT), TMPDIR=str(shared)) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        with held_folder("ours-") as own:
            assert {*shared.iterdir()} == {theirs, own}
            assert own.stat().st_mode & 0o777 == 0o700
        other.send_signal(signal.SIGKILL)
        other.wait(30)
        assert [*shared.iterdir()] == [theirs]
        with held_folder("ours-") as own:
            assert [*shared.iterdir()] == [own]
    assert not [*shared.iterdir()]


def test_what_is_somebodys_own_stays(
    shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "kept").touch()
    (shared / "ours-link.packages").symlink_to(elsewhere)
    (shared / "ours-file.packages").touch()
    (shared / "ours-main/data").mkdir(parents=True)  # as an archive of a repository unpacks
    with held_folder("ours-"):
        pass
    names = {"ours-link.packages", "ours-file.packages", "ours-main"}
    assert {path.name for path in shared.iterdir()} == names
    assert (shared / "ours-main/data").exists()
    assert (elsewhere / "kept").exists()


@pytest.mark.parametrize("step", [(os, "open"), (fcntl, "flock")])
def test_another_is_made_if_one_is_deleted_before_it_is_locked(
    step: tuple[Any, str], shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, others = getattr(*step), [1]

    def late(*given: Any) -> Any:
        if others:
            others.pop()
            for folder in shared.iterdir():
                folder.rmdir()
        return real(*given)

    monkeypatch.setattr(*step, late)
    with held_folder("ours-") as folder:
        assert [*shared.iterdir()] == [folder]
