"""A temporary folder that is gone after its process, however that ends."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp

ENDING = ".packages"
"""Of their names: what is found by the prefix alone may be somebody's own."""
FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@contextmanager
def held_folder(prefix: str) -> Iterator[Path]:
    """Have one while the block lasts; those of processes that were killed are deleted first.

    A lock tells whether the process of a folder is there, as a number would not where several
    containers share a disk.
    """
    for left in Path(gettempdir()).glob(f"{prefix}*{ENDING}"):
        _delete_if_left(left)
    folder, held = _make(prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _make(prefix: str) -> tuple[Path, int]:
    """Make one and lock it: until it is locked, another process may take it for one that was left,
    and delete it."""
    while True:
        folder = Path(mkdtemp(ENDING, prefix))
        with suppress(FileNotFoundError):
            held = os.open(folder, FLAGS)
            fcntl.flock(held, fcntl.LOCK_EX)
            if folder.exists():
                return folder, held
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
