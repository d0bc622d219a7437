"""A warehouse in PostgreSQL has the same as one in a file, by the same commands."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import SettingsError
from pipelines.exit_codes import STALE
from pipelines.monitor.health import diagnose
from pipelines.monitor.status import read_status
from pipelines.run.post_load import publish_now
from pipelines.simulator.account import ACCOUNT_SID
from pipelines.simulator.sample_data import busy_account
from pipelines.twilio_insights.tables import TABLES
from pipelines.warehouse.database import Database
from pipelines.warehouse.file.warehouse_file import inspect_warehouse
from pipelines.warehouse.postgres import PostgresServer
from tests import expected
from tests.conftest import NOW, Command, Loaded, loaded_once, sid, summary
from tests.postgres_server import PostgresTestServer, held


@pytest.fixture
def server_url(database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """From now on the warehouse is a new database."""
    monkeypatch.setenv("DESTINATION_TYPE", "postgres")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", database)
    return database


@dataclass
class Both:
    """One account, loaded into a file and into a database."""

    loaded: Loaded
    place: PostgresServer


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresTestServer) -> Iterator[Both]:
    account = busy_account(NOW, days=9, per_day=4)
    url = postgres.new_database()
    with loaded_once(account, tmp_path_factory.mktemp("both")) as loaded:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SOURCES__TWILIO_INSIGHTS__PARTICIPANTS", "true")
            patch.setenv("REPORT_TIMEZONE", "Europe/Berlin")
            loaded.run()
            patch.setenv("DESTINATION_TYPE", "postgres")
            patch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
            loaded.run()
        yield Both(loaded, PostgresServer(url))


def as_text(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """In their order, but for the load package; a double may differ in its last digit."""
    return [
        ", ".join(
            f"{n} {v:.9g}" if isinstance(v, float) else f"{n} {v}"
            for n, v in row.items()
            if n != "_dlt_load_id"
        )
        for row in rows
    ]


def rows_of(database: Database, name: str) -> Counter[str]:
    return Counter(as_text(database.records(f"SELECT * FROM {name}")))


def test_every_table_has_the_same_rows(both: Both) -> None:
    with inspect_warehouse(both.loaded.path) as file, both.place.read() as server:
        for table in TABLES:
            name = f"conference_insights.{table.name}"
            assert rows_of(server, name) == rows_of(file, name), name
        assert rows_of(file, "conference_insights.conference_participants")


@pytest.mark.thorough
def test_a_second_run_writes_nothing(loaded: Loaded, server_url: str) -> None:
    for number in range(1, 4):
        loaded.account.put(summary(number, timedelta(hours=number)))
    assert loaded.run().rows_new == 3
    with PostgresServer(server_url).read() as server:
        before = server.execute("SELECT count(*) FROM conference_insights._dlt_loads")
    again = loaded.run()
    assert (again.rows_new, again.rows_updated, again.rows_unchanged) == (0, 0, 3)
    with PostgresServer(server_url).read() as server:
        assert server.execute("SELECT count(*) FROM conference_insights._dlt_loads") == before


@pytest.mark.thorough
def test_what_becomes_final_is_loaded_by_the_next_run(loaded: Loaded, server_url: str) -> None:
    loaded.finish_after_a_run({number: timedelta(hours=number * 20) for number in range(1, 5)})
    assert loaded.run().rows_updated == 4
    with PostgresServer(server_url).read() as server:
        assert expected.of_database(server) == expected.of_api(loaded.account.rows())


@pytest.mark.thorough
def test_a_killed_run_is_known_and_made_good(
    loaded: Loaded, server_url: str, command: Command
) -> None:
    loaded.account.put(summary(1, timedelta(hours=1)))
    place = PostgresServer(server_url)
    with held(server_url, ACCOUNT_SID):
        busy = command("run")
        assert busy.returncode == 75, busy.stderr
        assert "is held by another run" in busy.stderr
    loaded.run()
    with place.open() as warehouse:
        warehouse.execute("UPDATE conference_insights._runs SET outcome = 'running'")
        ((run_id,),) = warehouse.execute("SELECT run_id FROM conference_insights._runs")
        warehouse.hold_run(run_id)
        assert place.recorded(NOW).is_alive
        assert loaded.run().rows_new == 0
        assert place.recorded(NOW).content["last_good"]
        outcomes = warehouse.execute("SELECT outcome FROM conference_insights._runs ORDER BY 1")
        assert outcomes == [("ok",), ("running",)]
        warehouse.execute("UPDATE conference_insights._runs SET outcome = 'running'")
    status = command("status")
    assert "WARN  The last run was killed\n" in status.stdout
    loaded.run()
    with place.read() as server:
        assert server.execute(
            "SELECT outcome FROM conference_insights._runs ORDER BY started_at"
        ) == [("killed",), ("killed",), ("ok",)]


@pytest.mark.thorough
def test_all_commands_know_the_server(loaded: Loaded, server_url: str, command: Command) -> None:
    place = PostgresServer(server_url).name
    for early in ("report", "publish", "reconcile"):
        nothing = command(early)
        assert (nothing.returncode, place in nothing.stderr) == (74, True), nothing
    for number in range(1, 4):
        loaded.account.put(summary(number, timedelta(hours=number)))
    first = command("run")
    assert first.returncode == 0, first.stderr
    assert f"Warehouse: {place} (NEW, created now)" in first.stderr
    assert command("backfill", "--from", "2d").returncode == 0
    assert command("publish").stdout == f"{place}\n"
    assert str(publish_now()) == place
    status = command("status", "--max-age", "2h")
    assert f"Warehouse      {place}, " in status.stdout
    assert "3 conference_summaries" in status.stdout
    assert json.loads(command("status", "--json").stdout)["warehouse"] == place
    doctor = command("doctor")
    assert f"{place} answers, and has 3 conferences" in doctor.stdout
    password = server_url.split(":")[2].partition("@")[0]
    for said in (first, status, doctor):
        assert password not in said.stdout + said.stderr
    assert command("report").returncode == 0
    assert Path("report.html").exists()
    shown = command("show", sid(1))
    assert re.search(rf"^Conference +{sid(1)}$", shown.stdout, re.MULTILINE)
    assert not [*Path.cwd().glob("*.duckdb*")]


@pytest.mark.thorough
def test_a_view_with_other_columns_replaces_the_former(loaded: Loaded, server_url: str) -> None:
    loaded.account.put(summary(1, timedelta(hours=1)))
    loaded.run()
    with PostgresServer(server_url).open() as warehouse:
        warehouse.execute("DROP VIEW analytics.concurrency_peaks")
        warehouse.execute("CREATE VIEW analytics.concurrency_peaks AS SELECT 1 AS another")
    publish_now()
    with PostgresServer(server_url).read() as server:
        ((conferences,),) = server.execute(
            "SELECT sum(conferences) FROM analytics.concurrency_peaks"
        )
    assert conferences == 1


@pytest.mark.thorough
def test_an_account_of_another_list_has_not_left(
    loaded: Loaded, server_url: str, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """It is behind, where nobody lists it, and `status` says so."""
    other = loaded.account.add_subaccount(f"AC{1:032x}", "Other")
    loaded.account.put(summary(1, timedelta(hours=1)))
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__ACCOUNTS", other.sid)
    loaded.run()
    loaded.account.now += timedelta(days=3)
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__ACCOUNTS", ACCOUNT_SID)
    loaded.run()
    place = PostgresServer(server_url)
    with place.read() as server:
        left = "SELECT count(left_at) FROM conference_insights.accounts"
        assert server.execute(left) == [(0,)]
    status = read_status(place, loaded.account.now)
    status["last_good"]["ended_at"] = loaded.account.now
    (issue,) = diagnose(status, timedelta(hours=2))
    assert issue.code == STALE
    assert f"Stale: {other.sid} was listed 3 days ago" in issue.what


@pytest.mark.parametrize(
    ("name", "value"),
    [("PERSONAL_DATA", "false"), ("DIRECTORY", "copies"), ("LAKE", "lake")],
)
def test_what_has_no_effect_on_a_server_is_refused(
    name: str, value: str, loaded: Loaded, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"PUBLISH__{name}", value)
    with pytest.raises(SettingsError, match=f"publish.{name.lower()}: .*unset it"):
        loaded.run()


def test_a_forgotten_destination_type_is_named(
    loaded: Loaded, server_url: str, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.delenv("DESTINATION_TYPE")
    assert "but not destination_type: the warehouse is a file" in command("status").stderr


def test_doctor_sees_that_a_run_would_be_refused(
    loaded: Loaded, postgres: PostgresTestServer, server_url: str, command: Command
) -> None:
    role = postgres.new_role()
    url = postgres.url_of(server_url.rpartition("/")[2], role, "secret")
    done = command("doctor", DESTINATION__POSTGRES__CREDENTIALS=url)
    assert (done.returncode, done.stdout.count("see Roles in")) == (77, 1)
