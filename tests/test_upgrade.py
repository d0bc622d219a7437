"""A warehouse that an earlier version wrote goes on with this one: tables, views, state."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from dlt.common.schema import Schema

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


def test_it_goes_on_where_the_earlier_version_ended(old: Loaded) -> None:
    done = old.run()
    assert done.window_from == old.account.now - 48 * HOUR
    assert (done.rows_new, done.pending_before, done.pending_after) == (1, 1, 0)
    old.assert_exact()
    assert old.run().rows_updated == 0
    assert old.query(f"SELECT count(*) FROM {DATASET}._runs WHERE outcome = 'ok'") == [(3,)]


def test_views_and_columns_are_those_of_this_version(old: Loaded) -> None:
    old.run()
    views = old.query("SELECT view_name FROM duckdb_views() WHERE schema_name = 'analytics'")
    assert {name for (name,) in views} == {view.name for view in read_views()}
    assert {name for name, *_ in old.query(f"DESCRIBE {DATASET}._runs")} == {*COLUMNS}
    assert old.query("SELECT count(*) FROM analytics.conferences") == [(5,)]


def test_every_command_takes_it(old: Loaded, command: Command) -> None:
    for arguments in (["status"], ["doctor"], ["backfill", "--from", "2d"], ["publish"]):
        done = command(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    assert old.path.with_name("published").joinpath("current/insights.duckdb").exists()


def test_a_column_that_came_later_is_added(old: Loaded) -> None:
    forget_column(old.path, "conference_summaries", "recording_enabled")
    old.run()
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
