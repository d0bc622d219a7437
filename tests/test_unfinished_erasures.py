"""An erasure that was killed, or could not delete a copy, is finished by the next command."""

from __future__ import annotations

import shutil
import signal
import threading
from pathlib import Path

import duckdb
import pytest

from pipelines.run.erase import erase
from pipelines.run.erasures import Subject
from pipelines.run.post_load import publish_now
from pipelines.warehouse.warehouse import WarehouseError
from tests.conftest import Loaded
from tests.forked import Forked
from tests.given_to_erase import GONE, RAW, TRACES, found_in, put
from tests.given_to_erase import kept as kept


def test_a_copy_that_cannot_be_deleted_is_no_success(
    loaded: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(loaded.account)
    loaded.run()
    delete, (copy,) = shutil.rmtree, tmp_path.glob("warehouse.published/2*")

    def of_another_user(path: Path, ignore_errors: bool = False) -> None:
        if path != copy:
            delete(path, ignore_errors)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", of_another_user)
        with pytest.raises(WarehouseError, match=f"{copy} cannot be deleted"):
            erase(Subject((GONE,)), threading.Event())
    assert copy.exists()
    loaded.run()
    assert not copy.exists()
    assert loaded.query(f"SELECT count(*) FROM {RAW}_erasures WHERE finished_at IS NULL") == [(0,)]


@pytest.mark.thorough
@pytest.mark.parametrize(
    "point",
    [
        "erasures.digest_of",  # some rows are deleted, and nothing is committed
        "post_load.apply_views",  # all of them are
        "warehouse_file.rebuild",  # the connection is closed
        "publishing.delete_old",  # the new copy is there, and the former too
    ],
)
def test_one_that_is_killed_is_finished_by_the_next_command(
    kept: Path, tmp_path: Path, point: str
) -> None:
    path = Path(shutil.copy(kept, tmp_path / "warehouse.duckdb"))
    killed = """
        import os, signal, sys, threading
        from pipelines.run import erase, erasures, post_load
        from pipelines.warehouse.copy import publishing
        from pipelines.warehouse.file import warehouse_file

        module, name = sys.argv[2].split(".")
        module = globals()[module]
        setattr(module, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        erase.erase(erasures.Subject((sys.argv[1],)), threading.Event())
    """
    code, said = Forked(killed, GONE, point, folder=tmp_path).end()
    assert code == -signal.SIGKILL, said
    rows = (
        f"SELECT (SELECT count(*) FROM {RAW}conference_summaries), "
        f"(SELECT count(*) FROM {RAW}_erasures WHERE finished_at IS NULL)"
    )
    is_committed = point != "erasures.digest_of"
    with duckdb.connect(str(path)) as connection:
        assert connection.execute(rows).fetchall() == [(3 - is_committed, int(is_committed))]
    if is_committed:
        publish_now()
    else:
        erase(Subject((GONE,)), threading.Event())
    with duckdb.connect(str(path)) as connection:
        assert connection.execute(rows).fetchall() == [(2, 0)]
    assert found_in(tmp_path, *TRACES) == []
