"""What each view says about a few conferences, computed by hand in `tests/analytics`."""

from __future__ import annotations

import csv
import re
import tomllib
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pytest

from pipelines.run.post_load import DESCRIPTIONS
from pipelines.simulator.account import ACCOUNT_SID
from pipelines.warehouse.duckdb_database import DuckDb
from pipelines.warehouse.sql import sql_folder
from pipelines.warehouse.views import apply_views, read_columns, read_views
from tests.conftest import Loaded, sid
from tests.given_conferences import ACCOUNTS, FOLDER, put_accounts
from tests.given_conferences import copied as copied
from tests.given_conferences import given as given
from tests.given_conferences import known as known
from tests.given_participants import CHILDREN, ROOT, participant, put_participants

EXPECTED = sorted(FOLDER.glob("expected/*.csv"))
VIEWS = {view.name: view for view in read_views()}
METRICS = {
    name: dataset["metrics"]
    for name, dataset in tomllib.loads((sql_folder() / "metrics.toml").read_text()).items()
}
PLAIN = {"VARCHAR", "BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "DATE", "TIMESTAMP"}


def shown(value: Any) -> str:
    """As in the files: SIDs by their number, NULL as an empty cell."""
    if isinstance(value, str):
        return re.sub("(C[AFP])0+([0-9a-f])", r"\1\2", value)
    return "" if value is None else str(value)


@pytest.mark.parametrize("file", EXPECTED, ids=lambda file: file.stem)
def test_a_view_says_what_was_computed_by_hand(file: Path, known: Loaded) -> None:
    columns, *expected = csv.reader(file.read_text().splitlines())
    found = known.query(f"SELECT {', '.join(columns)} FROM analytics.{file.stem}")
    rows = Counter(tuple(map(shown, row)) for row in found)
    # Of the hours, the files have those that are not empty.
    if file.stem in ("conference_volume", "hour_of_week_heatmap", "concurrency_by_hour"):
        rows = Counter({row: n for row, n in rows.items() if set(row[-2:]) != {"0"}})
    assert rows == Counter(map(tuple, expected))


def test_every_view_has_a_file_of_expected_rows() -> None:
    by_itself = {"checks", "load_history"}
    staging = {name for name, view in VIEWS.items() if view.is_staging}
    assert {file.stem for file in EXPECTED} == VIEWS.keys() - staging - by_itself


def test_hours_without_conferences_are_in_the_volume(known: Loaded) -> None:
    ((hours, first, last),) = known.query(
        "SELECT count(*), min(created_hour), max(created_hour) FROM analytics.conference_volume"
    )
    assert (first, last) == (datetime(2026, 11, 12, 10), datetime(2026, 11, 20, 14))
    assert hours == (last - first) / timedelta(hours=1) + 1


def test_a_card_lists_every_participant_by_the_time_of_joining(copied: Loaded) -> None:
    times = [datetime(2026, 11, 12, 10, 20, second) for second in (5, 3, 3, 9, 1, 7, 2)]
    rows = [participant(number, 7, join_time=time) for number, time in enumerate(times, 20)]
    with duckdb.connect(copied.path) as connection:
        put_participants(connection, rows, [{"conference": 7, "last_status": 200}])
    listed = "SELECT participants, participant_list FROM analytics.conference_health_card"
    ((count, text),) = copied.query(f"{listed} WHERE conference_sid = '{sid(7)}'")
    order = [24, 26, 21, 22, 20, 25, 23]
    assert (count, text) == (7, "; ".join(f"CP{number:032x}" for number in order))


@pytest.mark.parametrize(
    "zone",
    [
        "Asia/Kolkata",
        *(pytest.param(z, marks=pytest.mark.thorough) for z in ("UTC", "Europe/Berlin")),
    ],
)
def test_at_once_are_those_that_were_there_in_the_same_minute(zone: str, copied: Loaded) -> None:
    """Counted minute by minute, and each hour's peak is that of its minutes."""
    random = Random(zone)
    first, minute = datetime(2026, 10, 24, 9), timedelta(minutes=1)
    rows = []
    for number in range(40):
        start = first + timedelta(seconds=random.randint(0, 48 * 3600))
        seconds = random.choice([0, 1, 60, 900, 3600, 9000, 30 * 3600])
        rows.append(
            (f"CF{number}", start, start + timedelta(seconds=seconds), random.randint(1, 9))
        )
    with duckdb.connect(copied.path) as connection:
        for row in rows:
            connection.execute(
                "INSERT INTO conference_insights.conference_summaries SELECT * REPLACE (? AS "
                "conference_sid, ? AS create_time, ? AS end_time, ? AS max_concurrent_participants)"
                f" FROM conference_insights.conference_summaries WHERE conference_sid = '{sid(7)}'",
                row,
            )
        connection.execute(
            "UPDATE conference_insights.conference_summaries SET start_time = create_time "
            "WHERE length(conference_sid) < 9"
        )
        apply_views(DuckDb(connection), DESCRIPTIONS, zone)
    expected: dict[datetime, tuple[int, int]] = {}
    for number in range(96 * 60):
        now = first - timedelta(hours=1) + number * minute
        on = [most for _, start, end, most in rows if start < now + minute and end >= now]
        hour = now.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(minute=0, tzinfo=None)
        hour = hour.replace(fold=0)
        conferences, participants = expected.get(hour, (0, 0))
        expected[hour] = max(conferences, len(on)), max(participants, sum(on))
    made = copied.query(
        "SELECT running_hour, conferences_at_once, participants_at_once_at_most "
        "FROM analytics.concurrency_by_hour WHERE running_hour < '2026-10-27' ORDER BY ALL"
    )
    assert [row[1:] for row in made] == [expected[at] for at, *_ in made]
    assert max(row[1] for row in made) > 3


CONCERNED = "SELECT severity, severity_rank, participants_touched, findings "


def test_the_participants_of_a_finding_are_those_that_it_touched(copied: Loaded) -> None:
    """Of bad quality those with poor quality or silence, where they are known; else all."""
    card = f"{CONCERNED}FROM analytics.conference_health_card WHERE conference_sid = '{sid(7)}'"
    good, bad = participant(20, 7), participant(21, 7, metrics={"inbound": {"mos": 1.0}})
    silent = participant(22, 7, metrics={"outbound": {"is_silent": True}})
    for rows, touched in ([good], 2), ([good, bad], 1), ([good, bad, silent], 2):
        with duckdb.connect(copied.path) as connection:
            put_participants(connection, rows, [{"conference": 7, "last_status": 200}])
        assert copied.query(card) == [("low", 1, touched, 1)]
    with duckdb.connect(copied.path) as connection:
        connection.execute(
            "UPDATE conference_insights.conference_summaries SET unique_participants = 9, "
            f"mixer_region_requested = 'ie1' WHERE conference_sid = '{sid(7)}'"
        )
    assert copied.query(card) == [("low", 1, 9, 2)], "all were mixed elsewhere"


@pytest.mark.parametrize(
    ("tags", "issues", "parts"),
    [
        (["quality_warnings"], {"call_quality": 5}, (1, 0, 0, 0)),
        (["low_mos", "high_jitter", "quality_warnings"], {"call_quality": 5}, (2, 0, 0, 0)),
        ([], {"call_quality": 5}, (1, 0, 0, 0)),
        (["region_configuration_issues", "invalid_requested_region"], {}, (0, 1, 0, 0)),
        ([], {"region_configuration": 3}, (0, 1, 0, 0)),
        (
            ["participant_behavior_issues", "detected_silence"],
            {"participant_behavior": 9},
            (0, 0, 1, 0),
        ),
        (["detected_silence", "duplicate_identity"], {}, (0, 0, 2, 0)),
        (["start_failure", "no_concurrent_participants"], {}, (0, 0, 0, 1)),
        (["brand_new", "low_mos"], {"brand_new": 7}, (1, 0, 0, 1)),
        (["brand_new", "newer"], {"low_mos": 0}, (0, 0, 0, 2)),
        ([], {"call_quality": 0}, (0, 0, 0, 0)),
    ],
)
def test_what_stands_for_the_same_is_one_finding(
    tags: list[str], issues: dict[str, int], parts: tuple[int, ...], copied: Loaded
) -> None:
    with duckdb.connect(copied.path) as connection:
        for tag in tags:
            connection.execute(
                "INSERT INTO conference_insights.conference_tags BY NAME "
                "SELECT ? AS conference_sid, ? AS tag, '1' AS _dlt_load_id",
                [sid(1), tag],
            )
        connection.execute("DELETE FROM conference_insights.conference_detected_issues")
        for issue, count in issues.items():
            connection.execute(
                "INSERT INTO conference_insights.conference_detected_issues BY NAME SELECT ? AS "
                "conference_sid, ? AS issue, ? AS issue_count, '1' AS _dlt_load_id",
                [sid(1), issue, count],
            )
    assert copied.query(
        "SELECT quality_findings, region_findings, behavior_findings, other_findings, findings "
        f"FROM analytics.conference_health_card WHERE conference_sid = '{sid(1)}'"
    ) == [(*parts, sum(parts))]


def test_low_never_stands_above_high(copied: Loaded) -> None:
    """Not even with more findings, or more people."""
    with duckdb.connect(copied.path) as connection:
        info = "UPDATE conference_insights.conference_tag_info SET severity"
        connection.execute(f"{info} = 'LOW' WHERE conference_sid = '{sid(3)}'")
        connection.execute(f"{info} = 'High' WHERE conference_sid = '{sid(7)}'")
        connection.execute(f"{info} = 'Medium' WHERE conference_sid = '{sid(2)}'")
    worst = copied.query(
        "SELECT conference_sid, severity FROM analytics.conference_health_card WHERE findings > 0 "
        "ORDER BY severity_rank DESC, participants_touched DESC, findings DESC"
    )
    order = [(7, "high"), (2, "medium"), (6, "not stated"), (4, "not stated"), (3, "low")]
    assert worst == [(sid(number), severity) for number, severity in order]


def test_a_participant_expires_with_its_conference(copied: Loaded) -> None:
    state = "SELECT participant_completeness FROM analytics.participants WHERE leave_time IS NULL"
    assert sorted(copied.query(state)) == [("final",), ("pending",)]
    with duckdb.connect(copied.path) as connection:
        connection.execute(f"UPDATE {ACCOUNTS} SET listed_to = listed_to + INTERVAL 29 DAY")
    assert sorted(copied.query(state)) == [("expired",), ("final",)]


HERE = {"account_sid": ACCOUNT_SID, "listed_to": "2026-11-20 14:00"}
OTHER = {"account_sid": "AC2", "listed_to": "2026-11-10"}


@pytest.mark.parametrize(
    ("accounts", "as_of"),
    [
        pytest.param([], "2026-11-20 14:30", id="none, as an earlier version left it"),
        pytest.param([HERE], "2026-11-20 14:00", id="one"),
        pytest.param([HERE | {"listed_to": None}], "2026-11-20 14:30", id="one from before"),
        pytest.param([OTHER], "2026-11-10", id="another beside one from before"),
        pytest.param([HERE, OTHER], "2026-11-10", id="the one behind counts"),
        pytest.param([HERE, OTHER | {"left_at": "2026-11-11"}], "2026-11-20 14:00", id="it left"),
        pytest.param(
            [HERE, OTHER | {"error_class": "RefusedError"}], "2026-11-20 14:00", id="refused"
        ),
        pytest.param([HERE | {"left_at": "2026-11-20"}], "2026-11-20 14:00", id="all left"),
        pytest.param(
            [HERE | {"error_class": "RefusedError"}], "2026-11-20 14:00", id="all refused"
        ),
        pytest.param(
            [HERE, OTHER | {"error_class": "UnavailableError"}], "2026-11-10", id="unavailable"
        ),
        pytest.param([HERE, OTHER | {"listed_to": None}], "2026-11-20 14:00", id="never listed"),
        pytest.param(
            [HERE, OTHER | {"listed_to": "2026-10-20"}], "2026-11-20 14:00", id="30 days behind"
        ),
    ],
)
def test_all_is_loaded_as_far_as_the_account_that_is_furthest_behind(
    accounts: list[dict[str, Any]], as_of: str, copied: Loaded
) -> None:
    put_accounts(copied, *accounts)
    with duckdb.connect(copied.path) as connection:
        connection.execute("UPDATE conference_insights._runs SET accounts = NULL")
    expected = [(datetime.fromisoformat(as_of),)]
    assert copied.query("SELECT as_of FROM analytics.data_as_of") == expected


def test_no_conference_is_lost_to_an_account(copied: Loaded) -> None:
    """Of one that has no row, one that has no name, two of one name, one that left, and none."""
    owners = ["'AC1'", "'AC2'", "'AC3'", "'AC4'", "NULL", "NULL"]
    with duckdb.connect(copied.path) as connection:
        for number, owner in enumerate(owners, 1):
            connection.execute(
                "UPDATE conference_insights.conference_summaries SET processing_state = NULL, "
                f"account_sid = {owner} WHERE conference_sid = ?",
                [sid(number)],
            )
    left = datetime(2026, 11, 19, 14, 29)
    put_accounts(
        copied,
        HERE | {"friendly_name": "Sales", "listed_to": "2026-11-20 14:30"},
        {"account_sid": "AC2", "friendly_name": ""},
        {"account_sid": "AC3", "friendly_name": "Sales", "left_at": left},
        {"account_sid": "AC4", "friendly_name": "Idle", "left_at": left + timedelta(hours=1)},
    )
    names: list[tuple[Any, ...]] = [
        ("AC1", "AC1", 1),
        ("AC2", "AC2", 1),
        ("AC3", "Sales", 1),
        ("AC4", "Idle", 1),
    ]
    names += [(ACCOUNT_SID, "Sales", 1), (None, None, 2)]
    views = set(VIEWS) - {"stg_as_of", "data_as_of", "checks", "load_history"}
    for name in views:
        columns = [
            c for (c,) in copied.query(f"SELECT column_name FROM (DESCRIBE analytics.{name})")
        ]
        assert ("account_name" in columns) == ("account_sid" in columns), name
        if "account_sid" not in columns:
            continue
        found = copied.query(f"SELECT DISTINCT account_sid, account_name FROM analytics.{name}")
        assert {row[:2] for row in names} >= set(found), name
        if "conferences" in columns and name not in ("conference_kpis", "conference_issue_trends"):
            count = "SELECT account_sid, account_name, sum(conferences)::BIGINT AS n"
            rows = copied.query(f"{count} FROM analytics.{name} GROUP BY ALL HAVING n > 0")
            assert Counter(rows) == Counter(names), name
    assert copied.query(
        "SELECT account_sid, pending, pending_not_followed, is_followed FROM analytics.accounts "
        "ORDER BY account_sid NULLS LAST"
    ) == [
        ("AC1", 1, 0, False),
        ("AC2", 1, 0, True),
        ("AC3", 0, 1, False),
        ("AC4", 1, 0, False),
        (ACCOUNT_SID, 0, 0, True),
        (None, 2, 0, False),
    ]


def put_days(loaded: Loaded, account: str, days: dict[int, int]) -> None:
    """So many final conferences, each with a tag, on these days of November."""
    with duckdb.connect(loaded.path) as connection:
        for day, count in days.items():
            for number in range(count):
                key = f"'CF{account}-{day}-{number}' AS conference_sid"
                more = f", '2026-11-{day:02} 10:00' AS create_time, '{account}' AS account_sid"
                for table, values in {"summaries": more, "tags": ""}.items():
                    of = f"conference_insights.conference_{table}"
                    connection.execute(
                        f"INSERT INTO {of} SELECT * REPLACE ({key}{values}) FROM {of} "
                        f"WHERE conference_sid = '{sid(7)}'"
                    )


def test_a_change_compares_days_that_are_wholly_loaded(copied: Loaded) -> None:
    """The first day may not be, the last is not; an account that is refused ends earlier."""
    put_accounts(
        copied,
        {"account_sid": "AC1", "listed_to": "2026-11-14 14:30"},
        {"account_sid": "AC2", "listed_to": "2026-11-13", "error_class": "RefusedError"},
    )
    with duckdb.connect(copied.path) as connection:
        old = connection.execute("SELECT conference_sid FROM analytics.conferences").fetchall()
        put_days(copied, "AC1", {5: 1, 6: 10, 7: 10, 12: 4, 13: 20, 14: 3})
        put_days(copied, "AC2", {4: 1, 5: 8, 6: 5, 12: 12})
        for table in ("summaries", "tags", "detected_issues"):
            connection.execute(
                f"DELETE FROM conference_insights.conference_{table} WHERE conference_sid IN "
                f"({', '.join(repr(found) for (found,) in old)})"
            )
    days = {("AC1", 13): (20, 10), ("AC2", 12): (12, 8)}
    for view in ("conference_volume", "conference_end_reasons", "conference_issue_trends"):
        found = copied.query(
            "SELECT account_sid, day(created_date), sum(conferences)::BIGINT, "
            f"sum(conferences_week_before)::BIGINT FROM analytics.{view} WHERE is_compared "
            "GROUP BY ALL"
        )
        assert {row[:2]: row[2:] for row in found} == days, view
        partial = f"SELECT DISTINCT account_sid, day(created_date) FROM analytics.{view} "
        found = copied.query(f"{partial} WHERE NOT is_full_day AND conferences > 0")
        assert set(found) == {("AC1", 5), ("AC1", 14), ("AC2", 4)}, view
        change = METRICS[view]["change"]["expression"]
        assert copied.query(f"SELECT round({change}, 3) FROM analytics.{view}") == [(0.778,)]
    assert copied.query(
        "SELECT account_sid, period_days FROM analytics.conference_kpis WHERE is_compared"
    ) == [("AC1", 1)]
    change = METRICS["conference_kpis"]["change"]["expression"]
    assert copied.query(
        f"SELECT period_days, {change} FROM analytics.conference_kpis GROUP BY ALL ORDER BY ALL"
    ) == [(1, 4.0), (7, None), (15, None), (30, None)]


def test_filters_are_those_of_the_last_run_that_loaded(copied: Loaded) -> None:
    def say(outcome: str, filters: str | None, hours: int, command: str = "run") -> list[Any]:
        with duckdb.connect(copied.path) as connection:
            connection.execute(
                "INSERT INTO conference_insights._runs BY NAME SELECT ? AS run_id, ? AS command, "
                "? AS outcome, ?::TIMESTAMP AS started_at, ? AS filters",
                [str(hours), command, outcome, datetime(2100, 1, 1, hours), filters],
            )
        return copied.query("SELECT filters FROM analytics.data_as_of")

    some, others = '{"mixer_region": "ie1"}', '{"status": "completed"}'
    assert say("failed", some, 1) == [(None,)]
    assert say("ok", some, 2) == [(some,)]
    assert say("ok", others, 3, "backfill") == [(some,)]
    assert say("killed", None, 4) == [(some,)]
    assert say("running", others, 5) == [(others,)]
    assert say("pending", None, 6) == [(None,)]


def test_every_table_view_and_column_has_one_meaning(known: Loaded) -> None:
    schemas = "schema_name IN ('analytics', 'conference_insights')"
    ours = f"{schemas} AND NOT starts_with(table_name, '_dlt')"
    assert not known.query(
        f"SELECT table_name, column_name FROM duckdb_columns() WHERE {ours} AND comment IS NULL"
    )
    for kind in ("tables", "views"):
        named = ours.replace("table_name", f"{kind[:-1]}_name")
        assert not known.query(
            f"SELECT {kind[:-1]}_name FROM duckdb_{kind}() WHERE {named} AND comment IS NULL"
        )
    used = {
        name
        for column, full in known.query(
            "SELECT column_name, table_name || '.' || column_name "
            f"FROM duckdb_columns() WHERE {ours}"
        )
        for name in (column, full)
    }
    assert not read_columns().keys() - used
    of_views = {c for name, t in DESCRIPTIONS.items() if name[0] != "_" for c in t.columns}
    assert read_columns().keys() & of_views == set()


def test_views_have_plain_types(known: Loaded) -> None:
    types = "SELECT DISTINCT data_type FROM duckdb_columns() WHERE schema_name = 'analytics'"
    assert {name for (name,) in known.query(types)} <= PLAIN


@pytest.mark.thorough
def test_views_say_the_same_without_the_statistics_of_the_engine(copied: Loaded) -> None:
    """DuckDB 2.0 concludes from them that some columns are 0 which are not: `stg_participants`."""
    with duckdb.connect(copied.path) as connection:
        for table in (ROOT, *CHILDREN):  # a direction that is deleted is in the statistics
            connection.execute(f"DELETE FROM {table}; CHECKPOINT")
    slow = {"inbound": {"latency_avg": 200.0}}
    with duckdb.connect(copied.path) as connection:
        put_participants(connection, [participant(n, 1 + n % 9, metrics=slow) for n in range(30)])

        def rows() -> dict[str, list[str]]:
            of = {name: connection.sql(f"FROM analytics.{name}").fetchall() for name in VIEWS}
            return {name: sorted(map(repr, found)) for name, found in of.items()}

        found = rows()
        connection.execute("SET disabled_optimizers = 'statistics_propagation'")
        assert found == rows()
