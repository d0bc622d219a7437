"""A load package as one transaction, on a destination of dlt that has transactions.

dlt loads each table into a staging schema and merges it in a transaction of its own, and what its
working folder says of finished jobs is believed. Here a package is in the warehouse as a whole,
with its row in `_dlt_loads`, or not at all, whatever the folder says.

It stands on inner parts of dlt: `create_load_job`, `complete_load`, the two hooks for staging and
follow-up jobs, and the hints of a prepared table. `tests/test_one_transaction.py` fails where a
version of dlt has changed them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import defaultdict
from functools import cached_property
from typing import Any, NamedTuple

import dlt
from dlt.common.destination import Destination
from dlt.common.destination.client import LoadJob, RunnableLoadJob
from dlt.common.destination.typing import PreparedTableSchema
from dlt.common.schema.utils import get_columns_names_with_prop
from dlt.destinations.job_client_impl import SqlJobClientBase


class _DeferredJob(RunnableLoadJob):
    """A file that is loaded together with all others of its package, once they are complete."""

    def run(self) -> None:
        pass


class Hints(NamedTuple):
    """How a table is merged. Rows that have the same `keys` are replaced; without keys nothing is
    deleted. `scope`, if given, is the condition for the rows to delete instead, with
    `{staging_table}` for the received rows; `received` is the condition for rows to insert."""

    keys: list[str]
    scope: str | None
    received: str


class OneTransaction(SqlJobClientBase):
    """Keeps the files of a package until all are there, and then loads them together."""

    @abstractmethod
    def _merge(self, name: str, paths: list[str]) -> None:
        """Replace the rows that have the same keys, or are in the table's scope."""

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
        if self._is_loaded(load_id):
            return
        files = defaultdict[str, list[str]](list)
        for jobs in dlt.current.pipeline().get_load_package_info(load_id).jobs.values():
            for job in jobs:
                if job.file_path.endswith(".parquet"):
                    files[job.job_file_info.table_name].append(job.file_path)
        self._load(load_id, files)

    def _is_loaded(self, load_id: str) -> bool:
        """As what a killed run left may be."""
        name = self.sql_client.make_qualified_table_name(self.schema.loads_table_name)
        sql = f"SELECT 1 FROM {name} WHERE load_id = %s"
        return bool(self.sql_client.execute_sql(sql, load_id))

    def _load(self, load_id: str, files: dict[str, list[str]]) -> None:
        with self.sql_client.begin_transaction():
            for table, paths in files.items():
                self._merge(table, paths)
            super().complete_load(load_id)

    def _hints(self, name: str) -> Hints:
        table: Any = self.prepare_load_table(name)
        replaces = table["write_disposition"] == "merge"
        tombstones = get_columns_names_with_prop(table, "hard_delete")
        return Hints(
            get_columns_names_with_prop(table, "primary_key") if replaces else [],
            table.get("x-merge-destination-scope") if replaces else None,
            " AND ".join(f"{column} IS NULL" for column in tombstones) or "true",
        )


class Remembering(Destination[Any, Any]):
    """A destination that remembers its configuration: dlt resolves it dozens of times, a tenth of
    a small run."""

    @cached_property
    def _resolved(self) -> dict[str, Any]:
        return {}

    def configuration(self, initial_config: Any, accept_partial: bool = False) -> Any:
        key = repr((dict(initial_config or {}) | {"credentials": None}, accept_partial))
        if key not in self._resolved:
            self._resolved[key] = super().configuration(initial_config, accept_partial)
        return self._resolved[key]
