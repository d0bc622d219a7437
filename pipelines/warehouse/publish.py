"""The published copy: what BI tools read while the pipeline goes on writing.

`<folder>/current/insights.duckdb` is a file of plain tables that any engine from DuckDB 1.2 on
opens. Each copy is a folder of its own that is never written again; `current` is a link that is
moved to the newest in one step, so a reader sees one state or the next, and holds up nobody.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import duckdb

from pipelines.warehouse.file import ANALYTICS, DATASET, STORAGE_VERSION
from pipelines.warehouse.published import FILE, KEPT, delete_old, make_folder, swap, sync
from pipelines.warehouse.views import STAGING, View, quoted, read_views

LIVE = ("checks", "data_as_of", "freshness", "load_history")
"""They tell of the runs, so they change also when a run wrote nothing."""
MEMORY = "300MB"
_COPY = "insights"
_KEY = "conference_sid"


@dataclass(frozen=True)
class Version:
    """What a copy was made from, as its folder's name tells: the last load package, the hour that
    ages are counted to, and a digest of the SQL and the settings."""

    load_id: str
    hour: datetime
    digest: str

    def __str__(self) -> str:
        return f"{self.load_id}-{self.hour:%Y%m%d%H}-{self.digest}"


class Copies:
    """The published copies of a warehouse.

    What has not changed since the last copy is taken from there: conferences that no later load
    wrote and that are final, and, if there was no load and no new hour, all but `LIVE`.

    Args:
        connection: to the warehouse, with its views applied.
        folder: where the copies are.
        personal: columns to leave out.
        sql_digest: of the views as they are applied.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        folder: Path,
        personal: frozenset[str],
        sql_digest: str,
    ) -> None:
        self._connection, self._folder, self._personal = connection, folder, personal
        self._link = folder / "current"
        self._version = _version(connection, sql_digest, personal)
        self._last = _last(connection, self._link, self._version)

    @property
    def are_current(self) -> bool:
        """Whether the last one lacks nothing but what tells of the runs."""
        return self._last is not None and self._last[1] == self._version

    def publish(self, rebuild: bool = False) -> Path:
        """Make a copy and move `current` to it; its file, by the link.

        Args:
            rebuild: take nothing from the last copy.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
            duckdb.Error: the same, or a view does not run; the copies that were there stay.
        """
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{self._version}"
        new = self._folder / f"{name}.new"
        try:
            make_folder(new)
            try:
                self._write(new / FILE, None if rebuild else self._last)
            except (_NotTheSameError, duckdb.Error):
                if rebuild or self._last is None:
                    raise
                (new / FILE).unlink()
                self._write(new / FILE, None)  # the last one is damaged, or does not fit
            new.rename(self._folder / name)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise
        swap(self._link, name)
        # Copies from before a column was left out still have it.
        delete_old(self._folder, name, KEPT if self._last or not self._personal else 1)
        return self._link / FILE

    def _write(self, file: Path, last: tuple[Path, Version] | None) -> None:
        """Write the file, complete and on the disk."""
        connection, personal = self._connection, self._personal
        views = [view for view in read_views() if not view.is_staging]
        if last is not None:
            shutil.copyfile(last[0], file)
        with _attached(connection, file):
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_COPY}.{ANALYTICS}")
            changed = last is None or last[1] != self._version
            if last is not None and changed:
                connection.execute(
                    f"CREATE OR REPLACE TEMP TABLE changed AS SELECT {_KEY} "
                    f"FROM {DATASET}.conference_summaries WHERE _dlt_load_id NOT IN "
                    f"(SELECT load_id FROM {DATASET}._dlt_loads WHERE rowid <= (SELECT min(rowid) "
                    f"FROM {DATASET}._dlt_loads WHERE load_id = ?)) "
                    "OR coalesce(processing_state, '') NOT IN ('complete', 'timeout')",
                    [last[1].load_id],
                )
            columns_of = _columns(connection)
            cut = {name for name, columns in columns_of.items() if columns.keys() & personal}
            for view in views:
                columns = {n: c for n, c in columns_of[view.name].items() if n not in personal}
                select = _from_copies(view, but=cut)
                if last is None or view.name in LIVE or (changed and _KEY not in columns):
                    _copy(connection, view, select, columns)
                elif changed:
                    _renew(connection, view, select, columns)
            if last is not None and changed and not _is_whole(connection):
                raise _NotTheSameError
        if file.with_name(f"{file.name}.wal").exists():
            raise OSError(f"{file} was not closed as a whole")
        with file.open("rb") as written:
            os.fchmod(written.fileno(), 0o444)
            os.fsync(written.fileno())
        sync(file.parent)


class _NotTheSameError(Exception):
    """The last copy and what has changed since do not make up the warehouse."""


def _version(
    connection: duckdb.DuckDBPyConnection, sql_digest: str, personal: frozenset[str]
) -> Version:
    load_id, hour = connection.execute(
        # The last by order: an id may be less than one that was made under a wrong clock. Packages
        # that wrote no conference do not count.
        f"SELECT (SELECT load_id FROM {DATASET}._dlt_loads WHERE load_id IN "
        f"(SELECT _dlt_load_id FROM {DATASET}.conference_summaries) ORDER BY rowid DESC LIMIT 1), "
        f"as_of_hour FROM {ANALYTICS}.stg_as_of"
    ).fetchall()[0]
    said = repr((sql_digest, sorted(personal)))
    return Version(
        load_id or "0", hour or datetime(1970, 1, 1), sha256(said.encode()).hexdigest()[:12]
    )


def _last(
    connection: duckdb.DuckDBPyConnection, link: Path, version: Version
) -> tuple[Path, Version] | None:
    """The last copy's file and version, if it was made from this warehouse by the same rules."""
    if not (link / FILE).exists():
        return None
    path = link.resolve()
    said = re.fullmatch(r"\w+-([\d.]+)-(\d{10})-(\w+)", path.name)
    if said is None:
        return None
    load_id, hour, digest = said.groups()
    known = connection.execute(
        f"SELECT 1 FROM {DATASET}._dlt_loads WHERE load_id = ?", [load_id]
    ).fetchone()
    if digest != version.digest or known is None:
        return None
    return path / FILE, Version(load_id, datetime.strptime(hour, "%Y%m%d%H"), digest)


def _is_whole(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the copy has as many conferences and tags as the warehouse."""
    pairs = {"conferences": "conference_summaries", "conference_tags": "conference_tags"}
    return all(
        connection.execute(
            f"SELECT (SELECT count(*) FROM {_COPY}.{ANALYTICS}.{copied}) "
            f"= (SELECT count(*) FROM {DATASET}.{loaded})"
        ).fetchall()[0][0]
        for copied, loaded in pairs.items()
    )


@contextmanager
def _attached(connection: duckdb.DuckDBPyConnection, file: Path) -> Iterator[None]:
    (before,) = connection.execute("SELECT current_setting('memory_limit')").fetchall()[0]
    connection.execute(f"SET memory_limit = '{MEMORY}'")
    connection.execute(
        f"ATTACH {quoted(str(file))} AS {_COPY} (STORAGE_VERSION '{STORAGE_VERSION}')"
    )
    try:
        yield
    finally:
        connection.execute(f"DETACH {_COPY}")
        connection.execute(f"SET memory_limit = '{before}'")


def _columns(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str | None]]:
    """By view, the columns with their comments."""
    found: dict[str, dict[str, str | None]] = defaultdict(dict)
    for view, name, comment in connection.execute(
        "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE database_name = "
        "current_database() AND schema_name = ? ORDER BY table_name, column_index",
        [ANALYTICS],
    ).fetchall():
        found[view][name] = comment
    return found


def _copy(
    connection: duckdb.DuckDBPyConnection,
    view: View,
    select: str,
    columns: Mapping[str, str | None],
) -> None:
    """Make a view a table, with its comments."""
    target = f"{_COPY}.{ANALYTICS}.{view.name}"
    connection.execute(
        f"CREATE OR REPLACE TABLE {target} AS SELECT {', '.join(columns)} FROM ({select})"
    )
    statements = [f"COMMENT ON TABLE {target} IS {quoted(view.comment)}"]
    statements += [
        f'COMMENT ON COLUMN {target}."{name}" IS {quoted(comment)}'
        for name, comment in columns.items()
        if comment
    ]
    connection.execute(";".join(statements))


def _renew(
    connection: duckdb.DuckDBPyConnection,
    view: View,
    select: str,
    columns: Mapping[str, str | None],
) -> None:
    """Replace the rows of the conferences that have changed."""
    target = f"{_COPY}.{ANALYTICS}.{view.name}"
    among = f"WHERE {_KEY} IN (SELECT {_KEY} FROM changed)"
    connection.execute(f"DELETE FROM {target} {among}")
    connection.execute(f"INSERT INTO {target} SELECT {', '.join(columns)} FROM ({select}) {among}")


def _from_copies(view: View, but: Collection[str]) -> str:
    """Its SELECT, from the copy's tables instead of the views they were made of."""
    return re.sub(
        rf"\b{ANALYTICS}\.(\w+)",
        lambda named: (
            named[0] if named[1].startswith(STAGING) or named[1] in but else f"{_COPY}.{named[0]}"
        ),
        view.select,
    )
