"""Runs that are stopped, fail half-way or run out of disk: the next leaves everything exact."""

from __future__ import annotations

import json
import random
import signal
import threading
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from pipelines.run.post_load import publish_now
from pipelines.simulator.server import InsightsHandler
from pipelines.warehouse.file import one_transaction
from pipelines.warehouse.warehouse import WarehouseError
from tests import expected
from tests.conftest import Command, Loaded, kill_when, sid, slow, summary
from tests.forked import Forked

pytestmark = pytest.mark.usefixtures("tables_only")

HOUR = timedelta(hours=1)
SUMMARIES = "conference_insights.conference_summaries"


FULL = """
    import resource, sys
    from pipelines.cli.command_line import main
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.argv[1:] = ["run"]
    main()
"""


@pytest.mark.thorough
@pytest.mark.parametrize("kib", [16, 800, *slow(200, 2000)])
def test_a_full_disk_exits_74_and_loses_nothing(loaded: Loaded, kib: int) -> None:
    """A quota on the size of any file stands for the disk, wherever in the run it is met."""
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    for number in range(2, 2000):
        text = random.Random(number).randbytes(2000).hex()
        loaded.account.put(summary(number, number * HOUR / 50, friendly_name=text))
    before = loaded.path.stat().st_size // 1024
    code, said = Forked(FULL, str((before + kib) * 1024)).end()
    assert code == 74, said
    assert "Traceback" not in said
    assert "File too large" in said
    assert sid(1) in {sid for (sid,) in loaded.query("SELECT conference_sid FROM " + SUMMARIES)}
    loaded.run()
    loaded.assert_exact()


def lose_children_and_completion(loaded: Loaded) -> None:
    """As if killed between the merges of the root and of its children, with no package left."""
    with duckdb.connect(loaded.path) as connection:
        connection.execute("DELETE FROM conference_insights.conference_tags")
        connection.execute(
            "DELETE FROM conference_insights._dlt_loads WHERE load_id = "
            "(SELECT _dlt_load_id FROM conference_insights.conference_summaries)"
        )


@pytest.mark.thorough
def test_a_refetched_summary_whose_package_never_completed_is_asked_for_again(
    loaded: Loaded,
) -> None:
    loaded.account.put(summary(1, 240 * HOUR, "in_progress"))
    loaded.run()
    loaded.account.put(summary(1, 240 * HOUR))
    loaded.run()
    lose_children_and_completion(loaded)
    loaded.run()
    loaded.assert_exact()


@pytest.mark.thorough
def test_a_merge_that_fails_leaves_the_rows_that_were_there(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR, "in_progress", tags=["low_mos"]))
    loaded.run()
    with duckdb.connect(loaded.path) as connection:
        connection.execute("CREATE UNIQUE INDEX one ON conference_insights.conference_tags (tag)")
    before = expected.of_warehouse(loaded.path)["conference_tags"]
    loaded.account.put(summary(1, HOUR, tags=["low_mos"]))
    loaded.account.put(summary(2, HOUR, tags=["low_mos"]))
    with pytest.raises(Exception, match="low_mos"):
        loaded.run()
    assert expected.of_warehouse(loaded.path)["conference_tags"] == before
    with duckdb.connect(loaded.path) as connection:
        connection.execute("DROP INDEX conference_insights.one")
    loaded.run()
    loaded.assert_exact()


@pytest.mark.thorough
def test_rows_of_a_package_that_never_completed_do_not_count_as_stored(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR, "in_progress"))
    loaded.run()
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    loaded.assert_exact()
    lose_children_and_completion(loaded)
    assert loaded.run().rows_updated == 1
    loaded.assert_exact()


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_a_run_cleanly_and_keeps_what_is_finished(
    loaded: Loaded, tmp_path: Path, number: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", "5")
    loaded.server.latency = 0.05
    for count in range(400):
        loaded.account.put(summary(count, count * HOUR))
    ended, said = kill_when(lambda: len(loaded.server.requests) > 60, tmp_path, number)
    assert ended == code, said
    assert "Traceback" not in said
    outcome = "SELECT outcome, rows_new, window_to FROM conference_insights._runs"
    (stopped, new, until), *_ = loaded.query(outcome)
    assert stopped == "stopped"
    assert 0 < new < 400
    stored = "SELECT count(*), max(create_time) FROM conference_insights.conference_summaries"
    (count, latest), *_ = loaded.query(stored)
    assert count == new
    assert latest <= until
    loaded.server.latency = 0
    loaded.run()
    loaded.assert_exact()


@pytest.mark.thorough
def test_a_fault_in_the_middle_keeps_the_finished_windows(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", "5")
    # One after the other, or forty answers may leave many windows begun and none finished.
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__MAX_CONCURRENCY", "1")
    for count in range(400):
        loaded.account.put(summary(count, count * HOUR))
    real, seen = InsightsHandler.answer, threading.Semaphore(40)

    def refuse(handler: InsightsHandler) -> tuple[int, bytes]:
        if seen.acquire(blocking=False):
            return real(handler)
        return 401, json.dumps({"code": 20003, "message": "Authenticate"}).encode()

    monkeypatch.setattr(InsightsHandler, "answer", refuse)
    done = command("run")
    assert done.returncode == 77
    assert "Advanced Features" in done.stderr
    assert "Traceback" not in done.stderr
    kept = loaded.query("SELECT count(*) FROM conference_insights.conference_summaries")[0][0]
    assert 0 < kept < 400
    assert loaded.query("SELECT outcome, error_class, rows_new FROM conference_insights._runs") == [
        ("failed", "RefusedError", kept)
    ]
    monkeypatch.setattr(InsightsHandler, "answer", real)
    again = loaded.run()
    loaded.assert_exact()
    assert again.rows_new == 400 - kept


def test_a_signalled_demo_does_not_go_on_to_its_second_run(tmp_path: Path) -> None:
    path = tmp_path / "demo/demo.duckdb"
    code, said = kill_when(path.exists, tmp_path, signal.SIGTERM, "demo")
    assert code == 143, said
    with duckdb.connect(path) as connection:
        runs = connection.execute("SELECT outcome FROM conference_insights._runs").fetchall()
    assert runs == [("stopped",)]


@pytest.mark.programs
def test_texts_of_megabytes_are_loaded_and_published(loaded: Loaded) -> None:
    """DuckDB needs several times the length of a text, beyond what keeps a usual run small."""
    for number in range(2):
        text = random.Random(number).randbytes(10_000_000).hex()
        loaded.account.put(summary(number, number * HOUR, friendly_name=text))
    loaded.run()
    publish_now()
    loaded.assert_exact()
    copy = loaded.path.with_name("warehouse.published") / "current/insights.duckdb"
    with duckdb.connect(copy, read_only=True) as connection:
        published = "SELECT sum(length(friendly_name)) FROM analytics.conferences"
        assert connection.execute(published).fetchall() == [(40_000_000,)]


def test_memory_that_is_not_enough_is_said_and_loses_nothing(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.put(summary(1, HOUR))

    def no_memory(*_: object) -> None:
        raise duckdb.OutOfMemoryException("Out of Memory Error: failed to allocate data of 20 MiB")

    with monkeypatch.context() as patch:
        patch.setattr(one_transaction, "with_memory", no_memory)
        with pytest.raises(WarehouseError, match="not enough memory"):
            loaded.run()
        with pytest.raises(WarehouseError, match="not enough memory"):
            loaded.run()
    assert not (loaded.path.with_name("warehouse.duckdb.dlt") / "set_aside").exists()
    assert loaded.run().left_package == "finished, 1 summaries"
    loaded.assert_exact()
