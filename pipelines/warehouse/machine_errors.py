"""What the machine can do to a run, its disk, memory and threads, as errors with exit codes."""

from __future__ import annotations

from pathlib import Path

from pipelines.warehouse import error_texts
from pipelines.warehouse.checks import ChecksError
from pipelines.warehouse.warehouse import BusyError, WarehouseError


def as_warehouse_error(
    error: BaseException, path: Path | None = None, disk: str = "the warehouse"
) -> WarehouseError | None:
    """The error for a disk that is full, broken or write-protected, for too little memory or too
    few threads, and, if `path` is given, for a damaged file; None for any other error.

    It goes by the text, which is all that dlt keeps. The path, and what our own errors quote, are
    no words of a library.
    """
    if isinstance(error, WarehouseError | BusyError | ChecksError):
        return None
    for line in str(error).splitlines():
        words = line.replace(str(path), "") if path else line
        if error_texts.DISK_FAULT.search(words):
            return WarehouseError(f"The disk of {path or disk} cannot be used: {line}")
        if path and error_texts.DAMAGE.search(words):
            return WarehouseError(f"{path} is damaged, restore a backup: {line}")
        if error_texts.OUT_OF_MEMORY.search(words):
            return WarehouseError(
                f"There is not enough memory for such long texts; give the process more: {line}"
            )
        if error_texts.NO_THREAD.search(words):
            return WarehouseError(
                f"The machine allows no more threads ({line}): raise the limit of the user or the "
                "container (ulimit -u, pids.max), or stop something"
            )
    return None
