"""The checks: one SELECT in each file of `sql/checks`, which returns no rows if all is well."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from itertools import chain
from operator import attrgetter
from typing import Literal, NamedTuple

from pipelines.exit_codes import UNSOUND
from pipelines.times import naive_utc
from pipelines.warehouse.database import DATASET, Database, StatementError
from pipelines.warehouse.error_texts import DISK_FAULT, OUT_OF_MEMORY
from pipelines.warehouse.sql import sql_files

CHECKS_TABLE = f"{DATASET}._checks"
COLUMNS = {
    "check_name": "VARCHAR NOT NULL",
    "level": "VARCHAR NOT NULL",
    "sentence": "VARCHAR NOT NULL",
    "violations": "BIGINT NOT NULL",
    "sample": "VARCHAR",
    "failing_since": "TIMESTAMP",
    "checked_at": "TIMESTAMP NOT NULL",
}


class ChecksError(Exception):
    """A `fail` check found rows: the data stays loaded but is not published."""

    exit_code = UNSOUND


class Check(NamedTuple):
    """`sentence` says what is wrong if the check finds rows; the head of `sql`, and the page
    sql/README.md made from it, what that means and what to do. An optional one is made only where
    that is set."""

    name: str
    level: Literal["fail", "warn"]
    sentence: str
    sql: str
    is_optional: bool = False


class CheckResult(NamedTuple):
    """What a check found; `sample` is the first row as text."""

    check: Check
    violations: int
    sample: str | None

    def __str__(self) -> str:
        return (
            f"{self.check.sentence} ({self.check.name}: {self.violations:,}, first {self.sample}; "
            "what to do: sql/README.md, Checks)"
        )


def read_checks() -> list[Check]:
    """All checks, by name."""
    return [_read(path.stem, text) for path, text in sql_files("checks")]


def _read(name: str, text: str) -> Check:
    first, _, sql = text.partition("\n")
    level, _, sentence = first.removeprefix("-- ").partition(": ")
    level, _, condition = level.partition(", ")
    return Check(name, "warn" if level == "warn" else "fail", sentence, sql, bool(condition))


def has_failed(database: Database) -> bool:
    """Whether a `fail` check found rows when it last ran."""
    failed = f"SELECT 1 FROM {CHECKS_TABLE} WHERE level = 'fail' AND violations > 0"
    return bool(database.execute(failed))


def run_checks(
    database: Database,
    now: datetime,
    sql_of: Callable[[Check], str] = attrgetter("sql"),
    optional: Collection[str] = (),
) -> list[CheckResult]:
    """Run every check and keep the results in `_checks`; return those that found rows, worst first.

    A check that does not run counts as failed, if the machine is not to blame.

    Args:
        sql_of: gives the SQL of a check, as one that reads less and says the same.
        optional: names of the optional checks that are made too.

    Raises:
        StatementError: the memory is too little, or the disk is full.
    """
    # One after the other: two of millions of conferences do not fit into the memory of a run.
    results = [
        _run(database, check, sql_of(check))
        for check in read_checks()
        if not check.is_optional or check.name in optional
    ]
    since: dict[str, datetime | None] = dict(
        database.execute(f"SELECT check_name, failing_since FROM {CHECKS_TABLE}")
    )
    at = naive_utc(now)
    values = [
        (*check[:3], violations, sample, (since.get(check.name) or at) if violations else None, at)
        for check, violations, sample in results
    ]
    rows = ", ".join("(?, ?, ?, ?, ?, ?, ?)" for _ in values)
    with database.transaction():
        database.execute(f"DELETE FROM {CHECKS_TABLE}")
        database.execute(f"INSERT INTO {CHECKS_TABLE} VALUES {rows}", [*chain(*values)])
    return sorted((f for f in results if f.violations), key=lambda f: f.check.level)


def _run(database: Database, check: Check, sql: str) -> CheckResult:
    try:
        found = database.records(
            f"SELECT found.*, count(*) OVER () AS _violations FROM ({sql}) AS found LIMIT 1"
        )
    except StatementError as error:
        if OUT_OF_MEMORY.search(str(error)) or DISK_FAULT.search(str(error)):
            raise
        return CheckResult(
            check._replace(level="fail"), 1, f"it does not run: {str(error).splitlines()[0]}"
        )
    sample = found[0] if found else {}
    violations = sample.pop("_violations", 0)
    text = ", ".join(f"{name} {value}" for name, value in sample.items()) or None
    return CheckResult(check, violations, text)
