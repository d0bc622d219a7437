"""The published copy: what BI tools read while the pipeline goes on writing.

`<folder>/current/insights.duckdb` is a file of plain tables that any engine from DuckDB 1.2 on
opens. Each copy is a folder of its own that is never written again; `current` is a link that is
moved to the newest in one step, so a reader sees one state or the next, and holds up nobody.
"""

from __future__ import annotations

import logging
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from threading import Thread

import duckdb

from pipelines.warehouse.copy.changed import CannotRenewError, take_changed
from pipelines.warehouse.copy.folder import (
    COPIES_KEPT,
    FILE,
    adopt_former,
    claim,
    delete_old,
    delete_unfinished,
    make_folder,
    swap,
    sync,
)
from pipelines.warehouse.copy.in_memory import InMemory, take_staging
from pipelines.warehouse.copy.writer import attached, build, renew
from pipelines.warehouse.database import ANALYTICS, DATASET, StatementError
from pipelines.warehouse.definitions import NOT_FINAL
from pipelines.warehouse.duckdb_database import with_memory
from pipelines.warehouse.warehouse import WarehouseError

log = logging.getLogger("conference_insights")

_DIGEST = 12
"""Digits of a digest in a folder's name."""
MEMORY = ("240MB", "400MB")
"""What a copy of a million conferences needs, and one of 400,000 participants."""


@dataclass(frozen=True)
class CopyVersion:
    """What a copy was made from, as in its folder's name: the last load package, the hour that ages
    are counted to, a digest of the SQL and the settings, and the state of what is erased."""

    load_id: str
    hour: datetime
    digest: str
    erased: str

    def __str__(self) -> str:
        return f"{self.load_id}-{self.hour:%Y%m%d%H}-{self.digest}{self.erased}"


class PublishedCopies:
    """The published copies of a warehouse.

    What has not changed since the last copy is taken from there: conferences that no later load
    wrote and that are final, and, if there was no load and no new hour, all but `OF_RUNS`.

    Args:
        connection: to the warehouse, with its views applied.
        folder: where the copies are.
        personal: columns to leave out.
        sql_digest: of the views as they are applied.
        erased: differs where more is erased or masked; a copy of another state is deleted.
        warehouse: the file that is published.
        seal: the file that tells how the last one was left, in a folder that nobody else can write.

    Attributes:
        staging: the staging views of few rows, as tables in memory for other views and checks.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        folder: Path,
        personal: frozenset[str],
        sql_digest: str,
        erased: str,
        warehouse: Path,
        seal: Path,
    ) -> None:
        with suppress(OSError):  # which shows when it is written
            adopt_former(folder, warehouse)
        self._connection, self._folder, self._personal = connection, folder, personal
        self._warehouse = warehouse
        self._link, self._seal = folder / "current", seal
        self.staging = take_staging(connection)
        self._version = _version(connection, self.staging, sql_digest, personal, erased)
        former = _former(self._link)
        # Without the link nobody can tell what earlier copies have.
        self._may_have_erased = former is None or former[1].erased != erased
        self._last = former if _is_alike(connection, former, self._version) else None
        if self._last and not self._is_sealed(self._last[0]):
            log.info("All of the copy is made anew: %s is not as a run left it", self._last[0])
            self._last = None

    @property
    def are_current(self) -> bool:
        """Whether the last one is up to date except for the views of the runs."""
        return self._last is not None and self._last[1] == self._version

    @property
    def are_of_this_day(self) -> bool:
        """Whether the last one was made, and everything checked, on the same day."""
        return self._last is not None and self._last[1].hour.date() == self._version.hour.date()

    @cached_property
    def changed(self) -> InMemory | None:
        """What the last one lacks, apart from the views of the runs.

        Raises:
            CannotRenewError: it lacks so much that it is to be rebuilt.
        """
        if self._last is None or self.are_current:
            return None
        return take_changed(self._connection, self._last[1].load_id, self.staging)

    def publish(self, rebuild: bool = False, forget: bool = False) -> Path:
        """Make a copy and point `current` to it; return its file, by the link.

        Args:
            rebuild: take nothing from the last copy.
            forget: delete all earlier ones, also those that readers may still have open.

        Raises:
            CannotRenewError: it has to be rebuilt.
            WarehouseError: an earlier one cannot be deleted, and has to be.
            OSError: the disk is full, or the folder is another warehouse's or cannot be written.
            StatementError: the same, or a view does not run; the copies that were there stay.
        """
        claim(self._folder, self._warehouse)
        delete_unfinished(self._folder)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{self._version}"
        new = self._folder / f"{name}.new"
        try:
            make_folder(new)
            with_memory(self._connection, lambda: self._write(new / FILE, rebuild), *MEMORY)
            sync(new)
            new.rename(self._folder / name)
        except duckdb.Error as error:
            raise StatementError(str(error)) from error
        finally:
            shutil.rmtree(new, ignore_errors=True)
        try:
            self._seal.write_text(_stamp(self._folder / name / FILE))
            swap(self._link, name)
        except OSError:  # or each run would leave one more
            shutil.rmtree(self._folder / name, ignore_errors=True)
            raise
        # Copies from before a column was left out still have it.
        may_have_personal = bool(self._personal) and self._last is None
        is_to_forget = forget or self._may_have_erased or may_have_personal
        left = delete_old(self._folder, name, 1 if is_to_forget else COPIES_KEPT)
        if left and is_to_forget:
            raise WarehouseError(
                f"{left[0]} cannot be deleted, and has what was erased or is no longer published: "
                "delete it, and run again"
            )
        return self._link / FILE

    def _write(self, file: Path, rebuild: bool) -> None:
        """Write the file, complete and on the disk."""
        connection = self._connection
        file.unlink(missing_ok=True)
        if rebuild or self._last is None:
            with attached(connection, file):
                build(connection, self.staging, self._personal)
            return
        try:
            shutil.copyfile(self._last[0], file)
        except OSError as error:
            if self._is_sealed(self._last[0]):
                raise  # the new one cannot be written
            raise CannotRenewError from error
        Thread(target=_begin_to_write, args=(file,), daemon=True).start()
        if not self._is_sealed(self._last[0]):  # replaced meanwhile
            raise CannotRenewError
        try:
            with attached(connection, file):
                whole = renew(connection, self.staging, self.changed)
        except duckdb.Error as error:
            raise CannotRenewError(str(error)) from error  # for want of memory, it is tried again
        if not whole:
            raise CannotRenewError

    def _is_sealed(self, file: Path) -> bool:
        """Whether a run published this file. Another's could hold a view that reads, with the
        rights of this run, what its author may not."""
        with suppress(OSError, ValueError):
            return self._seal.read_text() == _stamp(file)
        return False


def _begin_to_write(file: Path) -> None:
    """Have the disk write it while the rest is made, so that less is left to wait for at last.

    To close a file ends the locks that this process has on it: this one nobody else opens yet.
    """
    with suppress(OSError):  # which shows when it is complete
        sync(file)


def _stamp(file: Path) -> str:
    """Text that changes whenever the file does: nobody can set its change time (ctime)."""
    found = file.stat()
    return f"{file.parent.name} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def _version(
    connection: duckdb.DuckDBPyConnection,
    staging: InMemory,
    sql_digest: str,
    personal: frozenset[str],
    erased: str,
) -> CopyVersion:
    tables = (*NOT_FINAL, "_listings")
    ids = " UNION ALL ".join(f"SELECT _dlt_load_id FROM {DATASET}.{table}" for table in tables)
    load_id, hour = connection.execute(
        # The last by order: an id may be less than one that was made under a wrong clock. Packages
        # that wrote no record and no listing do not count.
        f"SELECT (SELECT load_id FROM {DATASET}._dlt_loads WHERE load_id IN ({ids}) "
        f"ORDER BY rowid DESC LIMIT 1), as_of_hour FROM {staging.of(f'{ANALYTICS}.stg_as_of')}"
    ).fetchall()[0]
    rules = repr((sql_digest, sorted(personal)))
    digest = sha256(rules.encode()).hexdigest()[:_DIGEST]
    return CopyVersion(load_id or "0", hour or datetime(1970, 1, 1), digest, erased)


def _former(link: Path) -> tuple[Path, CopyVersion] | None:
    """The last copy's file and version."""
    if not (link / FILE).exists():
        return None
    path = link.resolve()
    match = re.fullmatch(r"\w+-([\d.]+)-(\d{10})-(\w+)", path.name)
    if match is None:
        return None
    load_id, hour, digest = match.groups()
    made = datetime.strptime(hour, "%Y%m%d%H")
    return path / FILE, CopyVersion(load_id, made, digest[:_DIGEST], digest[_DIGEST:])


def _is_alike(
    connection: duckdb.DuckDBPyConnection,
    former: tuple[Path, CopyVersion] | None,
    version: CopyVersion,
) -> bool:
    """Whether it was made from this warehouse by the same rules."""
    if former is None:
        return False
    last = former[1]
    known = f"SELECT 1 FROM {DATASET}._dlt_loads WHERE load_id = ?"
    is_known = connection.execute(known, [last.load_id]).fetchone() is not None
    return is_known and (last.digest, last.erased) == (version.digest, version.erased)
