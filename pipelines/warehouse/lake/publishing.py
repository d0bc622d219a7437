"""The lake: the tables as Delta, in a folder or a bucket that many warehouses may write at once.

Each warehouse rewrites its own partitions where rows have changed, and names the versions of all
tables in the commit table at last. Readers go by that: `pipelines/lake_spark.py`. What a killed run
wrote is in no commit, and the next one writes those partitions again. More is in
`pipelines/warehouse/lake/README.md`.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import duckdb

from pipelines.times import machine_time, naive_utc
from pipelines.warehouse.copy.publishing import MEMORY
from pipelines.warehouse.database import DATASET
from pipelines.warehouse.duckdb_database import with_memory
from pipelines.warehouse.lake.cleaning import (
    delete_logs,
    delete_old,
    delete_unfinished,
    delete_unneeded,
)
from pipelines.warehouse.lake.commits import Commit, Commits, newest
from pipelines.warehouse.lake.rows import ACCOUNT, ROOT, Part, lake_tables, read_table
from pipelines.warehouse.lake.store import LakeSettings, Store, lake_errors
from pipelines.warehouse.lake.writer import OtherCopyError, TableWriter
from pipelines.warehouse.sql import quoted
from pipelines.warehouse.warehouse import BusyError

log = logging.getLogger("conference_insights")

FORMAT = 1
_DIGEST = 16
"""Digits of a digest of the rules; what is erased follows."""


def publish_lake(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    settings: LakeSettings,
    personal_data: bool,
    erased: str,
    rebuild: bool = False,
    forget: bool = False,
) -> None:
    """Bring a lake up to date with a warehouse.

    Args:
        path: the warehouse, for messages.
        personal_data: whether columns that may hold it have values.
        erased: differs where more is erased or masked; files of another state are deleted.
        rebuild: write all partitions.
        forget: delete all older files of this warehouse.

    Raises:
        SettingsError: the package `deltalake` is not installed.
        BusyError: another warehouse has one of the accounts, or writes all the time.
        LakeError: it is no lake, or cannot be written; its readers see the former state.
    """
    lake = _Lake(connection, path, settings, personal_data, erased)
    then = ". The warehouse has everything; the next run brings the lake up to date"
    with lake_errors(settings.url, then):
        with_memory(connection, lambda: lake.publish(rebuild, forget), *MEMORY)


class _Lake:
    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        path: Path,
        settings: LakeSettings,
        personal_data: bool,
        erased: str,
    ) -> None:
        self._keep, self._now = settings.keep, naive_utc(machine_time())
        self._store = Store(settings.url)
        self._commits = Commits(self._store)
        self._name = f"{path} on {socket.gethostname()}"
        self._connection, self._personal_data = connection, personal_data
        packages = connection.execute(f"SELECT load_id FROM {DATASET}._dlt_loads ORDER BY rowid")
        self._packages = [load_id for (load_id,) in packages.fetchall()]
        runs = connection.execute(
            f"SELECT run_id FROM {DATASET}._runs ORDER BY started_at, run_id LIMIT 1"
        ).fetchall()
        # The first run moves with the warehouse, as no path does; with dlt alone there is none.
        self._id = runs[0][0] if runs else self._packages[0]
        accounts = (f"SELECT {ACCOUNT} FROM {DATASET}.{table}" for table in (ROOT, "accounts"))
        found = connection.execute(" UNION ".join(accounts)).fetchall()
        self._accounts = sorted(sid for (sid,) in found if sid)
        self._tables = {name: read_table(connection, name) for name in lake_tables()}
        rules = (FORMAT, sorted(self._tables.items()), personal_data)
        self._erased = erased
        self._digest = sha256(repr(rules).encode()).hexdigest()[:_DIGEST] + erased

    def publish(self, rebuild: bool, forget: bool) -> None:
        self._commits.prepare(self._tables)
        commits = self._commits.read()
        self._take_up(commits)
        self._expect_own_accounts(commits)
        delete_unfinished(self._store, self._tables, self._id)
        last = newest(commits).get(self._id)
        forget = forget or bool(last and last.digest[_DIGEST:] != self._erased)
        since = None if rebuild or last is None else self._since(last)
        writer = TableWriter(self._connection, self._store, self._id, since, self._personal_data)
        new, written = self._new_commit(), dict[str, set[Part]]()
        for name, table in self._tables.items():
            taken = {part for parent in table.parents for part in written[parent]}
            written[name] = writer.bring(table, last, new, taken)
        is_to_forget = bool(last and last.may_have_personal and not self._personal_data) or forget
        new = new._replace(may_have_personal=is_to_forget or self._personal_data)
        new = self._commit(new, last)
        if is_to_forget:
            delete_old(self._store, self._tables, self._id, timedelta())
            self._commit(new._replace(may_have_personal=self._personal_data), new, forget=True)
            if forget and {commit.warehouse for commit in self._commits.read()} == {self._id}:
                delete_logs(self._store, new.versions, self._id)
        elif last and last.committed_at.date() != self._now.date():
            delete_unneeded(
                self._store, self._commits, self._tables, self._id, self._now, self._keep
            )
        parts = sum(map(len, written.values()))
        log.info("Lake: %s (%d partitions written)", self._store.url, parts)

    def _new_commit(self) -> Commit:
        last_package = self._packages[-1] if self._packages else ""
        return Commit(
            warehouse=self._id,
            name=self._name,
            number=0,
            committed_at=self._now,
            load_id=last_package,
            digest=self._digest,
            contents={},
            may_have_personal=self._personal_data,
            accounts=self._accounts,
            versions={},
        )

    def _take_up(self, commits: Iterable[Commit]) -> None:
        """Continue as the warehouse that published from this place, if the first run, which
        identifies it, was lost with a damaged log or because a copy was put back."""
        latest, own = newest(commits), {*self._accounts}
        if self._id in latest:
            return
        for commit in latest.values():
            if commit.name == self._name and own & {*commit.accounts}:
                self._id = commit.warehouse

    def _expect_own_accounts(self, commits: Iterable[Commit]) -> None:
        """Check that no other warehouse has published one of the accounts."""
        for commit in newest(commits).values():
            own, others = {*self._accounts}, {*commit.accounts}
            if commit.warehouse != self._id and (both := sorted(own & others)):
                raise BusyError(
                    f"The lake {self._store.url} has {both[0]} from another warehouse, "
                    f"{commit.name}: only one may publish an account"
                )
            # In its own place an account is gone with its last conference, erased or corrected.
            is_elsewhere = commit.warehouse == self._id and commit.name != self._name
            if is_elsewhere and (gone := sorted(others - own)):
                raise BusyError(
                    f"The lake {self._store.url} has {gone[0]} from another copy of this "
                    f"warehouse, {commit.name}: only one of the two may publish there"
                )

    def _since(self, last: Commit) -> str | None:
        """A condition for rows that are newer than a commit; None if all are to be written."""
        if last.digest != self._digest:
            return None
        if last.load_id not in ("", *self._packages):
            log.warning(
                "The lake has a newer state of this warehouse, from %s: it is replaced", last.name
            )
            return None
        start = self._packages.index(last.load_id) + 1 if last.load_id else 0
        later = ", ".join(map(quoted, self._packages[start:]))
        return f"t._dlt_load_id IN ({later})" if later else "false"

    def _commit(self, new: Commit, last: Commit | None, forget: bool = False) -> Commit:
        """Name the versions that belong together, on condition that `last` is still the newest of
        this warehouse; `forget` the earlier ones, whose files are gone."""
        oldest = self._now - self._keep

        def change(commits: list[Commit]) -> list[Commit]:
            self._expect_own_accounts(commits)
            latest = newest(commits)
            if (latest.get(self._id) or new).number != (last or new).number:
                raise OtherCopyError(self._store.url)
            kept = list[Commit]()
            for commit in commits:
                if commit.warehouse != self._id:
                    is_kept = commit.committed_at > oldest or commit is latest[commit.warehouse]
                else:
                    is_kept = commit.committed_at > oldest and not forget
                    commit = commit._replace(accounts=[])
                if is_kept:
                    kept.append(commit)
            number = 1 + max((commit.number for commit in commits), default=0)
            return [*kept, new._replace(number=number)]

        return self._commits.change(change)[-1]
