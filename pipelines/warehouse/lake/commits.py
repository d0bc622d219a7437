"""The commit table of a lake: which versions of all tables belong together.

Several warehouses, each with accounts of its own, write the same tables, each its own partitions;
so each has a version of every table at which its partitions belong together. A commit replaces the
whole table, on condition that nobody else did so since it was read: no commit is lost, and none
that was not checked against all others gets in.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pipelines.warehouse.lake.store import LakeError, Store

COMMITS = "_commits"
WAREHOUSE = "warehouse"
"""The column of every table that names the warehouse whose row it is."""
_AS_JSON = ("contents", "accounts", "versions")


class Commit(NamedTuple):
    """What a warehouse published at once.

    `warehouse` identifies it, also after it is moved or restored; `name` is where it was then.
    `load_id` is the last load package of which it has the rows, `digest` of the rules they are
    written by, `contents` have those of small tables. `may_have_personal` until the older files are
    deleted that have personal data. Only the newest commit of a warehouse has its accounts.
    """

    warehouse: str
    name: str
    number: int
    committed_at: datetime
    load_id: str
    digest: str
    contents: dict[str, str]
    may_have_personal: bool
    accounts: list[str]
    versions: dict[str, int]


class Commits:
    """The commit table, at the version that was read last."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._table: Any = None

    def prepare(self, tables: Iterable[str]) -> None:
        """Make it, unless there is one; first of all, since it says whose the folder is.

        Raises:
            LakeError: there is something else.
        """
        self._store.make_folder()
        if not self._store.exists(COMMITS):
            if others := sorted({*self._store.listed()} - {*tables, COMMITS}):
                raise LakeError(
                    f"{self._store.url} has something else, such as {others[0]}: set PUBLISH__LAKE "
                    "to an empty folder, or to that of a lake"
                )
            self._store.create(COMMITS, _schema(), [], ["number"])

    def read(self) -> list[Commit]:
        """All commits that are kept, in order.

        Raises:
            LakeError: it is no commit table.
        """
        import pyarrow as pa

        self._table = self._store.open(COMMITS)
        query = self._store.delta.QueryBuilder().register(COMMITS, self._table)
        found = pa.table(query.execute(f"SELECT * FROM {COMMITS}").read_all())
        if {*Commit._fields} - {*found.column_names}:
            raise LakeError(
                f"{self._store.uri(COMMITS)} is no commit table of this version of "
                "conference-insights"
            )
        rows = (
            Commit(**{name: row[name] for name in Commit._fields})._replace(
                **{name: json.loads(row[name]) for name in _AS_JSON}
            )
            for row in found.to_pylist()
        )
        return sorted(rows, key=lambda commit: commit.number)

    def change(self, change: Callable[[list[Commit]], list[Commit]]) -> list[Commit]:
        """Replace all commits by what `change` makes of them, and return it; it is called again
        with the newest ones if somebody else was faster.

        Raises:
            BusyError: others always were.
        """
        import pyarrow as pa

        delta = self._store.delta

        def replace() -> list[Commit]:
            commits = change(self.read())
            rows = [
                commit._asdict() | {name: json.dumps(getattr(commit, name)) for name in _AS_JSON}
                for commit in commits
            ]
            # Two commits to an empty table would delete nothing of each other: the transaction's
            # name makes them exclude each other nevertheless.
            once = delta.Transaction("conference-insights", commits[-1].number)
            delta.write_deltalake(
                self._table,
                pa.Table.from_pylist(rows, _schema()),
                mode="overwrite",
                commit_properties=delta.CommitProperties(app_transactions=[once]),
            )
            return commits

        return self._store.again(replace)

    def clean(self, keep: timedelta) -> None:
        """Delete the files of earlier versions of this table."""
        hours = max(1, int(keep / timedelta(hours=1)))
        self._table.vacuum(hours, dry_run=False, enforce_retention_duration=False)


def newest(commits: Iterable[Commit]) -> dict[str, Commit]:
    """The newest commit of each warehouse."""
    return {commit.warehouse: commit for commit in commits}


def _schema() -> Any:
    import pyarrow as pa

    kinds = {
        "number": pa.int64(),
        "committed_at": pa.timestamp("us"),
        "may_have_personal": pa.bool_(),
    }
    return pa.schema([(name, kinds.get(name, pa.string())) for name in Commit._fields])
