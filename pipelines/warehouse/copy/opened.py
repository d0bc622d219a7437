"""Opens a published copy safely: others may have replaced what a run wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from pipelines.warehouse.database import StatementError
from pipelines.warehouse.duckdb_database import DuckDb

_LOCKED_DOWN: dict[str, Any] = {"enable_external_access": False, "lock_configuration": True}
_NOT_TABLES = """
    SELECT view_name FROM duckdb_views() WHERE NOT internal
    UNION ALL SELECT function_name FROM duckdb_functions() WHERE NOT internal
"""


@contextmanager
def open_copy(copy: Path) -> Iterator[DuckDb]:
    """Open it so that nothing in it reads any other file; it has tables only.

    Raises:
        StatementError: it cannot be read, or has something else, which no run made.
    """
    if not copy.is_file():
        raise StatementError("it is no file")
    try:
        connection = duckdb.connect(copy.resolve(), read_only=True, config=_LOCKED_DOWN)
    except duckdb.Error as error:
        raise StatementError(str(error)) from error
    with connection:
        database = DuckDb(connection)
        if others := database.execute(_NOT_TABLES):
            raise StatementError(f"no run made it: {others[0][0]} is no table")
        yield database
