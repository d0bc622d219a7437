"""A backfill reads a range or single conferences again, writes what differs, and nothing else."""

from __future__ import annotations

import threading
from datetime import timedelta

import duckdb
import pytest

from pipelines.run import packages
from pipelines.run.pipeline import Backfill, run
from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.errors import RefusedError, UnavailableError
from pipelines.twilio_insights.progress import Progress
from tests.conftest import NOW, Command, Loaded, sid, slow, summary

pytestmark = pytest.mark.usefixtures("tables_only")

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def backfill(since: str = "30d", until: str = "0d", conferences: tuple[str, ...] = ()) -> Progress:
    return run(Progress("backfill"), backfill=Backfill(since, until, conferences))


@pytest.fixture
def late(loaded: Loaded) -> Loaded:
    """Thirty conferences, one a day, that appeared when scheduled runs had passed them."""
    loaded.run()
    for number in range(30):
        loaded.account.put(summary(number, number * DAY + HOUR))
    return loaded


@pytest.mark.thorough
def test_it_finds_what_the_lookback_cannot_see(late: Loaded) -> None:
    assert late.run().rows_new == 2
    done = backfill("29d")
    assert (done.rows_new, done.rows_updated, done.rows_unchanged) == (27, 0, 2)
    assert backfill("30d").rows_new == 1
    late.assert_exact()
    again = backfill("30d")
    assert (again.rows_new, again.rows_updated) == (0, 0)


@pytest.mark.thorough
def test_it_reads_its_range_and_leaves_the_watermark(late: Loaded) -> None:
    done = backfill("2026-11-01", "2026-11-04")
    assert (done.window_from, done.window_to) == (
        NOW.replace(day=1, hour=0, minute=0),
        done.horizon,
    )
    assert done.rows_new == 3
    late.account.now += HOUR
    assert late.run().window_from == NOW - 2 * DAY


@pytest.mark.thorough
def test_it_restores_what_was_deleted(late: Loaded) -> None:
    backfill()
    with duckdb.connect(late.path) as connection:
        connection.execute(
            "DELETE FROM conference_insights.conference_summaries WHERE "
            f"conference_sid IN ('{sid(9)}', '{sid(10)}')"
        )
        connection.execute(
            "UPDATE conference_insights.conference_summaries SET row_digest = 0 "
            f"WHERE conference_sid = '{sid(11)}'"
        )
    done = backfill()
    assert (done.rows_new, done.rows_updated) == (2, 1)
    late.assert_exact()


@pytest.mark.thorough
def test_it_advances_in_packages_and_can_be_run_again_after_a_stop(
    late: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "PACKAGE_ROWS", 5)
    progress, stop = Progress("backfill"), threading.Event()

    def stop_half_way(changed: Progress) -> None:
        if changed.rows_new > 12:
            stop.set()

    progress.on_change = stop_half_way
    run(progress, backfill=Backfill(), stop=stop)
    assert 12 < progress.rows_new < 30
    again = backfill()
    assert again.rows_new == 30 - progress.rows_new
    late.assert_exact()
    outcomes = "SELECT command, outcome FROM conference_insights._runs ORDER BY started_at"
    assert late.query(outcomes) == [("run", "ok"), ("backfill", "stopped"), ("backfill", "ok")]


@pytest.mark.thorough
def test_single_conferences(late: Loaded) -> None:
    done = backfill(conferences=(sid(7), sid(20), sid(99)))
    assert (done.rows_new, done.not_found, done.pages) == (2, [sid(99)], 0)
    stored = "SELECT conference_sid FROM conference_insights.conference_summaries ORDER BY ALL"
    assert late.query(stored) == [(sid(7),), (sid(20),)]
    late.account.put(summary(7, 7 * DAY + HOUR, end_reason="corrected"))
    assert backfill(conferences=(sid(7),)).rows_updated == 1
    assert late.query("FROM conference_insights._refetches") == []


def fail_for(patch: pytest.MonkeyPatch, status: int, *numbers: int) -> None:
    """Have the API answer so whenever one of these conferences is asked for."""
    real = InsightsHandler.answer

    def failing(handler: InsightsHandler) -> tuple[int, bytes]:
        is_one = any(sid(number) in handler.path for number in numbers)
        return (status, b'{"code": 20500}') if is_one else real(handler)

    patch.setattr(InsightsHandler, "answer", failing)
    patch.setattr("pipelines.twilio_insights.api.client.ATTEMPTS", 1)
    patch.setattr("random.shuffle", lambda _: None)  # as it may come by chance


def test_one_that_cannot_be_fetched_keeps_no_other_from_being_loaded(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 7):
        loaded.account.put(summary(number, number * DAY))
    fail_for(monkeypatch, 500, 1, 2)
    with pytest.raises(UnavailableError, match="could not be fetched"):
        backfill(conferences=tuple(map(sid, range(1, 7))))
    stored = "SELECT count(*) FROM conference_insights.conference_summaries"
    assert loaded.query(stored) == [(4,)]


@pytest.mark.parametrize("number", [1, 2, *slow(200)])
def test_what_is_refused_and_what_is_down_is_told_apart_by_single_ones(
    loaded: Loaded, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is an API that is down asked for each of many."""
    loaded.server.latency = 0.01  # as on a network: what runs here takes turns
    sids = tuple(map(sid, range(number)))
    for status, error in ((403, RefusedError), (503, UnavailableError)):
        with monkeypatch.context() as patch:
            fail_for(patch, status, *range(number))
            loaded.server.requests.clear()
            with pytest.raises(error, match=str(status)):
                backfill(conferences=sids)
            assert len(loaded.server.requests) < 20


def test_it_does_not_ask_for_what_is_pending_elsewhere(loaded: Loaded) -> None:
    loaded.account.put(summary(1, 20 * DAY, "in_progress"))
    loaded.run()
    loaded.account.put(summary(1, 20 * DAY))
    assert backfill("5d").pending_after == 1
    assert backfill("25d").pending_after == 0


def test_a_range_beyond_the_retention_is_cut_with_a_word(
    late: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    assert backfill("2026-09-01").window_from == NOW - 30 * DAY
    assert "Twilio keeps 30 days: reading from 2026-10-21T14:30:00Z" in caplog.text


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "2026-01-01", "--to", "2026-02-01"),
        ("--from", "2026-11-10", "--to", "2026-11-09"),
        ("--from", "2031-01-01"),
        ("--from", "soon"),
        ("--conference", "CF1"),
        ("--conference", sid(1), "--from", "2d"),
        ("--conference", sid(1), "--to", "2d"),
        (),
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_what_cannot_be_read_is_a_usage_error(
    loaded: Loaded, command: Command, arguments: tuple[str, ...]
) -> None:
    done = command("backfill", *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith(("Error: There is nothing to read", "Usage:")) or (
        "Error: There is nothing to read" in done.stderr
    )


@pytest.mark.fresh
def test_an_empty_range_is_refused_before_anything_is_asked(
    loaded: Loaded, command: Command
) -> None:
    done = command("backfill", "--from", "2d", "--to", "3d")
    assert (done.returncode, loaded.server.requests) == (2, [])
    assert "There is nothing to read: 2d is not before 3d" in done.stderr
    assert not loaded.path.exists()


def test_the_command(late: Loaded, command: Command) -> None:
    done = command("backfill", "--from", "30d")
    assert done.returncode == 0, done.stderr
    assert "30 new" in done.stdout
    done = command("backfill", "--conference", sid(3), "--conference", sid(77))
    assert "1 unchanged" in done.stdout
    assert f"1 not found, the first {sid(77)}" in done.stdout
