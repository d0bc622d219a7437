"""Views of PostgreSQL, which can be replaced only by ones with the same columns and some more."""

from __future__ import annotations

from collections.abc import Callable

from psycopg2 import errorcodes

from pipelines.warehouse.database import ANALYTICS, Database, Rows, StatementError
from pipelines.warehouse.views import read_views
from pipelines.warehouse.warehouse import BusyError, WarehouseError

PATIENCE = 5
"""Seconds that a change of a view waits for readers: all who come after it wait with it."""
_GRANTED = """
    SELECT coalesce(quote_ident(r.rolname), 'PUBLIC'), a.privilege_type, a.is_grantable
    FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
    LEFT JOIN pg_roles AS r ON r.oid = a.grantee
    WHERE c.oid = to_regclass(%s) AND a.grantee <> c.relowner
"""
_READERS = """
    SELECT DISTINCT s.usename, s.application_name FROM pg_locks AS l
    JOIN pg_stat_activity AS s ON s.pid = l.pid JOIN pg_class AS c ON c.oid = l.relation
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND l.granted AND l.pid <> pg_backend_pid() ORDER BY 1, 2
"""
Native = Callable[..., Rows]


class PostgresViews:
    """Makes those of `analytics`.

    Args:
        database: runs what sqlglot carries over.
        native: runs PostgreSQL's own.
    """

    def __init__(self, database: Database, native: Native) -> None:
        self._database, self._native = database, native
        self._granted: dict[str, Rows] = {}
        """Of views that were dropped, and are not made again yet."""

    def replace(self, name: str, select: str) -> None:
        """Make a view, or make it anew, in a transaction; one that is to have other columns than
        before is dropped, with those of ours that are made after it. What was granted on it stays.

        Raises:
            StatementError: the engine refuses it.
            BusyError: somebody is reading it, and does not end.
            WarehouseError: a view or function of others is made of one that is to be dropped.
        """
        native = self._native
        native(f"SET LOCAL lock_timeout = '{PATIENCE}s'")
        native("SAVEPOINT before_view")
        try:
            try:
                self._database.execute(f"CREATE OR REPLACE VIEW {name} AS {select}")
            except StatementError as error:
                if _code(error) != errorcodes.INVALID_TABLE_DEFINITION:
                    raise
                native("ROLLBACK TO SAVEPOINT before_view")
                self._drop_from(name)
                self._database.execute(f"CREATE VIEW {name} AS {select}")
        except WarehouseError as error:
            if _code(error) not in (errorcodes.LOCK_NOT_AVAILABLE, errorcodes.DEADLOCK_DETECTED):
                raise
            native("ROLLBACK TO SAVEPOINT before_view")
            readers = [f"{role} ({what or '?'})" for role, what in native(_READERS, [ANALYTICS])]
            raise BusyError(
                f"{name} is to be changed, and is being read by {', '.join(readers) or 'others'}. "
                "What was loaded is there; the next run changes the view"
            ) from error
        self._grant(name)
        native("RELEASE SAVEPOINT before_view")

    def _drop_from(self, name: str) -> None:
        names = [f"{ANALYTICS}.{view.name}" for view in read_views()]
        try:
            for each in reversed(names[names.index(name) :]):
                self._granted[each] = self._native(_GRANTED, [each])
                self._database.execute(f"DROP VIEW IF EXISTS {each}")
        except StatementError as error:
            if _code(error) != errorcodes.DEPENDENT_OBJECTS_STILL_EXIST:
                raise
            said = str(error).partition("DETAIL:")[2].partition("HINT:")[0].split("\n")
            raise WarehouseError(
                f"{name} gets other columns, but {'; '.join(said).strip('; ')}: drop what is yours "
                "there, run again, and make it anew"
            ) from error

    def _grant(self, name: str) -> None:
        """As before it was dropped, whatever default privileges say of new ones."""
        if (granted := self._granted.pop(name, None)) is None:
            return
        for grantee, *_ in self._native(_GRANTED, [name]):
            self._native(f"REVOKE ALL ON {name} FROM {grantee}")
        for grantee, privilege, may_grant in granted:
            option = " WITH GRANT OPTION" if may_grant else ""
            self._native(f"GRANT {privilege} ON {name} TO {grantee}{option}")


def _code(error: Exception) -> str | None:
    return getattr(error.__cause__, "pgcode", None)
