"""The conferences that changed since the last copy, and the SQL that reads only these.

A view or a `fail` check derives what it says of a conference from that conference's rows and from
what holds for all, as `stg_as_of`. So it gives the same from the changed conferences' rows alone.
"""

from __future__ import annotations

import duckdb

from pipelines.warehouse.copy.concurrently import run_concurrently
from pipelines.warehouse.copy.in_memory import KEY, InMemory
from pipelines.warehouse.database import ANALYTICS, DATASET
from pipelines.warehouse.definitions import NOT_FINAL, OWNERS, TABLES
from pipelines.warehouse.duckdb_database import IN_MEMORY
from pipelines.warehouse.sql import quoted
from pipelines.warehouse.views import read_views

SIDS = f"{IN_MEMORY}.sids"
ONLY_CHANGED = f"WHERE {KEY} IN (SELECT {KEY} FROM {SIDS})"
OF_PENDING = ("not_pending_for_long", "pending_are_followed")
"""Checks of what is not final, which is all among the changed."""
MOST_ROWS = 40_000
"""Conferences and participants that are copied into memory; more would not fit into what a run has,
and to build the copy anew takes hardly longer."""


class CannotRenewError(Exception):
    """The last copy is damaged, or the warehouse differs in more than what was loaded since, as in
    the name of an account, or in very much: rebuild it."""


def take_changed(
    connection: duckdb.DuckDBPyConnection, load_id: str, staging: InMemory
) -> InMemory:
    """Copy into memory the rows of tables and views, those in `staging` apart, that later packages
    than this one wrote, and those that are not final; not in a transaction.

    Raises:
        CannotRenewError: they are too many.
    """
    found = connection.execute(
        "SELECT schema_name || '.' || table_name, list_contains(list(column_name), '_dlt_load_id') "
        "FROM duckdb_columns() WHERE database_name = current_database() "
        "AND schema_name IN (?, ?) GROUP BY ALL HAVING list_contains(list(column_name), ?)",
        [DATASET, ANALYTICS, KEY],
    ).fetchall()
    later = (
        f"_dlt_load_id NOT IN (SELECT load_id FROM {DATASET}._dlt_loads WHERE rowid <= "
        f"(SELECT min(rowid) FROM {DATASET}._dlt_loads WHERE load_id = {quoted(load_id)}))"
    )
    views = {f"{ANALYTICS}.{view.name}": view for view in read_views()}
    of_us = views.keys() | {f"{DATASET}.{table}" for table in TABLES}
    of_conferences = dict(each for each in found if each[0] in of_us)
    sids = [
        f"SELECT {KEY} FROM {name} WHERE {later}" for name, own in of_conferences.items() if own
    ]
    sids += [f"SELECT parent_key FROM {DATASET}._listings WHERE {later}"]
    sids += [
        f"SELECT {KEY} FROM {DATASET}.{table} WHERE {rows}" for table, rows in NOT_FINAL.items()
    ]
    sids += [
        f"SELECT {KEY} FROM {DATASET}.{owner} WHERE {key} IN "
        f"(SELECT {key} FROM {DATASET}.{table} WHERE {later})"
        for table, (owner, key) in OWNERS.items()
    ]
    connection.execute(f"CREATE OR REPLACE TABLE {SIDS} AS {' UNION '.join(sids)}")
    records = [f"SELECT {KEY} FROM {DATASET}.{table} {ONLY_CHANGED}" for table in NOT_FINAL]
    counted = f"SELECT count(*) FROM ({' UNION ALL '.join(records)} LIMIT {MOST_ROWS + 1})"
    if connection.execute(counted).fetchall()[0][0] > MOST_ROWS:
        raise CannotRenewError
    views = {name: view for name, view in views.items() if name in of_conferences}
    rows_of = {name: ONLY_CHANGED for name in of_conferences if name.startswith(f"{DATASET}.")}
    uses: dict[str, set[str]] = {name: set() for name in rows_of}
    for table, (owner, key) in OWNERS.items():
        owned = f"{key} IN (SELECT {key} FROM {IN_MEMORY}.{DATASET}_{owner})"
        rows_of[f"{DATASET}.{table}"] = f"WHERE {owned} OR {later}"
        uses[f"{DATASET}.{table}"] = {f"{DATASET}.{owner}"}
    changed = InMemory(staging.names | rows_of.keys() | views.keys())

    def take(name: str) -> None:
        if name in views:
            select = changed.of(views[name].select)
        else:
            # By row ids, since DuckDB then reads only the parts of the other columns with them.
            ids = f"SELECT rowid FROM {name} {rows_of[name]}"
            select = f"FROM {name} WHERE rowid IN ({ids})"
        with connection.cursor() as own:
            own.execute(f"CREATE OR REPLACE TABLE {changed.of(name)} AS {select}")

    for name, view in views.items():
        uses[name] = {f"{ANALYTICS}.{other}" for other in view.uses} & views.keys() | rows_of.keys()
    run_concurrently(uses, take)
    return changed
