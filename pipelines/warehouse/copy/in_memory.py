"""Tables in memory, which statements read in place of the warehouse's tables and views.

DuckDB plans a view anew in each statement that reads it; with a view of many steps and few rows, as
`stg_as_of`, that is most of the statement's time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import duckdb

from pipelines.warehouse.database import ANALYTICS, DATASET
from pipelines.warehouse.duckdb_database import IN_MEMORY
from pipelines.warehouse.views import read_views

KEY = "conference_sid"


@dataclass(frozen=True)
class InMemory:
    """Tables in memory; `names` are those in the warehouse that they stand for."""

    names: frozenset[str]

    def of(self, sql: str) -> str:
        """The same SQL, reading them."""
        return re.sub(
            rf"\b({DATASET}|{ANALYTICS})\.(\w+)",
            lambda named: (
                f"{IN_MEMORY}.{named[1]}_{named[2]}" if named[0] in self.names else named[0]
            ),
            sql,
        )


def take_staging(connection: duckdb.DuckDBPyConnection) -> InMemory:
    """Copy the staging views that are not of conferences, all their rows; not in a transaction."""
    connection.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {IN_MEMORY}")
    taken = InMemory(frozenset())
    for view in read_views():
        if view.is_staging and KEY not in view.select:
            name = f"{ANALYTICS}.{view.name}"
            select = taken.of(view.select)
            taken = InMemory(taken.names | {name})
            connection.execute(f"CREATE OR REPLACE TABLE {taken.of(name)} AS {select}")
    return taken
