"""A folder of copies belongs to one warehouse: to which is named after it, or it was chosen for."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from tests.conftest import Command, Loaded, sid, summary
from tests.test_readme import OPERATIONS, blocks, run_shell

pytestmark = pytest.mark.usefixtures("prepared")

HOUR = timedelta(hours=1)
COPY = "current/insights.duckdb"


def sids(folder: Path) -> list[str]:
    with duckdb.connect(folder / COPY, read_only=True) as connection:
        found = connection.execute("SELECT conference_sid FROM analytics.conferences ORDER BY ALL")
        return [str(found_sid) for (found_sid,) in found.fetchall()]


@pytest.fixture
def small(loaded: Loaded) -> Loaded:
    loaded.account.put(summary(1, HOUR))
    shutil.copy(loaded.path, loaded.path.with_name("another.duckdb"))
    return loaded


@pytest.mark.thorough
def test_warehouses_of_one_folder_have_copies_of_their_own(
    small: Loaded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small.run()
    small.account.put(summary(2, HOUR))
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", "another.duckdb")
    small.run()
    assert sids(tmp_path / "warehouse.published") == [sid(1)]
    assert sids(tmp_path / "another.published") == [sid(1), sid(2)]


@pytest.mark.thorough
def test_the_folder_of_an_earlier_version_stays_the_way_to_the_copies(
    small: Loaded, monkeypatch: pytest.MonkeyPatch, command: Command, tmp_path: Path
) -> None:
    with monkeypatch.context() as earlier:
        earlier.setenv("PUBLISH__DIRECTORY", "published")
        small.run()
    assert command("report").returncode == 0
    small.account.put(summary(2, HOUR))
    small.run()
    assert sids(tmp_path / "published") == sids(tmp_path / "warehouse.published")
    assert sids(tmp_path / "published") == [sid(1), sid(2)]
    shutil.rmtree(tmp_path / "published")
    small.account.put(summary(3, HOUR))
    small.run()
    assert len(sids(tmp_path / "warehouse.published")) == 3


@pytest.mark.thorough
def test_a_folder_of_an_earlier_version_that_another_warehouse_fills_is_left_alone(
    small: Loaded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as other:
        other.setenv("PUBLISH__DIRECTORY", "published")
        other.setenv("DESTINATION__DUCKDB__CREDENTIALS", "another.duckdb")
        small.run()
    small.account.put(summary(2, HOUR))
    small.run()
    assert sids(tmp_path / "published") == [sid(1)]
    assert sids(tmp_path / "warehouse.published") == [sid(1), sid(2)]


@pytest.mark.thorough
def test_the_copy_of_another_warehouse_is_not_shown(
    small: Loaded, monkeypatch: pytest.MonkeyPatch, command: Command, tmp_path: Path
) -> None:
    with monkeypatch.context() as other:
        other.setenv("DESTINATION__DUCKDB__CREDENTIALS", "another.duckdb")
        small.run()
    monkeypatch.setenv("PUBLISH__DIRECTORY", "another.published")
    assert command("run").returncode == 74
    said = f"{tmp_path / 'another.published'} has the copies of {tmp_path / 'another.duckdb'}"
    for name in ("report", "status", "doctor"):
        done = command(name)
        assert said in done.stdout + done.stderr
        assert "PUBLISH__DIRECTORY" in done.stdout + done.stderr
        assert "is intact, and complete until" not in done.stdout
        assert not (tmp_path / "report.html").exists()
        assert name == "status" or done.returncode == 74


@pytest.mark.thorough
def test_a_link_to_the_warehouse_is_no_other(
    small: Loaded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "by another way").symlink_to(tmp_path)
    monkeypatch.setenv("PUBLISH__DIRECTORY", str(tmp_path / "copies"))
    small.run()
    way = tmp_path / "by another way/warehouse.duckdb"
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(way))
    assert small.run().rows_new == 0


@pytest.mark.thorough
def test_a_warehouse_is_moved_by_the_words_of_the_page(
    small: Loaded, monkeypatch: pytest.MonkeyPatch, command: Command, tmp_path: Path
) -> None:
    small.run()
    (move,) = (block for block in blocks("sh", OPERATIONS) if "mv warehouse.duckdb" in block)
    run_shell(move.replace("/srv/insights/new", str(tmp_path / "moved")), tmp_path)
    assert not [*tmp_path.glob("warehouse*")]
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "moved/warehouse.duckdb"))
    done = command("status")
    assert done.returncode == 0, done.stdout
    assert str(tmp_path / "moved/warehouse.published") in done.stdout
    small.account.put(summary(2, HOUR))
    assert small.run().rows_new == 1
    assert sids(tmp_path / "moved/warehouse.published") == [sid(1), sid(2)]


@pytest.mark.thorough
def test_a_moved_warehouse_is_told_how_to_keep_its_chosen_folder(
    small: Loaded, monkeypatch: pytest.MonkeyPatch, command: Command, tmp_path: Path
) -> None:
    monkeypatch.setenv("PUBLISH__DIRECTORY", str(tmp_path / "copies"))
    small.run()
    small.path.rename(tmp_path / "moved.duckdb")
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", "moved.duckdb")
    owner = tmp_path / "copies/warehouse.txt"
    for name in ("run", "status", "doctor"):
        done = command(name)
        assert done.returncode == 74
        assert f"if this is that warehouse, moved, delete {owner}" in done.stdout + done.stderr
    owner.unlink()
    assert command("run").returncode == 0
    assert command("status").returncode == 0
    assert owner.read_text() == "../moved.duckdb"


def test_a_folder_that_was_moved_is_well_before_any_run(
    sound: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert command("run").returncode == 0
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in [*tmp_path.glob("warehouse.*")]:
        path.rename(moved / path.name)
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(moved / sound.path.name))
    done = command("status")
    assert (done.returncode, "FAIL" in done.stdout) == (0, False), done.stdout
    assert f"{moved}/warehouse.published/current" in done.stdout


@pytest.mark.thorough
def test_copies_elsewhere_follow_a_warehouse_that_was_moved(
    sound: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copies, moved = tmp_path / "copies", tmp_path / "moved/warehouse.duckdb"
    monkeypatch.setenv("PUBLISH__DIRECTORY", str(copies))
    assert command("run").returncode == 0
    moved.parent.mkdir()
    shutil.copytree(f"{sound.path}.dlt", f"{moved}.dlt")
    shutil.copy(sound.path, moved)
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(moved))
    assert f"has the copies of {sound.path}" in command("run").stderr
    sound.path.unlink()
    done = command("run")
    assert done.returncode == 0, done.stderr
    assert (copies / "warehouse.txt").read_text() == "../moved/warehouse.duckdb"
    (copies / "current").unlink()
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "third.duckdb"))
    moved.unlink()
    assert f"has the copies of {moved}" in command("run").stderr
