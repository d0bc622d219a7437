"""Posts to Slack: a run that failed, and the recovery after it. The setting has dlt's name."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from hashlib import blake2b
from html import escape
from typing import TYPE_CHECKING, Any

import httpx

from pipelines.errors import SettingsError
from pipelines.logs import visible
from pipelines.run.destination import warehouse_path, warehouse_place
from pipelines.run.settings import find, slack_hook
from pipelines.twilio_insights.api.transport import NEEDS_SOCKS, proxy_for, tls_for
from pipelines.twilio_insights.filters import FILTERS
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.twilio_insights.settings import SECTION, Settings
from pipelines.twilio_insights.twilio_variables import from_twilio
from pipelines.warehouse.file.warehouse_file import DuckDbFile
from pipelines.warehouse.posted import note_posted, posted_errors
from pipelines.warehouse.runs import StillPendingError
from pipelines.warehouse.warehouse import BusyError, Place

if TYPE_CHECKING:
    from pipelines.run.pipeline import Backfill

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
def alerting(command: str, stop: threading.Event, scope: Backfill | None = None) -> Iterator[None]:
    """Post the error of this run, unless one of its kind was posted of the same command, accounts,
    filters and range before; or the recovery from it.

    Nothing is posted if `runtime.slack_incoming_hook` is not set, or for a demo, a run that was
    stopped, or one that found the warehouse busy. A post that fails is logged as a warning, and
    made by the next such run.
    """
    hook = slack_hook() if command != "demo" else None
    if not hook:
        yield
        return
    try:
        yield
    except StillPendingError:  # which is no failure
        if not stop.is_set():
            _tell(hook, command, scope, None)
        raise
    except BusyError:
        raise
    except Exception as error:
        _tell(hook, command, scope, error)
        raise
    if not stop.is_set():
        _tell(hook, command, scope, None)


def _tell(hook: str, command: str, scope: Backfill | None, error: Exception | None) -> None:
    """Post an error, or the recovery, unless that was done; keep that it was, where that can be."""
    run, posted = _kind_of_run(command, scope), dict[str, str]()
    with suppress(Exception):  # of what is not known, each error is posted
        posted = posted_errors(_place_of_record())
    before, now = posted.get(run), type(error).__name__ if error else None
    if now == before:
        return
    said = f"FAILED on {_place()}: {error}" if error else f"recovered on {_place()}, after {before}"
    if _post(hook, f"{command} {said}"):
        with suppress(Exception):
            note_posted(_place_of_record(), run, now)


def _place_of_record() -> Place:
    """Where posts are noted: the warehouse or, if its settings are wrong, a file that exists.

    Raises:
        SettingsError: it cannot be told.
    """
    try:
        return warehouse_place()
    except SettingsError:
        if not (path := warehouse_path()).exists():
            raise
        return DuckDbFile(path)


def _kind_of_run(command: str, scope: Backfill | None) -> str:
    """The same for runs that are asked for the same; what cannot be read counts as not set."""

    def value(*path: str) -> Any:
        with suppress(Exception):  # the error that is posted tells of it
            return found.value if (found := find(*path)) else None
        return from_twilio(path[-1])[0] or None

    filters = {name: value(*FILTERS, name) for name in CONFERENCES.filters}
    asked: dict[str, Any] = asdict(scope) if scope else {}
    asked |= {name: value(*SECTION, name) for name in ("account_sid", "accounts")}
    asked |= {"filters": filters | dict(scope.filters if scope else {})}
    with suppress(ValueError):
        asked |= {"region": Settings(base_url=value(*SECTION, "base_url") or "").region}
    return f"{command} {blake2b(json.dumps(asked).encode(), digest_size=8).hexdigest()}"


def _place() -> str:
    try:
        return f"{socket.gethostname()}, {warehouse_place()}"
    except Exception:  # the error that is posted tells of it, and is posted in any case
        return socket.gethostname()


def _post(hook: str, message: str) -> bool:
    """Whether it could be posted; in a thread, so that a slow hook delays the run by no more than
    TIMEOUT."""
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
        except ImportError:
            failure[:] = [NEEDS_SOCKS]
        except Exception as error:  # its text may hold the hook, which is a secret
            failure[:] = [type(error).__name__]

    thread = threading.Thread(target=send, daemon=True)
    try:
        thread.start()
        thread.join(TIMEOUT)
    except RuntimeError as error:  # the machine allows no more of them
        failure[:] = [str(error)]
    if failure:
        fault = hook_problem() or failure[0]
        log.warning("Nothing was posted to slack_incoming_hook: %s", fault)
    return not failure
