"""The analytics views: one SELECT a file, named like the file, applied after every load."""

from __future__ import annotations

from pathlib import Path

import duckdb

from pipelines.warehouse.file import ANALYTICS


class ViewError(Exception):
    """A view of the project does not run on this warehouse."""


def sql_folder() -> Path:
    """The folder `sql`: in an installed package beside the modules, else in the repository."""
    package = Path(__file__).parents[1]
    installed = package / "sql"
    return installed if installed.is_dir() else package.parent / "sql"


def apply_views(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Create or replace every view in one transaction; the names of all views, in order.

    Raises:
        ViewError: one failed, and none was changed.
    """
    files = sorted((sql_folder() / ANALYTICS).glob("*.sql"))
    connection.execute("BEGIN")
    try:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {ANALYTICS}")
        for file in files:
            try:
                connection.execute(
                    f"CREATE OR REPLACE VIEW {ANALYTICS}.{file.stem} AS\n{file.read_text()}"
                )
            except duckdb.Error as error:
                raise ViewError(f"{ANALYTICS}/{file.name}: {error}") from None
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return [file.stem for file in files]
