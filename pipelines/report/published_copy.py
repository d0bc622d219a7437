"""The published copy, which everything here is read from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.warehouse.database import Database, StatementError
from pipelines.warehouse.opened_copy import open_copy


class CopyError(OSError):
    """There is no copy, or it cannot be read."""


@contextmanager
def read_copy(copy: Path) -> Iterator[Database]:
    """Read one copy; a run that publishes another meanwhile does not change it.

    Raises:
        CopyError: there is no copy, or it cannot be read.
    """
    if not copy.exists():
        raise CopyError(f"Nothing is published at {copy} yet: run `conference-insights run`")
    try:
        with open_copy(copy) as connection:
            yield connection
    except StatementError as error:
        reason = str(error).partition("\n")[0]
        raise CopyError(f"{copy}: {reason}; run `conference-insights publish`") from None
