"""A temporary folder that is gone after its process, however that ends."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@contextmanager
def held_folder(prefix: str) -> Iterator[Path]:
    """Have one while the block lasts; those of processes that were killed are deleted first.

    A lock tells whether the process of a folder is there, as a number would not where several
    containers share a disk.
    """
    for left in Path(gettempdir()).glob(f"{prefix}*"):
        _delete_if_left(left)
    with TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        held = _lock(Path(name))
        try:
            yield Path(name)
        finally:
            os.close(held)


def _lock(folder: Path) -> int:
    """Lock it; if another took it meanwhile for one that was left, it is made again."""
    while True:
        folder.mkdir(0o700, exist_ok=True)
        held = os.open(folder, FLAGS)
        fcntl.flock(held, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(held), folder.stat()):
                return held
        os.close(held)


def _delete_if_left(folder: Path) -> None:
    with suppress(OSError):  # it is of another user, or in use, or gone
        held = os.open(folder, FLAGS)
        try:
            if os.fstat(held).st_uid == os.getuid():
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(held)
