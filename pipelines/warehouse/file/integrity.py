"""Whether a DuckDB file can be read as a whole, and how much of it is unused."""

from __future__ import annotations

from pipelines.warehouse.duckdb_database import DuckDb
from pipelines.warehouse.sql import identifier

FEW_BLOCKS = 100
"""So many free ones are nothing that compacting would be worth."""


def read_all(database: DuckDb) -> int:
    """Read every value of every table, to find damage anywhere; return how many tables.

    Raises:
        StatementError: something cannot be read.
    """
    tables = database.execute("SELECT schema_name, table_name FROM duckdb_tables()")
    for names in tables:
        table = ".".join(map(identifier, names))
        database.execute(f"SELECT bit_xor(hash(t)) FROM {table} AS t")
    return len(tables)


def unused_share(database: DuckDb) -> float:
    """The share of the file that holds nothing; 0 if it is little."""
    ((total, free),) = database.execute(
        "SELECT total_blocks, free_blocks FROM pragma_database_size() "
        "WHERE database_name = current_database()"
    )
    return free / total if free > FEW_BLOCKS else 0.0
