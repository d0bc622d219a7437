"""What a PostgreSQL database has of the two schemas, and whether they can be in it."""

from __future__ import annotations

from pipelines.warehouse.database import ANALYTICS, DATASET
from pipelines.warehouse.postgres.errors import ServerRefusedError
from pipelines.warehouse.postgres.views import Native
from pipelines.warehouse.warehouse import WarehouseError

OURS = {"_runs", "_dlt_loads"}
"""Tables of which a dataset has one at least, if it is one of this program."""
OLDEST = 150_000
"""The earliest version of PostgreSQL that has unique indexes in which NULLs are equal."""


def usable_relations(native: Native, name: str, version: int) -> dict[str, set[str]]:
    """As `relations`, of a database of this name, in a server of this version.

    Raises:
        WarehouseError: the database cannot be used.
    """
    if version < OLDEST:
        shown = native("SHOW server_version")[0][0]
        raise WarehouseError(
            f"{name} is PostgreSQL {shown}: it has to be {OLDEST // 10_000} or later"
        )
    ((encoding, is_standby, is_read_only),) = native(
        "SELECT current_setting('server_encoding'), pg_is_in_recovery(), reset_val = 'on' "
        "FROM pg_settings WHERE name = 'default_transaction_read_only'"
    )
    if is_read_only and not is_standby:
        raise ServerRefusedError(
            f"{name} is read only, as default_transaction_read_only is on for the server, "
            "the database or the role; some providers set it when a disk is nearly full"
        )
    if encoding != "UTF8":
        raise WarehouseError(
            f"{name} is encoded in {encoding}, which lacks characters that names have: "
            "create a database with ENCODING 'UTF8'"
        )
    present = relations(native)
    if not OURS & present.get(DATASET, set()):
        for schema, names in present.items():
            if names:
                raise WarehouseError(
                    f"The schema {schema} of {name} belongs to something else, as it has "
                    f"{min(names)}, and nothing of conference-insights is there: use another "
                    "database"
                )
    return present


def relations(native: Native) -> dict[str, set[str]]:
    """By schema of ours that is there, the names of its tables and views."""
    rows = native(
        "SELECT n.nspname, array_agg(c.relname::text) FROM pg_namespace AS n "
        "LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relkind = ANY(%s) "
        "WHERE n.nspname = ANY(%s) GROUP BY n.nspname",
        ([*"rpvmf"], [DATASET, ANALYTICS]),
    )
    return {schema: {*names} - {None} for schema, names in rows}
