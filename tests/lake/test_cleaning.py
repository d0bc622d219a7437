"""What is deleted from a lake, and what never."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipelines.lake_spark import read
from pipelines.warehouse.lake import cleaning, publishing
from pipelines.warehouse.lake.commits import Commits
from pipelines.warehouse.lake.rows import personal_columns
from pipelines.warehouse.lake.store import Store
from tests.conftest import NOW
from tests.lakes import (
    CONFERENCES,
    KEEP,
    SECRET,
    Killed,
    Publisher,
    Steps,
    assert_exact,
    files,
    killed,
    rows_in_lake,
)


def stored(publisher: Publisher) -> str:
    """All that is in any file of the lake, also in those that no version has."""
    found = list[str]()
    for file in Path(publisher.lake).rglob("*"):
        if file.suffix == ".parquet":
            found.append(str(pq.read_table(file, partitioning=None).to_pylist()))
        elif file.is_file():
            found.append(file.read_text())
    return "\n".join(found)


@pytest.mark.thorough
@pytest.mark.parametrize("fatal", [None, 2, 20])
def test_personal_data_is_gone_for_good_when_it_is_left_out(
    one: Publisher, two: Publisher, monkeypatch: pytest.MonkeyPatch, fatal: int | None
) -> None:
    """Also if the run that leaves it out is killed, and from statistics in the log."""
    two.execute(
        "UPDATE conference_summaries SET friendly_name = 'Theirs'",
        "UPDATE conference_participants SET label = 'Theirs'",
    )
    two.publish()
    one.publish()
    one.load("2000000000.8", "UPDATE conference_summaries SET status='x', _dlt_load_id=$load_id")
    one.publish()
    assert SECRET in stored(one)
    log = Path(one.lake, "conference_summaries/_delta_log").glob("*.json")
    assert not any(SECRET in file.read_text() for file in log)
    steps = Steps(monkeypatch)
    if fatal:
        steps.fatal = fatal if fatal < 10 else -1
        monkeypatch.setattr(Store, "delete", killed if fatal > 10 else Store.delete)
        with pytest.raises(Killed):
            one.publish(personal_data=False)
        monkeypatch.undo()
    one.publish(personal_data=False)
    assert SECRET not in stored(one)
    state = read(one.lake)
    rows = state.dataset("conference_summaries").to_table().to_pylist()
    assert {row["friendly_name"] for row in rows} == {None, "Theirs"}
    assert [commit.may_have_personal for commit in state.commits].count(False) == 1
    names = [name for name in CONFERENCES if not personal_columns()[name.partition(".")[2]]]
    assert len(names) > 3
    both = {name: one.rows(name)[name] + two.rows(name)[name] for name in names}
    assert rows_in_lake(one.lake, *names) == both
    before = files(one)
    one.publish(personal_data=False)
    assert files(one) == before
    one.publish()
    assert SECRET in stored(one)


@pytest.mark.thorough
@pytest.mark.parametrize("moment", ["before the erasure", "as its logs are deleted", "both"])
def test_an_erasure_leaves_what_another_writes_for_the_first_time(
    one: Publisher, two: Publisher, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The other one has written, or opened, its tables by then, and commits them afterwards."""
    one.publish()
    two.execute("DELETE FROM conference_tags")  # so that it opens a table and writes nothing
    erased = "UPDATE conference_summaries SET friendly_name = NULL WHERE friendly_name LIKE '%1'"
    one.execute(erased)
    real_logs, real_commit = cleaning.delete_logs, publishing._Lake._commit

    def delete_logs(*arguments: Any) -> None:
        def commit(lake: Any, *others: Any, **named: Any) -> Any:
            monkeypatch.undo()
            if moment == "both":
                one.publish(rebuild=True, forget=True)
            real_logs(*arguments)
            return real_commit(lake, *others, **named)

        monkeypatch.setattr(publishing._Lake, "_commit", commit)
        two.publish()

    def commit(lake: Any, *others: Any, **named: Any) -> Any:
        monkeypatch.undo()
        one.publish(rebuild=True, forget=True)
        return real_commit(lake, *others, **named)

    if moment == "before the erasure":
        monkeypatch.setattr(publishing._Lake, "_commit", commit)
        two.publish()
    else:
        monkeypatch.setattr(publishing, "delete_logs", delete_logs)
        one.publish(rebuild=True, forget=True)
    assert_exact(one, two)
    for each in (one, two, one):
        each.publish()
        assert_exact(one, two)


@pytest.mark.thorough
def test_what_a_killed_run_was_writing_is_deleted(one: Publisher) -> None:
    """Its own, of whatever table; another may be writing."""
    one.publish()
    unfinished = list[Path]()
    for file in Path(one.lake).glob("conference_*/warehouse=*/**/*.parquet"):
        unfinished.append(file.with_name(f"{file.name}#1"))
        unfinished[-1].write_text(SECRET)
    theirs = [Path(one.lake, "conference_tags", of, "x.parquet#2") for of in ("warehouse=D", "")]
    for file in theirs:
        file.parent.mkdir(exist_ok=True)
        file.write_text(SECRET)
    assert len({file.relative_to(one.lake).parts[0] for file in unfinished}) > 4
    one.publish()
    assert sorted(Path(one.lake).rglob("*#*")) == sorted(theirs)
    assert_exact(one)


@pytest.mark.thorough
def test_old_files_and_logs_are_deleted_once_a_day(
    one: Publisher, two: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the warehouse that publishes, and nothing that a commit of another one names."""
    monkeypatch.setattr(publishing, "machine_time", lambda: NOW)
    two.publish()
    change = "UPDATE conference_summaries SET status = '{}', _dlt_load_id = $load_id"
    for number in range(3):
        one.load(f"200000000{number}.9", change.format(number))
        one.publish()
    every = {str(p) for p in Path(one.lake, "conference_summaries").rglob("*.parquet")}
    theirs = {file for file in every if "D" in file.split("warehouse=")[1][:1]}
    kept = {*read(one.lake).files("conference_summaries")}
    assert theirs < kept < every
    before = read(one.lake).commits[0].versions
    later = NOW + timedelta(days=2)
    monkeypatch.setattr(publishing, "machine_time", lambda: later)
    one.publish(keep=KEEP)
    assert {str(p) for p in Path(one.lake, "conference_summaries").rglob("*.parquet")} >= every
    monkeypatch.setattr(publishing, "machine_time", lambda: later + timedelta(days=1))
    one.publish(keep=timedelta())
    left = {str(p) for p in Path(one.lake, "conference_summaries").rglob("part-*c000*.parquet")}
    assert left == kept
    idle = read(one.lake).commits[0]
    assert idle.versions["conference_summaries"] > before["conference_summaries"]
    assert len(Commits(Store(one.lake)).read()) == 2
    assert_exact(one, two)
    two.publish()
    assert_exact(one, two)


@pytest.mark.thorough
def test_logs_stay_as_long_as_one_waskilled_and_did_not_come_back(
    one: Publisher, two: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "machine_time", lambda: NOW)
    two.publish()
    former = two.rows(*CONFERENCES)
    two.load("2000000000.9", "UPDATE conference_summaries SET status='x', _dlt_load_id=$load_id")
    monkeypatch.setattr(Commits, "change", killed)
    with pytest.raises(Killed):
        two.publish()
    monkeypatch.undo()
    one.publish()
    version = read(one.lake).commits[0].versions["conference_summaries"]
    for days in (40, 41):
        monkeypatch.setattr(
            publishing, "machine_time", lambda days=days: NOW + timedelta(days=days)
        )
        one.publish(keep=timedelta())
    assert read(one.lake).commits[0].versions["conference_summaries"] == version
    found = rows_in_lake(one.lake, *CONFERENCES)
    assert found == {name: rows + one.rows(name)[name] for name, rows in former.items()}
