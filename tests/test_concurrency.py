"""Requests at once: few at first, more while the API answers, half when it is too much."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest

from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.api.concurrency import ConcurrencyLimiter
from pipelines.twilio_insights.errors import UnavailableError
from tests.conftest import Loaded, summary

pytestmark = pytest.mark.usefixtures("tables_only")

HOUR = timedelta(hours=1)


def at_once(limiter: ConcurrencyLimiter, tries: int = 8) -> int:
    """How many of so many threads have their turn at the same time."""
    entered, leave = threading.Semaphore(0), threading.Event()

    def take() -> None:
        with limiter.slot():
            entered.release()
            leave.wait(10)

    threads = [threading.Thread(target=take) for _ in range(tries)]
    for thread in threads:
        thread.start()
    count = 0
    while entered.acquire(timeout=0.2):
        count += 1
    leave.set()
    for thread in threads:
        thread.join()
    return count


def test_it_grows_with_good_answers_and_halves() -> None:
    limiter = ConcurrencyLimiter(4, threading.Event())
    assert at_once(limiter) == 2
    for _ in range(20):
        limiter.on_success()
    assert at_once(limiter) == 4
    limiter.on_throttle()
    assert at_once(limiter) == 2
    for _ in range(5):
        limiter.on_throttle()
    assert at_once(limiter) == 1


def test_all_wait_while_the_api_wants_no_requests_but_not_after_a_stop() -> None:
    stop = threading.Event()
    limiter = ConcurrencyLimiter(4, stop)
    limiter.on_throttle(hold=0.5)
    begin = time.monotonic()
    with limiter.slot():
        assert time.monotonic() - begin >= 0.5
    limiter.on_throttle(hold=60)
    stop.set()
    with limiter.slot():
        assert time.monotonic() - begin < 30


def test_a_429_without_a_time_does_not_end_a_wait_that_another_one_began() -> None:
    limiter = ConcurrencyLimiter(4, threading.Event())
    begin = time.monotonic()
    limiter.on_throttle(hold=0.5)
    limiter.on_throttle()
    with limiter.slot():
        assert time.monotonic() - begin >= 0.5


def test_an_account_alone_waits_while_the_api_wants_no_requests_for_it() -> None:
    limiter = ConcurrencyLimiter(4, threading.Event())
    begin = time.monotonic()
    limiter.on_throttle(hold=0.5, account="one")
    with limiter.slot("other"):
        assert time.monotonic() - begin < 0.4
    assert at_once(limiter) == 1  # they share the pace
    with limiter.slot("one"):
        assert time.monotonic() - begin >= 0.5


def test_nobody_waits_for_a_closed_client() -> None:
    limiter = ConcurrencyLimiter(4, threading.Event())
    begin = time.monotonic()
    limiter.on_throttle(hold=60)
    threading.Timer(0.1, limiter.close).start()
    limiter.sleep(60)
    with pytest.raises(UnavailableError), limiter.slot():
        pass
    assert time.monotonic() - begin < 30


@pytest.mark.thorough
def test_no_request_is_sent_before_retry_after_is_over(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        loaded.account.put(summary(number, number * 12 * HOUR))
    loaded.server.latency = 0.2
    sent: list[tuple[float, int]] = []
    real = InsightsHandler.answer

    def throttled(handler: InsightsHandler) -> tuple[int, bytes]:
        status, body = (429, b"{}") if len(sent) == 5 else real(handler)
        sent.append((time.monotonic(), status))
        return status, body

    def respond(handler: InsightsHandler, status: int, body: bytes) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        if status == 429:
            handler.send_header("Retry-After", "1")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    monkeypatch.setattr(InsightsHandler, "answer", throttled)
    monkeypatch.setattr(InsightsHandler, "respond", respond)
    done = loaded.run()
    assert done.retries == {"429": 1}
    at = next(moment for moment, status in sent if status == 429)
    soon = [moment - at for moment, _ in sent if 0.25 < moment - at < 0.95]
    assert soon == []
    loaded.assert_exact()
