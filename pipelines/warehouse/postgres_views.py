"""Views of PostgreSQL, which can be replaced only by ones with the same columns and some more."""

from __future__ import annotations

from collections.abc import Callable

from psycopg2 import errorcodes

from pipelines.warehouse.database import ANALYTICS, Database, StatementError
from pipelines.warehouse.views import read_views
from pipelines.warehouse.warehouse import WarehouseError


def replace_view(
    database: Database, native: Callable[[str], object], name: str, select: str
) -> None:
    """Make a view, or make it anew, in a transaction; one that is to have other columns than
    before is dropped, with those of ours that are made after it. What was granted on them is gone,
    unless default privileges grant it again.

    Args:
        native: runs what sqlglot does not know.

    Raises:
        StatementError: the engine refuses it.
        WarehouseError: a view or function of others is made of one that is to be dropped.
    """
    native("SAVEPOINT before_view")
    try:
        database.execute(f"CREATE OR REPLACE VIEW {name} AS {select}")
    except StatementError as error:
        if _code(error) != errorcodes.INVALID_TABLE_DEFINITION:
            raise
        native("ROLLBACK TO SAVEPOINT before_view")
        _drop_from(database, name)
        database.execute(f"CREATE VIEW {name} AS {select}")
    native("RELEASE SAVEPOINT before_view")


def _drop_from(database: Database, name: str) -> None:
    names = [f"{ANALYTICS}.{view.name}" for view in read_views()]
    try:
        for each in reversed(names[names.index(name) :]):
            database.execute(f"DROP VIEW IF EXISTS {each}")
    except StatementError as error:
        if _code(error) != errorcodes.DEPENDENT_OBJECTS_STILL_EXIST:
            raise
        others = "; ".join(str(error).partition("DETAIL:")[2].partition("HINT:")[0].split("\n"))
        raise WarehouseError(
            f"{name} gets other columns, but {others.strip('; ')}: drop what is yours there, run "
            "again, and make it anew"
        ) from error


def _code(error: StatementError) -> str | None:
    return getattr(error.__cause__, "pgcode", None)
