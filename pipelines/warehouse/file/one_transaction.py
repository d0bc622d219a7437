"""dlt's DuckDB destination, with a load package as one transaction."""

from __future__ import annotations

from functools import partial
from glob import escape

import dlt
import duckdb
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.destinations.impl.duckdb.duck import DuckDbClient

from pipelines.warehouse.duckdb_database import with_memory
from pipelines.warehouse.one_transaction import OneTransaction, Remembering


class PackageClient(OneTransaction, DuckDbClient):
    """Reads the files itself."""

    def _load(self, load_id: str, files: dict[str, list[str]]) -> None:
        with_memory(self.sql_client.native_connection, partial(super()._load, load_id, files))

    def _merge(self, name: str, paths: list[str]) -> None:
        hints = self._hints(name)
        target = self.sql_client.make_qualified_table_name(name)
        files = [escape(path) for path in paths]
        received = "read_parquet(%s, union_by_name = true)"
        if hints.keys:
            keys = ", ".join(hints.keys)
            among = f"({keys}) IN (SELECT ({keys}) FROM {received})"
            if hints.scope:
                among = hints.scope.format(staging_table=received)
            self.sql_client.execute_sql(f"DELETE FROM {target} WHERE {among}", files)
        self.sql_client.execute_sql(
            f"INSERT INTO {target} BY NAME SELECT * FROM {received} WHERE {hints.received}", files
        )


class OneTransactionDuckDb(Remembering, dlt.destinations.duckdb):
    """A destination for `dlt.pipeline`."""

    @property
    def client_class(self) -> type[DuckDbClient]:
        return PackageClient


def destination_of(connection: duckdb.DuckDBPyConnection) -> OneTransactionDuckDb:
    """An open connection as a destination."""
    credentials = DuckDbCredentials(connection)
    credentials.resolve()  # once: dlt would do it dozens of times, a third of a small run
    return OneTransactionDuckDb(credentials)
