"""The lake has what the warehouses have, and only what has changed is written."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.lake_spark import read
from pipelines.simulator.sample_data import busy_account
from pipelines.warehouse.lake.rows import lake_tables
from pipelines.warehouse.lake.store import LakeError
from pipelines.warehouse.warehouse import BusyError
from tests.conftest import NOW, ROOT, loaded_once, python
from tests.lakes import (
    CONFERENCES,
    OTHER,
    TABLES,
    Publisher,
    assert_exact,
    files,
    rows_in_lake,
    written,
)

READER = """
    import sys
    from pipelines.lake_spark import read

    lake = read(sys.argv[1])
    for table in sys.argv[2:]:
        print(lake.dataset(table).to_table().num_rows)
"""


@pytest.mark.thorough
@pytest.mark.parametrize("table", ["", "conference_summaries"])
def test_a_program_that_has_read_the_lake_ends_well(one: Publisher, table: str) -> None:
    """It may end while threads of Arrow are still at work, so it does that a few times."""
    one.publish()
    given = str(one.lake), *filter(None, [table])
    for _ in range(5):
        reader = python(READER, *given, PYTHONPATH=str(ROOT))
        assert (reader.communicate(timeout=60)[1], reader.returncode) == ("", 0)


def test_a_table_that_is_not_there_is_named(one: Publisher) -> None:
    one.publish()
    with pytest.raises(LakeError, match=r"has no table conferences, but .*conference_summaries"):
        read(one.lake).dataset("conferences")


def test_a_run_publishes_all_that_the_views_need(
    with_participants: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLISH__LAKE", "lake")
    with loaded_once(busy_account(NOW, days=9, per_day=2), tmp_path) as loaded:
        loaded.run()
    publisher = Publisher(loaded.path, tmp_path / "lake")
    assert {*TABLES} == {*lake_tables()} == {*read(publisher.lake).tables}
    found = rows_in_lake(publisher.lake, *CONFERENCES)
    assert found == publisher.rows(*CONFERENCES)
    assert all(found[name] for name in CONFERENCES[:7])
    publisher.publish()  # with the row of the run that is over
    assert_exact(publisher, views=True)


@pytest.mark.thorough
def test_tables_are_partitioned_by_account_and_month(one: Publisher) -> None:
    one.publish()
    state = read(one.lake)
    (commit,) = state.commits
    months = {row[0] for row in rows_in_lake(one.lake, "conference_insights.conference_tags")}
    for table in TABLES[:8]:
        folders = {Path(file).parent.name for file in state.files(table)}
        assert folders <= {"created_month=2026-10-01", "created_month=2026-11-01"} | {
            "created_month=__HIVE_DEFAULT_PARTITION__"
        }, (table, months)
        by = state.store.open(table).metadata().partition_columns
        assert by == ["warehouse", "account_sid", "created_month"]
    assert "account_sid=__HIVE_DEFAULT_PARTITION__" in str(state.files("conference_summaries"))
    assert commit.name.startswith(f"{one.path} on ")


@pytest.mark.thorough
def test_only_what_has_changed_is_written(one: Publisher) -> None:
    one.publish()
    before = files(one)
    one.publish()
    assert files(one) == before
    find = "(SELECT conference_sid FROM conference_tags ORDER BY 1 DESC LIMIT 1)"
    one.load(
        "2000000000.1",
        f"UPDATE conference_summaries SET status = 'x', _dlt_load_id = $load_id "
        f"WHERE conference_sid = {find}",
        f"DELETE FROM conference_tags WHERE conference_sid = {find}",
    )
    one.publish()
    assert_exact(one)
    parts = written(before, files(one))
    of = {part.split("/")[0] for part in parts}
    months = {part.split("/")[-1] for part in parts}
    assert len(months) == 1
    assert {"conference_summaries", "conference_tags"} <= of
    assert not {"_runs", "_report_hours", "conference_participant_metrics"} & of


@pytest.mark.thorough
def test_rows_that_leave_a_partition_leave_the_lake(one: Publisher) -> None:
    """Deleted without a load package, or created in another month than was said first."""
    one.publish()
    one.execute("DELETE FROM conference_tags WHERE tag = 'high_jitter'")
    one.publish()
    assert_exact(one)
    one.load(
        "2000000000.2",
        "UPDATE conference_summaries SET create_time = create_time - INTERVAL 90 DAY, "
        "_dlt_load_id = $load_id WHERE create_time > TIMESTAMP '2026-11-18'",
    )
    one.publish()
    assert_exact(one)
    one.execute(*(f"DELETE FROM {table}" for table in TABLES[:8]))
    one.publish()
    assert_exact(one)


@pytest.mark.thorough
def test_what_dlt_loaded_without_a_run_is_published(one: Publisher) -> None:
    one.execute("DELETE FROM _runs")
    one.publish()
    assert_exact(one)


@pytest.mark.thorough
def test_a_restored_backup_is_published_as_it_is(one: Publisher, tmp_path: Path) -> None:
    one.publish()
    shutil.copy(one.path, tmp_path / "backup")
    one.load("2000000000.3", "UPDATE conference_summaries SET status='x', _dlt_load_id=$load_id")
    one.publish()
    shutil.copy(tmp_path / "backup", one.path)
    one.publish()
    assert_exact(one)


@pytest.mark.thorough
def test_several_warehouses_have_one_lake(one: Publisher, two: Publisher) -> None:
    one.publish()
    two.publish()
    assert_exact(one, two)
    one.load("2000000000.4", "UPDATE conference_summaries SET status='x', _dlt_load_id=$load_id")
    one.publish()
    two.publish()
    assert_exact(one, two)
    assert len(read(one.lake).dataset("_report").to_table()) == 1
    found = rows_in_lake(one.lake, "analytics.conferences", "analytics.accounts")
    conferences = one.rows("analytics.conferences")["analytics.conferences"]
    assert found["analytics.conferences"].total() == 2 * conferences.total()
    assert found["analytics.accounts"].total() == 3


def test_an_account_has_one_warehouse(one: Publisher, two: Publisher) -> None:
    one.publish()
    before = files(one)
    two.execute(
        f"ATTACH '{one.path}' AS first",
        "INSERT INTO accounts BY NAME FROM first.conference_insights.accounts",
    )
    with pytest.raises(BusyError, match=f"from another warehouse, {one.path} on .*only one may"):
        two.publish()
    assert BusyError.exit_code == 75
    assert files(one) == before


@pytest.mark.thorough
def test_a_copy_with_other_accounts_is_refused(one: Publisher, two: Publisher) -> None:
    """One file was copied to start two warehouses."""
    one.publish()
    two.execute("UPDATE _runs SET run_id = substr(run_id, 2)")
    with pytest.raises(BusyError, match="from another copy of this warehouse"):
        two.publish()
    assert_exact(one)


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["erased", "of another account"])
def test_an_account_that_is_left_by_its_last_conference_leaves_the_lake(
    one: Publisher, how: str
) -> None:
    """One that no run has listed is nowhere but in its conferences."""
    former = f"UPDATE conference_summaries SET account_sid = '{OTHER}' WHERE conference_sid = "
    former += (
        "(SELECT max(conference_sid) FROM conference_summaries WHERE create_time > '2026-11-10')"
    )
    one.execute(former)
    one.publish()
    assert OTHER in str(files(one))
    gone = f"conference_summaries WHERE account_sid = '{OTHER}'"
    if how == "erased":
        for table in ("conference_tags", "conference_tag_info", "conference_detected_issues"):
            sids = f"SELECT conference_sid FROM {gone}"
            one.execute(f"DELETE FROM {table} WHERE conference_sid IN ({sids})")
        one.execute(f"DELETE FROM {gone}")
    else:
        account = "(SELECT account_sid FROM accounts)"
        one.execute(f"UPDATE {gone.replace('WHERE', f'SET account_sid = {account} WHERE')}")
    one.publish(rebuild=True, forget=True)
    assert OTHER not in str([*Path(one.lake).rglob("*.parquet")])
    assert_exact(one)


@pytest.mark.thorough
def test_a_warehouse_without_its_first_run_is_still_the_same(one: Publisher) -> None:
    """A log was torn, or a copy put back that is older than the end of the first run."""
    one.publish()
    one.execute(
        "UPDATE _runs SET run_id = 'later'",
        "DELETE FROM conference_tags WHERE conference_sid = (SELECT min(conference_sid) "
        "FROM conference_tags)",
        "UPDATE _dlt_loads SET load_id = '2000000000.9'",
    )
    one.publish()
    assert_exact(one)
    one.publish()
    assert_exact(one)
    assert len({commit.warehouse for commit in read(one.lake).commits}) == 1
