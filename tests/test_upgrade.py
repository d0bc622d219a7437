"""A warehouse that an earlier version wrote goes on with this one: tables, views, state."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dlt.common.schema import Schema

from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN
from pipelines.simulator.participants import participant_row
from pipelines.twilio_insights import TwilioInsightsConfiguration, twilio_insights
from pipelines.warehouse.runs import COLUMNS
from pipelines.warehouse.views import read_views
from tests.conftest import ROOT, Command, Loaded, sid, summary

HOUR = timedelta(hours=1)
DATASET = "conference_insights"


@pytest.fixture
def old(loaded: Loaded) -> Loaded:
    """The first version's warehouse; its pending conference has ended since, and one is new."""
    with duckdb.connect(loaded.path) as connection:
        connection.execute((ROOT / "tests/old_warehouses/first.sql").read_text())
    tags = ["high_jitter", "duplicate_identity"]
    details = {"participant_identity": "client:a", "participant_sids": ["CP1", "CP2"]}
    for number, age in {1: HOUR, 2: 5 * HOUR, 3: 50 * HOUR}.items():
        tag_info = {"duplicate_identity": [details]}
        loaded.account.put(summary(number, age, tags=tags, tag_info=tag_info))
    loaded.account.put(summary(5, HOUR, recording_enabled=True))
    loaded.account.put(summary(4, 60 * HOUR, "timeout"))
    return loaded


@pytest.mark.thorough
def test_it_goes_on_where_the_earlier_version_ended(old: Loaded) -> None:
    done = old.run()
    assert done.window_from == old.account.now - 48 * HOUR
    assert (done.rows_new, done.pending_before, done.pending_after) == (1, 1, 0)
    old.assert_exact()
    assert old.load().rows_updated == 0
    assert old.query(f"SELECT count(*) FROM {DATASET}._runs WHERE outcome = 'ok'") == [(3,)]
    # Views and columns are those of this version.
    views = old.query("SELECT view_name FROM duckdb_views() WHERE schema_name = 'analytics'")
    assert {name for (name,) in views} == {view.name for view in read_views()}
    assert {name for name, *_ in old.query(f"DESCRIBE {DATASET}._runs")} == {*COLUMNS}
    assert old.query("SELECT count(*) FROM analytics.conferences") == [(5,)]


def test_an_index_of_the_user_that_is_in_the_way_is_named(old: Loaded, command: Command) -> None:
    with duckdb.connect(old.path) as connection:
        connection.execute(f'CREATE INDEX "my own" ON {DATASET}._refetches (conference_sid)')
    done = command("run")
    assert done.returncode == 74, done.stderr
    assert f'DROP INDEX {DATASET}."my own"' in done.stderr
    assert "is not in the status" not in done.stderr


@pytest.mark.thorough
def test_every_command_takes_it(old: Loaded, command: Command) -> None:
    for arguments in (["status"], ["doctor"], ["backfill", "--from", "2d"], ["publish"]):
        done = command(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    assert old.path.with_name("warehouse.published").joinpath("current/insights.duckdb").exists()


@pytest.mark.thorough
def test_it_is_published_before_any_run_of_this_version(old: Loaded, command: Command) -> None:
    done = command("publish")
    assert done.returncode == 0, done.stderr
    accounts = "SELECT account_name, is_followed, conferences FROM analytics.accounts"
    assert old.query(accounts) == [(ACCOUNT_SID, False, 4)]


def test_a_column_that_came_later_is_added(old: Loaded) -> None:
    forget_column(old.path, "conference_summaries", "recording_enabled")
    old.load()
    assert old.query(
        f"SELECT conference_sid, recording_enabled FROM {DATASET}.conference_summaries "
        "WHERE recording_enabled IS NOT NULL"
    ) == [(sid(5), True)]


def forget_column(path: Path, table: str, column: str) -> None:
    """As if neither the file nor dlt's schema in it had ever had the column."""
    with duckdb.connect(path) as connection:
        connection.execute(f"ALTER TABLE {DATASET}.{table} DROP COLUMN {column}")
        (text,) = connection.execute(f"SELECT schema FROM {DATASET}._dlt_version").fetchall()[0]
        schema = Schema.from_dict(json.loads(text))
        del schema.tables[table]["columns"][column]
        schema._bump_version()
        changed = json.dumps(schema.to_dict(), default=str)
        connection.execute(
            f"UPDATE {DATASET}._dlt_version SET schema = ?, version_hash = ?, version = ?",
            [changed, schema.version_hash, schema.version],
        )
        connection.execute(
            f"UPDATE {DATASET}._dlt_loads SET schema_version_hash = ?", [schema.version_hash]
        )


def put_in_place(folder: Path, files: dict[str, Any]) -> None:
    """Write what `staged.json` holds of a working folder: text, gzipped text, tables, folders."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            file.mkdir(exist_ok=True)
        elif isinstance(content, str):
            file.write_text(content)
        elif "same as" in content:
            file.write_text(files[content["same as"]])
        elif "gzip" in content:
            file.write_bytes(gzip.compress(content["gzip"].encode()))
        else:
            pq.write_table(table_of(**content), file)


def table_of(columns: list[tuple[str, str, bool]], rows: list[list[Any]]) -> pa.Table:
    schema = pa.schema(
        [pa.field(name, pa.type_for_alias(kind), nullable) for name, kind, nullable in columns]
    )
    values = [
        [
            datetime.fromisoformat(row[number]) if row[number] and "time" in kind else row[number]
            for row in rows
        ]
        for number, (_, kind, _) in enumerate(columns)
    ]
    arrays = [pa.array(*column) for column in zip(values, schema.types, strict=True)]
    return pa.table(arrays, schema=schema)


@pytest.fixture
def one_resource(loaded: Loaded) -> Loaded:
    """What the version left that knew conferences alone: of four, the second answers 404."""
    with duckdb.connect(loaded.path) as connection:
        connection.execute((ROOT / "tests/old_warehouses/one_resource.sql").read_text())
    loaded.account.put(summary(1, 60 * HOUR, tags=["low_mos"]))
    loaded.account.put(summary(3, 5 * HOUR, "in_progress"))
    loaded.account.put(summary(4, 2 * HOUR, tags=["brand_new"]))
    return loaded


REFETCHES = f"SELECT resource, key, attempts, last_status, outcome FROM {DATASET}._refetches"


@pytest.mark.thorough
def test_refetches_of_one_resource_are_those_of_conferences(one_resource: Loaded) -> None:
    one_resource.load()
    assert one_resource.query(REFETCHES) == [("conferences", sid(2), 1, 404, "gone")]
    one_resource.account.now += HOUR
    one_resource.load()
    assert one_resource.query(REFETCHES) == [("conferences", sid(2), 2, 404, "gone")]
    one_resource.account.put(summary(2, 70 * HOUR))
    one_resource.account.now += 2 * HOUR
    one_resource.load()
    assert one_resource.query(REFETCHES) == [("conferences", sid(2), 0, 200, None)]
    one_resource.assert_exact()


@pytest.mark.thorough
def test_the_source_alone_takes_them_over_too(one_resource: Loaded) -> None:
    config = TwilioInsightsConfiguration(
        account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, base_url=one_resource.server.url
    )
    pipeline = dlt.pipeline(
        "alone",
        destination=dlt.destinations.duckdb(str(one_resource.path)),
        dataset_name=DATASET,
        pipelines_dir=str(one_resource.path.with_name("alone")),
    )
    one_resource.account.now += HOUR
    for _ in range(2):
        pipeline.run(twilio_insights(config))
        assert one_resource.query(REFETCHES) == [("conferences", sid(2), 2, 404, "gone")]


OF_NOTES = (
    "resource VARCHAR NOT NULL, parent_key VARCHAR NOT NULL, parent_digest BIGINT NOT NULL, "
    "listed_at TIMESTAMP NOT NULL, unfinished BIGINT NOT NULL, attempts BIGINT NOT NULL, "
    "last_status BIGINT, next_due_at TIMESTAMP, _dlt_load_id VARCHAR NOT NULL"
)


@pytest.mark.thorough
@pytest.mark.parametrize("has_listings", [False, True])
def test_the_source_alone_loads_participants_into_it(
    one_resource: Loaded, monkeypatch: pytest.MonkeyPatch, has_listings: bool
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PARTICIPANTS", "true")
    pipeline = dlt.pipeline(
        "alone",
        destination=dlt.destinations.duckdb(str(one_resource.path)),
        dataset_name=DATASET,
        pipelines_dir=str(one_resource.path.with_name("alone")),
    )
    row = participant_row("CP" + "1" * 32, sid(1), one_resource.account.now)
    one_resource.account.put(summary(1, HOUR, unique_participants=1))
    one_resource.account.put_participants(sid(1), [row | {"processing_state": "complete"}])
    if has_listings:
        with duckdb.connect(one_resource.path) as connection:
            connection.execute(f"CREATE TABLE {DATASET}._listings ({OF_NOTES})")
    for _ in range(2):  # first the tables, which that version did not have
        pipeline.run(twilio_insights())
    found = f"SELECT conference_sid FROM {DATASET}.conference_participants"
    assert one_resource.query(found) == [(sid(1),)]


@pytest.fixture(params=["with its working folder", "without it", "with only the root merged"])
def staged(loaded: Loaded, request: pytest.FixtureRequest) -> Loaded:
    """What a version with a staging schema left when it was killed in its third package's merge."""
    texts = ROOT / "tests/old_warehouses"
    files = json.loads((texts / "staged.json").read_text())
    with duckdb.connect(loaded.path) as connection:
        connection.execute((texts / "staged.sql").read_text())
        if request.param == "with only the root merged":
            merge_only_the_root(connection, files)
    if request.param == "with its working folder":
        put_in_place(loaded.path.with_name("warehouse.duckdb.dlt") / DATASET, files)
    info = {"participant_identity": "client:a", "participant_sids": ["CP1", "CP2"]}
    tag_info = {"duplicate_identity": [info]}
    loaded.account.put(summary(1, 60 * HOUR))
    loaded.account.put(summary(2, 50 * HOUR, "in_progress"))
    loaded.account.put(summary(3, 20 * HOUR, tags=["brand_new"], tag_info=tag_info))
    loaded.account.put(summary(4, 10 * HOUR, tags=["low_mos"]))
    loaded.account.put(summary(5, 3 * HOUR))
    for number in (6, 7, 8, 9):
        loaded.account.put(summary(number, timedelta(minutes=10 * number + 5)))
    return loaded


def merge_only_the_root(connection: duckdb.DuckDBPyConnection, files: dict[str, Any]) -> None:
    """In another order of the tables, and without a working folder: the digests are there, and
    what belongs to them is not."""
    (name,) = (name for name in files if "conference_summaries" in name)
    connection.register("root", table_of(**files[name]))
    connection.execute(
        f"DELETE FROM {DATASET}.conference_summaries WHERE conference_sid IN "
        f"(SELECT conference_sid FROM root); "
        f"INSERT INTO {DATASET}.conference_summaries BY NAME FROM root"
    )
    for child in ("tags", "tag_info", "detected_issues"):
        connection.execute(
            f"DELETE FROM {DATASET}.conference_{child} WHERE _dlt_load_id NOT IN "
            f"(SELECT load_id FROM {DATASET}._dlt_loads)"
        )


def test_a_merge_that_an_earlier_version_began_is_made_whole(staged: Loaded) -> None:
    begun = [
        staged.query(
            f"SELECT count(*) FROM {DATASET}.{table} "
            f"WHERE _dlt_load_id NOT IN (SELECT load_id FROM {DATASET}._dlt_loads)"
        )
        for table in ("conference_summaries", "conference_tags", "conference_tag_info")
    ]
    assert begun in ([[(0,)], [(0,)], [(5,)]], [[(5,)], [(0,)], [(0,)]])
    assert staged.query(f"SELECT count(*) FROM {DATASET}_staging.conference_tag_info") == [(5,)]
    tags = ["brand_new", "newer_still"]
    staged.account.put(summary(10, HOUR / 2, tags=tags))
    # The watermark is that of the last completed package, or of the one that is finished now.
    kept = staged.account.now - timedelta(hours=2)
    finished = kept + HOUR
    work = staged.path.with_name("warehouse.duckdb.dlt")
    expected = {kept, finished} if work.exists() else {kept}
    done = staged.load()
    staged.assert_exact()
    assert done.window_from in {moment - 48 * HOUR for moment in expected}
    assert "newer_still" in " ".join(done.drift)
    assert "brand_new" not in " ".join(done.drift), "the earlier version named it"
    found = staged.query("SELECT schema_name FROM duckdb_schemas() WHERE schema_name LIKE '%stag%'")
    assert found == []
    assert staged.load().rows_updated == 0
    staged.assert_exact()
