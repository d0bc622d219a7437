"""Posts to Slack: a run that failed, and the recovery after it. The setting has dlt's name."""

from __future__ import annotations

import logging
import re
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
from pipelines.run.destination import warehouse_place
from pipelines.run.settings import find, slack_hook
from pipelines.twilio_insights.api.transport import proxy_for, tls_for
from pipelines.twilio_insights.settings import SECTION
from pipelines.warehouse.runs import StillPendingError
from pipelines.warehouse.warehouse import BusyError, WarehouseError

log = logging.getLogger("conference_insights")

MAX_CHARACTERS = 2000
"""Longest post; Slack itself cuts at 40,000."""
TIMEOUT = 5.0
"""Seconds that a run waits for a hook that does not answer."""


def hook_problem() -> str | None:
    """What is wrong with the setting of the hook, if something is; its value is a secret."""
    hook = slack_hook()
    if hook is None or re.fullmatch(r"https?://[^\s/]+(/\S*)?", hook):
        return None
    return "runtime.slack_incoming_hook is no URL, so no alert can be posted"


@contextmanager
def alerting(command: str, stop: threading.Event) -> Iterator[None]:
    """Post the error of this run, unless the previous run had the same, or the recovery from it.

    Nothing is posted if `runtime.slack_incoming_hook` is not set, or for a demo, a run that was
    stopped, or one that found the warehouse busy. A post that fails is logged as a warning.
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
            _post(hook, f"{command} recovered on {_place()}, after {before}")


def _last_error() -> str | None:
    """Error class of the last run that finished or was refused; None if it succeeded. On a server
    others may load other accounts: their runs say nothing of ours."""
    try:
        place = warehouse_place()
        own = None if place.path else find(*SECTION, "account_sid")
        status = read_status(place, datetime.now(UTC), own.value if own else None)
        error: str | None = status["last_error"]
    except (WarehouseError, OSError, ValueError):
        return None
    return error if error != BusyError.__name__ else None


def _place() -> str:
    try:
        return f"{socket.gethostname()}, {warehouse_place()}"
    except ValueError:
        return socket.gethostname()


def _post(hook: str, message: str) -> None:
    """Post in a thread, so that a slow hook delays the run by no more than TIMEOUT."""
    failure: list[str] = ["no answer in time"]
    text = visible(message)
    text = text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"
    # Else what others wrote could call everybody, or show a link under another name.
    content = {"text": escape(text, quote=False), "mrkdwn": False}

    def send() -> None:
        try:
            url = httpx.URL(hook)
            how: Any = {"proxy": proxy_for(url), "verify": tls_for(url), "trust_env": False}
            with httpx.stream("POST", url, json=content, timeout=TIMEOUT, **how) as answer:
                answer.raise_for_status()
            failure.clear()
        except Exception as error:  # its text may hold the hook, which is a secret
            failure[:] = [type(error).__name__]

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    if failure:
        fault = hook_problem() or failure[0]
        log.warning("Nothing was posted to slack_incoming_hook: %s", fault)
