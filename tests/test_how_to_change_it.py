"""Whoever follows a recipe of `pipelines/how_to_change_it.md` needs nothing else."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb
import pytest

from pipelines.simulator.account import iso
from tests.conftest import NOW, ROOT, Command, Loaded, summary
from tests.test_readme import PAGES, blocks

HOUR = timedelta(hours=1)
PAGE = PAGES["pipelines/how_to_change_it.md"]
RECIPES = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
CREATE = r"^Create `([^`]+)`:\n"
ADD = r"`([^`]+)`, before\s`([^`]+)`, add[^:]*:\n"
APPEND = r"`([^`]+)`, at the end, add[^:]*:\n"
BLOCK = r"\n```\w+\n(.*?)^```"
PARTS = ("pipelines", "sql", "tests", ".ci", ".dlt", "README.md", "LICENSE", "pyproject.toml")


class Changed(NamedTuple):
    """A copy of the project in which every recipe was followed; `env` is to run it."""

    project: Path
    env: dict[str, str]

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.project,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def find(pattern: str, text: str) -> list[tuple[str, ...]]:
    return re.findall(pattern, text, re.DOTALL | re.MULTILINE)


def follow(recipe: str, project: Path) -> None:
    """Do with the files what the text says."""
    for name, text in find(CREATE + BLOCK, recipe):
        assert not (project / name).exists()
        (project / name).write_text(text)
    for name, place, text in find(ADD + BLOCK, recipe):
        lines = (project / name).read_text().splitlines(keepends=True)
        (number,) = (n for n, line in enumerate(lines) if line.lstrip().startswith(place))
        (project / name).write_text("".join([*lines[:number], text, *lines[number:]]))
    for name, text in find(APPEND + BLOCK, recipe):
        with (project / name).open("a") as opened:
            opened.write(f"\n{text}")


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Changed:
    project = tmp_path_factory.mktemp("changed")
    for name in PARTS:
        if (ROOT / name).is_dir():
            junk = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, project / name, ignore=junk)
        else:
            shutil.copy(ROOT / name, project)
    for recipe in RECIPES.values():
        follow(recipe, project)
    changed = Changed(project, os.environ | {"PYTHONPATH": str(project)})
    for command in sorted({*blocks("sh", PAGE)}):
        done = changed.call(*command.split()[2:])
        assert done.returncode == 0, done.stderr
    return changed


def test_every_block_of_a_recipe_is_followed() -> None:
    assert RECIPES.keys() == {"A column", "A view", "A check", "A tag", "A resource"}
    files = (found for how in (CREATE, ADD, APPEND) for found in find(how + BLOCK, PAGE))
    followed = [*files, *blocks("sh", PAGE)]
    assert len(followed) == len(re.findall(r"^```\w+$", PAGE, re.MULTILINE))


@pytest.mark.thorough
@pytest.mark.usefixtures("tables_only")
def test_the_next_run_has_it(changed: Changed, loaded: Loaded, process: Command) -> None:
    """In a warehouse of the version before: the column with what was kept elsewhere, the tag as a
    column of its own, the view in the copy too, and the check with what it finds."""
    ended_before = {"end_time": iso(NOW - 2 * HOUR), "start_time": iso(NOW - HOUR)}
    loaded.account.put(summary(1, 3 * HOUR, whisper_enabled=True, unique_participants=7))
    loaded.account.put(summary(2, 3 * HOUR, tags=["low_volume", "other"], **ended_before))
    loaded.run()
    done = process("run", PYTHONPATH=str(changed.project))
    assert done.returncode == 0, done.stderr
    assert "2 unchanged" in done.stdout
    assert loaded.query(
        "SELECT whisper_enabled, extra_fields FROM conference_insights.conference_summaries "
        "ORDER BY conference_sid"
    ) == [(True, None), (None, None)]
    tags = "SELECT has_low_volume, tags FROM analytics.conferences ORDER BY conference_sid"
    assert loaded.query(tags) == [(False, "high_jitter"), (True, "low_volume, other")]
    check = "SELECT level, violations FROM analytics.checks WHERE check_name = 'ends_after_start'"
    assert loaded.query(check) == [("warn", 1)]
    copy = loaded.path.with_name("warehouse.published") / "current/insights.duckdb"
    with duckdb.connect(copy, read_only=True) as connection:
        regions = "SELECT conferences, total_participants FROM analytics.participants_by_region"
        assert connection.execute(regions).fetchall() == [(2, 7)]


def test_the_page_of_tables_has_it(changed: Changed) -> None:
    page = (changed.project / "sql/README.md").read_text()
    assert "| `whisper_enabled` | boolean | Whether a supervisor could whisper. |" in page
    assert "### participants_by_region" in page
    meaning = "Whether it has the tag low_volume: A participant was too quiet to be heard well."
    assert f"| `has_low_volume` | boolean | {meaning} |" in page
    assert "### conference_note_labels" in page
    assert "| [`ends_after_start`](#ends_after_start) | warn | A conference ended before" in page


@pytest.mark.programs
def test_the_tests_of_the_project_find_nothing_missing(changed: Changed) -> None:
    """Those that look at what was added, the hand-made rows and the planted fault included."""
    files = [f"tests/test_{name}.py" for name in ("analytics", "checks", "destinations", "source")]
    chosen = "participants_by_region or ends_after_start or one_meaning or has_a_file or samples"
    chosen += " or those_of_the_definition or has_its_keys or without_any_driver"
    done = changed.call("pytest", "-n", "0", "-q", *files, "-k", f"{chosen} or is_tried")
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d+ passed", done.stdout)
