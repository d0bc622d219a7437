"""Indexes of PostgreSQL: they make a duplicate key an error, and look-ups quick."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pipelines.warehouse.database import DATASET, Rows
from pipelines.warehouse.postgres.errors import RejectedError
from pipelines.warehouse.warehouse import WarehouseError

LOOKUPS = {
    "conference_summaries": ("substring(account_sid FROM 1 FOR 34)", "create_time"),
    "conference_participants": ("conference_sid",),
    "_refetches": ("key",),
    "_listings": ("parent_key",),
}
"""What rows of loaded tables are looked up by, other than their key."""
_INDEXES = "SELECT indexname FROM pg_indexes WHERE schemaname = %s"
_TEXTS = (
    "SELECT table_name, column_name FROM information_schema.columns "
    "WHERE table_schema = %s AND data_type IN ('text', 'character varying')"
)


def prepare_indexes(
    native: Callable[..., Rows], warehouse: str, keys: Mapping[str, Sequence[str]]
) -> None:
    """Make the unique index on the key of each table, and those for look-ups, where they are not.

    Args:
        native: runs PostgreSQL's own SQL.
        warehouse: for messages.
        keys: columns by table.

    Raises:
        WarehouseError: a table has duplicate keys already.
    """
    present = {name for (name,) in native(_INDEXES, [DATASET])}
    texts = {*native(_TEXTS, [DATASET])}

    def prepare(name: str, kind: str, table: str, parts: Sequence[str]) -> None:
        if name not in present:
            try:
                native(f"CREATE {kind} INDEX {name} ON {DATASET}.{table} ({', '.join(parts)})")
            except RejectedError as error:
                raise WarehouseError(
                    f"{table} in {warehouse} has duplicate keys: {error}"
                ) from error

    for table, (first, *others) in keys.items():
        # An index takes no text of more than 2.7 kB, as a tag may be.
        parts = [f"hashtextextended({c}, 0)" if (table, c) in texts else c for c in others]
        prepare(f"{table}_key", "UNIQUE", table, [first, *parts])
    for table, columns in LOOKUPS.items():
        if table in keys:
            prepare(f"{table}_lookup", "", table, columns)
