"""The real command in a process of its own, which may kill itself, or wait, at a chosen moment."""

from __future__ import annotations

import os
import random
import re
import signal
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import deltalake
import deltalake.fs
import dlt.destinations.impl.duckdb.duck
import dlt.destinations.impl.postgres.postgres
import dlt.sources.helpers.requests
import httpcore
import pyarrow.csv
import pyarrow.parquet
import sqlglot.generators.postgres

import pipelines.cli.console
import pipelines.run.packages
import pipelines.twilio_insights.extract.drift
from pipelines.cli.command_line import main
from pipelines.twilio_insights.api import client, clock, transport
from tests.simulation.statements import Kinds, watch_statements

PRELOADED = (
    deltalake.fs,
    dlt.destinations.impl.duckdb.duck,
    dlt.destinations.impl.postgres.postgres,
    dlt.sources.helpers.requests,
    httpcore,
    pyarrow.csv,
    pyarrow.parquet,
    sqlglot.generators.postgres,
    pipelines.twilio_insights.extract.drift,
)
"""What the command imports late is here before a process is forked off."""


class Wire(Protocol):
    """The end of a pipe: takes runs, gives moments and the exit code.

    A run is its arguments, the kind and number of the moment of its death, and whether it waits at
    every moment until it is told to go on. A pair is the moment of its death, or one it waits at.
    """

    def recv(self) -> tuple[list[str], tuple[str, int] | None, bool]: ...
    def send(self, said: tuple[str, str] | int, /) -> None: ...


class Moments:
    """Watches files and statements; kills the process at the n-th moment of a kind."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.kind, self.left = "", 0
        self.waits = False
        self._kinds, self._lock = Kinds(), threading.RLock()
        sys.addaudithook(self._audit)
        watch_statements(self._tell)
        # It opens its files itself, unseen by the audit.
        deltalake.write_deltalake = self._before("lake", deltalake.write_deltalake)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if (self.kind or self.waits) and event in _FILE_EVENTS:
            self._reached(_of_file(str(arguments[0])))

    def _before(self, kind: str, write: Callable[..., Any]) -> Callable[..., Any]:
        def told(*arguments: Any, **named: Any) -> Any:
            self._reached(kind)
            return write(*arguments, **named)

        return told

    def _tell(self, statement: str) -> None:
        self._reached(self._kinds.of(statement))

    def _reached(self, kind: str | None) -> None:
        if kind is None:
            return
        if self.waits:
            with self._lock:
                self.wire.send(("waits", kind))
                self.wire.recv()
        if kind == self.kind and self.left:
            self.left -= 1
            if not self.left:
                self.wire.send(("dies", kind))
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
    transport.MAX_BODY_BYTES = 8 << 20
    clock.MAX_APART = timedelta.max  # this machine's clock knows nothing of simulated months
    pipelines.run.packages.PACKAGE_ROWS = package_rows
    moments = Moments(wire)
    while True:
        try:
            arguments, chosen, waits = wire.recv()
        except EOFError:
            return
        os.ftruncate(output, 0)
        moments.kind, moments.left = chosen or ("", 0)
        moments.waits = waits
        sys.argv[1:] = arguments
        random.seed(0)
        try:
            main()
        except SystemExit as ended:
            moments.waits = False
            wire.send(int(ended.code or 0))


_OF_DLT = re.compile(
    r"(?:/warehouse\.duckdb\.dlt|/conference-insights-\w+\.packages)/conference_insights/(.*)"
)


def _of_file(path: str) -> str | None:
    if "/sql/analytics/" in path:
        return "views"
    if ".published" in path:
        return "publish"
    if ".status.json" in path:
        return "status file"
    if not (found := _OF_DLT.search(path)):
        return None
    rest = found[1]
    if rest.startswith(("normalize/extracted", "normalize/new")):
        return "extract"
    return rest.split("/")[0] if rest.startswith(("normalize/", "load/")) else "state"
