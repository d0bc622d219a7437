"""Files that others may change too, also on file systems that lack modes or sync."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EEXIST, EINVAL, ENOSYS, ENOTSUP, EOPNOTSUPP, EPERM
from pathlib import Path

_UNSUPPORTED = (EINVAL, ENOSYS, ENOTSUP, EOPNOTSUPP, EPERM)


@contextmanager
def where_supported() -> Iterator[None]:
    """Ignore that a file system has no modes of files or no sync of folders, as Windows shares."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def replace_file(file: Path, text: str) -> None:
    """Write a file completely or not at all. The temporary file has a random name and is created
    with O_EXCL, so no planted link is followed. A device or pipe is written to directly."""
    if file.exists() and not file.is_file():
        file.write_text(text, "utf-8")
        return
    new = file.with_name(f"{file.name[:100]}.{secrets.token_hex(8)}.new")
    try:
        with open(new, "x", encoding="utf-8", opener=_open_own) as opened:
            opened.write(text)
        new.replace(file)
    except BaseException:
        with suppress(OSError):
            new.unlink()
        raise


def _open_own(path: str, flags: int) -> int:
    """Open so that others cannot write the file, whatever the umask."""
    return os.open(path, flags, 0o644)


@contextmanager
def made_beside(file: Path) -> Iterator[Path]:
    """A path in a folder closed to others; the file made there replaces `file` at the end."""
    folder = file.with_name(f"{file.name}.new")
    if folder.is_dir() and not folder.is_symlink():
        if others := [one for one in folder.iterdir() if not one.name.startswith(file.name)]:
            raise FileExistsError(EEXIST, "in the way", str(others[0]))
        shutil.rmtree(folder)  # of a process that was killed
    else:
        folder.unlink(missing_ok=True)
    folder.mkdir(0o700)
    try:
        yield folder / file.name
        (folder / file.name).replace(file)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def expect_trusted(file: Path, *endings: str) -> None:
    """Check that no other user can create, or has created, `file` with one of the `endings` added.

    The ending "" stands for the file itself; without endings only its folder is checked.

    Raises:
        OSError: every user can write the folder, or one of the files belongs to another user, or
            is no ordinary file.
    """
    folder = file.parent.stat()
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        raise OSError(f"every user can write {file.parent}: chmod o-w it, or use another folder")
    for path in (file.with_name(f"{file.name}{ending}") for ending in endings):
        with suppress(FileNotFoundError):
            found = path.lstat()
            is_own = found.st_uid in (os.geteuid(), 0, folder.st_uid)
            # Root may use a user's file. On NFS root may be nobody: then every file is another's.
            is_link = stat.S_ISLNK(found.st_mode)
            can_be_planted = folder.st_mode & stat.S_IWOTH or is_link
            if not is_own and (os.geteuid() or can_be_planted):
                raise OSError(
                    f"{path} belongs to another user ({found.st_uid}): run as that user, or have "
                    "it belong to you"
                )
            # By the mode found above: a run at work may have deleted its log meanwhile.
            if not (is_link or stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
                raise OSError(f"{path} is no ordinary file")
