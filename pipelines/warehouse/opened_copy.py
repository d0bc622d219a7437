"""Opens a published copy safely: others may have replaced what a run wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

_LOCKED_DOWN: dict[str, Any] = {"enable_external_access": False, "lock_configuration": True}
_NOT_TABLES = """
    SELECT view_name FROM duckdb_views() WHERE NOT internal
    UNION ALL SELECT function_name FROM duckdb_functions() WHERE NOT internal
"""


@contextmanager
def open_copy(copy: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open it so that nothing in it reads any other file; it has tables only.

    Raises:
        duckdb.Error: it cannot be read, or has something else, which no run made.
    """
    if not copy.is_file():
        raise duckdb.IOException("it is no file")
    with duckdb.connect(copy.resolve(), read_only=True, config=_LOCKED_DOWN) as connection:
        if others := connection.execute(_NOT_TABLES).fetchall():
            raise duckdb.DataError(f"no run made it: {others[0][0]} is no table")
        yield connection
