"""Spark in one process reads the lake: every view has DuckDB's rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.simulator.sample_data import busy_account
from pipelines.warehouse.views import read_views
from tests.conftest import NOW, Loaded, loaded_once
from tests.lakes import Publisher
from tests.spark_cluster import driver, told
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


def test_every_view_has_the_same_rows(known: Loaded, tmp_path: Path) -> None:
    """Two threads of Spark, in whose session the time zone is another."""
    publisher = Publisher(known.path, tmp_path / "lake")
    publisher.publish()
    program = """
url, views = given
register(spark, url)
tell({view: rows(view) for view in views})
"""
    with driver(program, publisher.lake, VIEWS) as spark:
        assert_equal(known.path, told(spark))
