"""The seam between what is loaded and where: a warehouse is a DuckDB file or a schema of a server.

`file` has the one form, `postgres` the other. What only a file has, as published copies and a
lake, is not here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from pipelines.exit_codes import BUSY, DISK
from pipelines.warehouse.database import Database


class WarehouseError(Exception):
    """The warehouse cannot be used: the file, its folder, or the server."""

    exit_code = DISK


class BusyError(Exception):
    """Another process holds the warehouse; trying again later helps."""

    exit_code = BUSY


def expect_columns(table: str, present: Collection[str], needed: Iterable[str]) -> None:
    """Raise where somebody dropped or renamed a column of a table."""
    for column in needed:
        if column not in present:
            raise WarehouseError(
                f"The column {column} of {table} is gone: name it as before, or restore a backup"
            )


class Warehouse(Database):
    """A warehouse that one run holds. Its connection stays open for the whole run, so that nobody
    else can take it between listing and loading.

    Attributes:
        name: for messages: the path, or the server and its database; no user and no password.
        created: whether this run created it.
        working_folder: dlt's files.
        is_shared: whether others may load other accounts into it at the same time.
    """

    name: str
    created: bool
    working_folder: Path
    is_shared: ClassVar[bool] = False

    @abstractmethod
    def destination(self) -> Any:
        """For dlt's pipeline; there a load package is one transaction."""

    def hold_run(self, run_id: str) -> None:
        """Let others see that this run is at work, until the warehouse is closed."""

    def is_at_work(self, run_id: str) -> bool:  # noqa: ARG002
        """Whether the run, of another process, still is; where one alone holds the warehouse, none
        is."""
        return False

    def hold_accounts(self, accounts: Collection[str]) -> None:
        """Hold these accounts too, until the warehouse is closed.

        Raises:
            BusyError: another run loads one of them.
        """

    def expect_connected(self) -> None:
        """Check at no cost that there is no news of a lost connection.

        Raises:
            WarehouseError: it is lost.
        """

    def alone(self) -> AbstractContextManager[None]:
        """For what only one process can do at a time: changing tables and views, loading, checks.
        Others wait."""
        return nullcontext()

    def prepare_indexes(self, keys: Mapping[str, Sequence[str]]) -> None:
        """See to it that no table can hold a key twice, where the engine can.

        Args:
            keys: columns by table.

        Raises:
            WarehouseError: a table has duplicate keys already.
        """

    def checkpoint(self) -> None:
        """Write what was loaded to where it stays."""

    @abstractmethod
    def scrub(self) -> None:
        """Leave nothing on the disk of what was deleted or overwritten. The caller applies the
        views again afterwards, since a file is rebuilt without them.

        Raises:
            WarehouseError: the disk is full, or cannot be written.
        """


class Recorded(NamedTuple):
    """What is known of a warehouse without a run.

    Attributes:
        content: as a status file has it: `run`, `last_good`, `holds`, `settings`.
        refused: the run that could not start; empty if the last one could.
        is_alive: whether the last run is still at work; None if that cannot be seen.
        size: of the warehouse in bytes.
    """

    content: dict[str, Any]
    refused: dict[str, Any]
    is_alive: bool | None
    size: int


class Place(ABC):
    """Where a warehouse is, or will be."""

    @property
    @abstractmethod
    def name(self) -> str:
        """As of the warehouse."""

    @property
    @abstractmethod
    def path(self) -> Path | None:
        """Of the file; None where there is none, but a server."""

    def __str__(self) -> str:
        return self.name

    @abstractmethod
    def open(self) -> AbstractContextManager[Warehouse]:
        """Hold it while the block lasts, created if there is none; a server's, several may.

        Raises:
            BusyError: another run, or another program, holds it.
            WarehouseError: it cannot be used.
        """

    @abstractmethod
    def read(self) -> AbstractContextManager[Database]:
        """The warehouse for reading alone; raises as `open` does."""

    def expect_usable(self) -> None:  # noqa: B027  # of a file, the disk and itself tell
        """Check, as far as that can be seen from outside, that a run could use it.

        Raises:
            WarehouseError: it could not.
        """

    @abstractmethod
    def recorded(self, now: datetime) -> Recorded:
        """What its runs have left.

        Raises:
            WarehouseError: it cannot be read.
        """

    @abstractmethod
    def explain(self, error: BaseException) -> Exception | None:
        """The error to report for one that a disk, a server, or the machine caused; None for any
        other."""
