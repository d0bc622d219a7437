"""A load package is in a PostgreSQL database as a whole or not at all, and exact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.run.migrations import _definition
from pipelines.run.pinned_dlt import make_pipeline
from pipelines.simulator.account import Row
from pipelines.twilio_insights.extract.flatten import Tables, flatten, to_arrow
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.twilio_insights.source import begun_package
from pipelines.twilio_insights.tables import DRIFT, TABLES
from pipelines.warehouse.database import DATASET, PIPELINE
from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.postgres.warehouse import PostgresWarehouse
from pipelines.warehouse.warehouse import WarehouseError
from tests.conftest import NOW, ROOT, python, sid, slow, summary
from tests.postgres_server import started

ACCOUNT = f"AC{1:032x}"
HOUR = timedelta(hours=1)
KEYS = {table.name: table.key for table in TABLES}


def prepare(warehouse: PostgresWarehouse) -> None:
    """As a run does: its row comes first, so that others know whose schema it is."""
    with warehouse.alone():
        warehouse.execute(f"CREATE TABLE IF NOT EXISTS {DATASET}._runs (run_id VARCHAR)")
        for table in TABLES:
            columns = ", ".join(map(_definition, table.columns))
            warehouse.execute(f"CREATE TABLE IF NOT EXISTS {DATASET}.{table.name} ({columns})")
        warehouse.prepare_indexes(KEYS)


@pytest.fixture
def warehouse(database: str) -> Iterator[PostgresWarehouse]:
    with PostgresServer(database).open() as opened:
        prepare(opened)
        yield opened


def rows_of(rows: Sequence[Row], digest: int = 1) -> Tables:
    return flatten(CONFERENCES, [*rows], [digest] * len(rows), [NOW] * len(rows))


def load(warehouse: PostgresWarehouse, *batches: Tables) -> None:
    folder = Path(mkdtemp(dir=warehouse.working_folder))  # nothing is left of an earlier run's
    pipeline = make_pipeline(PIPELINE, warehouse.destination(), DATASET, folder)
    pipeline.extract(begun_package(iter(batches), None))
    pipeline.normalize()
    with warehouse.alone():
        pipeline.load(raise_on_failed_jobs=True)


def rows_in(warehouse: PostgresWarehouse, table: str, columns: str) -> Counter[tuple[Any, ...]]:
    return Counter(warehouse.execute(f"SELECT {columns} FROM {DATASET}.{table}"))


def count(warehouse: PostgresWarehouse) -> dict[str, int]:
    tables = [table.name for table in TABLES] + ["_dlt_loads"]
    counts = {t: warehouse.query(f"SELECT count(*) FROM {{{t}}}") for t in tables}
    return {table: found[0][0] for table, found in counts.items() if found and found[0][0]}


ODD = [
    "",
    None,
    "NULL",
    r"\N",
    "a\nb\r\n",
    'say "x", ok',
    "süß ☎ \U0001f600",
    "\\.",
    "%s %",
    " ",
    "a\n\\.\nb",
]


def test_what_is_loaded_is_what_was_received(warehouse: PostgresWarehouse) -> None:
    rows = [
        summary(number, HOUR, friendly_name=text, tags=[text or "none", "x"])
        for number, text in enumerate(ODD)
    ]
    load(warehouse, rows_of(rows[:4]), rows_of(rows[4:]))
    found = rows_in(warehouse, "conference_summaries", "friendly_name")
    assert found == Counter((text,) for text in ODD)
    tags = rows_in(warehouse, "conference_tags", "tag, _tombstone")
    assert tags == Counter((text, None) for row in rows for text in row["tags"])
    (times,) = rows_in(warehouse, "conference_summaries", "create_time, fetched_at")
    assert times == ((NOW - HOUR).replace(tzinfo=None), NOW.replace(tzinfo=None))


@pytest.mark.thorough
def test_a_character_that_postgresql_refuses_is_replaced(warehouse: PostgresWarehouse) -> None:
    load(warehouse, rows_of([summary(1, HOUR, friendly_name="a\0b", tags=["\0"])]))
    assert rows_in(warehouse, "conference_summaries", "friendly_name") == {("a\ufffdb",): 1}
    assert rows_in(warehouse, "conference_tags", "tag") == {("\ufffd",): 1}
    (said,) = warehouse.records("SELECT ? AS a, unnest(?) AS b", ["\0", ["x\0"]])
    assert said == {"a": "\ufffd", "b": "x\ufffd"}


def test_keys_that_differ_in_what_is_replaced_are_one(
    warehouse: PostgresWarehouse, caplog: pytest.LogCaptureFixture
) -> None:
    tags = ["a\0", "a\ufffd", "b"]
    values: dict[str, Any] = {
        "tag_info": {tag: {} for tag in tags},
        "detected_issues": dict.fromkeys(tags, 1),
    }
    odd = summary(1, HOUR, tags=tags, **values)
    drift = to_arrow(DRIFT, [[ACCOUNT] * 3, [f"tag = {tag}" for tag in tags], [sid(1)] * 3])
    for digest in (1, 2):
        load(warehouse, rows_of([odd, summary(2, HOUR)], digest) | {DRIFT.name: drift})
        for table in ("tags", "tag_info", "detected_issues"):
            where = f"conference_{table} WHERE conference_sid = '{sid(1)}'"
            column = "issue" if table == "detected_issues" else "tag"
            assert rows_in(warehouse, where, column) == {("a\ufffd",): 1, ("b",): 1}
        assert count(warehouse)["_drift"] == 2
        assert "differ in U+0000 alone" in caplog.text


def test_later_copies_replace_a_record_and_all_of_its_children(
    warehouse: PostgresWarehouse,
) -> None:
    load(warehouse, rows_of([summary(1, HOUR, tags=["a", "b"]), summary(2, HOUR, tags=["c"])]))
    load(warehouse, rows_of([summary(1, HOUR, tags=["b"], friendly_name="new")], digest=2))
    assert rows_in(warehouse, "conference_tags", "tag") == {("b",): 1, ("c",): 1}
    load(warehouse, rows_of([summary(1, HOUR, "in_progress", tags=None)], digest=3))
    assert rows_in(warehouse, "conference_tags", "tag") == {("c",): 1}
    assert rows_in(warehouse, "conference_summaries", "row_digest") == {(3,): 1, (1,): 1}
    assert count(warehouse)["_dlt_loads"] == 3


LONG = "x" * 50_000


def test_texts_of_any_length_have_a_place_in_the_indexes(warehouse: PostgresWarehouse) -> None:
    load(warehouse, rows_of([summary(1, HOUR, tags=[LONG, f"{LONG}y"], friendly_name=LONG)]))
    assert rows_in(warehouse, "conference_tags", "length(tag)") == {(50_000,): 1, (50_001,): 1}


@pytest.mark.parametrize("table", ["conference_summaries", "conference_tags"])
def test_if_one_table_cannot_be_loaded_nothing_is(warehouse: PostgresWarehouse, table: str) -> None:
    load(warehouse, rows_of([summary(1, HOUR)]))
    before = count(warehouse)
    warehouse.execute(f"CREATE UNIQUE INDEX one ON {DATASET}.{table} (_dlt_load_id)")
    rows = rows_of([summary(number, HOUR) for number in (2, 3)])
    with pytest.raises(Exception, match="duplicate key"):
        load(warehouse, rows)
    assert count(warehouse) == before
    warehouse.execute(f"DROP INDEX {DATASET}.one")
    load(warehouse, rows)
    assert count(warehouse)["conference_summaries"] == 3


def test_duplicate_keys_that_a_merge_would_leave_are_an_error(warehouse: PostgresWarehouse) -> None:
    rows = rows_of([summary(1, HOUR)])
    with pytest.raises(Exception, match="duplicate key"):
        load(warehouse, rows, rows)
    assert count(warehouse) == {}
    load(warehouse, rows)
    warehouse.execute(f"DROP INDEX {DATASET}.conference_summaries_key")
    table = f"{DATASET}.conference_summaries"
    warehouse.execute(f"INSERT INTO {table} SELECT * FROM {table}")
    with pytest.raises(
        WarehouseError, match=r"conference_summaries in postgresql://.* duplicate keys"
    ):
        warehouse.prepare_indexes(KEYS)


class KilledError(BaseException):
    """As if the process ended here."""


def test_what_ends_a_load_half_way_leaves_nothing_to_be_committed_later(
    warehouse: PostgresWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.warehouse.postgres.one_transaction import PackageClient

    merge = PackageClient._merge

    def killed(client: PackageClient, name: str, paths: list[str]) -> None:
        merge(client, name, paths)
        if name == "conference_tags":
            raise KilledError

    monkeypatch.setattr(PackageClient, "_merge", killed)
    with pytest.raises(KilledError):
        load(warehouse, rows_of([summary(1, HOUR)]))
    with warehouse.transaction():
        warehouse.execute("CREATE TABLE other (a BIGINT)")
    assert count(warehouse) == {}


def test_a_package_is_loaded_once(
    warehouse: PostgresWarehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.warehouse.postgres.one_transaction import PackageClient

    complete = PackageClient.complete_load

    def twice(client: PackageClient, load_id: str) -> None:
        complete(client, load_id)
        warehouse.execute(f"DELETE FROM {DATASET}.conference_tags")
        complete(client, load_id)

    monkeypatch.setattr(PackageClient, "complete_load", twice)
    load(warehouse, rows_of([summary(1, HOUR)]))
    found = count(warehouse)
    assert (found["_dlt_loads"], found["conference_summaries"]) == (1, 1)
    assert "conference_tags" not in found


def test_a_file_is_read_in_pieces(tmp_path: Path) -> None:
    from pipelines.warehouse.postgres.csv_copy import _Csv

    rows = pa.table({"a": range(20_000), "b": [None, "", "x", "\0"] * 5_000})
    pq.write_table(rows, tmp_path / "f.parquet", row_group_size=7_000)
    with pq.ParquetFile(tmp_path / "f.parquet") as file:
        read = b"".join(iter(partial(_Csv(file.iter_batches(5_000)).read, 999), b""))
    lines = read.decode().splitlines()
    assert lines[:4] == ['"0",', '"1",""', '"2","x"', '"3","\ufffd"']
    assert len(lines) == 20_000


LOADS = """
import sys
from tests.postgres_server import held
from tests.test_postgres_load import *
url, account, packages = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.read(1)  # all begin at once
with held(url, f"AC{account:032x}") as warehouse:
    prepare(warehouse)
    for package in range(packages):
        load(warehouse, rows_of(conferences(account, package), digest=package))
"""


def conferences(account: int, package: int) -> list[Row]:
    """Some are new in each package, and some are those of the one before."""
    numbers = range(account * 1_000_000 + package * 100, account * 1_000_000 + package * 100 + 200)
    tags = [f"tag {package}", "same"]
    return [summary(n, HOUR, account_sid=f"AC{account:032x}", tags=tags) for n in numbers]


@pytest.mark.thorough
@pytest.mark.parametrize("exists", [False, *slow(True)])
def test_several_processes_load_accounts_of_their_own_at_once(database: str, exists: bool) -> None:
    accounts, packages = (1, 2), 2
    if exists:
        with PostgresServer(database).open() as first:
            prepare(first)
            load(first, rows_of(conferences(1, 0)))
    with ExitStack() as stack:
        given = [(database, str(account), str(packages)) for account in accounts]
        workers = [stack.enter_context(python(LOADS, *g, PYTHONPATH=str(ROOT))) for g in given]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("x")
            worker.stdin.flush()
        for worker in workers:
            assert worker.communicate(timeout=100)[1] == ""
    latest = {
        row["conference_sid"]: (row["account_sid"], package, {*row["tags"]})
        for account in accounts
        for package in range(packages)
        for row in conferences(account, package)
    }
    with PostgresServer(database).open() as warehouse:
        found = rows_in(
            warehouse, "conference_summaries", "conference_sid, account_sid, row_digest"
        )
        assert found == Counter((sid, *of[:2]) for sid, of in latest.items())
        tags = rows_in(warehouse, "conference_tags", "conference_sid, tag")
        assert tags == Counter((sid, tag) for sid, of in latest.items() for tag in of[2])
        assert count(warehouse)["_dlt_loads"] == len(accounts) * packages + exists


@pytest.mark.thorough
def test_a_server_that_crashes_in_a_load_has_nothing_of_it() -> None:
    from pipelines.warehouse.postgres.one_transaction import PackageClient

    merge = PackageClient._merge
    with started() as server, pytest.MonkeyPatch.context() as patch:

        def crashing(client: PackageClient, name: str, paths: list[str]) -> None:
            merge(client, name, paths)
            if name == "conference_tags":
                server.stop()

        place = PostgresServer(server.url)
        with place.open() as warehouse:
            prepare(warehouse)
            load(warehouse, rows_of([summary(1, HOUR)]))
            patch.setattr(PackageClient, "_merge", crashing)
            with pytest.raises(Exception, match="closed") as crashed:
                load(warehouse, rows_of([summary(number, HOUR) for number in (1, 2)], digest=2))
            assert getattr(place.explain(crashed.value), "exit_code", None) == 69
        patch.undo()
        server.start()
        with place.open() as warehouse:
            assert rows_in(warehouse, "conference_summaries", "row_digest") == {(1,): 1}
            assert count(warehouse)["_dlt_loads"] == 1
            load(warehouse, rows_of([summary(number, HOUR) for number in (1, 2)], digest=2))
            assert rows_in(warehouse, "conference_summaries", "row_digest") == {(2,): 2}
