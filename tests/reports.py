"""A report as a page, and a lively account to make one of, with what others could write."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.report import write_report
from pipelines.run.post_load import publish_now
from pipelines.simulator.sample_data import busy_account
from tests.conftest import NOW, Loaded, loaded_once, summary
from tests.given_participants import People, bad
from tests.page import Page

DAY = timedelta(days=1)
PERIOD = "created_date >= '2026-11-13' AND created_date < '2026-11-20'"
BEFORE = "created_date >= '2026-11-06' AND created_date < '2026-11-13'"
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "]]></style></title><!--",
    "&lt;b&amp;",
)
TURNED = "\u202egnp.\u2066exe"
LONG, WIDE = "x" * 300, "\u540d\u524d" * 40


def copy_of(loaded: Loaded) -> Path:
    return loaded.path.with_name("warehouse.published") / "current/insights.duckdb"


def report(loaded: Loaded, since: str | None = None, until: str | None = None) -> Page:
    output = loaded.path.with_name("report.html")
    assert write_report(copy_of(loaded), output, since, until) == output
    return Page(output)


@pytest.fixture(scope="module")
def lively(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Iterator[Loaded]:
    """Sixteen days, with what others could write wherever they can."""
    account = busy_account(NOW, days=16, per_day=90)
    for n, name in enumerate((*HOSTILE, TURNED, *[LONG] * 4, *[WIDE] * 3)):
        info = {
            name: {"severity": name, "reason": name},
            "duplicate_identity": [{"participant_identity": name}],
            "low_mos": {"severity": "high"},
        }
        values: dict[str, Any] = {
            "friendly_name": name,
            "end_reason": name,
            "status": name,
            "mixer_region": name,
            "mixer_region_requested": f"{name}!",
            "tags": [name, "duplicate_identity", *("low_mos", "high_jitter")],
            "tag_info": info,
            "detected_issues": {name: 40, "call_quality": 99 - n},
            "unique_participants": 999 - n,
        }
        account.put(summary(n, 2 * DAY, **values))
    account.put(summary(99, 2 * DAY, "in_progress", tags=["low_mos"], detected_issues={"x": 1}))
    with loaded_once(account, tmp_path_factory.mktemp("report"), empty_warehouse) as loaded:
        loaded.load()
        loaded.account.now += timedelta(minutes=45)
        loaded.load()
        with duckdb.connect(loaded.path) as connection:
            people = People(connection)
            groups = ("participant_region", "country_code", "call_type", "call_direction")
            for n, name in enumerate((*HOSTILE, TURNED, LONG, WIDE)):
                values = dict.fromkeys(groups, name)
                people.put(30 + n, n, **values)
                people.put(5, n, bad(latency_avg=12345.5), **values)
        publish_now()
        yield loaded


@pytest.fixture(scope="module")
def week(lively: Loaded) -> Page:
    return report(lively)


def put_account(loaded: Loaded, sid: str, name: str | None, **values: Any) -> None:
    row = {"account_sid": sid, "friendly_name": name, "listed_to": NOW.replace(tzinfo=None)}
    row |= {"first_seen_at": row["listed_to"], "followed_by": sid, "_dlt_load_id": "1"} | values
    names, marks = ", ".join(row), ", ".join(f"${name}" for name in row)
    table = "conference_insights.accounts"
    with duckdb.connect(loaded.path) as connection:
        connection.execute(f"DELETE FROM {table} WHERE account_sid = ?", [sid])
        connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", row)
