"""The lake: what is committed is exact, whoever writes, reads or dies at the same time."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import deltalake
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.exit_codes import DISK, REFUSED, UNAVAILABLE, USAGE, exit_code
from pipelines.lake_spark import read
from pipelines.simulator.sample_data import busy_account
from pipelines.warehouse.lake import publishing, store
from pipelines.warehouse.lake.commits import Commit, Commits
from pipelines.warehouse.lake.rows import LakeTable, lake_tables, personal_columns
from pipelines.warehouse.lake.store import LakeError, Store
from pipelines.warehouse.lake.writer import TableWriter
from pipelines.warehouse.warehouse import BusyError
from tests.conftest import NOW, ROOT, Command, Loaded, install_beside, loaded_once, python
from tests.lakes import CONFERENCES, EVERYTHING, KEEP, TABLES, Publisher, other, rows_in_lake

OTHER = "AC" + "f" * 32
SECRET = "Caller-4711"


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Conferences of two months with participants; one has no account, one no creation time, and
    names are personal."""
    account = busy_account(NOW, days=25, per_day=2)
    with loaded_once(account, tmp_path_factory.mktemp("known")) as loaded:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SOURCES__TWILIO_INSIGHTS__PARTICIPANTS", "true")
            loaded.run()
    Publisher(loaded.path, "").execute(
        "DELETE FROM _report_hours WHERE utc_hour NOT BETWEEN '2026-10-20' AND '2026-11-22'",
        "UPDATE conference_summaries SET account_sid = NULL WHERE conference_sid = "
        "(SELECT max(conference_sid) FROM conference_summaries)",
        "UPDATE conference_summaries SET create_time = NULL WHERE conference_sid = "
        "(SELECT min(conference_sid) FROM conference_summaries)",
        f"UPDATE conference_summaries SET friendly_name = '{SECRET}' || conference_sid",
        f"UPDATE conference_participants SET label = '{SECRET}' || participant_sid",
    )
    return loaded.path


@pytest.fixture
def one(known: Path, tmp_path: Path) -> Publisher:
    shutil.copy(known, tmp_path / "warehouse.duckdb")
    return Publisher(tmp_path / "warehouse.duckdb", tmp_path / "lake")


@pytest.fixture
def two(known: Path, tmp_path: Path, one: Publisher) -> Publisher:
    """Another warehouse, of another account, with the same lake."""
    return other(known, tmp_path / "two/warehouse.duckdb", one.lake, OTHER, "D")


def assert_exact(*publishers: Publisher) -> None:
    """The lake has the rows of all of them."""
    names = EVERYTHING if len(publishers) == 1 else CONFERENCES
    found = rows_in_lake(publishers[0].lake, *names)
    expected = [publisher.rows(*names) for publisher in publishers]
    for name in names:
        whole = expected[0][name]
        for rows in expected[1:]:
            whole = whole + rows[name]
        assert found[name] == whole, name


def files(publisher: Publisher) -> dict[str, set[str]]:
    """By folder, the committed files."""
    found: dict[str, set[str]] = {}
    state = read(publisher.lake)
    for table in state.tables:
        for file in state.files(table):
            path = Path(file).relative_to(publisher.lake)
            found.setdefault(str(path.parent), set()).add(path.name)
    return found


def written(before: dict[str, set[str]], after: dict[str, set[str]]) -> list[str]:
    parts = (part for part in {*before, *after} if before.get(part) != after.get(part))
    return sorted("/".join(f.partition("=")[2] or f for f in part.split("/")) for part in parts)


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
    assert_exact(publisher)


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


def test_what_dlt_loaded_without_a_run_is_published(one: Publisher) -> None:
    one.execute("DELETE FROM _runs")
    one.publish()
    assert_exact(one)


def test_a_restored_backup_is_published_as_it_is(one: Publisher, tmp_path: Path) -> None:
    one.publish()
    shutil.copy(one.path, tmp_path / "backup")
    one.load("2000000000.3", "UPDATE conference_summaries SET status='x', _dlt_load_id=$load_id")
    one.publish()
    shutil.copy(tmp_path / "backup", one.path)
    one.publish()
    assert_exact(one)


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


def test_a_copy_with_other_accounts_is_refused(one: Publisher, two: Publisher) -> None:
    """One file was copied to start two warehouses."""
    one.publish()
    two.execute("UPDATE _runs SET run_id = substr(run_id, 2)")
    with pytest.raises(BusyError, match="from another copy of this warehouse"):
        two.publish()
    assert_exact(one)


# Killed anywhere, and read at any moment.


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


class Steps:
    """Counts what is written, and kills before one of the writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.fatal = 0, -1
        table = deltalake.DeltaTable
        for owner, name in ((deltalake, "write_deltalake"), (table, "create"), (Store, "delete")):
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            if self.count == self.fatal:
                raise Killed
            return write(*arguments, **named)

        return step


def test_killed_at_any_step_the_next_run_makes_it_whole(
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


@pytest.mark.parametrize("fatal", [2, 3, 9])
def test_killed_at_first_the_lake_is_still_made(
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
from tests.lakes import CONFERENCES, EVERYTHING, KEEP, TABLES, Publisher, other, rows_in_lake
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
                patch.setattr(Commits, "change", _killed)
                copy.publish()
        return real(writer, table, *others)

    monkeypatch.setattr(TableWriter, "_write", write)
    with pytest.raises(BusyError, match="Another copy of this warehouse writes to the lake"):
        one.publish()
    assert rows_in_lake(one.lake, *CONFERENCES) == former
    one.publish()
    assert_exact(one)


# What is deleted from it, and what never.


def stored(publisher: Publisher) -> str:
    """All that is in any file of the lake, also in those that no version has."""
    found = list[str]()
    for file in Path(publisher.lake).rglob("*"):
        if file.suffix == ".parquet":
            found.append(str(pq.read_table(file, partitioning=None).to_pylist()))
        elif file.is_file():
            found.append(file.read_text())
    return "\n".join(found)


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
        monkeypatch.setattr(Store, "delete", _killed if fatal > 10 else Store.delete)
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


def _killed(*_: Any) -> None:
    raise Killed


def test_what_is_purged_is_in_no_file(one: Publisher) -> None:
    one.publish()
    one.execute(
        "UPDATE conference_summaries SET friendly_name = NULL",
        "UPDATE conference_participants SET label = NULL",
    )
    one.publish(purge=True)
    assert SECRET not in stored(one)
    assert_exact(one)


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


def test_logs_stay_as_long_as_one_was_killed_and_did_not_come_back(
    one: Publisher, two: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "machine_time", lambda: NOW)
    two.publish()
    former = two.rows(*CONFERENCES)
    two.load("2000000000.9", "UPDATE conference_summaries SET status='x', _dlt_load_id=$load_id")
    monkeypatch.setattr(Commits, "change", _killed)
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


# What is wrong where it is, or with what it takes.


def test_a_folder_with_something_else_is_left_alone(one: Publisher) -> None:
    folder = Path(one.lake)
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(LakeError, match="has something else, such as thesis") as found:
        one.publish()
    assert exit_code(found.value) == DISK
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]
    with pytest.raises(LakeError, match="There is no lake at"):
        read(one.lake)


def test_a_table_of_somebody_else_is_left_alone(one: Publisher) -> None:
    theirs = pa.table({"n": [1]})
    deltalake.write_deltalake(f"{one.lake}/_commits", theirs)
    with pytest.raises(LakeError, match="is no commit table of this version") as found:
        one.publish()
    assert exit_code(found.value) == DISK
    assert deltalake.DeltaTable(f"{one.lake}/_commits").to_pyarrow_table() == theirs


def test_a_file_where_the_lake_should_be(one: Publisher) -> None:
    Path(one.lake).write_text("")
    with pytest.raises(LakeError, match=r"cannot be used: .*File exists") as found:
        one.publish()
    assert exit_code(found.value) == DISK


def test_a_package_is_missing(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """Which shows before anything is loaded."""
    monkeypatch.setattr(store, "find_spec", lambda _: None)
    done = command("run", PUBLISH__LAKE="lake")
    assert done.returncode == USAGE
    assert "pip install 'conference-insights[lake]'" in done.stderr
    assert loaded.server.requests == []


@pytest.mark.parametrize("keep", ["soon", "5m", "31d"])
def test_how_long_states_are_kept_is_a_duration(
    loaded: Loaded, command: Command, keep: str
) -> None:
    done = command("run", PUBLISH__LAKE_KEEP=keep)
    assert done.returncode == USAGE
    assert "publish.lake_keep: " in done.stderr


PAGE = (ROOT / "pipelines/warehouse/lake/README.md").read_text()


def test_the_command_and_the_example_of_the_page_run(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = re.findall(r"^    (PUBLISH__LAKE=.*)$", PAGE, re.MULTILINE)
    setting, _, words = line.partition(" conference-insights ")
    name, _, place = setting.partition("=")
    with loaded_once(busy_account(NOW, days=2, per_day=9), tmp_path):
        done = command(*words.split(), **{name: str(tmp_path / "lake")})
    assert (done.returncode, f"Lake: {tmp_path}/lake (" in done.stderr) == (0, True)
    example = re.findall("^```py\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)[0]
    exec(example.replace(place, str(tmp_path / "lake")), {})
    assert "high_latency" in capsys.readouterr().out


REFUSING = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Refusing(BaseHTTPRequestHandler):
    def do_GET(self):
        text = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(403)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)
    do_HEAD = do_PUT = do_POST = do_GET
    def log_message(self, *_):
        pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"""


def test_a_bucket_refuses_or_cannot_be_reached(
    one: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own, since `deltalake` would not let this one answer."""
    one.lake = "s3://bucket/lake"
    server = python(REFUSING)
    assert server.stdout
    for name, value in S3.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.stdout.readline().strip())
    with pytest.raises(LakeError, match="refuses the credentials, or they lack") as found:
        one.publish()
    assert exit_code(found.value) == REFUSED
    server.kill()
    server.communicate()
    monkeypatch.setattr(store, "_STORAGE", {"max_retries": "1", "retry_timeout": "1s"})
    with pytest.raises(LakeError, match=r"cannot be reached: .*the next run brings") as found:
        one.publish()
    assert exit_code(found.value) == UNAVAILABLE
    assert "\\x1b" not in str(found.value)
    with pytest.raises(LakeError, match="cannot be reached"):
        read(one.lake)


S3 = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}


# The same in a bucket of a real server.

SERVER = """
import logging, sys, threading
from werkzeug.serving import make_server
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication, MotoRequestHandler, create_backend_app
)
application, lock = DomainDispatcherApplication(create_backend_app), threading.Lock()
def one_at_a_time(environ, start):  # as S3 is: its conditions are checked and met in one step
    with lock:
        return [b"".join(application(environ, start))]
logging.getLogger("werkzeug").disabled = True
server = make_server("127.0.0.1", 0, one_at_a_time, True, request_handler=MotoRequestHandler)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"""
MOTO = (
    "moto==5.2.5 boto3==1.44.8 botocore==1.44.8 s3transfer==0.19.3 jmespath==1.1.0 flask==3.1.3 "
    "flask-cors==6.0.5 werkzeug==3.1.9 jinja2==3.1.6 markupsafe==3.0.4 itsdangerous==2.2.0 "
    "blinker==1.9.0 responses==0.26.3 xmltodict==1.0.4 py-partiql-parser==0.6.3 "
    "python-dateutil==2.9.0.post0 six==1.17.0"
)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """`moto`, which is S3 with its conditional writes, in a process of its own."""
    folder = install_beside("moto-5.2.5", *MOTO.split())
    server = python(SERVER, PYTHONPATH=str(folder))
    assert server.stdout
    url = server.stdout.readline().strip()
    for name, value in (S3 | {"AWS_ENDPOINT_URL": url}).items():
        monkeypatch.setenv(name, value)
    httpx.put(f"{url}/bucket").raise_for_status()
    yield "s3://bucket/some/lake"
    server.kill()
    server.communicate()


@pytest.mark.slow
def test_a_bucket_is_read_while_two_write_it(one: Publisher, two: Publisher, bucket: str) -> None:
    one.lake = two.lake = bucket
    assert_read_while_written(one, two, 2)


@pytest.mark.slow
def test_a_bucket_forgets_what_is_personal(one: Publisher, two: Publisher, bucket: str) -> None:
    one.lake = two.lake = bucket
    two.publish()
    one.publish()
    one.publish(personal_data=False)
    store = read(bucket).store
    (own,) = [c.warehouse for c in read(bucket).commits if not c.may_have_personal]
    listed = store.listed(f"conference_summaries/warehouse={own}", recursive=True)
    there = {path for path in listed if path.endswith(".parquet")}
    files = read(bucket).files("conference_summaries")
    assert there == {f.removeprefix(f"{bucket}/") for f in files if f"warehouse={own}/" in f}
    one.lake = "s3://another/lake"
    with pytest.raises(LakeError, match="There is no bucket of that name: s3://another/lake"):
        one.publish()
