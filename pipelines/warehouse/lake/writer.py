"""The tables of a lake, as one warehouse writes them: only the parts that have changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import duckdb

from pipelines.warehouse.database import DATASET
from pipelines.warehouse.lake.cleaning import Files, own_files
from pipelines.warehouse.lake.commits import Commit
from pipelines.warehouse.lake.rows import (
    WHOLE,
    LakeTable,
    Part,
    arrow_batches,
    digest_of,
    personal_columns,
    schema_of,
)
from pipelines.warehouse.lake.store import LakeError, Store
from pipelines.warehouse.warehouse import BusyError

ROWS_AT_ONCE, PARTS_AT_ONCE = 200_000, 200
"""About how much is written in one version of a table, since its files are made in memory."""
FILE_SIZE = 32_000_000


class OtherCopyError(BusyError):
    """Two copies of a warehouse write at once."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"Another copy of this warehouse writes to the lake {url} at the same time: only one "
            "of the two may publish there"
        )


class TableWriter:
    """Writes the rows of one warehouse into the tables.

    Args:
        warehouse: identifies it.
        since: a condition for rows that changed since the last commit; None to write all.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        store: Store,
        warehouse: str,
        since: str | None,
        personal_data: bool,
    ) -> None:
        self._connection, self._store, self._id = connection, store, warehouse
        self._since, self._personal_data = since, personal_data

    def bring(
        self,
        table: LakeTable,
        last: Commit | None,
        new: Commit,
        dirty: set[Part],
    ) -> set[Part]:
        """Bring a table up to date, and note its version in `new`; the parts that were written."""
        delta, committed = self._open(table, last.versions.get(table.name) if last else None)
        there = own_files(delta, self._id)
        # What is not as it was committed is of a run that was killed.
        dirty |= {p for p in {*committed, *there} if committed.get(p) != there.get(p)}
        sizes = Counter({part: sum(files.values()) for part, files in there.items()})
        if not table.is_by_month:
            content = digest_of(self._connection, table)
            new.contents[table.name] = content
            is_same = self._since and last and last.contents.get(table.name) == content
            dirty |= set() if is_same else {WHOLE}
        elif self._since:
            changed = self._count(table, self._since)
            dirty |= {*changed}
            sizes += changed
        else:
            sizes = self._count(table)
            dirty = {*sizes, *there}
        there = self._write(table, delta, there, dirty, sizes)
        if not self._is_whole(table, there):  # something was deleted, or is of another month now
            sizes = self._count(table)
            dirty = {*sizes, *there}
            there = self._write(table, delta, there, dirty, sizes)
            if not self._is_whole(table, there):
                raise LakeError(f"{self._store.uri(table.name)} lacks rows of the warehouse")
        new.versions[table.name] = int(delta.version())
        return dirty

    def _open(self, table: LakeTable, committed: int | None) -> tuple[Any, Files]:
        """The table at its newest version, and the files that were committed."""
        if committed is not None:
            delta = self._store.open(table.name, committed)
            files = own_files(delta, self._id)
            delta.update_incremental()
            return delta, files
        if not self._store.exists(table.name):
            schema = schema_of(self._connection, table)
            self._store.again(
                lambda: self._store.create(table.name, schema, table.partitions, table.stats)
            )
        return self._store.open(table.name), {}

    def _count(self, table: LakeTable, where: str = "true") -> Counter[Part]:
        found = self._connection.execute(table.parts(where)).fetchall()
        return Counter({(account, month): count for account, month, count in found})

    def _is_whole(self, table: LakeTable, there: Files) -> bool:
        count = f"SELECT count(*) FROM {DATASET}.{table.name}"
        ((rows,),) = self._connection.execute(count).fetchall()
        return bool(rows == sum(sum(files.values()) for files in there.values()))

    def _write(
        self,
        table: LakeTable,
        delta: Any,
        there: Files,
        dirty: Iterable[Part],
        sizes: Counter[Part],
    ) -> Files:
        """Replace these parts, some at a time; the files of all then."""
        but = personal_columns().get(table.name, frozenset())
        for parts in _groups(dirty, sizes):
            sql = table.rows(self._id, parts, frozenset() if self._personal_data else but)

            def replace(sql: str = sql, parts: list[Part] = parts) -> None:
                delta.update_incremental()
                self._store.delta.write_deltalake(
                    delta,
                    arrow_batches(self._connection, sql),
                    mode="overwrite",
                    predicate=table.predicate(self._id, parts),
                    schema_mode="merge",
                    target_file_size=FILE_SIZE,
                )

            self._store.again(replace)
            now = own_files(delta, self._id)
            others = {*there, *now} - {*parts}
            if any(there.get(part) != now.get(part) for part in others):
                raise OtherCopyError(self._store.url)
            there = now
        return there


def _groups(parts: Iterable[Part], sizes: Counter[Part]) -> Iterator[list[Part]]:
    """What is written at once: parts with about `ROWS_AT_ONCE` rows."""
    group, rows = list[Part](), 0
    for part in sorted(parts, key=str):
        group.append(part)
        rows += sizes[part]
        if rows >= ROWS_AT_ONCE or len(group) == PARTS_AT_ONCE:
            yield group
            group, rows = [], 0
    if group:
        yield group
