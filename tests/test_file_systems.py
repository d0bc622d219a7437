"""Where the files are may be odd: a run works there, or ends with a sentence and its code."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from errno import EINVAL, EIO
from pathlib import Path
from stat import S_ISDIR

import duckdb
import pytest

from pipelines.errors import SettingsError
from pipelines.files import replace_file
from pipelines.run.destination import publish_settings, warehouse_path
from pipelines.run.loading import Loader
from pipelines.run.post_load import PublishError
from pipelines.run.recovery import recover_package
from pipelines.warehouse.file.warehouse_file import DuckDbFile, open_warehouse
from pipelines.warehouse.warehouse import WarehouseError
from tests.conftest import ROOT, Command, Loaded, slow, summary

pytestmark = pytest.mark.usefixtures("prepared")

HOUR = timedelta(hours=1)
Refused = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def small(loaded: Loaded) -> Loaded:
    loaded.account.put(summary(1, HOUR))
    return loaded


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Run the command where the kernel refuses these calls."""
    if sys.platform != "linux":
        pytest.skip("needs Linux")

    def call(name: str, **answers: str) -> subprocess.CompletedProcess[str]:
        said = [f"{call}:{error}" for call, error in answers.items()]
        python = [sys.executable, "-m"]
        return subprocess.run(
            [*python, "tests.refusals", *said, "--", *python, "pipelines", name],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT), "CONFERENCE_INSIGHTS_LOG": "human"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return call


@pytest.mark.thorough
@pytest.mark.fresh
def test_a_file_system_without_modes_is_used(small: Loaded, refused: Refused) -> None:
    calls = ("chmod", "fchmod", "fchmodat", "fchmodat2")
    done = refused("run", **dict.fromkeys(calls, "EPERM"))
    assert done.returncode == 0, done.stderr
    small.assert_exact()


@pytest.mark.thorough
def test_a_folder_that_cannot_be_synced_is_used(
    small: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def sync(descriptor: int) -> None:
        if S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(error, os.strerror(error))
        fsync(descriptor)

    monkeypatch.setattr("os.fsync", sync)
    error = EINVAL
    small.run()
    assert (small.path.with_name("warehouse.published") / "current/insights.duckdb").exists()
    error = EIO
    with pytest.raises(PublishError, match=os.strerror(EIO)):
        small.run()


@pytest.mark.parametrize("error", ["ENOLCK", "ENOTSUP"])
def test_a_file_system_without_locks_is_named(small: Loaded, refused: Refused, error: str) -> None:
    done = refused("run", flock=error)
    assert done.returncode == 74
    assert f"{small.path}.dlt/run.lock cannot be locked" in done.stderr
    assert "mount its disk with locks" in done.stderr
    assert small.server.requests == []


def test_a_machine_without_threads_is_told(small: Loaded, refused: Refused) -> None:
    done = refused("run", clone="EAGAIN", clone3="ENOSYS")
    assert done.returncode == 74
    assert "allows no more threads" in done.stderr
    assert "Traceback" not in done.stderr


ODD = ["job_feature%2Flogin", "a\nb", "o'brien", 'quo"te', "%s%(x)s{0}"]


@pytest.mark.thorough
@pytest.mark.parametrize("name", [" ".join(ODD), *slow(*ODD)])
def test_a_working_folder_may_have_any_name(
    small: Loaded, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    prepared, small.path = small.path, Path(name).absolute() / "warehouse.duckdb"
    small.path.parent.mkdir()
    shutil.copy(prepared, small.path)
    monkeypatch.chdir(small.path.parent)
    assert small.run().rows_new == 1
    small.account.put(summary(2, HOUR))
    small.run()
    small.assert_exact()
    assert (small.path.with_name("warehouse.published") / "current/insights.duckdb").exists()


def test_a_folder_that_is_not_utf_8_gets_a_sentence(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/n\xff")
    Path(folder).mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(SettingsError, match=r"because of the \\udcff"):
        warehouse_path()
    monkeypatch.chdir(tmp_path)
    done = command("status", DESTINATION__DUCKDB__CREDENTIALS=f"{folder}/w.duckdb")
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)


@pytest.mark.thorough
def test_an_output_of_another_encoding_is_written_to(
    small: Loaded, process: Command, tmp_path: Path
) -> None:
    place = tmp_path / "Ω→"
    place.mkdir()
    shutil.copy(small.path, place / "w.duckdb")
    settings = {"DESTINATION__DUCKDB__CREDENTIALS": str(place / "w.duckdb")}
    for name in ("run", "status"):
        done = process(name, PYTHONIOENCODING="latin-1", **settings)
        assert done.returncode == 0, done.stderr
    assert r"\u03a9\u2192/w.duckdb" in done.stdout


@pytest.mark.parametrize("home", ["", None])
def test_a_path_in_the_home_folder_of_somebody_without_one_gets_a_sentence(
    home: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if home is None:
        monkeypatch.delenv("HOME")
        monkeypatch.setattr("pwd.getpwuid", lambda user: {}[user])  # a container's user
    else:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", "~/w.duckdb")
    with pytest.raises(SettingsError, match="write the whole path"):
        warehouse_path()
    monkeypatch.setenv("PUBLISH__DIRECTORY", "~/copies")
    with pytest.raises(SettingsError, match="write the whole path"):
        publish_settings(DuckDbFile(Path("/w.duckdb")))
    monkeypatch.delenv("PUBLISH__DIRECTORY")
    monkeypatch.setenv("PUBLISH__LAKE", "~/lake")
    with pytest.raises(SettingsError, match="write the whole path"):
        publish_settings(DuckDbFile(Path("/w.duckdb")))


@pytest.mark.fresh
def test_a_link_to_nothing_is_followed(small: Loaded, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    small.path.symlink_to("disk/real.duckdb")
    small.load()
    assert small.path.is_symlink()
    assert (tmp_path / "disk/real.duckdb").is_file()
    assert sorted(path.name for path in (tmp_path / "disk").iterdir()) == ["real.duckdb"]
    small.assert_exact()


@pytest.mark.fresh
def test_the_log_of_a_link_is_that_of_its_target(tmp_path: Path) -> None:
    path, target = tmp_path / "warehouse.duckdb", tmp_path / "disk/real.duckdb"
    target.parent.mkdir()
    path.symlink_to(target)
    log = target.with_name("real.duckdb.wal")
    with duckdb.connect(tmp_path / "w") as connection:
        connection.execute("CREATE TABLE t AS FROM range(1000); CHECKPOINT")
        connection.execute("INSERT INTO t FROM range(1000)")
        shutil.copyfile(tmp_path / "w", target)
        torn = bytearray((tmp_path / "w.wal").read_bytes())
    torn[len(torn) // 2] ^= 255
    log.write_bytes(torn)
    with pytest.raises(WarehouseError, match=f"or move {log} away"), open_warehouse(path):
        pass


def fifo(path: Path) -> None:
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.mkdir()


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def nowhere(path: Path) -> None:
    path.symlink_to("nowhere/w.duckdb")


@pytest.mark.fresh
@pytest.mark.parametrize("make", [fifo, folder, loop, nowhere])
def test_what_can_be_no_warehouse_is_not_waited_for(
    make: Callable[[Path], None], loaded: Loaded
) -> None:
    make(loaded.path)
    with pytest.raises(WarehouseError, match=str(loaded.path)), open_warehouse(loaded.path):
        pass
    assert loaded.path.is_symlink() == (make in (loop, nowhere))


@pytest.mark.usefixtures("tables_only")
@pytest.mark.parametrize("ending", ["wal", "status.json", "dlt"])
def test_a_pipe_beside_the_warehouse_is_not_waited_for(
    small: Loaded, command: Command, ending: str
) -> None:
    small.run()
    beside = small.path.with_name(f"{small.path.name}.{ending}")
    if beside.is_dir():
        shutil.rmtree(beside)
    beside.unlink(missing_ok=True)
    os.mkfifo(beside)
    for name in ("run", "doctor", "status"):
        done = command(name)
        if name != "status" or ending == "status.json":
            assert done.returncode == 74, done.stdout
            assert f"{beside}" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


NO_TEMPORARY_FOLDER = """
mount -t tmpfs none "$1"; mkdir "$1/work"; mount -t tmpfs -o ro none "$1/work"
for place in /tmp /var/tmp /usr/tmp; do
    [ -d $place ] && mount --rbind $place $place && mount -o remount,bind,ro $place
done
chmod 755 "$1"; mkdir "$1/data"; chown 12345 "$1/data"; cd "$1/work"
exec setpriv --reuid 12345 --regid 12345 --clear-groups --inh-caps +dac_read_search \
    --ambient-caps +dac_read_search "$2" -m pipelines run
"""


@pytest.mark.thorough
@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can mount and be another"
)
@pytest.mark.fresh
def test_where_only_the_warehouse_can_be_written_that_is_enough(
    small: Loaded, tmp_path: Path
) -> None:
    own = ["unshare", "--mount", "--propagation", "private"]
    done = subprocess.run(
        [*own, "sh", "-c", NO_TEMPORARY_FOLDER, "sh", tmp_path, sys.executable],
        env={name: value for name, value in os.environ.items() if name not in ("HOME", "TMPDIR")}
        | {
            "PYTHONPATH": str(ROOT),
            "DESTINATION__DUCKDB__CREDENTIALS": str(tmp_path / "data/w.duckdb"),
            "CONFERENCE_INSIGHTS_LOG": "human",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "1 new" in done.stdout


@pytest.mark.fresh
def test_what_is_set_aside_does_not_pile_up(small: Loaded) -> None:
    def damaged() -> Loader:
        raise ValueError("damaged")

    with open_warehouse(small.path) as warehouse:
        for _ in range(5):
            (warehouse.working_folder / "conference_insights/load/normalized/1.5").mkdir(
                parents=True
            )
            assert recover_package(warehouse, damaged) == "set aside: damaged"
        assert len(list((warehouse.working_folder / "set_aside").iterdir())) == 3


def test_an_output_that_is_a_pipe_stays_one(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    replace_file(pipe, "a page")
    reader.join(10)
    assert read == ["a page"]
    assert pipe.is_fifo()


@pytest.mark.fresh
def test_a_folder_of_the_user_that_is_in_the_way_is_named(small: Loaded, tmp_path: Path) -> None:
    theirs = tmp_path / "warehouse.duckdb.new/notes.txt"
    theirs.parent.mkdir()
    theirs.touch()
    with pytest.raises(WarehouseError, match="in the way"):
        small.run()
    assert theirs.exists()


@pytest.mark.thorough
def test_a_copy_that_cannot_be_pointed_to_is_not_left(small: Loaded, tmp_path: Path) -> None:
    (tmp_path / "warehouse.published/current").mkdir(parents=True)
    for _ in range(2):
        with pytest.raises(PublishError):
            small.run()
    folders = [path.name for path in (tmp_path / "warehouse.published").iterdir() if path.is_dir()]
    assert folders == ["current"]
