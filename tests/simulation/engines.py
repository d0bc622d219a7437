"""What a seed has its warehouse in, a DuckDB file or a PostgreSQL server, and what befalls each."""

from __future__ import annotations

import atexit
import itertools
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import duckdb

from pipelines.warehouse.database import Database
from pipelines.warehouse.duckdb_database import DuckDb
from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.postgres.warehouse import PostgresWarehouse
from tests.postgres_server import PostgresTestServer, started
from tests.simulation import warehouse
from tests.simulation.lake import EVENTS, Lake
from tests.simulation.worker import BrokenError

if TYPE_CHECKING:
    from tests.simulation.months import Months

STATEMENTS = {
    "schema": 1,
    "write": 10,
    "completed": 1,
    "before COMMIT": 1,
    "after COMMIT": 1,
    "record": 10,
    "view": 30,
}
AT_FIRST = ("schema", "view")
"""What a run does only in a new warehouse."""
FILES = {"extract": 31, "normalize": 36, "load": 105, "state": 32, "views": 50}


class Engine(ABC):
    """The warehouse of one seed.

    Attributes:
        name: of the engine.
        kills: kinds of moments at which a run can be killed, and about how many of each it has.
        events: what can happen to the warehouse.
        environment: tells the command where it is.
        has_neighbour: whether others may load accounts of their own into it at the same time.
        was_cut: whether the server failed the last run.
        lake: what it is published to.
    """

    name: ClassVar[str]
    kills: ClassVar[dict[str, int]]
    events: ClassVar[tuple[str, ...]]
    environment: dict[str, str]
    has_neighbour = False
    was_cut = False
    lake: Lake | None = None

    @abstractmethod
    def open(self) -> AbstractContextManager[Database]: ...

    def read(self) -> warehouse.Stored:
        with self.open() as database:
            return warehouse.read(database)

    @abstractmethod
    def disturb(self, months: Months) -> None:
        """Between runs people and machines do things to it."""

    @abstractmethod
    def meanwhile(self, months: Months, began: int) -> Callable[[str], None]:
        """What is called at each moment of a run, and does something to it at one."""

    @abstractmethod
    def stale(self, turn: int) -> list[str]:
        """Views whose readers see something else than the tables say. They take turns."""

    @abstractmethod
    def settle(self) -> None:
        """Wait for the end of what ended runs have left behind."""

    @abstractmethod
    def close(self) -> None:
        """The seed is done."""


class File(Engine):
    """A DuckDB file and what is beside it."""

    name = "DuckDB"
    kills: ClassVar = {**FILES, **STATEMENTS, "status file": 17, "publish": 10, "lake": 9}
    events = (
        "old copy put back",
        "working folder lost",
        "torn log",
        "folder copied in mid-run",
        *EVENTS,
    )

    def __init__(self, folder: Path, has_lake: bool = False) -> None:
        self.folder, self.path = folder, folder / "warehouse.duckdb"
        self.log = folder / "warehouse.duckdb.wal"
        self.work = folder / "warehouse.duckdb.dlt"
        self.lake = Lake(folder / "lake", self.path) if has_lake else None
        self.environment = {"PUBLISH__LAKE": str(self.lake.folder)} if self.lake else {}
        self.copied_at: int | None = None
        """When the run began that wrote what the copied folder has."""

    @contextmanager
    def open(self) -> Iterator[Database]:
        is_there = self.path.exists()
        with duckdb.connect(self.path if is_there else ":memory:", read_only=is_there) as opened:
            yield DuckDb(opened)

    def disturb(self, months: Months) -> None:
        event, copy = months.dice.random(), self.folder / "copy"
        if event < 0.07 and copy.exists():
            shutil.copy(copy, self.path)
            self.log.unlink(missing_ok=True)
            months.restore("old copy put back")
        elif event < 0.12:
            shutil.rmtree(self.work, ignore_errors=True)
            months.note("working folder lost")
        elif event < 0.3 and self.path.exists() and not self.log.exists():
            shutil.copy(self.path, copy)
        elif event < 0.45 and self.copied_at:
            for place in self.folder.glob("warehouse.duckdb*"):
                shutil.rmtree(place) if place.is_dir() else place.unlink()
            shutil.copytree(self.folder / "midway", self.folder, dirs_exist_ok=True)
            months.invariants.killed_at = self.copied_at
            months.restore("folder copied in mid-run")
        elif self.log.exists() and months.dice.random() < 0.6:
            self._tear(months)

    def _tear(self, months: Months) -> None:
        """What was written last is lost, as if the power had failed."""
        size = self.log.stat().st_size
        with self.log.open("r+b") as file:
            file.truncate(months.dice.choice([0, size // 2, size - 1, months.dice.randrange(size)]))
        months.restore("torn log")

    def meanwhile(self, months: Months, began: int) -> Callable[[str], None]:
        """Copies database and log at a moment of the run, and the working folder at a later one."""
        place, seen = self.folder / "midway", itertools.count(1)
        first = months.dice.randrange(10, 450)
        second = first + months.dice.choice([0, months.dice.randrange(150)])

        def waiting(_: str) -> None:
            moment = next(seen)
            if moment == first:
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                self.copied_at = None
                for file in (self.path, self.log):
                    if file.exists():
                        shutil.copy(file, place)
            if moment == second and (place / self.path.name).exists():
                shutil.copytree(self.work, place / self.work.name)
                # It may hold a package that an earlier run left, and this one loads first.
                self.copied_at = months.invariants.killed_at or began

        return waiting

    def stale(self, turn: int) -> list[str]:
        """The published copy, if there is one, is to be what the views say."""
        published = self.path.with_name("warehouse.published") / "current/insights.duckdb"
        if not published.exists():
            return []
        return warehouse.different_in_copy(published, self.path, turn)

    def settle(self) -> None:
        pass

    def close(self) -> None:
        pass


@cache
def _server() -> PostgresTestServer:
    """The one of this process."""
    running = ExitStack()
    atexit.register(running.close)
    return running.enter_context(started())


class Server(Engine):
    """A database of a PostgreSQL server, which other seeds of this process have had before."""

    name = "PostgreSQL"
    kills: ClassVar = {**FILES, **STATEMENTS, "write": 30}
    events = (
        "old copy put back",
        "server stopped",
        "server down",
        "sessions ended",
        "neighbour at once",
    )
    has_neighbour = True

    def __init__(self, folder: Path) -> None:
        self.folder, self.server = folder, _server()
        made, self.role = self.server.new_database(), self.server.new_role()
        self.server.set_otherwise(made)
        self.database = made.rpartition("/")[2]
        self.server.execute(f"ALTER DATABASE {self.database} OWNER TO {self.role}")
        self.url = self.server.url_of(self.database, self.role, "secret")
        self.environment = {
            "DESTINATION_TYPE": "postgres",
            "DESTINATION__POSTGRES__CREDENTIALS": self.url,
            "TMPDIR": str(folder),
        }
        self.has_copy = False
        self.twin = warehouse.Twin()

    def open(self) -> AbstractContextManager[PostgresWarehouse]:
        return PostgresServer(self.url).read()

    def disturb(self, months: Months) -> None:
        event, copy = months.dice.random(), f"{self.database}_copy"
        if event < 0.15 and self.has_copy:
            self._copy(copy, self.database)
            months.restore("old copy put back")
        elif event < 0.4:
            self._copy(self.database, copy)
            self.has_copy = True

    def _copy(self, database: str, into: str) -> None:
        self.server.execute(f"DROP DATABASE IF EXISTS {into} WITH (FORCE)")
        of = f"OWNER {self.role} TEMPLATE {database} STRATEGY file_copy"
        self.server.execute(f"CREATE DATABASE {into} {of}")

    def meanwhile(self, months: Months, began: int) -> Callable[[str], None]:
        """Stops the server, or ends all sessions, at a statement of the run."""
        kinds = [
            kind
            for kind in STATEMENTS
            if not (months.invariants.stored.summaries and kind in AT_FIRST)
        ]
        kind, left = months.death(months.dice.choice(kinds))
        event = months.dice.choice(["server stopped", "server down", "sessions ended"])

        def waiting(moment: str) -> None:
            nonlocal left
            left -= moment == kind
            if left or self.was_cut:
                return
            self.was_cut = True
            months.note(event, f"at {kind}")
            if event == "sessions ended":
                self.server.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    f"WHERE datname = '{self.database}'"
                )
            else:
                self.server.stop()
            if event == "server stopped":
                self.server.start()

        return waiting

    def settle(self) -> None:
        if self.server.process is None:
            self.server.start()
        deadline = time.monotonic() + 20
        of = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{self.database}'"
        while self.server.execute(of):
            if time.monotonic() > deadline:
                raise BrokenError("the server has sessions of runs that are no more")
            time.sleep(0.01)

    def close(self) -> None:
        self.twin.database.connection.close()
        for database in (self.database, f"{self.database}_copy"):
            self.server.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        self.server.execute(f"DROP ROLE {self.role}")

    def stale(self, turn: int) -> list[str]:
        """The views are to have the rows that DuckDB's have for the same tables."""
        with self.open() as server:
            self.twin.fill(server, self.folder)
            return warehouse.different(server, self.twin.database, turn)


SHARE = 3
"""One seed in so many is on a server."""


def engine_of(seed: int) -> type[File | Server]:
    return File if seed % SHARE else Server
