"""The wheel, installed elsewhere, runs from an empty folder with the same settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from pipelines.warehouse.duckdb_database import DuckDb
from tests import expected
from tests.conftest import ROOT, Loaded, summary
from tests.test_readme import OPERATIONS, blocks

pytestmark = pytest.mark.programs


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def run_installed(installed: Path, folder: Path, program: str, *arguments: str) -> str:
    """What a program prints that finds only what the wheel has installed."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_runs_from_an_empty_folder(
    loaded: Loaded, installed: Path, tmp_path: Path
) -> None:
    from datetime import timedelta

    loaded.account.put(summary(1, timedelta(hours=1)))
    program = (
        "import dlt, pipelines.run.pipeline as c; from pipelines.warehouse.views import *; "
        "c.run(c.Progress('run')); print(sql_folder()); "
        "import dlt.common.runtime.anon_tracker as t; print(t._ANON_TRACKER_ENDPOINT); "
        "print([type(p).__module__ for p in dlt.config.config_providers])"
    )
    said = run_installed(installed, tmp_path, program)
    assert said == f"{installed}/pipelines/sql\nNone\n['pipelines.run.pinned_dlt']\n"
    loaded.assert_exact()
    files = {path.stem for path in (ROOT / "sql/analytics").glob("*.sql")}
    with duckdb.connect(loaded.path) as connection:
        views = "SELECT view_name FROM duckdb_views() WHERE schema_name = 'analytics'"
        assert {name for (name,) in connection.execute(views).fetchall()} == files
        assert expected.of_database(DuckDb(connection))


UPGRADES = [block for block in blocks("sh", OPERATIONS) if "pip install" in block]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with an environment, of a repository that has a branch."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    for command in (
        ["git", "clone", "--quiet", str(ROOT), str(origin)],
        ["git", "-C", str(origin), "switch", "--quiet", "--force-create", "trunk"],
        ["git", "clone", "--quiet", str(origin), str(clone)],
        [sys.executable, "-m", "venv", f"{clone}/.venv"],
    ):
        subprocess.run(command, check=True)
    return clone


def upgrade(block: str, folder: Path) -> None:
    # What it needs is in the environment of the tests already: nothing of it is run here.
    shell = block.replace("pip install", "pip install --no-deps")
    done = subprocess.run(
        ["sh", "-euc", shell], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_clone_is_upgraded_by_the_words_of_the_page(clone: Path) -> None:
    news = clone.with_name("origin") / "NEWS"
    news.write_text("new")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["add", "NEWS"], [*who, "commit", "--quiet", "--message=new"]):
        subprocess.run(["git", "-C", news.parent, *command], check=True)
    (block,) = (block for block in UPGRADES if "git pull" in block)
    upgrade(block, clone)
    assert (clone / "NEWS").exists()
    assert (clone / ".venv/bin/conference-insights").exists()


def test_a_wheel_of_the_same_number_is_upgraded_by_the_words_of_the_page(
    clone: Path, tmp_path: Path
) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT], check=True)
    (tmp_path / "constraints.txt").write_text((ROOT / ".ci/constraints.txt").read_text())
    (block,) = (block for block in UPGRADES if "git pull" not in block)
    block = block.replace("/opt/conference-insights/bin", str(clone / ".venv/bin"))
    upgrade(block.splitlines()[0], tmp_path)
    (page,) = clone.glob(".venv/lib/python3*/site-packages/pipelines/operations.md")
    page.write_text("of the version before")
    upgrade(block.splitlines()[0], tmp_path)
    assert page.read_text() == "of the version before", "so the second line is needed"
    upgrade(block, tmp_path)
    assert page.read_text() == OPERATIONS
