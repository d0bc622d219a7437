"""Posts to Slack: a run that failed, and the recovery after it. The setting has dlt's name."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from html import escape
from typing import Any

import httpx

from pipelines.logs import visible
from pipelines.monitor.status import read_status
from pipelines.run.settings import slack_hook, warehouse_path
from pipelines.twilio_insights.api.transport import proxy_for, tls_for
from pipelines.warehouse.file import BusyError, WarehouseError
from pipelines.warehouse.runs import StillPendingError

log = logging.getLogger("conference_insights")

MOST = 2000
"""Characters of a post; Slack itself cuts at 40,000."""
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
    except StillPendingError:  # which is no failure
        raise
    except Exception as error:
        if not isinstance(error, BusyError) and type(error).__name__ != before:
            _post(hook, f"{command} FAILED on {_place()}: {error}")
        before = None
        raise
    finally:
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
    text = visible(message)
    text = text if len(text) <= MOST else f"{text[:MOST]}…"
    # Else what others wrote could call everybody, or show a link under another name.
    content = {"text": escape(text, quote=False), "mrkdwn": False}

    def send() -> None:
        try:
            url = httpx.URL(hook)
            how: Any = {"proxy": proxy_for(url), "verify": tls_for(url), "trust_env": False}
            with httpx.stream("POST", url, json=content, timeout=PATIENCE, **how) as answer:
                answer.raise_for_status()
            said.clear()
        except Exception as error:  # its text may hold the hook, which is a secret
            said[:] = [type(error).__name__]

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if said:
        log.warning("Nothing was posted to slack_incoming_hook: %s", said[0])
