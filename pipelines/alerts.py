"""Posts to Slack: a run that failed, and the recovery after it. The setting has dlt's name."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx

from pipelines.settings import slack_hook, warehouse_path
from pipelines.status import read_status
from pipelines.warehouse.file import BusyError, WarehouseError

log = logging.getLogger("conference_insights")

PATIENCE = 5.0
"""Seconds that a run's process stays for a hook that does not answer."""


@contextmanager
def alerting(command: str, stop: threading.Event) -> Iterator[None]:
    """Post what went wrong, unless the run before had the same, or that all is well again.

    Nothing is posted where `runtime.slack_incoming_hook` is not set, of a demo, of a run that was
    stopped, or of one that met another. A post that fails is a warning.
    """
    hook = slack_hook() if command != "demo" else None
    if not hook:
        yield
        return
    before = _last_error()
    try:
        yield
    except BusyError:
        raise
    except Exception as error:
        if type(error).__name__ != before:
            _post(hook, f"{command} FAILED on {_place()}: {error}")
        raise
    if before and not stop.is_set():
        _post(hook, f"{command} is well again on {_place()}, after {before}")


def _last_error() -> str | None:
    """The class of what the last run failed of that came to its end, or could not begin of."""
    try:
        error: str | None = read_status(warehouse_path(), datetime.now(UTC))["last_error"]
    except (WarehouseError, OSError, ValueError):
        return None
    return error if error != BusyError.__name__ else None


def _place() -> str:
    try:
        return f"{socket.gethostname()}, {warehouse_path()}"
    except ValueError:
        return socket.gethostname()


def _post(hook: str, message: str) -> None:
    """In a thread of its own, so that a hook that drips or hangs delays nothing for long."""
    said: list[str] = ["no answer in time"]

    def send() -> None:
        try:
            answer = httpx.post(hook, json={"text": message, "mrkdwn": False}, timeout=PATIENCE)
            answer.raise_for_status()
            said.clear()
        except Exception as error:  # its text may hold the hook, which is a secret
            said[:] = [type(error).__name__]

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if said:
        log.warning("Nothing was posted to slack_incoming_hook: %s", said[0])
