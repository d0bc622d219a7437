"""DuckDB as a `Database`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import duckdb

from pipelines.warehouse import error_texts
from pipelines.warehouse.database import (
    DATASET,
    Database,
    MissingTableError,
    Parameters,
    Rows,
    StatementError,
)
from pipelines.warehouse.warehouse import WarehouseError

if TYPE_CHECKING:
    import pyarrow as pa

WAREHOUSE, COPY, IN_MEMORY = "warehouse", "published_copy", "in_memory"
"""The databases of a connection: the file, whatever it is called; a published copy while it is
written; and one in memory, since temporary tables are seen by one cursor only."""
ROW_GROUP = 61_440
"""Rows that are stored together, half of DuckDB's default. What has fewer goes to the log first and
is written at the end, by one thread: with the default, a third of a copy of 100,000 conferences."""


class DuckDb(Database):
    """An open DuckDB file."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def run(self, sql: str, parameters: Parameters = ()) -> tuple[list[str], Rows]:
        try:
            answer = self.connection.execute(sql, parameters)
            return [name for name, *_ in answer.description or ()], answer.fetchall()
        except duckdb.CatalogException as error:
            raise MissingTableError(str(error)) from error
        except duckdb.DependencyException as error:
            raise WarehouseError(self._in_the_way() or str(error)) from error
        except duckdb.Error as error:
            raise StatementError(str(error)) from error

    def _in_the_way(self) -> str:
        """What to do about indexes, which keep DuckDB from changing a table; no run makes any."""
        with self.connection.cursor() as own:  # the transaction of this one has failed
            found = own.execute(
                """SELECT 'DROP INDEX ' || schema_name || '."' || replace(index_name, '"', '""')
                || '"' FROM duckdb_indexes()
                WHERE database_name = current_database() AND schema_name = ?""",
                [DATASET],
            ).fetchall()
        drops = "; ".join(statement for (statement,) in found)
        return drops and f"Tables with an index of yours cannot be changed: {drops}; and run again"

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.execute("BEGIN")
        try:
            yield
        except BaseException:
            with suppress(StatementError):  # the database has failed, and its error is raised
                self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")

    def transact(self, do: Callable[[], object]) -> None:
        with_memory(self.connection, lambda: super(DuckDb, self).transact(do))

    def columns(self, *schemas: str) -> dict[str, list[str]]:
        return dict(
            self.execute(
                "SELECT schema_name || '.' || table_name AS name, list(column_name) "
                "FROM duckdb_columns() WHERE list_contains(?, schema_name) "
                "AND database_name = current_database() GROUP BY 1 ORDER BY 1",
                [schemas],
            )
        )

    def replace_view(self, name: str, select: str) -> None:
        self.execute(f"CREATE OR REPLACE VIEW {name} AS {select}")

    def append(self, table: str, rows: pa.Table) -> None:
        self.connection.register("appended", rows)
        try:
            self.execute(f"INSERT INTO {table} BY NAME SELECT * FROM appended")
        finally:
            self.connection.unregister("appended")

    def prepare_lookup(self, table: str, column: str) -> None:
        pass  # it finds them without


def with_memory(
    connection: duckdb.DuckDBPyConnection, do: Callable[[], object], *limits: str
) -> None:
    """Call `do` within a memory limit, the first of `limits` or the usual one; if that is too
    small, as for texts of megabytes, call it again with the next, at last with all the memory of
    the machine.

    Raises:
        Exception: whatever `do` raises for another reason, or in the last call.
    """
    usual: Any
    (usual,) = connection.execute("SELECT current_setting('memory_limit')").fetchall()[0]
    try:
        for limit in limits or (usual,):
            try:
                connection.execute(f"SET memory_limit = '{limit}'")
                do()
                return
            except Exception as error:  # dlt raises DuckDB's as its own
                if not error_texts.OUT_OF_MEMORY.search(str(error)):
                    raise
        connection.execute("RESET memory_limit")
        do()
    finally:
        with suppress(duckdb.Error):  # the database has failed, and its error is raised
            connection.execute(f"SET memory_limit = '{usual}'")
