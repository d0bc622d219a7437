"""Files where others may be at work too, on file systems that may lack what they need not have."""

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
    """Do without modes of files, and without the sync of a folder, where there is no such thing, as
    on shares and disks of Windows."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def replace_file(file: Path, text: str) -> None:
    """Write a file as a whole or not at all. Until then it has a name that nobody can foresee, and
    is made by O_EXCL: no link is followed that somebody put there. A device or pipe stays one."""
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
    """Others cannot write it, whatever the umask."""
    return os.open(path, flags, 0o644)


@contextmanager
def made_beside(file: Path) -> Iterator[Path]:
    """A path for what replaces a file at the end, in a folder that is closed to others."""
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
    """See that nobody else can put files beside this one, or has, named like it and so `endings`.

    Raises:
        OSError: another user can, or has, or something there is no ordinary file.
    """
    folder = file.parent.stat()
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        raise OSError(f"every user can write {file.parent}: chmod o-w it, or use another folder")
    for path in (file.with_name(f"{file.name}{ending}") for ending in endings):
        with suppress(FileNotFoundError):
            found = path.lstat()
            is_own = found.st_uid in (os.geteuid(), 0, folder.st_uid)
            # Root may use a user's own, and where it is no root, as on NFS, all are another's.
            can_be_planted = folder.st_mode & stat.S_IWOTH or stat.S_ISLNK(found.st_mode)
            if not is_own and (os.geteuid() or can_be_planted):
                raise OSError(
                    f"{path} belongs to another user ({found.st_uid}): run as that user, or have "
                    "it belong to you"
                )
            if not (path.is_file() or path.is_dir() or stat.S_ISLNK(found.st_mode)):
                raise OSError(f"{path} is no ordinary file")
