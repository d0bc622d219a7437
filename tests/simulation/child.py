"""The real command in a process of its own, which may kill itself at a chosen moment."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import dlt.destinations.impl.duckdb.duck
import dlt.sources.helpers.requests
import httpcore
import pyarrow.parquet
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

import pipelines.packages
import pipelines.terminal
import pipelines.twilio_insights.drift
from pipelines.command_line import main
from pipelines.twilio_insights import client

PRELOADED = (
    dlt.destinations.impl.duckdb.duck,
    dlt.sources.helpers.requests,
    httpcore,
    pyarrow.parquet,
    pipelines.twilio_insights.drift,
)
"""What the command imports late is here before a process is forked off."""


class Wire(Protocol):
    """The end of a pipe: takes runs, gives the kind of moment of its death, or the exit code."""

    def recv(self) -> tuple[list[str], tuple[str, int] | None]: ...
    def send(self, said: str | int, /) -> None: ...


class Death:
    """Watches files and statements for the n-th moment of a kind, and kills the process then."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.kind, self.left = "", 0
        sys.addaudithook(self._audit)
        real: Callable[..., Any] = DuckDbSqlClient.execute_query

        @contextmanager
        def execute_query(client: DuckDbSqlClient, query: str, *values: Any) -> Iterator[Any]:
            self._reached(_of_statement(query))
            with real(client, query, *values) as cursor:
                yield cursor

        DuckDbSqlClient.execute_query = execute_query  # type: ignore[assignment,method-assign]

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.kind and event in _FILE_EVENTS:
            self._reached(_of_file(str(arguments[0])))

    def _reached(self, kind: str | None) -> None:
        if kind == self.kind and self.left:
            self.left -= 1
            if not self.left:
                self.wire.send(kind)
                os.kill(os.getpid(), signal.SIGKILL)


_FILE_EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree")


def work(wire: Wire, folder: Path, environment: dict[str, str], package_rows: int) -> None:
    """Run `conference-insights` as often as the wire says, until it is closed."""
    os.chdir(folder)
    os.environ.update(environment)
    output = os.open(folder / "output.txt", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(output, 1)
    os.dup2(output, 2)
    client.MAX_BACKOFF = 0.002
    client.MAX_BODY_BYTES = 8 << 20
    pipelines.packages.PACKAGE_ROWS = package_rows
    death = Death(wire)
    while True:
        try:
            arguments, chosen = wire.recv()
        except EOFError:
            return
        os.ftruncate(output, 0)
        death.kind, death.left = chosen or ("", 0)
        sys.argv[1:] = arguments
        random.seed(0)
        try:
            main()
        except SystemExit as ended:
            wire.send(int(ended.code or 0))


def _of_file(path: str) -> str | None:
    if "/sql/analytics/" in path:
        return "views"
    if "/published" in path:
        return "publish"
    if ".status.json" in path:
        return "status file"
    _, inside, rest = path.partition("warehouse.duckdb.dlt/conference_insights/")
    if not inside:
        return None
    if rest.startswith(("normalize/extracted", "normalize/new")):
        return "extract"
    return rest.split("/")[0] if rest.startswith(("normalize/", "load/")) else "state"


def _of_statement(query: str) -> str | None:
    words = query.split(maxsplit=2)
    if words[0] in ("CREATE", "ALTER"):
        return "schema"
    if words[0] not in ("INSERT", "DELETE", "UPDATE", "BEGIN", "COMMIT", "TRUNCATE"):
        return None
    if "_dlt_loads" in query:
        return "completed"
    return "staging" if words[0] == "INSERT" and "_staging" in words[2][:40] else "merge"
