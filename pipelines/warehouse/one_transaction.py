"""dlt's DuckDB destination, with a load package as one transaction.

dlt loads each table into a staging schema and merges it in a transaction of its own, and what its
working folder says of finished jobs is believed. Here a package is in the warehouse as a whole,
with its row in `_dlt_loads`, or not at all, whatever the folder says.

It stands on inner parts of dlt: `create_load_job`, `complete_load`, the two hooks for staging and
follow-up jobs, and the hints of a prepared table. `tests/test_one_transaction.py` fails where a
version of dlt has changed them.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from glob import escape
from typing import Any

import dlt
import duckdb
from dlt.common.destination.client import LoadJob, RunnableLoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema.utils import get_columns_names_with_prop
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.destinations.impl.duckdb.duck import DuckDbClient

from pipelines.warehouse.duckdb_database import with_memory


class _DeferredJob(RunnableLoadJob):
    """A file that is loaded together with all others of its package, once they are complete."""

    def run(self) -> None:
        pass


class PackageClient(DuckDbClient):
    """Keeps the files of a package until all are there, and then loads them together."""

    def should_load_data_to_staging_dataset(self, *_: Any) -> bool:
        return False

    def create_load_job(
        self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
    ) -> LoadJob:
        if file_path.endswith(".parquet"):
            return _DeferredJob(file_path)
        return super().create_load_job(table, file_path, load_id, restore)

    def create_table_chain_completed_followup_jobs(self, *_: Any, **__: Any) -> list[Any]:
        return []  # they would merge

    def complete_load(self, load_id: str) -> None:
        """Load all files of the package, in whatever folder of it they are, unless it is loaded."""
        sql, name = self.sql_client, self.sql_client.make_qualified_table_name
        known = f"SELECT 1 FROM {name(self.schema.loads_table_name)} WHERE load_id = %s"
        if sql.execute_sql(known, load_id):
            return
        files = defaultdict[str, list[str]](list)
        for jobs in dlt.current.pipeline().get_load_package_info(load_id).jobs.values():
            for job in jobs:
                if job.file_path.endswith(".parquet"):
                    files[job.job_file_info.table_name].append(escape(job.file_path))
        with_memory(sql.native_connection, lambda: self._load(load_id, files))

    def _load(self, load_id: str, files: dict[str, list[str]]) -> None:
        with self.sql_client.begin_transaction():
            for table, paths in files.items():
                self._merge(table, paths)
            super().complete_load(load_id)

    def _merge(self, name: str, paths: list[str]) -> None:
        """Replace the rows that have the same keys, or are in the table's scope."""
        table: Any = self.prepare_load_table(name)
        target = self.sql_client.make_qualified_table_name(name)
        received = "read_parquet(%s, union_by_name = true)"
        if table["write_disposition"] == "merge":
            keys = ", ".join(get_columns_names_with_prop(table, "primary_key"))
            scope = table.get("x-merge-destination-scope")
            among = f"({keys}) IN (SELECT ({keys}) FROM {received})"
            if scope:
                among = scope.format(staging_table=received, table=target)
            self.sql_client.execute_sql(f"DELETE FROM {target} WHERE {among}", paths)
        tombstones = get_columns_names_with_prop(table, "hard_delete")
        condition = " AND ".join(f"{column} IS NULL" for column in tombstones) or "true"
        self.sql_client.execute_sql(
            f"INSERT INTO {target} BY NAME SELECT * FROM {received} WHERE {condition}", paths
        )


class OneTransactionDuckDb(dlt.destinations.duckdb):
    """A destination for `dlt.pipeline`."""

    @property
    def client_class(self) -> type[DuckDbClient]:
        return PackageClient

    @cached_property
    def _resolved(self) -> dict[str, Any]:
        return {}

    def configuration(self, initial_config: Any, accept_partial: bool = False) -> Any:
        """Remember it: dlt resolves it dozens of times, a tenth of a small run."""
        key = repr((dict(initial_config or {}) | {"credentials": None}, accept_partial))
        if key not in self._resolved:
            self._resolved[key] = super().configuration(initial_config, accept_partial)
        return self._resolved[key]


def destination_of(connection: duckdb.DuckDBPyConnection) -> OneTransactionDuckDb:
    """An open connection as a destination."""
    credentials = DuckDbCredentials(connection)
    credentials.resolve()  # once: dlt would do it dozens of times, a third of a small run
    return OneTransactionDuckDb(credentials)
