"""The files and the logs of a lake: what of them is still needed, and what can be deleted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pipelines.warehouse.lake.commits import WAREHOUSE, Commit, Commits, newest
from pipelines.warehouse.lake.rows import ACCOUNT, MONTH, Part
from pipelines.warehouse.lake.store import Store

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
Files = dict[Part, dict[str, int]]
"""By part, its files with the number of their rows."""


def own_files(delta: Any, warehouse: str) -> Files:
    """Those of one warehouse, at the version of the table that is open."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = defaultdict[Part, dict[str, int]](dict)
    actions = pa.table(delta.get_add_actions(flatten=True))
    own = actions.filter(pc.equal(actions[f"partition.{WAREHOUSE}"].cast("string"), warehouse))
    names = {*own.column_names}
    keys = [key for key in (f"partition.{ACCOUNT}", f"partition.{MONTH}") if key in names]
    for file in own.select(["path", "num_records", *keys]).to_pylist():
        account, month = (file.get(f"partition.{name}") for name in (ACCOUNT, MONTH))
        found[account, month][file["path"]] = file["num_records"]
    return found


def delete_unfinished(store: Store, tables: Iterable[str], warehouse: str) -> None:
    """Delete what a killed run of a warehouse was writing; only its own, as others may be at it."""
    for name in tables:
        store.delete_unfinished(f"{name}/{WAREHOUSE}={warehouse}")


def delete_old(store: Store, tables: Iterable[str], warehouse: str, keep: timedelta) -> None:
    """Delete files of one warehouse that no version of the last time, `keep`, has; others delete
    theirs themselves, since only they know which they still need."""
    for name in tables:
        old = store.open(name).vacuum(
            int(keep / HOUR), dry_run=True, enforce_retention_duration=False, full=True
        )
        there = {*store.listed(f"{name}/{WAREHOUSE}={warehouse}", recursive=True)}
        for path in {f"{name}/{file}" for file in old} & there:
            store.delete(path)


def delete_logs(store: Store, versions: Mapping[str, int], warehouse: str) -> None:
    """Delete what the logs have of versions before those of a commit, such as the least SID of a
    file; only where no other warehouse has committed one, nor has files there that it may commit.
    """
    if any(_has_others(store.open(name), warehouse) for name in versions):
        return
    for name, committed in versions.items():
        store.open(name, committed).create_checkpoint()
        for path in store.listed(f"{name}/_delta_log"):
            version = path.rpartition("/")[2].partition(".")[0]
            if version.isdigit() and int(version) < committed:
                store.delete(path)


def _has_others(delta: Any, warehouse: str) -> bool:
    import pyarrow as pa

    actions = pa.table(delta.get_add_actions(flatten=True))
    column = f"partition.{WAREHOUSE}"
    found = actions[column].to_pylist() if column in actions.column_names else []
    return bool({*found} - {warehouse})


def delete_unneeded(
    store: Store,
    commits: Commits,
    tables: Iterable[str],
    warehouse: str,
    now: datetime,
    keep: timedelta,
) -> None:
    """Once a day: delete old files and old logs.

    A warehouse that has not published for a day has the same files at the newest version of a
    table, so its commit can name that one, and the logs before are not needed. One that was killed
    while it wrote has others; then all logs stay until it publishes again.
    """
    tables = [*tables]
    delete_old(store, tables, warehouse, keep)

    behind = list[str]()

    def advance(found: list[Commit]) -> list[Commit]:
        behind.clear()
        latest, advanced = newest(found), list[Commit]()
        for commit in found:
            is_idle = commit.warehouse != warehouse and commit.committed_at < now - DAY
            if is_idle and commit is latest[commit.warehouse]:
                versions = dict(commit.versions)
                for name, version in versions.items():
                    delta = store.open(name, version)
                    committed = own_files(delta, commit.warehouse)
                    delta.update_incremental()
                    if own_files(delta, commit.warehouse) == committed:
                        versions[name] = delta.version()
                    else:
                        behind.append(name)
                commit = commit._replace(versions=versions)
            advanced.append(commit)
        return advanced

    commits.change(advance)
    commits.clean(keep)
    for name in {*tables} - {*behind}:
        delta = store.open(name)
        delta.create_checkpoint()
        delta.cleanup_metadata()
