"""Warehouses that publish into one lake."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.simulator.sample_data import busy_account
from tests.conftest import NOW, loaded_once
from tests.lakes import (
    OTHER,
    SECRET,
    Publisher,
    other,
)


@pytest.fixture(scope="session")
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
