"""One copy: the views as plain tables, in a file that is attached to the warehouse."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import duckdb

from pipelines.files import where_supported
from pipelines.warehouse.copy.changed import ONLY_CHANGED
from pipelines.warehouse.copy.concurrently import run_concurrently
from pipelines.warehouse.copy.in_memory import KEY, InMemory
from pipelines.warehouse.copy.renewed_days import BY_DAY, RUNNING, find_days
from pipelines.warehouse.database import ANALYTICS, DATASET
from pipelines.warehouse.duckdb_database import COPY, ROW_GROUP
from pipelines.warehouse.sql import quoted
from pipelines.warehouse.views import STAGING, View, read_views

OF_RUNS = ("accounts", "checks", "data_as_of", "freshness", "load_history")
"""Views of the runs, which change even if a run wrote nothing."""
COPY_STORAGE_VERSION = "v1.2.0"
"""Engines from DuckDB 1.2 on open such a file; the default of 2.0 opens in nothing older."""


@contextmanager
def attached(connection: duckdb.DuckDBPyConnection, file: Path) -> Iterator[None]:
    """Attach the copy; afterwards it is complete, on the disk, and never written again."""
    connection.execute(
        f"ATTACH {quoted(str(file))} AS {COPY} "
        f"(STORAGE_VERSION '{COPY_STORAGE_VERSION}', ROW_GROUP_SIZE {ROW_GROUP})"
    )
    try:
        yield
    finally:
        connection.execute(f"DETACH {COPY}")
    if file.with_name(f"{file.name}.wal").exists():
        raise OSError(f"{file} was not closed as a whole")
    with file.open("rb") as written:
        with where_supported():
            os.fchmod(written.fileno(), 0o444)
        os.fsync(written.fileno())


def build(
    connection: duckdb.DuckDBPyConnection, staging: InMemory, personal: frozenset[str]
) -> None:
    """Make every view a table, with its comments, but without the personal columns."""
    connection.execute(f"CREATE SCHEMA {COPY}.{ANALYTICS}")
    columns_of = _columns(connection)
    cut = {name for name, columns in columns_of.items() if columns.keys() & personal}
    views = _published()

    def build_one(name: str) -> None:
        view = views[name]
        columns = {n: c for n, c in columns_of[name].items() if n not in personal}
        # The copies in `cut` lack columns that a view by conference may need: it reads the views.
        select = staging.of(_from_copies(view.select, but=cut if KEY in columns else set()))
        with connection.cursor() as own:
            own.begin()  # every transaction waits for the disk
            _build(own, view, select, columns)
            own.commit()

    run_concurrently(_uses(views), build_one)


def renew(
    connection: duckdb.DuckDBPyConnection, staging: InMemory, changed: InMemory | None
) -> bool:
    """Bring the tables of an earlier copy up to date, only those of the runs if nothing `changed`.
    Return whether they then have the same rows as the warehouse, as far as can be told."""
    if _are_renamed(connection, staging):
        return False
    if not changed and _are_loaded_further(connection, staging):
        return False
    days = find_days(connection, staging, changed) if changed else None
    views = {n: view for n, view in _published().items() if changed or n in OF_RUNS}

    def renew_one(name: str) -> None:
        view, target = views[name], f"{COPY}.{ANALYTICS}.{name}"
        with connection.cursor() as own:
            columns = [name for name, *_ in own.table(target).description]
            if changed and KEY in columns:
                select = f"FROM {changed.of(f'{ANALYTICS}.{name}')}"
                _replace(own, target, columns, select, ONLY_CHANGED)
            elif days and name in BY_DAY:
                among = dict.fromkeys(views, days.created)
                select = staging.of(_from_copies(view.select, among=among))
                _replace(own, target, columns, select, days.created)
            elif days and name == RUNNING:
                # All participants: even one who left long ago tells that participants are loaded.
                among = {"conferences": days.not_ended}
                select = staging.of(_from_copies(view.select, among=among))
                _replace(own, target, columns, f"FROM ({select}) {days.running}", days.running)
            else:
                _replace(own, target, columns, staging.of(_from_copies(view.select)))

    run_concurrently(_uses(views), renew_one)
    return changed is None or _is_whole(connection)


def _published() -> dict[str, View]:
    return {view.name: view for view in read_views() if not view.is_staging}


def _uses(views: Mapping[str, View]) -> dict[str, set[str]]:
    """By name, those of the views that a view uses."""
    return {name: view.uses & views.keys() for name, view in views.items()}


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str | None]]:
    """By view, the columns with their comments."""
    found: dict[str, dict[str, str | None]] = defaultdict(dict)
    for view, name, comment in connection.execute(
        "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE database_name = "
        "current_database() AND schema_name = ? ORDER BY table_name, column_index",
        [ANALYTICS],
    ).fetchall():
        found[view][name] = comment
    return found


def _build(
    connection: duckdb.DuckDBPyConnection,
    view: View,
    select: str,
    columns: Mapping[str, str | None],
) -> None:
    """Make a view a table, with its comments."""
    target = f"{COPY}.{ANALYTICS}.{view.name}"
    connection.execute(f"CREATE TABLE {target} AS SELECT {', '.join(columns)} FROM ({select})")
    statements = [f"COMMENT ON TABLE {target} IS {quoted(view.comment)}"]
    statements += [
        f'COMMENT ON COLUMN {target}."{name}" IS {quoted(comment)}'
        for name, comment in columns.items()
        if comment
    ]
    connection.execute(";".join(statements))


def _replace(
    connection: duckdb.DuckDBPyConnection,
    target: str,
    columns: Iterable[str],
    select: str,
    among: str = "",
) -> None:
    """Write these rows in place of those that were there, all or `among` them."""
    connection.begin()  # both as one: every transaction waits for the disk
    connection.execute(f"DELETE FROM {target} {among}")
    connection.execute(f"INSERT INTO {target} SELECT {', '.join(columns)} FROM ({select})")
    connection.commit()


def _from_copies(
    select: str, but: Collection[str] = (), among: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The SELECT, reading the copy's tables in place of the views, except staging views and those
    in `but`; `among` has, by view, the condition for the rows to read."""
    return re.sub(
        rf"\b{ANALYTICS}\.(\w+)",
        lambda named: (
            named[0]
            if named[1].startswith(STAGING) or named[1] in but
            else f"(FROM {COPY}.{named[0]} {among.get(named[1], '')})"
        ),
        select,
    )


def _are_renamed(connection: duckdb.DuckDBPyConnection, staging: InMemory) -> bool:
    """Whether an account has another name now, which is in rows that did not change."""
    accounts = staging.of(f"{ANALYTICS}.stg_accounts")
    renamed = (
        f"FROM {COPY}.{ANALYTICS}.accounts AS c LEFT JOIN {accounts} AS n "
        "ON n.account_sid = c.account_sid "
        "WHERE c.account_name <> coalesce(n.account_name, c.account_sid) LIMIT 1"
    )
    return connection.execute(renamed).fetchone() is not None


def _are_loaded_further(connection: duckdb.DuckDBPyConnection, staging: InMemory) -> bool:
    """Whether an account has another last full day now, as one that is no longer refused, or
    another first one, as after a backfill that found nothing new."""
    accounts = staging.of(f"{ANALYTICS}.stg_accounts")
    moved = (
        f"FROM {COPY}.{ANALYTICS}.by_account AS c INNER JOIN {accounts} AS n "
        "ON n.account_sid = c.account_sid WHERE n.last_full_date IS DISTINCT FROM c.last_full_date "
        "OR n.first_full_date <> c.first_full_date LIMIT 1"
    )
    return connection.execute(moved).fetchone() is not None


def _is_whole(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the copy has as many conferences, tags and participants as the warehouse."""
    pairs = {"conferences": "conference_summaries", "conference_tags": "conference_tags"}
    pairs |= {"participants": "conference_participants"}
    return all(
        connection.execute(
            f"SELECT (SELECT count(*) FROM {COPY}.{ANALYTICS}.{copied}) "
            f"= (SELECT count(*) FROM {DATASET}.{loaded})"
        ).fetchall()[0][0]
        for copied, loaded in pairs.items()
    )
