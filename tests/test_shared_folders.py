"""What another user may write, or has put beside the warehouse, harms nobody."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from pipelines.files import expect_trusted
from pipelines.report import write_report
from pipelines.run.post_load import PublishError
from pipelines.warehouse.file.warehouse_file import inspect_warehouse
from pipelines.warehouse.warehouse import WarehouseError
from tests.conftest import Command, Loaded, summary

HOUR = timedelta(hours=1)
OTHER = 12345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


@pytest.fixture
def small(loaded: Loaded) -> Loaded:
    loaded.account.put(summary(1, HOUR))
    return loaded


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.thorough
def test_a_folder_that_every_user_can_write_is_refused(
    small: Loaded, command: Command, tmp_path: Path
) -> None:
    tmp_path.chmod(0o777)
    for name in ("run", "doctor"):
        done = command(name)
        assert done.returncode == 74
        assert f"every user can write {tmp_path}: chmod o-w it" in done.stdout + done.stderr
    assert not small.path.exists()
    tmp_path.chmod(0o1777)
    small.run()
    small.assert_exact()


def test_a_link_into_such_a_folder_is_refused(small: Loaded, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    small.path.symlink_to("open/w.duckdb")
    with pytest.raises(WarehouseError, match="every user can write"):
        small.run()


@pytest.mark.thorough
@pytest.mark.usefixtures("prepared")
def test_no_copy_is_put_where_every_user_can_write(
    small: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    copies.chmod(0o777)
    monkeypatch.setenv("PUBLISH__DIRECTORY", str(copies))
    with pytest.raises(PublishError, match="every user can write"):
        small.run()
    small.assert_exact()
    assert list(copies.iterdir()) == []
    copies.chmod(0o755)
    small.run()
    copies.chmod(0o777)
    assert f"FAIL  every user can write {copies}" in command("doctor").stdout


@pytest.mark.thorough
def test_nothing_can_be_written_by_others_whatever_the_umask(
    small: Loaded, command: Command, tmp_path: Path
) -> None:
    with umask(0o000):
        for name in ("run", "report"):
            assert command(name).returncode == 0
    made = list(tmp_path.rglob("*"))
    assert {"warehouse.duckdb.dlt", "report.html", "insights.duckdb"} <= {p.name for p in made}
    assert [
        path for path in made if not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & 0o022
    ] == []


@pytest.mark.usefixtures("tables_only")
def test_a_warehouse_that_others_could_write_is_closed_to_them(small: Loaded) -> None:
    small.run()
    small.path.chmod(0o666)
    small.run()
    assert stat.S_IMODE(small.path.stat().st_mode) == 0o644


@pytest.mark.thorough
def test_no_planted_link_is_followed(small: Loaded, tmp_path: Path) -> None:
    victim = tmp_path / "home/letter.txt"
    victim.write_text("dear")
    copies = tmp_path / "warehouse.published"
    copies.mkdir()
    planted = [
        tmp_path / f"warehouse.duckdb.status.json.{os.getpid()}",
        tmp_path / f".report.html.{os.getpid()}.new",
        copies / f"warehouse.txt.{os.getpid()}",
        copies / "warehouse.txt",
        tmp_path / "warehouse.duckdb.status.json",
        tmp_path / "warehouse.duckdb.new",
    ]
    for path in planted:
        path.symlink_to(victim)
    (copies / "warehouse.txt").unlink()
    small.run()
    write_report(copies / "current/insights.duckdb", tmp_path / "report.html")
    assert victim.read_text() == "dear"
    assert not (tmp_path / "warehouse.duckdb.status.json").is_symlink()
    assert not (tmp_path / "warehouse.duckdb").is_symlink()


@as_root
@pytest.mark.parametrize("ending", ["wal", "tmp", "dlt"])
def test_a_link_of_another_user_beside_the_warehouse_is_refused(
    small: Loaded, ending: str, tmp_path: Path
) -> None:
    victim = tmp_path / "home/kept"
    victim.mkdir() if ending != "wal" else victim.write_text("dear")
    before = victim.stat().st_mode
    tmp_path.chmod(0o1777)
    planted = small.path.with_name(f"{small.path.name}.{ending}")
    planted.symlink_to(victim)
    os.lchown(planted, OTHER, OTHER)
    with pytest.raises(WarehouseError, match=f"{planted} belongs to another user"):
        small.run()
    with pytest.raises(WarehouseError, match="another user"), inspect_warehouse(small.path):
        pass
    assert victim.stat().st_mode == before
    os.lchown(planted, os.geteuid(), os.getegid())
    expect_trusted(small.path, f".{ending}")


def test_a_log_that_the_run_at_work_deletes_is_no_odd_file(
    small: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, look = small.path.with_name(f"{small.path.name}.wal"), Path.lstat
    log.touch()

    def late(path: Path) -> os.stat_result:
        found = look(path)
        if path == log:
            log.unlink()
        return found

    monkeypatch.setattr(Path, "lstat", late)
    expect_trusted(small.path, ".wal")
    assert not log.exists()


@as_root
def test_a_file_of_another_user_is_refused_but_to_root(small: Loaded, tmp_path: Path) -> None:
    """Root may run in a user's folder, and a user in root's."""
    file = Path("warehouse.duckdb")  # the folders above are closed to others
    file.touch()
    tmp_path.chmod(0o755)

    def expected() -> str:
        os.seteuid(OTHER)
        try:
            expect_trusted(file, "")
        except OSError as error:
            return str(error)
        finally:
            os.seteuid(0)
        return ""

    for owner, trusted in ((0, True), (OTHER, True), (OTHER + 1, False)):
        os.chown(file, owner, owner)
        assert (expected() == "") == trusted, expected()
        expect_trusted(file, "")
    tmp_path.chmod(0o1777)
    with pytest.raises(OSError, match="belongs to another user"):
        expect_trusted(file, "")
    os.chown(tmp_path, OTHER + 1, -1)
    assert expected() == ""
