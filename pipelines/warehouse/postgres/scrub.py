"""Tables of PostgreSQL are written anew, so that nothing that was deleted stays in their files."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.warehouse.database import DATASET, Rows
from pipelines.warehouse.definitions import TABLES
from pipelines.warehouse.postgres.errors import ServerRefusedError
from pipelines.warehouse.views import OUR_TABLES

_FILES = """
    SELECT relname::text, quote_ident(relname), pg_relation_filenode(oid) FROM pg_class
    WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r'
    AND (relname = ANY(%s) OR starts_with(relname, '_dlt_')) ORDER BY relname
"""
"""Name of each table, the same quoted, and its file; what others have made there is theirs."""


def scrub(native: Callable[..., Rows], warehouse: str) -> None:
    """Write the tables that are loaded, this folder's and dlt's anew.

    Args:
        native: runs PostgreSQL's own SQL.
        warehouse: for messages.

    Raises:
        ServerRefusedError: some are not the role's, which is a mere warning of the server.
    """
    names = [*TABLES, *OUR_TABLES]
    former = native(_FILES, [DATASET, names])
    for _, quoted, _ in former:
        native(f"VACUUM (FULL, ANALYZE) {DATASET}.{quoted}")
    if kept := [name for name, *_ in {*former} & {*native(_FILES, [DATASET, names])}]:
        more = f" and {len(kept) - 1} more tables" if len(kept) > 1 else ""
        raise ServerRefusedError(
            f"The role may not rewrite {min(kept)}{more} in {warehouse}, so that their files still "
            "have what was deleted: make it their owner, see Roles in "
            "pipelines/beyond_one_machine.md; the next command goes on"
        )
