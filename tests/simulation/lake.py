"""The lake of a seed, and a reader that looks at it at random moments, also while a run goes on."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from pipelines.lake_spark import read
from pipelines.warehouse.lake.commits import COMMITS
from tests.lakes import CONFERENCES, DATASET, Rows, rows_of, state_in_duckdb
from tests.simulation.worker import BrokenError

EVENTS = ("lake read", "lake equal")
"""Another state was read than before; after a good run, lake and warehouse were equal."""
_TABLES = [name.removeprefix(f"{DATASET}.") for name in CONFERENCES]


class _Table(NamedTuple):
    """A table as it was read."""

    versions: dict[str, int]
    files: list[Path]
    rows: Counter[Any]


class _Reader:
    """Reads what was committed last: of the tables only those that have another version than
    before, while the files of the others must still be there."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._log = folder, folder / COMMITS / "_delta_log"
        self._commits: list[str] = []
        self._tables: dict[str, _Table] = {}

    def rows(self) -> Rows:
        """None as long as nothing is committed."""
        if not (self._log / f"{0:020}.json").exists():
            return {}
        if (commits := sorted(path.name for path in self._log.iterdir())) != self._commits:
            self._read()
            self._commits = commits
        for table in self._tables.values():
            for file in table.files:
                file.stat()
        return {name: table.rows for name, table in self._tables.items()}

    def _read(self) -> None:
        state = read(str(self._folder))
        if not state.commits:
            self._tables = {}
            return
        versions = {name: state.versions(name) for name in _TABLES}
        known = {name: table.versions for name, table in self._tables.items()}
        if changed := [name for name in _TABLES if known.get(name) != versions[name]]:
            with state_in_duckdb(state, *changed) as connection:
                for name in changed:
                    rows = rows_of(connection, f"{DATASET}.{name}")
                    files = [*map(Path, state.files(name))]
                    self._tables[name] = _Table(versions[name], files, rows)


class Lake:
    """Where a warehouse is published to, and the reader of one run."""

    def __init__(self, folder: Path, house: Path) -> None:
        self.folder, self._house, self._reader = folder, house, _Reader(folder)
        self._before: Rows = {}
        """What the lake had when the run began."""

    def watch(self, dice: random.Random) -> None:
        """Read from now on, until `check`."""
        self._dice = dice
        self._seen: list[Rows] = []
        self._errors: list[Exception] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(self._dice.random() * 0.1):
            try:
                rows = self._reader.rows()
            except Exception as error:  # told by `check`, in the seed's own thread
                self._errors.append(error)
                return
            if rows != ([self._before, *self._seen])[-1]:
                self._seen.append(rows)

    def check(self, codes: Sequence[int]) -> Counter[str]:
        """How often something new was read, and whether lake and warehouse are compared as equal.

        A run publishes once, after all that it loads. So its readers see what was there before or
        what the warehouse has when it is over. Of two good runs at once, one after the other in
        truth, the first one's state is gone by now; it can be one only.

        Raises:
            BrokenError: it cannot be read, or has what the warehouse never had.
        """
        self._over.set()
        self._thread.join()
        if self._errors:
            raise BrokenError(f"the lake cannot be read: {self._errors[0]!r}")
        house, now = self._rows_of_house(), self._reader.rows()
        unknown = [rows for rows in [*self._seen, now] if rows not in (self._before, house)]
        if len(unknown) > (codes.count(0) > 1):
            raise BrokenError("a reader of the lake saw what the warehouse never had")
        if 0 in codes and now != house:
            raise BrokenError("the lake is not what the warehouse is")
        self._before = now
        return Counter({"lake read": len(self._seen), "lake equal": int(0 in codes and bool(now))})

    def _rows_of_house(self) -> Rows:
        """None as long as it has no tables; nothing else is excused."""
        if not self._house.exists():
            return {}
        with duckdb.connect(self._house, read_only=True) as connection:
            tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
            if ("conference_summaries",) not in tables:
                return {}
            return {name: rows_of(connection, f"{DATASET}.{name}") for name in _TABLES}
