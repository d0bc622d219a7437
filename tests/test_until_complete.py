"""Waiting for summaries to become final: for which, how long, and what is said of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from pipelines.run.pipeline import Polling
from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN, iso
from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.errors import UnavailableError
from pipelines.warehouse.runs import StillPendingError
from tests.conftest import NOW, Command, Loaded, sid, summary
from tests.test_alerts import Hook, hook
from tests.test_status import told, trouble

__all__ = ["hook"]
HOUR = timedelta(hours=1)
POLLING = Polling(timedelta(seconds=0.05), timedelta(seconds=60))
ROUND = "asking again in"


@contextmanager
def at_each(text: str, do: Callable[[], None]) -> Iterator[list[str]]:
    """Do something whenever the program says that; all that it said."""
    said: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())
            if text in said[-1]:
                do()

    log, handler = logging.getLogger("conference_insights"), Handler()
    log.addHandler(handler)
    before = log.level
    log.setLevel(logging.INFO)
    try:
        yield said
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


@pytest.mark.usefixtures("tables_only")
def test_only_what_can_become_final_in_time_is_awaited(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", "1")  # so each is asked for by SID
    ended = {n: {"end_time": iso(NOW - age)} for n, age in ((2, 25 * HOUR), (3, 23 * HOUR))}
    loaded.account.put(summary(1, 25 * HOUR, "in_progress"))
    loaded.account.put(summary(2, 26 * HOUR, "in_progress", **ended[2]))
    loaded.account.put(summary(3, 40 * HOUR, "in_progress", **ended[3]))
    loaded.account.put(summary(4, 23 * HOUR, "in_progress"))

    def finish() -> None:
        for number in (3, 4):
            loaded.account.put(summary(number, 23 * HOUR))

    with at_each(ROUND, finish) as said:
        done = loaded.run(POLLING)
    assert [text for text in said if "pending" in text] == [
        "2 pending ones ended, or began, over 24 hours ago: not awaited",
        "Waiting for 2 pending ones, asking again in 0 s",
    ]
    assert (done.pending_after, done.rows_updated) == (2, 2)
    assert not [request for request in loaded.server.requests if sid(1) in request]


@pytest.mark.usefixtures("tables_only")
def test_what_passes_24_hours_meanwhile_is_awaited_no_longer(loaded: Loaded) -> None:
    loaded.account.put(summary(1, 23 * HOUR, "in_progress"))

    def pass_time() -> None:
        loaded.account.now += 40 * HOUR / 60

    with at_each(ROUND, pass_time) as said:
        loaded.run(POLLING)
    assert sum(ROUND in text for text in said) == 2
    assert "1 pending ones ended, or began, over 24 hours ago: not awaited" in said


@pytest.mark.usefixtures("tables_only")
@pytest.mark.parametrize("is_final", [True, False])
def test_what_is_left_of_the_timeout_is_waited_and_then_asked_a_last_time(
    is_final: bool, loaded: Loaded
) -> None:
    loaded.account.put(summary(1, HOUR, "in_progress"))
    timeout, begun = timedelta(seconds=0.3), time.monotonic()

    def finish() -> None:
        if is_final:
            loaded.account.put(summary(1, HOUR))

    with at_each(ROUND, finish) as said:
        if is_final:
            loaded.run(Polling(HOUR, timeout))
        else:
            with pytest.raises(StillPendingError, match="1 summaries are still pending"):
                loaded.run(Polling(HOUR, timeout))
    assert sum(ROUND in text for text in said) == 1
    assert time.monotonic() - begun >= timeout.total_seconds()


@pytest.mark.thorough
@pytest.mark.usefixtures("prepared")
def test_the_timeout_has_an_outcome_of_its_own(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR, "in_progress"))
    with pytest.raises(StillPendingError, match="1 summaries are still pending"):
        loaded.run(Polling(HOUR, timedelta(seconds=0.05)))
    runs = "SELECT outcome, error_class, rows_new FROM conference_insights._runs"
    assert loaded.query(runs) == [("pending", None, 1)]
    good = "SELECT last_good_run_at IS NOT NULL FROM analytics.data_as_of"
    assert loaded.query(good) == [(True,)]
    status = told(loaded)
    assert status["last_good"]["run_id"] == status["last_run"]["run_id"]
    assert (status["last_error"], trouble(loaded)) == (None, [])


@pytest.mark.thorough
@pytest.mark.usefixtures("tables_only")
def test_the_timeout_is_no_failure_for_people(loaded: Loaded, hook: Hook, command: Command) -> None:
    loaded.account.put(summary(1, HOUR, "in_progress"))
    loaded.account.logins.clear()
    polling = ("run", "--until-complete", "--every", "1s", "--timeout", "1s")
    assert command(*polling).returncode == 77
    loaded.account.logins.add((ACCOUNT_SID, AUTH_TOKEN))
    for _ in range(2):
        done = command(*polling)
        assert (done.returncode, " PENDING | " in done.stdout) == (75, True)
        assert "Error" not in done.stderr
    assert [text.split(" on ")[0] for text in hook.texts] == ["run FAILED", "run recovered"]


@pytest.mark.usefixtures("tables_only")
def test_it_waits_for_those_of_accounts_that_answer(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure of another is what the run ends with."""
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__ACCOUNTS", "all")
    monkeypatch.setattr("pipelines.twilio_insights.api.client.ATTEMPTS", 1)
    broken, rounds = loaded.account.add_subaccount("AC" + "1" * 32), iter(range(2))
    for number in range(3):
        broken.put(summary(number, HOUR, "in_progress"))
    loaded.account.put(summary(9, HOUR, "in_progress"))

    def go_on() -> None:
        broken.failure = 500, 20500, "broken"
        if next(rounds):
            loaded.account.put(summary(9, HOUR))

    with at_each(ROUND, go_on) as said:
        with pytest.raises(UnavailableError, match="20500"):
            loaded.run(POLLING)
    assert next(rounds, None) is None
    assert [text for text in said if ROUND in text][1].startswith("Waiting for 1 pending ones")
    assert loaded.query("SELECT count(*) FROM conference_insights.conference_tags") == [(1,)]


@pytest.mark.usefixtures("tables_only")
def test_it_does_not_wait_for_an_api_that_is_down(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.twilio_insights.api.client.ATTEMPTS", 1)
    for number in range(3):
        loaded.account.put(summary(number, HOUR, "in_progress"))

    def fail() -> None:
        loaded.account.failure = 500, 20500, "broken"

    with at_each(ROUND, fail) as said:
        with pytest.raises(UnavailableError, match="20500"):
            loaded.run(POLLING)
    assert sum(ROUND in text for text in said) == 1


@pytest.mark.usefixtures("tables_only")
def test_a_summary_that_no_round_changes_counts_once(loaded: Loaded) -> None:
    for number in range(40):
        loaded.account.put(summary(number, HOUR, "in_progress" if number < 10 else "complete"))
    for new, unchanged in ((40, 0), (0, 40)):
        with until_round(4) as stop:
            done = loaded.run(POLLING, stop=stop)
        counts = done.rows_listed, done.rows_new, done.rows_updated, done.rows_unchanged
        assert counts == (40, new, 0, unchanged)


@pytest.mark.usefixtures("tables_only")
@pytest.mark.parametrize("fetched", [False, True])
def test_what_cannot_be_fetched_counts_once_and_only_as_long(
    fetched: bool, loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.put(summary(1, HOUR, "in_progress"))
    real, asked = InsightsHandler.answer, list[str]()

    def failing(handler: InsightsHandler) -> tuple[int, bytes]:
        if sid(1) not in handler.path:
            return real(handler)
        asked.append(handler.path)
        return real(handler) if fetched and len(asked) == 3 else (500, b"")

    monkeypatch.setattr(InsightsHandler, "answer", failing)
    monkeypatch.setattr("pipelines.twilio_insights.api.client.ATTEMPTS", 1)
    with until_round(4) as stop:
        done = loaded.run(POLLING, stop=stop)
    assert (done.unreadable, len(asked)) == ([] if fetched else [sid(1)], 3)


@contextmanager
def until_round(number: int) -> Iterator[threading.Event]:
    """Stop the run when it is about to ask so often."""
    stop, rounds = threading.Event(), iter(range(1, number))
    with at_each(ROUND, lambda: None if next(rounds, None) else stop.set()):
        yield stop
