"""dlt's PostgreSQL destination, with a load package as one transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dlt
from dlt.common.schema import Schema
from dlt.destinations.impl.postgres.configuration import PostgresCredentials
from dlt.destinations.impl.postgres.postgres import PostgresClient
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from dlt.destinations.sql_client import DBApiCursorImpl, raise_database_error
from pyarrow.parquet import ParquetFile

from pipelines.warehouse.one_transaction import OneTransaction, Remembering
from pipelines.warehouse.postgres.csv_copy import copy_into
from pipelines.warehouse.postgres.warehouse import PostgresWarehouse

log = logging.getLogger("conference_insights")

BATCH = 5_000
"""Rows that are made CSV at once."""


class _HeldSqlClient(Psycopg2SqlClient):
    """Uses the connection of the warehouse, which has the locks, and leaves it open."""

    def __init__(
        self, like: Psycopg2SqlClient, warehouse: PostgresWarehouse, loaded: set[str]
    ) -> None:
        super().__init__(
            like.dataset_name, like.staging_dataset_name, like.credentials, like.capabilities
        )
        self._warehouse, self.loaded = warehouse, loaded

    @property
    def native_connection(self) -> Any:
        return self._warehouse.connection

    def open_connection(self) -> Any:
        return self.native_connection

    def close_connection(self) -> None:
        pass

    @contextmanager
    @raise_database_error
    def execute_query(self, query: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with self.native_connection.cursor() as cursor:
            cursor.execute(query, args or kwargs or None)
            yield DBApiCursorImpl(cursor)

    @contextmanager
    def begin_transaction(self) -> Iterator[Any]:
        with self._warehouse.transaction():
            yield self


class PackageClient(OneTransaction, PostgresClient):
    """Copies the files to the server. The schema exists already, and another role may own it."""

    def is_storage_initialized(self) -> bool:
        return True

    def _is_loaded(self, load_id: str) -> bool:
        """Whether this run has loaded it; no run finishes another's package. The table `_dlt_loads`
        is not asked: ids are times, so a package of another machine may have the same."""
        return load_id in self._client.loaded

    def _load(self, load_id: str, files: dict[str, list[str]]) -> None:
        super()._load(load_id, files)
        self._client.loaded.add(load_id)

    @property
    def _client(self) -> Any:
        return self.sql_client

    def _merge(self, name: str, paths: list[str]) -> None:
        hints = self._hints(name)
        target = self.sql_client.make_qualified_table_name(name)
        execute, received = self.sql_client.execute_sql, f"pg_temp.received_{name}"
        execute(
            f"CREATE TEMPORARY TABLE received_{name} ON COMMIT DROP AS "
            f"SELECT * FROM {target} WITH NO DATA"
        )
        written, has_nul = dict[str, None](), False
        for path in paths:
            with ParquetFile(path) as file:
                columns = file.schema_arrow.names
                written |= dict.fromkeys(f'"{column}"' for column in columns)
                batches = file.iter_batches(BATCH)
                copied = self.sql_client.native_connection, received, columns, batches
                has_nul = copy_into(*copied) or has_nul
        if hints.keys:
            keys = ", ".join(hints.keys)
            execute(f"ANALYZE {received} ({keys})")
            among = f"({keys}) IN (SELECT {keys} FROM {received})"
            if hints.scope:
                among = hints.scope.format(staging_table=received)
            execute(f"DELETE FROM {target} WHERE {among}")
            if has_nul:
                self._delete_duplicates(name, received, keys)
        names = ", ".join(written)
        execute(
            f"INSERT INTO {target} ({names}) SELECT {names} FROM {received} WHERE {hints.received}"
        )

    def _delete_duplicates(self, name: str, received: str, keys: str) -> None:
        """Keep one of the rows whose keys are equal since U+0000 in them was replaced."""
        order = f"PARTITION BY {keys} ORDER BY ctid"
        others = self.sql_client.execute_sql(
            f"WITH numbered AS (SELECT ctid, row_number() OVER ({order}) AS n FROM {received}), "
            f"gone AS (DELETE FROM {received} WHERE ctid IN "
            "(SELECT ctid FROM numbered WHERE n > 1) RETURNING 1) SELECT count(*) FROM gone"
        )
        if not name.startswith("_") and others and (number := others[0][0]):
            log.warning(
                "Not loaded, since their keys differ in U+0000 alone from those of others, and "
                "PostgreSQL does not have it: %d of %s",
                number,
                name,
            )


class OneTransactionPostgres(Remembering, dlt.destinations.postgres):
    """A destination for `dlt.pipeline`."""

    warehouse: PostgresWarehouse
    loaded: set[str]

    @property
    def client_class(self) -> type[PostgresClient]:
        return PackageClient

    @classmethod
    def adjust_capabilities(cls, caps: Any, config: Any, naming: Any) -> Any:
        caps.preferred_loader_file_format = "parquet"
        caps.loader_file_format_selector = None  # it would have another driver for that
        return super().adjust_capabilities(caps, config, naming)

    def client(self, schema: Schema, initial_config: Any = None) -> PostgresClient:
        client: PostgresClient = super().client(schema, initial_config)
        client.sql_client = _HeldSqlClient(client.sql_client, self.warehouse, self.loaded)
        return client


def destination_of(warehouse: PostgresWarehouse) -> OneTransactionPostgres:
    """The warehouse's open connection as a destination; dlt gets no credentials."""
    credentials = PostgresCredentials()
    credentials.host = credentials.username = credentials.password = credentials.database = "held"
    credentials.resolve()
    destination = OneTransactionPostgres(credentials)
    destination.warehouse, destination.loaded = warehouse, set()
    return destination
