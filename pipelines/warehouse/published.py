"""The folder of published copies: each in a folder of its own, `current` linked to the newest."""

from __future__ import annotations

import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

FILE = "insights.duckdb"
KEPT = 3
"""So many copies stay, for readers that opened one before it was replaced."""


def made_at(folder: Path) -> datetime | None:
    """When the newest copy was made, as the name of its folder tells; None if there is none."""
    try:
        name = (folder / "current").readlink().name
        made = datetime.strptime(name.partition("-")[0], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)
    except (OSError, ValueError):
        return None
    return made if (folder / "current" / FILE).exists() else None


def make_folder(folder: Path) -> None:
    """The BI server is another user: it may read, whatever the umask says."""
    if not folder.exists():
        folder.mkdir(parents=True)
        folder.chmod(0o755)


def swap(link: Path, name: str) -> None:
    """Point `link` to the folder `name` beside it, in one step."""
    new = link.with_name(f"{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(name)
    new.replace(link)
    sync(link.parent)


def delete_old(folder: Path, newest: str, kept: int = KEPT) -> None:
    """Keep the last copies; what an interrupted run left is deleted too."""
    copies = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    whole = [path for path in copies if path.suffix != ".new"]
    stay = {*whole[-kept:], folder / newest}
    for path in copies:
        if path not in stay and re.match(r"\d{8}T\d{12}-", path.name):
            shutil.rmtree(path, ignore_errors=True)


def sync(folder: Path) -> None:
    """Have the names in it on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
