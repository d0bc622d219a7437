"""Tells of every statement that the program gives to an engine, whichever way it takes."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, ClassVar

import duckdb
import psycopg2
from psycopg2 import extensions

BEGIN, COMMIT, ROLLBACK, COMMITTED = "BEGIN", "COMMIT", "ROLLBACK", "COMMITTED"
"""Moments of a transaction; the last is the one after a COMMIT that succeeded."""
_BEGINS = re.compile(r"\s*(BEGIN|START)\b", re.IGNORECASE)
_ENDS = re.compile(r"(?i)\b(COMMIT|END)(\s+TRANSACTION)?[\s;]*$")


def watch_statements(tell: Callable[[str], None]) -> None:
    """From now on `tell` gets each statement before it runs.

    DuckDB's class cannot be changed, so each connection is given out inside of another object.
    """

    class Cursor(extensions.cursor):  # type: ignore[misc]
        def execute(self, query: Any, parameters: Any = None) -> None:
            text = query if isinstance(query, str) else query.as_string(self)
            self._do(text, super().execute, query, parameters)

        def copy_expert(self, sql: str, *arguments: Any) -> None:
            self._do(sql, super().copy_expert, sql, *arguments)

        def _do(self, text: str, call: Callable[..., None], *arguments: Any) -> None:
            tell(text)
            call(*arguments)
            if _ENDS.search(text):
                tell(COMMITTED)

    psycopg2.connect = functools.partial(psycopg2.connect, cursor_factory=Cursor)
    connect = duckdb.connect

    @functools.wraps(connect)
    def watched(*arguments: Any, **named: Any) -> Any:
        return _Watched(connect(*arguments, **named), tell)

    duckdb.connect = watched


class _Watched:
    """A connection, or a cursor of it."""

    __class__: ClassVar[Any] = duckdb.DuckDBPyConnection  # dlt asks for it

    def __init__(self, connection: Any, tell: Callable[[str], None]) -> None:
        self._connection, self._tell = connection, tell

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def __enter__(self) -> _Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def execute(self, query: Any, *arguments: Any, **named: Any) -> Any:
        return self._do(str(query), self._connection.execute, query, *arguments, **named)

    def executemany(self, query: Any, *arguments: Any, **named: Any) -> Any:
        return self._do(str(query), self._connection.executemany, query, *arguments, **named)

    def sql(self, query: Any, *arguments: Any, **named: Any) -> Any:
        return self._do(str(query), self._connection.sql, query, *arguments, **named)

    def begin(self) -> Any:
        return self._do(BEGIN, self._connection.begin)

    def commit(self) -> Any:
        return self._do(COMMIT, self._connection.commit)

    def rollback(self) -> Any:
        return self._do(ROLLBACK, self._connection.rollback)

    def cursor(self) -> _Watched:
        return _Watched(self._connection.cursor(), self._tell)

    def duplicate(self) -> _Watched:
        return _Watched(self._connection.duplicate(), self._tell)

    def _do(self, query: str, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        self._tell(query)
        answer = call(*arguments, **named)
        if _ENDS.search(query):
            self._tell(COMMITTED)
        return answer


class Kinds:
    """Which statements of a run are moments worth a kill, and of which kind."""

    def __init__(self) -> None:
        self._loading: bool | None = None
        """Whether the open transaction, if there is one, has written rows of a load package."""

    def of(self, statement: str) -> str | None:
        if _BEGINS.match(statement):
            self._loading = False
            return None
        if statement == ROLLBACK:
            self._loading = None
            return None
        if _ENDS.search(statement):
            return "before COMMIT" if self._loading else None
        if statement == COMMITTED:
            was, self._loading = self._loading, None
            return "after COMMIT" if was else None
        if _MAKES.match(statement):
            return "schema"
        if _MAKES_VIEW.match(statement):
            return "view"
        if not (found := _WRITES.match(statement)) or found["table"] in _AFTERWARDS:
            return None
        if found["table"] == "_runs":
            return "record"
        if self._loading is not None:
            self._loading = True
        return "completed" if found["table"] == "_dlt_loads" else "write"


_DATASET = r'"?(?:conference_insights|pg_temp)"?'
_WRITES = re.compile(
    r"\s*(INSERT(\s+OR\s+REPLACE)?\s+INTO|DELETE\s+FROM|UPDATE|MERGE\s+INTO|TRUNCATE\s+TABLE|COPY)\s+"
    rf'{_DATASET}\."?(?:received_)?(?P<table>\w+)',
    re.IGNORECASE,
)
_MAKES = re.compile(rf"\s*(CREATE|ALTER)\s+(SCHEMA|TABLE)\s+{_DATASET}", re.IGNORECASE)
_MAKES_VIEW = re.compile(r"\s*(CREATE(\s+OR\s+REPLACE)?|DROP)\s+VIEW", re.IGNORECASE)
_AFTERWARDS = {"_checks", "_report", "_report_hours"}
