"""One copy: the views as plain tables, in a file that is attached to the warehouse."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path
from types import MappingProxyType

import duckdb

from pipelines.files import where_supported
from pipelines.warehouse.changed import ONLY_CHANGED
from pipelines.warehouse.concurrently import run_concurrently
from pipelines.warehouse.database import ANALYTICS, DATASET
from pipelines.warehouse.in_memory import IN_MEMORY, KEY, InMemory
from pipelines.warehouse.sql import quoted
from pipelines.warehouse.views import STAGING, View, read_views

OF_RUNS = ("accounts", "checks", "data_as_of", "freshness", "load_history")
"""Views of the runs, which change even if a run wrote nothing."""
BY_DAY = (
    "completeness_by_day",
    "concurrency_peaks",
    "conference_kpis_daily",
    "conference_length",
    "conference_length_buckets",
    "conference_quality",
    "participant_quality",
    "region_mismatch",
)
"""Views whose rows of a day depend on the conferences of that day alone."""
RUNNING = "concurrency_by_hour"
"""The view whose rows of a day depend on all conferences that had not ended before it."""
COPY_STORAGE_VERSION = "v1.2.0"
"""Engines from DuckDB 1.2 on open such a file; the default of 2.0 opens in nothing older."""
ROW_GROUP = 61_440
"""Rows that are stored together, half of the default. A table that has fewer is not written until
the end, by one thread: with the default, a third of what a copy of 100,000 conferences took."""
COPY = "__published_copy"
"""Its name while it is attached, which no warehouse has."""


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
        # Views without a key have nothing personal, so they need none of it.
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
    days = since = ""
    if changed:
        _take_former(connection)
        days, since = _days(connection, changed), _running_since(connection, staging, changed)
    views = {n: view for n, view in _published().items() if changed or n in OF_RUNS}

    def renew_one(name: str) -> None:
        view, target = views[name], f"{COPY}.{ANALYTICS}.{name}"
        with connection.cursor() as own:
            columns = [name for name, *_ in own.table(target).description]
            if changed and KEY in columns:
                select = f"FROM {changed.of(f'{ANALYTICS}.{name}')}"
                _replace(own, target, columns, select, ONLY_CHANGED)
            elif changed and name in BY_DAY:
                select = staging.of(_from_copies(view.select, among=dict.fromkeys(views, days)))
                _replace(own, target, columns, select, days)
            elif changed and name == RUNNING:
                # All participants: even one who left long ago tells that participants are loaded.
                among = {"conferences": f"WHERE end_time >= {since} - 1 OR end_time IS NULL"}
                select = staging.of(_from_copies(view.select, among=among))
                rows = f"WHERE running_date >= {since}"
                _replace(own, target, columns, f"FROM ({select}) {rows}", rows)
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
    """The SELECT, from the copy's tables instead of the views they were made of, `but` some, and
    `among` some of the rows of others."""
    return re.sub(
        rf"\b{ANALYTICS}\.(\w+)",
        lambda named: (
            named[0]
            if named[1].startswith(STAGING) or named[1] in but
            else f"(FROM {COPY}.{named[0]} {among.get(named[1], '')})"
        ),
        select,
    )


def _take_former(connection: duckdb.DuckDBPyConnection) -> None:
    """Copy into memory what the copy has of the changed conferences, before it is replaced."""
    for name, (_, columns) in _OF_RUNNING.items():
        rows = f"SELECT {columns} FROM {COPY}.{ANALYTICS}.{name} {ONLY_CHANGED}"
        connection.execute(f"CREATE OR REPLACE TABLE {_FORMER.format(name)} AS {rows}")


def _days(connection: duckdb.DuckDBPyConnection, changed: InMemory) -> str:
    """A condition for the days that the changed conferences are of now, or were of before."""
    found = connection.execute(
        f"SELECT created_date FROM {changed.of(f'{ANALYTICS}.conferences')} UNION "
        f"SELECT created_date FROM {_FORMER.format('conferences')}"
    ).fetchall()
    days = "".join(f", DATE '{day}'" for (day,) in found if day)
    return f"WHERE created_date IN (NULL{days}) OR created_date IS NULL"


def _running_since(
    connection: duckdb.DuckDBPyConnection, staging: InMemory, changed: InMemory
) -> str:
    """A day, in UTC as in the report's zone, before which nothing that ran is other than in the
    copy, and until which the copy has rows, if the view does. Where one of them has none, the first
    of all."""
    of_copy = f"SELECT max(running_date) AS day FROM {COPY}.{ANALYTICS}.{RUNNING}"
    of_view = f"SELECT max(as_of_date) FROM {staging.of(f'{ANALYTICS}.stg_as_of')}"
    first = "CAST('-infinity' AS DATE)"
    days = [f"SELECT coalesce(day, {first}) FROM ({of_copy} UNION ALL {of_view})"]
    for name, (day, columns) in _OF_RUNNING.items():
        is_now = f"SELECT {columns} FROM {changed.of(f'{ANALYTICS}.{name}')}"
        both = permutations((is_now, f"FROM {_FORMER.format(name)}"))
        days += [f"SELECT {day} FROM ({one} EXCEPT {other})" for one, other in both]
    # Its hours begin less than a day before or after those of UTC.
    found = connection.execute(
        f"SELECT CAST(min(day) - 1 AS VARCHAR) FROM ({' UNION ALL '.join(days)}) AS found (day)"
    ).fetchall()
    return f"CAST('{found[0][0]}' AS DATE)"


_FORMER = f"{IN_MEMORY}.former_{{}}"
_OF_RUNNING = {
    "conferences": (
        "least(created_date, CAST(start_time AS DATE))",
        f"{KEY}, account_sid, created_date, created_hour, start_time, end_time, completeness, "
        "is_not_started, max_concurrent_participants",
    ),
    "participants": (
        "CAST(join_time AS DATE)",
        "participant_sid, account_sid, join_time, leave_time, participant_completeness",
    ),
}
"""Of the views that it reads: the first day that a row has to do with, and what it depends on."""


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
    """Whether an account, as one that is no longer refused, has another last full day now."""
    accounts = staging.of(f"{ANALYTICS}.stg_accounts")
    moved = (
        f"FROM {COPY}.{ANALYTICS}.by_account AS c INNER JOIN {accounts} AS n "
        "ON n.account_sid = c.account_sid WHERE n.last_full_date <> c.last_full_date LIMIT 1"
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
