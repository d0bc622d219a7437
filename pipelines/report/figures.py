"""The figures of the report: the results of the queries in `sql/report` on the published copy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipelines.report.accounts import find_account, of_account
from pipelines.report.published_copy import read_copy
from pipelines.warehouse.database import Database, StatementError
from pipelines.warehouse.sql import sql_files
from pipelines.warehouse.warehouse import Place

Row = Mapping[str, Any]
DEFAULT_DAYS, MAX_DAYS = 7, 366
"""Days of a period by default, and at most."""
INCOMPLETE = "incomplete_accounts"
"""The file that says what cannot be compared."""
NOT_IN_OLDER_COPIES = ("participants", "listed_participants", "worst_participants")
"""Files about what a copy of an earlier version lacks; they have no rows then."""


class PeriodError(ValueError):
    """The requested period is not valid."""


@dataclass(frozen=True)
class Period:
    """Days in the report's time zone, from `start` up to but not including `end`."""

    start: date
    end: date

    @property
    def last(self) -> date:
        return self.end - timedelta(days=1)

    @property
    def length(self) -> int:
        return (self.end - self.start).days

    @property
    def prior(self) -> Period:
        """The equal period before it."""
        return Period(self.start - (self.end - self.start), self.start)


@dataclass(frozen=True)
class QueryResult:
    """The question in the head of a file, and the rows that answer it."""

    question: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Figures:
    """Everything that the page shows; `results` are by the names of the files, and `period` is what
    was requested without the days before the first conference of the data."""

    period: Period
    state: Row
    requested: Period
    results: Mapping[str, QueryResult]

    @property
    def can_compare(self) -> bool:
        """Whether both periods are completely loaded; if not, the prior one is left out."""
        first, today = self.state["first_day"], self.state["today"]
        # Of the first day itself Twilio may have summarized only a part.
        begins = bool(first) and first < self.period.prior.start
        return begins and self.period.end <= today and not self[INCOMPLETE]

    def __getitem__(self, name: str) -> tuple[Row, ...]:
        return self.results[name].rows


def read_figures(
    copy: Path | Place, since: str | None, until: str | None, account: str | None = None
) -> Figures:
    """Read one copy; a run that publishes another meanwhile does not change it.

    Raises:
        CopyError: there is no copy, or it cannot be read.
        PeriodError: `since` or `until` is not a day, or there is no period between them.
        AccountError: `account` is neither the SID nor the name of one account.
    """
    with read_copy(copy) as database:
        texts = {path.stem: text for path, text in sql_files("report")}
        bounds: dict[str, Any] = {}
        if account is not None:
            bounds["account"] = find_account(database, account)
            texts = {name: of_account(database, text) for name, text in texts.items()}
        state = _query(database, texts.pop("state"), bounds).rows[0]
        requested = read_period(since, until, state["today"] or datetime.now(UTC).date())
        first, period = state["first_day"], requested
        if first and period.start < first < period.end:
            period = Period(first, period.end)
        bounds |= {"from": period.start, "to": period.end, "prior": period.prior.start}
        results = {INCOMPLETE: _query(database, texts.pop(INCOMPLETE), bounds)}
        figures = Figures(period, state, requested, results)
        for name, text in texts.items():
            try:
                results[name] = _query(database, text, bounds, figures.can_compare)
            except StatementError:
                if name not in NOT_IN_OLDER_COPIES:
                    raise
                results[name] = QueryResult("", ())
        return figures


def _query(
    database: Database,
    text: str,
    bounds: Mapping[str, Any],
    can_compare: bool = True,
) -> QueryResult:
    used = {name: bound for name, bound in bounds.items() if f"${name}" in text}
    columns, found = database.run(text, used)
    hidden = set() if can_compare else {name for name in columns if name.endswith("_before")}

    def shown(name: str, cell: Any) -> Any:
        if name in hidden:
            return None
        return float(cell) if isinstance(cell, Decimal) else cell

    rows = tuple(
        {name: shown(name, cell) for name, cell in zip(columns, row, strict=True)} for row in found
    )
    return QueryResult(text.splitlines()[0].removeprefix("-- "), rows)


def read_period(since: str | None, until: str | None, today: date) -> Period:
    """From dates (`2026-11-01`) and ages (`29d` is 29 days before `today`).

    Raises:
        PeriodError: one is neither, or the period is empty or too long.
    """
    try:
        end = _read_day(until or "0d", today)
        start = _read_day(since, today) if since else end - timedelta(days=DEFAULT_DAYS)
        period = Period(start, end)
        if 1 <= period.length <= MAX_DAYS:
            _ = period.prior  # raises OverflowError if it would begin before the year 1
            return period
    except OverflowError:
        raise PeriodError(f"{since or until} is outside the supported date range") from None
    if period.length < 1:
        raise PeriodError(
            f"The period is empty: it ends before {period.end} and begins on {period.start}; "
            "--to is the day after the last"
        )
    raise PeriodError(
        f"From {period.start} up to {period.end} are {period.length:,} days; "
        f"a report has 1 to {MAX_DAYS}"
    )


def _read_day(text: str, today: date) -> date:
    if age := re.fullmatch(r"([0-9]{1,6})d", text.strip()):
        return today - timedelta(days=int(age[1]))
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        raise PeriodError(f"{text!r} is not a day; write for example 2026-11-01 or 29d") from None
