"""How a command ends: the message for an error or a signal, and the exit code."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from pipelines.exit_codes import BUG, BUSY, exit_code

log = logging.getLogger("conference_insights")


@contextmanager
def exit_on_error() -> Iterator[threading.Event]:
    """Give an event that SIGINT, SIGTERM and SIGHUP set; end with a clear message and an exit code.

    A second one ends the process at once, if it does not come with the first: `timeout` and shells
    send a signal to the process and to its group.
    """
    stop, at = threading.Event(), time.monotonic()
    received: list[int] = []

    def handle(number: int, _frame: object) -> None:
        nonlocal at
        if received and time.monotonic() - at > 1:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        elif not received:
            received.append(number)
            at = time.monotonic()
            stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as by nohup
            signal.signal(number, handle)
    try:
        yield stop
    except Exception as error:
        sys.exit(_report(error))
    if received:
        log.warning("Stopped; everything finished so far is kept.")
        sys.exit(128 + received[0])


def ask(question: str) -> bool:
    """Ask on the terminal, within `exit_on_error`. A signal ends the command here, where it waits
    and has begun nothing; an end of the input is a no."""

    def leave(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handled = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    former = {number: signal.signal(number, leave) for number in handled}
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        return False
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _report(error: Exception) -> int:
    """Log the error; return its exit code."""
    from pipelines.warehouse.machine_errors import as_warehouse_error

    if (code := exit_code(error)) == BUG and (fault := as_warehouse_error(error)):
        code, error = exit_code(fault), fault
    if code == BUG:
        log.exception("This is a bug in conference-insights, please report it")
    elif code == BUSY:
        log.warning("%s", _message(error))
    elif not isinstance(error, BrokenPipeError):  # the reader, such as `head`, has gone away
        log.error("Error: %s", _message(error))
    return code


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, FileNotFoundError) and _is_working_folder_gone():
        return "The working folder was deleted: change into one that is there"
    return str(error)


def _is_working_folder_gone() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False
