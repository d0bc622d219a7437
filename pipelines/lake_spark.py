"""Reading a lake: in Spark with all views, or with anything that reads Arrow or Parquet.

from pipelines.lake_spark import read, register
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipelines.run.post_load import DESCRIPTIONS
from pipelines.warehouse.database import ANALYTICS, DATASET
from pipelines.warehouse.dialects import write_views
from pipelines.warehouse.lake.commits import COMMITS, WAREHOUSE, Commit, Commits, newest
from pipelines.warehouse.lake.rows import SHARED
from pipelines.warehouse.lake.store import LakeError, Store, lake_errors


@dataclass(frozen=True)
class Lake:
    """A lake in the state that it had when it was read. It can be read for as long as its writers
    keep earlier states, `PUBLISH__LAKE_KEEP`."""

    store: Store
    commits: tuple[Commit, ...]
    """The newest of each warehouse."""

    @cached_property
    def tables(self) -> list[str]:
        return sorted({name for commit in self.commits for name in commit.versions})

    def versions(self, table: str) -> dict[str, int]:
        """By warehouse, the version of the table at which its rows are to be read.

        Of tables that are the same for all, only one warehouse's rows are to be read.
        """
        commits = self.commits[-1:] if table in SHARED else self.commits
        return {c.warehouse: c.versions[table] for c in commits if table in c.versions}

    def files(self, table: str) -> list[str]:
        """The Parquet files, in folders named `column=value` for what they are partitioned by."""
        with lake_errors(self.store.url):
            return [
                file
                for warehouse, version in self.versions(table).items()
                for file in self.store.open(table, version).file_uris(
                    file_pruning_predicate=[(WAREHOUSE, "=", warehouse)]
                )
            ]

    def dataset(self, table: str) -> Any:
        """A `pyarrow.dataset.Dataset` of the table, which DuckDB, pandas and Polars read too."""
        import pyarrow as pa
        from pyarrow.dataset import dataset

        with lake_errors(self.store.url):
            schema = pa.schema(self._newest(table).schema().to_arrow())
            return dataset(
                [
                    self.store.open(table, version).to_pyarrow_dataset(
                        schema=schema,
                        filesystem=self.store.filesystem(table),
                        file_pruning_predicate=[(WAREHOUSE, "=", warehouse)],
                    )
                    for warehouse, version in self.versions(table).items()
                ]
            )

    def types(self, table: str) -> dict[str, str]:
        """By column, its type as Delta and Spark call it."""
        with lake_errors(self.store.url):
            fields = json.loads(self._newest(table).schema().to_json())["fields"]
        return {field["name"]: field["type"] for field in fields}

    def _newest(self, table: str) -> Any:
        if table not in self.tables:
            raise LakeError(
                f"The lake {self.store.url} has no table {table}, but {', '.join(self.tables)}"
            )
        return self.store.open(table, max(self.versions(table).values()))


def read(url: str) -> Lake:
    """The state that was committed last.

    Raises:
        LakeError: there is no lake, or it cannot be read.
    """
    with lake_errors(url):
        store = Store(url)
        if not store.exists(COMMITS):
            raise LakeError(f"There is no lake at {url}: {COMMITS} is missing")
        commits = newest(Commits(store).read()).values()
        return Lake(store, tuple(sorted(commits, key=lambda commit: commit.number)))


def register(spark: Any, url: str, view: str | None = None) -> Lake:
    """Make all views, and the tables that they are made of, temporary views of a Spark session.

    A table `name` is `conference_insights_<name>`. With Delta's jar, Spark reads the versions that
    are committed; without it, the files that the log has at these versions.

    Args:
        view: make only this view, and those that it is made of; in any case all tables. Others, of
            an earlier call, keep the rows of that time.

    Raises:
        LakeError: there is no lake, nothing is in it yet, or it cannot be read.
        SettingsError: there is no such view.
    """
    lake = read(url)
    if not lake.commits:
        raise LakeError(f"Nothing is published in the lake at {url} yet")
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    for name in lake.tables:
        _frame(spark, lake, name).createOrReplaceTempView(f"{DATASET}_{name}")
    with _plans_kept(spark):
        for text in write_views("spark", DESCRIPTIONS, view):
            if text.startswith("CREATE OR REPLACE VIEW"):
                text = text.replace("CREATE OR REPLACE VIEW", "CREATE OR REPLACE TEMPORARY VIEW", 1)
                text = re.sub(rf"`{ANALYTICS}`\.`(\w+)`", r"`\1`", text)
                spark.sql(re.sub(rf"`{DATASET}`\.`(\w+)`", rf"`{DATASET}_\1`", text.rstrip(";")))
    return lake


@contextmanager
def _plans_kept(spark: Any) -> Iterator[None]:
    """Views keep the plan that Spark made of their text.

    It would else read the texts of all views below one again, for each place that names them, and
    these are hundreds.
    """
    name = "spark.sql.legacy.storeAnalyzedPlanForView"
    before = spark.conf.get(name)
    spark.conf.set(name, "true")
    try:
        yield
    finally:
        spark.conf.set(name, before)


def _frame(spark: Any, lake: Lake, table: str) -> Any:
    uri = _for_spark(lake.store.uri(table))
    if "io.delta" in spark.conf.get("spark.sql.extensions", ""):
        whole = None
        for warehouse, version in lake.versions(table).items():
            rows = spark.read.format("delta").option("versionAsOf", version).load(uri)
            rows = rows.where(f"{WAREHOUSE} = '{warehouse}'")
            whole = rows if whole is None else whole.unionByName(rows, allowMissingColumns=True)
        return whole
    schema = ", ".join(f"`{name}` {kind}" for name, kind in lake.types(table).items())
    files = [_for_spark(file) for file in lake.files(table)]
    if not files:
        return spark.createDataFrame([], schema)
    return spark.read.schema(schema).option("basePath", uri).parquet(*files)


def _for_spark(uri: str) -> str:
    """The same place as Hadoop's file systems call it."""
    if "://" not in uri:
        return f"file://{uri}"
    return re.sub("^s3://", "s3a://", uri)
