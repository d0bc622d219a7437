"""The run lock: one process at a time works on a warehouse file, and others see which one."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from pipelines.warehouse.warehouse import BusyError, WarehouseError

TIMEOUT = 0.1
"""Seconds to wait for it, as `status` takes it for a moment to see if it is free."""


def take(lock: IO[str], path: Path, holder: str) -> None:
    """Take the lock of the warehouse at `path` in its open file; the kernel frees it however this
    process ends.

    Raises:
        BusyError: somebody else has it.
        WarehouseError: the disk has no locks.
    """
    deadline = time.monotonic() + TIMEOUT
    while True:
        lock.seek(0)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                other = _holder(lock.read())
                raise BusyError(f"{path} is held by {other}; run again later") from None
        except OSError as error:  # NFS without its lock service, and other shares
            raise WarehouseError(
                f"{lock.name} cannot be locked ({error.strerror}), and without a lock two runs "
                "would write at once: mount its disk with locks, or have the warehouse on a local "
                "one"
            ) from None
        time.sleep(TIMEOUT / 10)
    lock.truncate()
    started = datetime.now(UTC).isoformat(timespec="seconds")
    lock.write(f"{holder}, process {os.getpid()} on {socket.gethostname()}, started {started}")
    lock.flush()


def _holder(left: str) -> str:
    """Who has the lock, by what the last run has left in it: a copying program leaves nothing."""
    named = re.search(r", process (\d+) on (.*), started ", left)
    if named and (named[2] != socket.gethostname() or _exists(int(named[1]))):
        return left
    return "a program that does not say its name, such as a backup, or in another container"


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        pass
    return True


def is_alive(path: Path, run: dict[str, Any]) -> bool | None:
    """Whether the run holds the lock in this file, which the kernel frees when the process ends;
    None if that cannot be seen, as on another host or as another user."""
    if run["outcome"] != "running":
        return False
    holder = ""
    try:
        with path.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = lock.read() or "somebody"
    except OSError:
        return None
    if not holder and run["host"] != socket.gethostname():
        return None
    return f"process {run['pid']} on {run['host']}," in holder
