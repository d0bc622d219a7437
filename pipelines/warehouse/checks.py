"""The checks: one SELECT in each file of `sql/checks`, which returns no rows if all is well."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal, NamedTuple

import duckdb

from pipelines.exit_codes import UNSOUND
from pipelines.times import naive_utc
from pipelines.warehouse.file import DATASET
from pipelines.warehouse.sql import sql_files

CHECKS_TABLE = f"{DATASET}._checks"


class ChecksError(Exception):
    """A `fail` check found rows: the data stays loaded but is not published."""

    exit_code = UNSOUND


class Check(NamedTuple):
    """`sentence` says what is wrong if the check finds rows."""

    name: str
    level: Literal["fail", "warn"]
    sentence: str
    sql: str


class CheckResult(NamedTuple):
    """What a check found; `sample` is the first row as text."""

    check: Check
    violations: int
    sample: str | None

    def __str__(self) -> str:
        return (
            f"{self.check.sentence} ({self.check.name}: {self.violations:,}, first {self.sample})"
        )


def read_checks() -> list[Check]:
    """All checks, by name."""
    return [_read(path.stem, text) for path, text in sql_files("checks")]


def _read(name: str, text: str) -> Check:
    first, _, sql = text.partition("\n")
    level, _, sentence = first.removeprefix("-- ").partition(": ")
    return Check(name, "warn" if level == "warn" else "fail", sentence, sql)


def prepare_checks(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table of results if there is none."""
    connection.execute(
        f"CREATE TABLE IF NOT EXISTS {CHECKS_TABLE} (check_name VARCHAR NOT NULL, "
        "level VARCHAR NOT NULL, sentence VARCHAR NOT NULL, violations BIGINT NOT NULL, "
        "sample VARCHAR, failing_since TIMESTAMP, checked_at TIMESTAMP NOT NULL)"
    )


def has_failed(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether a `fail` check found rows when it last ran."""
    failed = f"SELECT 1 FROM {CHECKS_TABLE} WHERE level = 'fail' AND violations > 0"
    return bool(connection.execute(failed).fetchall())


def run_checks(
    connection: duckdb.DuckDBPyConnection, now: datetime, of: Callable[[str], str] | None = None
) -> list[CheckResult]:
    """Run every check and keep the results in `_checks`; return those that found rows, worst first.

    A check that does not run counts as failed.

    Args:
        of: limits a `fail` check's SQL to the conferences that changed since all were checked.
    """
    results = [
        _run(connection, check, of(check.sql) if of and check.level == "fail" else check.sql)
        for check in read_checks()
    ]
    since = dict(
        connection.execute(f"SELECT check_name, failing_since FROM {CHECKS_TABLE}").fetchall()
    )
    at = naive_utc(now)
    rows = [
        (*check[:3], violations, sample, (since.get(check.name) or at) if violations else None, at)
        for check, violations, sample in results
    ]
    connection.execute("BEGIN")
    connection.execute(f"DELETE FROM {CHECKS_TABLE}")
    connection.executemany(f"INSERT INTO {CHECKS_TABLE} VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.execute("COMMIT")
    return sorted((f for f in results if f.violations), key=lambda f: f.check.level)


def _run(connection: duckdb.DuckDBPyConnection, check: Check, sql: str) -> CheckResult:
    try:
        count, sample = connection.execute(
            f"SELECT count(*), first(found) FROM ({sql}) AS found"
        ).fetchall()[0]
    except duckdb.Error as error:
        return CheckResult(
            check._replace(level="fail"), 1, f"it does not run: {str(error).splitlines()[0]}"
        )
    values = (sample or {}).items()
    text = ", ".join(f"{name} {value}" for name, value in values) or None
    return CheckResult(check, count, text)
