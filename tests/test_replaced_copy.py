"""A published copy that is not what a run wrote gives nothing to anybody, and nothing away."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from pipelines.warehouse.copy.folder import claim
from tests.conftest import Command, Loaded, summary

pytestmark = pytest.mark.usefixtures("prepared")

HOUR = timedelta(hours=1)


@pytest.fixture
def published(loaded: Loaded) -> Path:
    """The file of the last copy."""
    for number in range(1, 4):
        loaded.account.put(summary(number, number * HOUR))
    loaded.run()
    return copy_of(loaded)


def test_one_that_is_deleted_while_a_run_copies_it_is_made_anew(
    published: Path, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def claim_at_last(*arguments: Path) -> None:
        published.unlink(missing_ok=True)
        claim(*arguments)

    monkeypatch.setattr("pipelines.warehouse.copy.publishing.claim", claim_at_last)
    loaded.account.put(summary(4, HOUR))
    loaded.run()
    with duckdb.connect(copy_of(loaded), read_only=True) as copy:
        assert copy.sql("SELECT count(*) FROM analytics.conferences").fetchall() == [(4,)]


def copy_of(loaded: Loaded) -> Path:
    return (loaded.path.with_name("warehouse.published") / "current/insights.duckdb").resolve()


def change(copy: Path, *statements: str) -> None:
    """Put another file of the same size and time there."""
    before, new = copy.stat(), copy.with_name("new")
    shutil.copyfile(copy, new)
    with duckdb.connect(new) as connection:  # blocks that are free again keep it from growing
        for table in ("hour_of_week_heatmap", "conference_volume", "conference_kpis", "by_account"):
            connection.execute(f"DELETE FROM analytics.{table}")
    with duckdb.connect(new) as connection:
        for statement in statements:
            connection.execute(statement)
    assert new.stat().st_size <= before.st_size
    os.truncate(new, before.st_size)
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(copy)


@pytest.mark.parametrize("name", ["report", "doctor"])
@pytest.mark.parametrize("kind", ["view", "macro"])
def test_it_shows_no_file_of_the_user(
    sound: Loaded, command: Command, tmp_path: Path, kind: str, name: str
) -> None:
    published = copy_of(sound)
    (tmp_path / "secret.txt").write_text("canary")
    read = f"(SELECT content FROM read_text('{tmp_path}/secret.txt'))"
    if kind == "view":
        columns = f"{read} AS as_of, {read} AS report_timezone, * EXCLUDE (as_of, report_timezone)"
        change(
            published,
            "ALTER TABLE analytics.data_as_of RENAME TO former",
            f"CREATE VIEW analytics.data_as_of AS SELECT {columns} FROM analytics.former",
        )
    else:
        change(published, f"CREATE MACRO hash(a) AS {read}")
    done = command(name)
    assert done.returncode == 74, done.stdout
    assert f"{'data_as_of' if kind == 'view' else 'hash'} is no table" in done.stdout + done.stderr
    assert "conference-insights publish" in done.stdout + done.stderr
    assert "canary" not in done.stdout + done.stderr
    assert not (tmp_path / "report.html").exists()


@pytest.mark.thorough
def test_no_run_takes_a_row_from_it(published: Path, loaded: Loaded) -> None:
    forged = "UPDATE analytics.conferences SET friendly_name = 'forged'"
    for _ in range(2):
        change(published, forged, "DELETE FROM analytics.conference_tags", "CHECKPOINT")
        loaded.account.put(summary(4, HOUR))
        loaded.run()
        published = (published.parent.with_name("current") / "insights.duckdb").resolve()
        with duckdb.connect(published, read_only=True) as copy:
            names = copy.execute("SELECT DISTINCT friendly_name FROM analytics.conferences")
            assert ("forged",) not in names.fetchall()
            tags = copy.execute("SELECT count(*) FROM analytics.conference_tags").fetchall()
        assert tags == loaded.query("SELECT count(*) FROM conference_insights.conference_tags")


@pytest.mark.thorough
def test_what_is_as_a_run_left_it_is_renewed(
    published: Path, loaded: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    loaded.account.put(summary(4, HOUR))
    loaded.run()
    assert "is made anew" not in caplog.text


def test_a_pipe_in_its_place_holds_up_nobody(sound: Loaded, command: Command) -> None:
    published = copy_of(sound)
    published.unlink()
    os.mkfifo(published)
    for name, code in {"report": 74, "doctor": 74, "run": 0}.items():
        assert command(name).returncode == code


@pytest.mark.thorough
def test_a_warehouse_whose_disk_is_not_mounted_is_missed(
    loaded: Loaded, command: Command, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    settings = {
        "DESTINATION__DUCKDB__CREDENTIALS": str(disk / "warehouse.duckdb"),
        "PUBLISH__DIRECTORY": str(tmp_path / "copies"),
    }
    for number in range(1, 4):
        loaded.account.put(summary(number, number * HOUR))
    assert command("run", **settings).returncode == 0
    disk.rename(tmp_path / "away")
    disk.mkdir()
    for name in ("run", "doctor"):
        done = command(name, **settings)
        assert done.returncode == 74, done.stdout
        assert f"{disk}/warehouse.duckdb is gone. It held 3 conferences" in (
            done.stdout + done.stderr
        )
    assert not (disk / "warehouse.duckdb").exists()
    (tmp_path / "copies/warehouse.txt").unlink()
    assert command("run", **settings).returncode == 0


def test_an_emptied_warehouse_is_missed(loaded: Loaded, command: Command) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    os.truncate(loaded.path, 0)
    done = command("run")
    assert done.returncode == 74
    assert f"{loaded.path} is gone. It held 1 conferences" in done.stderr
