"""The commands and queries of the page about several accounts work as it says."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from pipelines.simulator.account import ACCOUNT_SID
from pipelines.simulator.sample_data import busy_tree
from pipelines.simulator.server import InsightsServer
from pipelines.twilio_insights.resources import CONFERENCES
from tests.conftest import ROOT, environment
from tests.test_readme import blocks, run_shell

PAGE = (ROOT / "pipelines/several_accounts.md").read_text()


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Loaded by the page's commands, in their order, of a simulated parent and its subaccounts."""
    folder = tmp_path_factory.mktemp("several_accounts")
    now = datetime.now(UTC) - timedelta(minutes=1)
    with InsightsServer(busy_tree(now, per_day=100)) as server:
        subaccounts = server.account.subaccounts.values()
        refused = [one for one in subaccounts if one.refusal()]
        named = ",".join(one.sid for one in subaccounts if not one.refusal())
        for number, shell in enumerate(blocks("sh", PAGE)):
            shell = shell.replace("AC...,AC...", f"{ACCOUNT_SID},{named}")
            run_shell(
                f"cd {folder}; {_SETTINGS if number else ''}{shell}", folder, **environment(server)
            )
            if "doctor" in shell:
                assert refused, "so there was something to find"
    assert (folder / "support.html").exists()
    return folder / "warehouse.duckdb"


_SETTINGS = "export SOURCES__TWILIO_INSIGHTS__ACCOUNTS=all; "


@pytest.mark.thorough
@pytest.mark.parametrize("number", range(len(blocks("sql", PAGE))))
def test_every_query_answers(number: int, warehouse: Path) -> None:
    with duckdb.connect(warehouse, read_only=True) as connection:
        assert connection.execute(blocks("sql", PAGE)[number]).fetchall()


def test_every_filter_is_in_its_table() -> None:
    assert tuple(re.findall(r"^\| `(\w+)` \| (?:that|with)", PAGE, re.MULTILINE)) == (
        CONFERENCES.filters
    )
