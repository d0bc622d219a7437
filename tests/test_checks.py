"""Each check finds what is wrong and nothing else, and a `fail` keeps the published copy."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from pipelines.cli.command_line import main
from pipelines.simulator.account import ACCOUNT_SID, Account, iso
from pipelines.warehouse.checks import Check, CheckResult, read_checks, run_checks
from pipelines.warehouse.copy.changed import OF_PENDING, take_changed
from pipelines.warehouse.copy.in_memory import take_staging
from pipelines.warehouse.database import StatementError
from pipelines.warehouse.duckdb_database import DuckDb
from tests.conftest import NOW, ROOT, Command, Loaded, copy_all, loaded_once, sid, summary
from tests.given_participants import participant, put_participants

RAW = "conference_insights."
TWICE = f"INSERT INTO {RAW}{{0}} SELECT * FROM {RAW}{{0}} LIMIT 1"
CP1 = f"CP{1:032x}"
PLANTED = {
    "unique_conferences": TWICE.format("conference_summaries"),
    "unique_tags": TWICE.format("conference_tags"),
    "unique_issues": TWICE.format("conference_detected_issues"),
    "children_have_parents": f"UPDATE {RAW}conference_tags SET conference_sid = 'CF' WHERE tag = "
    f"'high_jitter' AND conference_sid = (SELECT min(conference_sid) FROM {RAW}conference_tags "
    "WHERE tag = 'high_jitter')",
    "one_row_per_conference": "CREATE OR REPLACE VIEW analytics.conferences AS "
    f"SELECT * FROM {RAW}conference_summaries LIMIT 1",
    "final_with_end": f"UPDATE {RAW}conference_summaries SET end_time = NULL "
    f"WHERE conference_sid = (SELECT min(conference_sid) FROM {RAW}conference_summaries "
    "WHERE status = 'completed' AND processing_state = 'complete')",
    "not_pending_for_long": f"UPDATE {RAW}conference_summaries SET processing_state = 'new_state' "
    f"WHERE conference_sid = (SELECT arg_min(conference_sid, end_time) FROM "
    f"{RAW}conference_summaries)",
    "pending_are_followed": f"UPDATE {RAW}conference_summaries SET processing_state = 'new_state' "
    f"WHERE create_time < '2026-11-10'; DELETE FROM {RAW}accounts; INSERT INTO {RAW}accounts BY "
    "NAME SELECT account_sid, '2026-11-01' AS first_seen_at, listed_to, left_at, 'AC1' AS "
    "followed_by, '1' AS _dlt_load_id FROM (VALUES "
    f"('{ACCOUNT_SID}', '2026-11-19'::TIMESTAMP, '2026-11-19 14:29'::TIMESTAMP), "
    "('AC1', '2026-11-20 14:30', NULL)) AS rows(account_sid, listed_to, left_at)",
    "usual_volume": f"DELETE FROM {RAW}conference_summaries WHERE "
    "create_time BETWEEN '2026-11-20 09:00' AND '2026-11-20 09:59:59'",
    "nothing_undocumented": f"""UPDATE {RAW}_runs SET drift = '{{"tag = new": "CF1"}}'""",
    "nothing_rejected": f"INSERT INTO {RAW}_rejected_rows (row_digest, reason, row, rejected_at, "
    "_dlt_load_id) VALUES (1, 'no SID', '{}', '2026-11-20 14:00', '1')",
    "participants_have_conferences": f"UPDATE {RAW}conference_participants SET conference_sid = "
    f"'CF' WHERE participant_sid = '{CP1}'",
    "participant_children_have_parents": f"UPDATE {RAW}conference_participant_events "
    f"SET participant_sid = 'CP' WHERE participant_sid = '{CP1}'",
    "unique_participants": TWICE.format("conference_participant_metrics"),
    "one_row_per_participant": "CREATE OR REPLACE VIEW analytics.participants AS "
    f"SELECT * FROM {RAW}conference_participants LIMIT 1",
    "final_have_participants": f"DELETE FROM {RAW}_listings WHERE parent_key = (SELECT "
    f"arg_min(conference_sid, create_time) FROM {RAW}conference_summaries); "
    f"UPDATE {RAW}accounts SET listed_to = listed_to + INTERVAL 6 DAY",
    "reconciled_within_35_days": f"DELETE FROM {RAW}_runs WHERE command = 'reconcile'",
    "nothing_lost": f"UPDATE {RAW}_runs SET gap_from = '2026-10-01', gap_to = '2026-10-12'",
}


@pytest.fixture
def sound(loaded: Loaded, checked: Path) -> Loaded:
    """The same, of an account that goes on."""
    copy_all(checked, loaded.path)
    fill(loaded.account)
    return loaded


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Path:
    """Three weeks with 25 conferences each morning, in which no check finds anything; to be
    copied."""
    account = Account(NOW)
    fill(account)
    with loaded_once(account, tmp_path_factory.mktemp("checked"), empty_warehouse) as loaded:
        loaded.run()
        with duckdb.connect(loaded.path) as connection:
            list_participants(connection)
        return loaded.path


def list_participants(connection: duckdb.DuckDBPyConnection) -> None:
    """Of all conferences; few have any."""
    ((load_id,),) = connection.execute(f"SELECT max(load_id) FROM {RAW}_dlt_loads").fetchall()
    more = {"events": {"mute": ["2026-11-20"]}, "coached": [1]}
    put_participants(connection, [participant(n, n, **more) for n in range(3)], load_id=load_id)
    connection.execute(
        f"INSERT INTO {RAW}_listings BY NAME SELECT 'participants' AS resource, "
        "conference_sid AS parent_key, row_digest AS parent_digest, fetched_at AS listed_at, "
        f"0 AS unfinished, 0 AS attempts, 200 AS last_status, '{load_id}' AS _dlt_load_id "
        f"FROM {RAW}conference_summaries"
    )
    counts = '{"participants": {"rows_new": 3}}'
    connection.execute(f"UPDATE {RAW}_runs SET resources = '{counts}'")


def fill(account: Account) -> None:
    for number in range(22 * 25):
        day, minute = divmod(number, 25)
        age = timedelta(days=day, hours=5, minutes=minute)
        account.put(summary(number, age, start_time=iso(NOW - age)))


def findings(path: Path, optional: str = "") -> list[tuple[str, str]]:
    with duckdb.connect(path) as connection:
        found = run_checks(DuckDb(connection), NOW, optional=[optional])
        return [(f.check.level, f.check.name) for f in found]


@pytest.mark.thorough
def test_a_sound_warehouse_has_no_findings(sound: Loaded) -> None:
    assert findings(sound.path) == []
    assert sound.query("SELECT DISTINCT violations, failing_since FROM analytics.checks") == [
        (0, None)
    ]


@pytest.mark.thorough
@pytest.mark.parametrize("check", read_checks(), ids=lambda check: str(check.name))
def test_a_check_finds_what_is_wrong(check: Check, checked: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(checked, tmp_path / "planted.duckdb"))
    with duckdb.connect(path) as connection:
        connection.execute(PLANTED[check.name])
    assert (check.level, check.name) in findings(path, check.name)
    with duckdb.connect(path) as connection:
        ((violations, sample, since),) = connection.execute(
            "SELECT violations, sample, failing_since FROM analytics.checks WHERE check_name = ?",
            [check.name],
        ).fetchall()
    assert violations >= 1
    assert sample
    assert since == NOW.replace(tzinfo=None)


def test_what_nothing_asks_for_is_named_once(checked: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(checked, tmp_path / "left.duckdb"))
    with duckdb.connect(path) as connection:
        connection.execute(PLANTED["pending_are_followed"])
    assert findings(path) == [("warn", "pending_are_followed")]
    with duckdb.connect(path) as connection:
        connection.execute(f"UPDATE {RAW}accounts SET left_at = '2026-11-19 14:31'")
    assert findings(path) == [("warn", "not_pending_for_long")]


RECONCILED = f"INSERT INTO {RAW}_runs (run_id, command, started_at, outcome, error_class) VALUES"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("row", "warns"),
    [
        ("'1', 'reconcile', '2026-10-17', 'ok', NULL", False),
        ("'1', 'reconcile', '2026-10-17', 'failed', 'DifferencesError'", False),
        ("'1', 'reconcile', '2026-10-17', 'failed', 'RefusedError'", True),
        ("'1', 'reconcile', '2026-10-15', 'ok', NULL", True),
        ("'1', 'run', '2026-11-17', 'ok', NULL", True),
    ],
)
def test_whoever_asks_is_warned_without_a_comparison(
    row: str, warns: bool, checked: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(checked, tmp_path / "reconciled.duckdb"))
    with duckdb.connect(path) as connection:
        connection.execute(f"{RECONCILED} ({row})")
    name = "reconciled_within_35_days"
    assert findings(path, name) == [("warn", name)] * warns
    assert findings(path) == []


OLD = f"UPDATE {RAW}conference_summaries SET create_time = '{{}}' WHERE conference_sid = '{sid(0)}'"
NEVER = f"DELETE FROM {RAW}_listings WHERE parent_key = '{sid(0)}'"


@pytest.mark.parametrize(
    ("created", "is_named"),
    [
        ("2026-10-24 14:30", False),
        ("2026-10-24 14:29", True),
        ("2026-10-21 14:31", True),
        ("2026-10-21 14:29", False),
    ],
)
@pytest.mark.parametrize(
    ("and_then", "counts"),
    [
        (f"UPDATE {RAW}_listings SET listed_at = '2026-11-20 14:30'", True),
        (f"DELETE FROM {RAW}_listings", False),
        (f"UPDATE {RAW}_runs SET resources = NULL", False),
        (f"UPDATE {RAW}conference_summaries SET processing_state = NULL", False),
        (f"UPDATE {RAW}accounts SET left_at = '2026-11-10'", False),
        (
            f"INSERT INTO {RAW}_listings BY NAME SELECT * REPLACE ('{sid(0)}' AS parent_key, "
            f"404 AS last_status) FROM {RAW}_listings WHERE resource = 'participants' LIMIT 1",
            False,
        ),
    ],
    ids=["listed", "never on", "off", "not final", "left", "404"],
)
def test_participants_are_missed_in_their_last_days(
    and_then: str, counts: bool, created: str, is_named: bool, checked: Path, tmp_path: Path
) -> None:
    """30 days after a conference was created; what was deleted before the first listing is not."""
    path = Path(shutil.copy(checked, tmp_path / "planted.duckdb"))
    with duckdb.connect(path) as connection:
        for statement in (OLD.format(created), NEVER, and_then):
            connection.execute(statement)
        ((sql,),) = [(c.sql,) for c in read_checks() if c.name == "final_have_participants"]
        lost_at = datetime.fromisoformat(created) + timedelta(days=30)
        expected = [(sid(0), lost_at)] if counts and is_named else []
        assert connection.execute(sql).fetchall() == expected


def test_every_check_is_tried() -> None:
    assert {check.name for check in read_checks()} == PLANTED.keys()


@pytest.mark.parametrize("check", read_checks(), ids=lambda check: str(check.name))
def test_a_check_says_what_it_means_and_what_to_do(check: Check) -> None:
    """On the page that its message names, with commands that there are."""
    page = (ROOT / "sql/README.md").read_text().split("\n## Checks\n")[1]
    ((means, do),) = re.findall(
        rf"\n### {check.name}\n\n.*\n\n- \*\*Means\*\*: (.+)\n- \*\*Do\*\*: (.+)\n", page
    )
    assert means != do
    for line in re.findall(r"`conference-insights ([^`]+)`", do):
        assert line.split()[0] in main.commands
    for setting in re.findall(r"\bSOURCES__\w+", do):
        assert f"`{setting}`" in (ROOT / "pipelines/settings.md").read_text()
    assert str(CheckResult(check, 2, "x")).endswith("; what to do: sql/README.md, Checks)")


@pytest.mark.thorough
def test_a_failed_check_keeps_the_published_copy(sound: Loaded, command: Command) -> None:
    published = sound.path.with_name("warehouse.published") / "current"
    before = published.readlink()
    with duckdb.connect(sound.path) as connection:
        connection.execute(PLANTED["unique_tags"])
    sound.account.put(summary(1000, timedelta(hours=3)))
    done = command("run")
    assert done.returncode == 65
    assert "1 check failed; nothing was published; see `conference-insights status`" in done.stderr
    assert "Traceback" not in done.stderr
    assert "A conference has a tag" in done.stderr
    assert published.readlink() == before
    runs = "SELECT outcome, error_class, rows_new FROM conference_insights._runs ORDER BY ALL"
    assert sound.query(runs)[0] == ("failed", "ChecksError", 1)
    assert command("run").returncode == 65, "it fails until it is mended"
    with duckdb.connect(sound.path) as connection:
        connection.execute(
            "DELETE FROM conference_insights.conference_tags AS t WHERE rowid > (SELECT min(rowid) "
            "FROM conference_insights.conference_tags AS o WHERE o.conference_sid = "
            "t.conference_sid AND o.tag = t.tag)"
        )
    assert command("run").returncode == 0
    assert published.readlink() != before


def test_a_warning_does_not(sound: Loaded, command: Command) -> None:
    published = sound.path.with_name("warehouse.published") / "current"
    before = published.readlink()
    sound.account.put(summary(1000, timedelta(hours=3), tags=["brand_new"], start_time=iso(NOW)))
    done = command("run")
    assert done.returncode == 0
    assert "WARN: An undocumented field or value" in done.stderr
    assert published.readlink() != before


def test_a_check_that_does_not_run_fails(checked: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(checked, tmp_path / "altered.duckdb"))
    with duckdb.connect(path) as connection:
        connection.execute("ALTER TABLE conference_insights._rejected_rows DROP COLUMN reason")
    assert ("fail", "nothing_rejected") in findings(path)


def test_a_check_that_lacks_memory_is_not_a_finding(checked: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(checked, tmp_path / "large.duckdb"))
    large = "SELECT list(range::VARCHAR) AS a FROM range(3000000)"
    with duckdb.connect(path, config={"memory_limit": "12MB", "temp_directory": ""}) as connection:
        with pytest.raises(StatementError, match="Out of Memory"):
            run_checks(DuckDb(connection), NOW, lambda _: large)


def found_in_changed(connection: duckdb.DuckDBPyConnection, former: str) -> list[CheckResult]:
    """What the checks find among what packages after the former wrote, and what is not final."""
    changed = take_changed(connection, former, take_staging(connection))
    return run_checks(DuckDb(connection), NOW, lambda check: changed.of(check.sql))


@pytest.mark.parametrize("name", OF_PENDING)
def test_what_is_not_final_is_found_without_reading_all(
    name: str, checked: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(checked, tmp_path / "planted.duckdb"))
    with duckdb.connect(path) as connection:
        ((last,),) = connection.execute(f"SELECT max(load_id) FROM {RAW}_dlt_loads").fetchall()
        connection.execute(PLANTED[name])
        of_all = run_checks(DuckDb(connection), NOW)
        assert name in [finding.check.name for finding in of_all]
        named = [finding for finding in of_all if finding.check.name == name]
        found = found_in_changed(connection, last)
        assert [finding for finding in found if finding.check.name == name] == named


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name", [c.name for c in read_checks() if c.level == "fail" and "one_row" not in c.name]
)
def test_a_fail_check_finds_what_a_later_package_wrote(
    name: str, checked: Path, tmp_path: Path
) -> None:
    """And nothing else; those of one row are of a view, and views are in no package."""
    path = Path(shutil.copy(checked, tmp_path / "planted.duckdb"))
    with duckdb.connect(path) as connection:
        ((former,),) = connection.execute(f"SELECT max(load_id) FROM {RAW}_dlt_loads").fetchall()

        def found() -> list[str]:
            results = found_in_changed(connection, former)
            return [finding.check.name for finding in results if finding.check.level == "fail"]

        connection.execute(PLANTED[name])
        assert found() == []
        tables = ("summaries", "tags", "detected_issues", "participants")
        children = ("participant_metrics", "participant_events", "participant_coaching")
        for table in (*tables, *children):
            connection.execute(f"UPDATE {RAW}conference_{table} SET _dlt_load_id = 'later'")
        assert name in (names := found())
        assert set(names) <= {name, "one_row_per_participant"}


@pytest.mark.thorough
def test_what_was_done_by_hand_is_found_within_the_day(sound: Loaded, command: Command) -> None:
    sound.run()  # by whose copy it is known what has changed
    published = sound.path.with_name("warehouse.published") / "current"
    with duckdb.connect(sound.path) as connection:
        connection.execute(PLANTED["unique_issues"])
    sound.account.put(summary(1000, timedelta(hours=3), start_time=iso(NOW)))
    assert command("run").returncode == 0, "it looks at the new one only"
    sound.account.now += timedelta(hours=1)
    sound.account.put(summary(1001, timedelta(hours=3), start_time=iso(NOW)))
    assert command("run").returncode == 0, "and so it does an hour later"
    before = published.readlink()
    assert command("publish").returncode == 65
    told = command("status")
    assert told.returncode == 65, "what `publish` found is told"
    assert "unique_issues" in told.stdout
    assert command("run").returncode == 65, "nor does a run publish what has failed"
    assert published.readlink() == before


@pytest.mark.thorough
def test_the_first_run_of_a_day_checks_all(sound: Loaded, command: Command) -> None:
    sound.run()
    with duckdb.connect(sound.path) as connection:
        connection.execute(PLANTED["unique_issues"])
    sound.account.now = datetime(2026, 11, 20, 23, 59, tzinfo=UTC)
    assert command("run").returncode == 0
    sound.account.now = datetime(2026, 11, 21, tzinfo=UTC)
    assert command("run").returncode == 65
