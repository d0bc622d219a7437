"""What everything here is read from: the published copy, or a warehouse that is a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from pipelines.warehouse.copy.opened import open_copy
from pipelines.warehouse.database import ANALYTICS, Database, StatementError
from pipelines.warehouse.warehouse import Place


class CopyError(OSError):
    """There is no copy, or it cannot be read."""


@contextmanager
def read_copy(source: Path | Place) -> Iterator[Database]:
    """Read one copy; a run that publishes another meanwhile does not change it. On a server, what
    is there now.

    Raises:
        CopyError: there is no copy, or it cannot be read.
        WarehouseError: the server cannot be read.
    """
    nothing = f"Nothing is published at {source} yet: run `conference-insights run`"
    if isinstance(source, Path) and not source.exists():
        raise CopyError(nothing)
    opened: AbstractContextManager[Database] = (
        open_copy(source) if isinstance(source, Path) else source.read()
    )
    try:
        with opened as database:
            if isinstance(source, Place) and not database.columns(ANALYTICS):
                raise CopyError(nothing)
            yield database
    except StatementError as error:
        reason = str(error).partition("\n")[0]
        raise CopyError(f"{source}: {reason}; run `conference-insights publish`") from None
