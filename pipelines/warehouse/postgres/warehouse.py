"""The dataset of a PostgreSQL database, by the one connection of a run.

It does all that a run does, and holds its locks. They are the session's: the server frees them
when the client is gone, and nothing can be written without them. A pool that gives each
transaction another session, as PgBouncer in transaction mode, would break that.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import errorcodes

from pipelines.warehouse.database import (
    ANALYTICS,
    DATASET,
    MissingTableError,
    Parameters,
    Rows,
    StatementError,
)
from pipelines.warehouse.portable import to_dialect, without_nul
from pipelines.warehouse.postgres.errors import ServerRefusedError, explain
from pipelines.warehouse.postgres.schemas import OURS, relations, usable_relations
from pipelines.warehouse.warehouse import BusyError, Warehouse, WarehouseError

if TYPE_CHECKING:
    import pyarrow as pa

    from pipelines.warehouse.postgres.views import PostgresViews

APPLICATION = "conference-insights"
LOCK_WAIT = 900
"""Seconds that a run waits while others load or change views, which take seconds each, or have
locked a table."""


class PostgresWarehouse(Warehouse):
    """The dataset of a database, by the one connection of a run."""

    is_shared = True

    def __init__(self, connection: Any, name: str, folder: Path) -> None:
        self.connection, self.name, self.working_folder = connection, name, folder
        self.created = False
        self._native(f"SET lock_timeout = '{LOCK_WAIT}s'")

    def run(self, sql: str, parameters: Parameters = ()) -> tuple[list[str], Rows]:
        """As everywhere; besides, a `WarehouseError` is raised if the server, the network or the
        role is to blame."""
        return self._run(to_dialect(sql, "postgres"), without_nul(parameters))

    def _native(self, sql: str, parameters: Parameters = ()) -> Rows:
        return self._run(sql, parameters)[1]

    def _run(self, sql: str, parameters: Parameters) -> tuple[list[str], Rows]:
        with self._explained(), self.connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            if cursor.description is None:
                return [], []
            return [column.name for column in cursor.description], cursor.fetchall()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise what the server refuses as `run` does."""
        try:
            yield
        except psycopg2.Error as error:
            if fault := explain(error, self.name):
                raise fault from error
            is_missing = error.pgcode in (
                errorcodes.UNDEFINED_TABLE,
                errorcodes.INVALID_SCHEMA_NAME,
            )
            kind = MissingTableError if is_missing else StatementError
            raise kind(str(error).strip()) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._native("BEGIN")
        try:
            yield
        except BaseException:
            with suppress(WarehouseError):  # the connection may be gone, and it with that
                self._native("ROLLBACK")
            raise
        self._native("COMMIT")

    def columns(self, *schemas: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for schema, table, column in self._native(
            "SELECT n.nspname, c.relname, a.attname FROM pg_attribute AS a "
            "JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n "
            "ON n.oid = c.relnamespace WHERE n.nspname = ANY(%s) AND c.relkind = ANY(%s) "
            "AND a.attnum > 0 AND NOT a.attisdropped ORDER BY n.nspname, c.relname, a.attnum",
            (list(schemas), [*"rpvmf"]),
        ):
            found.setdefault(f"{schema}.{table}", []).append(column)
        return found

    def create_schema(self, name: str) -> None:
        """They are there, made when the warehouse was opened; a role may have no right to more."""

    def replace_view(self, name: str, select: str) -> None:
        self._views.replace(name, select)

    @cached_property
    def _views(self) -> PostgresViews:
        from pipelines.warehouse.postgres.views import PostgresViews

        return PostgresViews(self, self._native)

    def checkpoint(self) -> None:
        """Have the server know how much there is now: until it looks itself, a minute later, it
        would plan as if new tables were nearly empty, and take minutes for a look-up."""
        self._native("SELECT pg_stat_force_next_flush()")
        for (table,) in self._native(
            "SELECT replace(quote_ident(relname), '%%', '%%%%') FROM pg_stat_user_tables "
            "WHERE schemaname = %s "
            "AND n_mod_since_analyze > 1000 + n_live_tup / 10",
            [DATASET],
        ):
            self._native(f"ANALYZE {DATASET}.{table}")

    def expect_connected(self) -> None:
        """An idle session hears nothing but that it is ended, or that a setting is another."""
        with DefaultSelector() as selector:
            if not self.connection.closed:
                selector.register(self.connection, EVENT_READ)
            if self.connection.closed or selector.select(0):
                self._native("SELECT 1")

    def scrub(self) -> None:
        """The server's own log and backups have it still; what `ANALYZE` has kept goes too."""
        from pipelines.warehouse.postgres.scrub import scrub

        scrub(self._native, self.name)

    def append(self, table: str, rows: pa.Table) -> None:
        from pipelines.warehouse.postgres.csv_copy import copy_into

        with self._explained():
            copy_into(self.connection, table, rows.column_names, iter(rows.to_batches()))

    def prepare_lookup(self, table: str, column: str) -> None:
        name = f"{table}_{column}_lookup"
        self._native(f"CREATE INDEX IF NOT EXISTS {name} ON {DATASET}.{table} ({column})")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One session at a time is in such a block; the others wait, and a signal ends that."""
        key, deadline = [_key("step", "alone")], time.monotonic() + LOCK_WAIT
        while not self._native("SELECT pg_try_advisory_lock(%s)", key)[0][0]:
            if time.monotonic() > deadline:
                raise BusyError(
                    f"Other runs write to {self.name} since {LOCK_WAIT} seconds: run again later"
                )
            time.sleep(0.05)
        try:
            yield
        finally:
            with suppress(WarehouseError, StatementError):
                self._native("SELECT pg_advisory_unlock(%s)", key)

    def hold_accounts(self, accounts: Collection[str]) -> None:
        """Hold all of them, or none; the server frees them when this session ends."""
        keys = {_key("account", account): account for account in accounts}
        held: dict[int, bool] = dict(
            self._native(
                "SELECT k.key, pg_try_advisory_lock(k.key) FROM unnest(%s::bigint[]) AS k(key)",
                [list(keys)],
            )
        )
        if busy := [key for key, is_held in held.items() if not is_held]:
            mine = [key for key, is_held in held.items() if is_held]
            self._native("SELECT pg_advisory_unlock(key) FROM unnest(%s::bigint[]) AS key", [mine])
            raise BusyError(
                f"{keys[busy[0]]} in {self.name} is held by another run{self._holder(busy[0])}; "
                "run again later"
            )

    def hold_run(self, run_id: str) -> None:
        self._native("SELECT pg_advisory_lock(%s)", [_key("run", run_id)])

    def is_at_work(self, run_id: str) -> bool:
        return bool(self._holder(_key("run", run_id)))

    @property
    def size(self) -> int:
        """Bytes of all tables and indexes of the dataset."""
        ((size,),) = self._native(
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class AS c "
            "JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            "WHERE n.nspname = %s AND c.relkind = 'r'",
            [DATASET],
        )
        return int(size)

    def _holder(self, key: int) -> str:
        found = self._native(
            "SELECT a.pid, a.client_addr, a.backend_start FROM pg_locks AS l "
            "JOIN pg_stat_activity AS a ON a.pid = l.pid AND a.datid = l.database "
            "WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database() "
            "AND l.objsubid = 1 AND (l.classid::bigint << 32 | l.objid::bigint) = %s",
            [key],
        )
        for pid, address, started in found:
            since = f", since {started:%Y-%m-%d %H:%M:%S} UTC" if started else ""
            return f" (process {pid} of the server, from {address or 'its machine'}{since})"
        return ""

    def prepare_schemas(self) -> None:
        """Make the two schemas, each unless it is there; a role that may use them needs no more.

        Raises:
            WarehouseError: one is there and belongs to something else, or cannot be made.
        """
        present = usable_relations(self._native, self.name, self.connection.server_version)
        self.created = not OURS & present.get(DATASET, set())
        if missing := {DATASET, ANALYTICS} - present.keys():
            with self.alone():
                for schema in sorted(missing - relations(self._native).keys()):
                    self._native(f"CREATE SCHEMA {schema}")

    def expect_usable(self) -> None:
        """Check that a run could use the database.

        Raises:
            WarehouseError: it could not.
        """
        schemas = [DATASET, ANALYTICS]
        may = "has_schema_privilege(name, 'CREATE')"
        if {*schemas} - usable_relations(
            self._native, self.name, self.connection.server_version
        ).keys():
            may = "has_database_privilege(current_database(), 'CREATE')"
        ((is_allowed,),) = self._native(
            f"SELECT bool_and({may}) FROM unnest(%s) AS name", [schemas]
        )
        if not is_allowed:
            raise ServerRefusedError(
                f"The role may not make what a run needs in {self.name}: see Roles in "
                "pipelines/beyond_one_machine.md"
            )

    def destination(self) -> Any:
        from pipelines.warehouse.postgres.one_transaction import destination_of

        return destination_of(self)

    def prepare_indexes(self, keys: Mapping[str, Sequence[str]]) -> None:
        from pipelines.warehouse.postgres.indexes import prepare_indexes

        prepare_indexes(self._native, self.name, keys)


def _key(kind: str, name: str) -> int:
    """Of an advisory lock: 63 bits of a hash, as a database has one space for all programs."""
    text = "\0".join((APPLICATION, DATASET, kind, name))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
