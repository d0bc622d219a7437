"""The conferences of `tests/analytics` in a warehouse, with their accounts and participants."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.simulator.account import ACCOUNT_SID, Account, running_row
from tests.conftest import NOW, Loaded, loaded_once, sid
from tests.given_participants import put_participants

ACCOUNTS = "conference_insights.accounts"
FOLDER = Path(__file__).parent / "analytics"


@pytest.fixture(scope="module")
def given() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((FOLDER / "given.json").read_text())
    return rows


@pytest.fixture(scope="module")
def known(
    given: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path
) -> Iterator[Loaded]:
    """The given conferences in a warehouse that tests only read."""
    folder = tmp_path_factory.mktemp("known")
    with loaded_once(Account(NOW), folder, empty_warehouse) as loaded:
        load(loaded, given)
        put_accounts(loaded, *json.loads((FOLDER / "accounts.json").read_text()))
        with duckdb.connect(loaded.path) as connection:
            given_rows = json.loads((FOLDER / "participants.json").read_text())
            put_participants(connection, **given_rows)
        yield loaded


@pytest.fixture
def copied(known: Loaded, tmp_path: Path) -> Loaded:
    """The same in the test's own warehouse."""
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(known.path.read_bytes())
    return Loaded(known.account, known.server, path)


def load(loaded: Loaded, given: list[dict[str, Any]]) -> None:
    for row in given:
        number = row["number"]
        created = datetime.fromisoformat(row["create_time"])
        values = {name: value for name, value in row.items() if name != "number"}
        loaded.account.put(running_row(sid(number), created) | values)
    loaded.load(views=True)


def put_accounts(loaded: Loaded, *rows: dict[str, Any]) -> None:
    """Let `accounts` have these rows alone, each with what must not be NULL."""
    always = {"first_seen_at": "2026-11-01", "followed_by": ACCOUNT_SID, "_dlt_load_id": "1"}
    with duckdb.connect(loaded.path) as connection:
        connection.execute(f"DELETE FROM {ACCOUNTS}")
        for row in rows:
            values = always | row
            marks = ", ".join(f"${name}" for name in values)
            connection.execute(
                f"INSERT INTO {ACCOUNTS} ({', '.join(values)}) VALUES ({marks})", values
            )
