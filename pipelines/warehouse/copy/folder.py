"""The folder of published copies: each in a folder of its own, `current` linked to the newest."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pipelines.files import expect_trusted, replace_file, where_supported

FILE = "insights.duckdb"
_OWNER = "warehouse.txt"
_OF_RUN = re.compile(r"\d{8}T\d{12}-")
"""How the names of the folders begin that runs make."""
COPIES_KEPT = 3
"""Copies that are kept, for readers that still have an older one open."""


def made_at(folder: Path) -> datetime | None:
    """When the newest copy was made, according to the name of its folder; None if there is none."""
    try:
        name = (folder / "current").readlink().name
        made = datetime.strptime(name.partition("-")[0], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)
    except (OSError, ValueError):
        return None
    return made if (folder / "current" / FILE).exists() else None


def folder_of(warehouse: Path) -> Path:
    """Where its copies are, unless a setting says otherwise."""
    return warehouse.with_name(f"{warehouse.stem}.published")


def as_noted(folder: Path, warehouse: Path) -> str:
    """The folder of copies as a status file has it: below the warehouse's folder relative to that,
    so that all can be moved."""
    inside = folder.is_relative_to(warehouse.parent)
    return str(folder.relative_to(warehouse.parent) if inside else folder)


def seal_of(warehouse: Path) -> Path:
    """The file that tells how its last copy was left, in a folder that nobody else can write."""
    return warehouse.with_name(f"{warehouse.name}.dlt") / "published.txt"


def adopt_former(folder: Path, warehouse: Path) -> None:
    """Earlier versions put the copies of every warehouse into `published` beside it. Where this
    one's are there, they stay, for the dashboards that read them, and its folder is a link."""
    former = warehouse.with_name("published")
    is_first = folder == folder_of(warehouse) and not os.path.lexists(folder)
    if is_first and (former / "current").exists() and not other_owner(former, warehouse):
        folder.symlink_to(former.name)


def claim(folder: Path, warehouse: Path) -> None:
    """Mark the folder as this warehouse's; another one may not publish there.

    Raises:
        OSError: it is another's, or cannot be written.
    """
    expect_own(folder, warehouse)
    make_folder(folder)
    expect_trusted(folder / _OWNER)
    if not owner_file(folder, warehouse):
        replace_file(folder / _OWNER, os.path.relpath(warehouse, folder))
        with where_supported():
            (folder / _OWNER).chmod(0o644)  # for users who make reports of the copies


def expect_own(folder: Path, warehouse: Path) -> None:
    """Check that the copies there, if any, are this warehouse's.

    Raises:
        OSError: they are another's.
    """
    if other := other_owner(folder, warehouse):
        raise OSError(f"{folder} has the copies of {other}; {next_step(folder, other)}")


def next_step(folder: Path, other: str) -> str:
    """What to do where the copies are those of another warehouse."""
    step = "set PUBLISH__DIRECTORY to another folder"
    if os.path.lexists(other):
        return step
    return f"{step}; or, if this is that warehouse, moved, delete {folder / _OWNER}"


def owner_file(folder: Path, warehouse: Path) -> Path | None:
    """The file that says that a folder has the copies of this warehouse, if it does."""
    owner = _owner(folder)
    return folder / _OWNER if owner and _are_same(owner, warehouse) else None


def other_owner(folder: Path, warehouse: Path) -> str | None:
    """The other warehouse whose copies the folder has; None if they are this one's. If the other is
    gone and this one made the newest copy, it is the same warehouse, moved here."""
    owner = _owner(folder)
    if not owner or _are_same(owner, warehouse):
        return None
    is_moved = not os.path.lexists(owner) and _is_sealed(folder, warehouse)
    return None if is_moved else owner


def _is_sealed(folder: Path, warehouse: Path) -> bool:
    """Whether this warehouse made the newest copy there."""
    with suppress(OSError, ValueError):
        made = seal_of(warehouse).read_text().partition(" ")[0]
        return made == (folder / "current").readlink().name
    return False


def _owner(folder: Path) -> str | None:
    """The warehouse whose copies a folder has, as the first that published there noted."""
    file = folder / _OWNER
    text = ""
    with suppress(PermissionError):
        text = file.read_text("utf-8", "replace") if file.is_file() else ""
        text = text.replace("\0", "").strip("\n")
    return os.path.normpath(folder / text) if text else None


def _are_same(one: str, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(os.path.normpath(other))


def make_folder(folder: Path) -> None:
    """Make a folder that the BI server, another user, may read, whatever the umask."""
    if not folder.exists():
        Path(os.path.realpath(folder)).mkdir(parents=True)  # of a link, where it leads to
        with where_supported():
            folder.chmod(0o755)


def swap(link: Path, name: str) -> None:
    """Point `link` to the folder `name` beside it, in one step. A copy in its place, as copying
    programs make of a link, becomes one of the earlier copies.

    Raises:
        OSError: there can be no link, or something else is in its place.
    """
    is_folder = link.is_dir() and not link.is_symlink()
    if is_folder and {path.name for path in link.iterdir()} != {FILE}:
        raise OSError(f"{link} is no copy, and a link has to be there: move it away")
    new = link.with_name(f"{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(name)
    if is_folder:
        link.rename(link.with_name(f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-former"))
    new.replace(link)
    sync(link.parent)


def delete_unfinished(folder: Path) -> None:
    """Delete what killed runs left; each may be as large as a copy, and the disk nearly full."""
    for path in folder.glob("*.new"):
        if path.is_dir() and not path.is_symlink() and _OF_RUN.match(path.name):
            shutil.rmtree(path, ignore_errors=True)


def delete_old(folder: Path, newest: str, kept: int = COPIES_KEPT) -> list[Path]:
    """Delete all but the newest copies, and give those that cannot be deleted."""
    copies = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())
    others = [path for path in copies if path.suffix != ".new" and path.name != newest]
    stay = {folder / newest, *others[::-1][: kept - 1]}
    old = [path for path in copies if path not in stay and _OF_RUN.match(path.name)]
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return [path for path in old if path.exists()]


def sync(path: Path) -> None:
    """Write a file, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with where_supported():
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
