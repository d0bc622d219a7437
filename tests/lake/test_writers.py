"""What is committed is exact, whoever writes, reads or dies at the same time."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from pipelines.lake_spark import read
from pipelines.warehouse.lake.commits import Commit, Commits
from pipelines.warehouse.lake.rows import LakeTable
from pipelines.warehouse.lake.store import Store
from pipelines.warehouse.lake.writer import TableWriter
from pipelines.warehouse.warehouse import BusyError
from tests.conftest import ROOT, python
from tests.lakes import (
    CONFERENCES,
    TABLES,
    Killed,
    Publisher,
    Steps,
    assert_exact,
    killed,
    rows_in_lake,
)


@pytest.mark.thorough
def testkilled_at_any_step_the_next_run_makes_it_whole(
    one: Publisher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one.publish()
    first = rows_in_lake(one.lake, *CONFERENCES)
    shutil.copytree(one.lake, tmp_path / "committed")
    shutil.copy(one.path, tmp_path / "former")
    one.load(
        "2000000000.5",
        *(f"UPDATE {table} SET _dlt_load_id = $load_id" for table in TABLES[:8]),
        "UPDATE conference_summaries SET status = 'x'",
        "UPDATE conference_tags SET tag = 'x' || tag",
    )
    shutil.copy(one.path, tmp_path / "changed")
    steps = Steps(monkeypatch)
    one.publish()
    last, count = rows_in_lake(one.lake, *CONFERENCES), steps.count
    assert count >= 9
    for fatal in range(1, count + 2):
        shutil.rmtree(one.lake)
        shutil.copytree(tmp_path / "committed", one.lake)
        steps.count, steps.fatal = 0, fatal
        with pytest.raises(Killed) if fatal <= count else nullcontext():
            one.publish()
        assert rows_in_lake(one.lake, *CONFERENCES) == (last if fatal > count else first)
        steps.fatal = -1
        if fatal % 2:  # what was written is of a package that is lost
            shutil.copy(tmp_path / "former", one.path)
        one.publish()
        assert rows_in_lake(one.lake, *CONFERENCES) == (first if fatal % 2 else last), fatal
        shutil.copy(tmp_path / "changed", one.path)


@pytest.mark.thorough
@pytest.mark.parametrize("fatal", [2, 3, 9])
def testkilled_at_first_the_lake_is_still_made(
    one: Publisher, monkeypatch: pytest.MonkeyPatch, fatal: int
) -> None:
    steps = Steps(monkeypatch)
    steps.fatal = fatal
    with pytest.raises(Killed):
        one.publish()
    steps.fatal = -1
    one.publish()
    assert_exact(one)


WRITER = """
import sys
from tests.lakes import CONFERENCES, KEEP, TABLES, Publisher, other, rows_in_lake
publisher = Publisher(*sys.argv[1:3])
for number in range(1, int(sys.argv[3]) + 1):
    publisher.load(
        f"300000000{number}.0",
        f"UPDATE conference_summaries SET status = '{number}', _dlt_load_id = $load_id",
        f"UPDATE conference_tags SET tag = concat('{number} ', conference_sid), "
        "_dlt_load_id = $load_id",
        f"UPDATE conference_participants SET label = '{number}', _dlt_load_id = $load_id",
    )
    publisher.publish()
    print(number, flush=True)
"""


def states(url: str) -> dict[str, set[str]]:
    """By account, the numbers that tables have."""
    lake, found = read(url), dict[str, set[str]]()
    numbers = {"conference_summaries": "status", "conference_tags": "tag"}
    for table, column in (numbers | {"conference_participants": "label"}).items():
        for row in lake.dataset(table).to_table(["warehouse", column]).to_pylist():
            found.setdefault(row["warehouse"], set()).add(row[column].split()[0])
    return found


def assert_read_while_written(one: Publisher, two: Publisher, rounds: int) -> None:
    """Two processes write, each its own account, and no reader ever sees a state that was none."""
    for publisher in (one, two):
        for table, column in (("summaries", "status"), ("tags", "tag"), ("participants", "label")):
            publisher.execute(f"UPDATE conference_{table} SET {column} = '0'")
        publisher.execute(
            "DELETE FROM conference_tags WHERE rowid NOT IN (SELECT min(rowid) "
            "FROM conference_tags GROUP BY conference_sid)"
        )
        publisher.publish()
    writers = [
        python(WRITER, str(p.path), str(p.lake), str(rounds), PYTHONPATH=str(ROOT))
        for p in (one, two)
    ]
    seen = list[dict[str, set[str]]]()
    while any(writer.poll() is None for writer in writers):
        seen.append(states(str(one.lake)))
    assert [writer.communicate()[1] for writer in writers] == ["", ""]
    assert [state for state in seen if any(len(of) != 1 for of in state.values())] == []
    assert all(len(state) == 2 for state in seen)
    numbers = [[int(*state[name]) for state in seen] for name in seen[0]]
    assert all(of == sorted(of) for of in numbers)
    assert len({*map(tuple, zip(*numbers, strict=True))}) > 1
    assert {*map(str, range(rounds, rounds + 1))} == set.union(*states(str(one.lake)).values())
    assert_exact(one, two)


@pytest.mark.thorough
def test_whoever_reads_while_others_write_sees_one_state(one: Publisher, two: Publisher) -> None:
    """Takes some seconds: two processes start and publish."""
    assert_read_while_written(one, two, 3)


def test_no_commit_of_another_is_lost(one: Publisher, two: Publisher) -> None:
    """What one prepares on the commits that it has read does not replace a later one."""
    one.publish()
    commits = Commits(Store(one.lake))
    tries = list[int]()

    def add(found: list[Commit]) -> list[Commit]:
        tries.append(len(found))
        if len(tries) == 1:
            two.publish()
        return [*found, found[0]._replace(number=found[-1].number + 1, warehouse="third")]

    commits.change(add)
    assert tries == [1, 2]
    assert len(read(one.lake).commits) == 3


@pytest.mark.thorough
def test_two_copies_of_a_warehouse_are_told_apart_as_they_write(
    one: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.publish()
    shutil.copy(one.path, tmp_path / "copy.duckdb")
    copy = Publisher(tmp_path / "copy.duckdb", one.lake)
    status = "UPDATE conference_summaries SET status = '{}', _dlt_load_id = $load_id"
    one.load("2000000000.6", status.format("one"))
    copy.load("2000000000.7", status.format("copy"))
    real, done = TableWriter.bring, list[str]()

    def bring(writer: TableWriter, table: LakeTable, *others: Any) -> Any:
        if table.name == "conference_tags" and not done:
            done.append(table.name)
            copy.publish()
        return real(writer, table, *others)

    monkeypatch.setattr(TableWriter, "bring", bring)
    with pytest.raises(BusyError, match="Another copy of this warehouse writes to the lake"):
        one.publish()
    assert rows_in_lake(one.lake, *CONFERENCES) == copy.rows(*CONFERENCES)
    one.publish()
    assert_exact(one)


@pytest.mark.thorough
def test_what_another_copy_wrote_in_between_is_not_committed(
    one: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other partitions than this one's, without a commit of its own."""
    one.publish()
    former = rows_in_lake(one.lake, *CONFERENCES)
    shutil.copy(one.path, tmp_path / "copy.duckdb")
    copy = Publisher(tmp_path / "copy.duckdb", one.lake)
    status = "UPDATE conference_summaries SET status = 'x', _dlt_load_id = $load_id WHERE "
    one.load("2000000000.6", f"{status} create_time >= '2026-11-01'")
    copy.load("2000000000.7", f"{status} create_time < '2026-11-01'")
    real, done = TableWriter._write, list[str]()

    def write(writer: TableWriter, table: LakeTable, *others: Any) -> Any:
        if not done:
            done.append(table.name)
            with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
                patch.setattr(Commits, "change", killed)
                copy.publish()
        return real(writer, table, *others)

    monkeypatch.setattr(TableWriter, "_write", write)
    with pytest.raises(BusyError, match="Another copy of this warehouse writes to the lake"):
        one.publish()
    assert rows_in_lake(one.lake, *CONFERENCES) == former
    one.publish()
    assert_exact(one)
