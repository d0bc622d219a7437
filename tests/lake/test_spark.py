"""Spark reads the lake: every view has DuckDB's rows, whoever writes, and whichever worker dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.simulator.sample_data import busy_account
from pipelines.warehouse.views import read_views
from tests.conftest import NOW, ROOT, Loaded, install_beside, loaded_once
from tests.lakes import Publisher
from tests.test_dialects import assert_equal

pytestmark = pytest.mark.slow
VIEWS = [view.name for view in read_views()]


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """Of some conferences with participants, one without account, one with no creation time, in a
    time zone that changes its clocks."""
    account = busy_account(NOW, days=21, per_day=3)
    with loaded_once(account, tmp_path_factory.mktemp("known")) as loaded:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SOURCES__TWILIO_INSIGHTS__PARTICIPANTS", "true")
            patch.setenv("REPORT_TIMEZONE", "Europe/Berlin")
            loaded.run()
        Publisher(loaded.path, "").execute(
            "UPDATE conference_summaries SET account_sid = NULL WHERE conference_sid = "
            "(SELECT max(conference_sid) FROM conference_summaries)",
            "UPDATE conference_summaries SET create_time = NULL WHERE conference_sid = "
            "(SELECT min(conference_sid) FROM conference_summaries)",
        )
        yield loaded


def in_spark(program: str, *given: Any, **env: str) -> Any:
    """What a program with `pyspark`, Debian's `openjdk-17-jre-headless` below, makes of JSON."""
    folder = install_beside("pyspark-4.3.0", "pyspark==4.3.0", "py4j==0.10.9.9")
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program],
        env=os.environ | {"PYTHONPATH": f"{folder}:{ROOT}", "TZ": "UTC"} | env,
        input=json.dumps(given),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


BEGIN = """
import json, sys, os
from pyspark.sql import SparkSession
from pipelines.lake_spark import read, register
builder = SparkSession.builder.master(os.environ.get("MASTER", "local[2]"))
for name, value in {
    "spark.ui.enabled": "false",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.session.timeZone": "Asia/Tokyo",
}.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
def rows(view):
    shown = lambda value: value if value is None else str(value)
    return [[*map(shown, row)] for row in spark.table(view).collect()]
"""


def test_every_view_has_the_same_rows(known: Loaded, tmp_path: Path) -> None:
    """Two threads of Spark, in whose session the time zone is another."""
    publisher = Publisher(known.path, tmp_path / "lake")
    publisher.publish()
    program = """
url, views = json.load(sys.stdin)
register(spark, url)
json.dump({view: rows(view) for view in views}, sys.stdout)
"""
    assert_equal(known, in_spark(program, publisher.lake, VIEWS))
