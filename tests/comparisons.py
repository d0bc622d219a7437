"""What `reconcile` finds, and conferences and participants that are loaded for it to compare."""

from __future__ import annotations

import threading
from contextlib import closing
from datetime import timedelta
from typing import Any

import duckdb
import pytest

from pipelines.run.pipeline import Backfill
from pipelines.run.reconcile import DifferencesError, reconcile
from pipelines.simulator.participants import participant_row
from pipelines.twilio_insights.extract.comparison import Comparison
from pipelines.twilio_insights.progress import Progress
from tests.conftest import NOW, Loaded, sid, summary

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SOURCE = "SOURCES__TWILIO_INSIGHTS__"
DATASET = "conference_insights"


def compare(
    repair: bool = False, since: str = "29d", until: str = "0d", **progress: Any
) -> Comparison:
    """What is found; what is missing or different does not raise here."""
    comparison = Comparison(repair)
    try:
        reconcile(
            Progress("reconcile", **progress), Backfill(since, until), threading.Event(), comparison
        )
    except DifferencesError:
        assert comparison.faults
    else:
        assert not comparison.faults
    return comparison


def kinds(comparison: Comparison, resource: str | None = None) -> dict[str, int]:
    """The counts that are not 0, without those of what is there."""
    found = vars(comparison.total(resource))
    return {name: n for name, n in found.items() if n and name not in ("at_twilio", "in_warehouse")}


def change(loaded: Loaded, *statements: str) -> None:
    with closing(duckdb.connect(str(loaded.path))) as connection:
        for statement in statements:
            connection.execute(statement.replace("{", f"{DATASET}.").replace("}", ""))


def delete(loaded: Loaded, *numbers: int) -> None:
    sids = ", ".join(f"'{sid(number)}'" for number in numbers)
    change(loaded, f"DELETE FROM {{conference_summaries}} WHERE conference_sid IN ({sids})")


def contents(loaded: Loaded) -> dict[str, list[Any]]:
    """Every table but the history of runs."""
    names = loaded.query(f"SELECT table_name FROM duckdb_tables() WHERE schema_name = '{DATASET}'")
    return {n: loaded.query(f"FROM {DATASET}.{n} ORDER BY ALL") for (n,) in names if n != "_runs"}


@pytest.fixture
def month(loaded: Loaded) -> Loaded:
    """A conference every eight hours, all of them loaded."""
    for number in range(87):
        loaded.account.put(summary(number, number * 8 * HOUR + HOUR))
    loaded.run()
    return loaded


def person(number: int, conference: int, state: str = "complete") -> dict[str, Any]:
    row = participant_row(f"CP{number:032x}", sid(conference), NOW - HOUR)
    return row | {"processing_state": state}


@pytest.fixture
def people(loaded: Loaded, with_participants: None) -> Loaded:
    for number in range(1, 6):
        loaded.account.put(summary(number, number * DAY, unique_participants=2))
        rows = [person(10 * number + n, number) for n in range(2)]
        loaded.account.put_participants(sid(number), rows)
    loaded.run()
    return loaded
