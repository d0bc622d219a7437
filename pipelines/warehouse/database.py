"""What every engine can do for us: run SQL that is written once, as DuckDB spells it.

All SQL that runs outside this folder passes through `Database`; `portable` carries it to a server.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

DATASET = "conference_insights"
PIPELINE = "conference_insights"
ANALYTICS = "analytics"

Parameters = Sequence[Any] | Mapping[str, Any]
"""For the marks of a statement: values for each `?`, or by name for each `$name`."""
Rows = list[tuple[Any, ...]]


class StatementError(Exception):
    """The engine refused a statement; its own words. `__cause__` is its error."""


class MissingTableError(StatementError):
    """There is no such table, view or schema."""


class Database(ABC):
    """An open connection to an engine. Times are `datetime` in UTC without zone."""

    @abstractmethod
    def run(self, sql: str, parameters: Parameters = ()) -> tuple[list[str], Rows]:
        """Names of the columns and rows of one statement; both empty where it has none.

        Raises:
            MissingTableError: there is no such table.
            StatementError: the engine refuses it for another reason.
        """

    @abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """All statements of the block, or none of them if it raises."""

    @abstractmethod
    def columns(self, *schemas: str) -> dict[str, list[str]]:
        """Names of the columns of each table and view of these schemas, by `schema.name`, both in
        order; dlt's are among them."""

    def create_schema(self, name: str) -> None:
        """Make a schema where there is none; raises as `run` does."""
        self.execute(f"CREATE SCHEMA IF NOT EXISTS {name}")

    def create_table(self, name: str, columns: Mapping[str, str]) -> None:
        """Make a table, of these columns and their types, where there is none; raises as `run`
        does."""
        definition = ", ".join(f"{column} {kind}" for column, kind in columns.items())
        self.execute(f"CREATE TABLE IF NOT EXISTS {name} ({definition})")

    @abstractmethod
    def replace_view(self, name: str, select: str) -> None:
        """Make a view, or make it anew; raises as `run` does."""

    @abstractmethod
    def append(self, table: str, rows: pa.Table) -> None:
        """Insert rows that have the names of the table's columns; raises as `run` does."""

    @abstractmethod
    def prepare_lookup(self, table: str, column: str) -> None:
        """See to it that rows of a table of the dataset are found quickly by a column."""

    def transact(self, do: Callable[[], object]) -> None:
        """Call `do` in a transaction. An engine with a limit of memory may roll back and call it
        again with more memory, so `do` must be repeatable."""
        with self.transaction():
            do()

    def execute(self, sql: str, parameters: Parameters = ()) -> Rows:
        """The rows of a statement; raises as `run` does."""
        return self.run(sql, parameters)[1]

    def records(self, sql: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """The rows, each by the names of its columns; raises as `run` does."""
        names, rows = self.run(sql, parameters)
        return [dict(zip(names, row, strict=True)) for row in rows]

    def query(self, sql: str, *arguments: Any) -> Rows:
        """Rows of a statement as the dlt source writes it: `{name}` is a table of the dataset, `%s`
        an argument. An empty list if a table is missing, as before the first load."""
        text = re.sub(r"\{(\w+)\}", rf'{DATASET}."\1"', sql).replace("%s", "?")
        try:
            return self.execute(text, arguments)
        except MissingTableError:
            return []
