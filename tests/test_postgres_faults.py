"""What other runs, other users and a server's limits do at an awkward moment."""

from __future__ import annotations

import errno
import os
import random
import string
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.exit_codes import exit_code
from pipelines.run.erase import erase
from pipelines.run.erasures import Subject
from pipelines.run.pipeline import run
from pipelines.twilio_insights.extract.destination_state import DestinationState, Pending
from pipelines.twilio_insights.progress import Progress
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.warehouse.checks import ChecksError
from pipelines.warehouse.database import DATASET, StatementError
from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.postgres.warehouse import PostgresWarehouse
from pipelines.warehouse.runs import RunRecord
from pipelines.warehouse.warehouse import BusyError, WarehouseError
from tests.conftest import NOW, POST_LOAD, Command, Loaded, sid, summary
from tests.postgres_server import PostgresTestServer
from tests.test_postgres_load import ACCOUNT, HOUR, count, load, prepare, rows_of
from tests.test_server_warehouse import server_url as server_url


@pytest.fixture
def warehouse(database: str) -> Iterator[PostgresWarehouse]:
    with PostgresServer(database).open() as opened:
        prepare(opened)
        yield opened


def test_a_text_that_no_index_takes_is_loaded(warehouse: PostgresWarehouse) -> None:
    text = "".join(random.choices(string.printable, k=20_000))
    load(warehouse, rows_of([summary(1, HOUR, account_sid=text, tags=[text])]))
    stored = DestinationState(warehouse.query, CONFERENCES)
    for account in (text, ACCOUNT):
        assert {*stored.versions([sid(1)], NOW - 2 * HOUR, NOW, account)} == {sid(1)}


def test_a_package_is_loaded_though_that_of_another_machine_has_its_id(
    warehouse: PostgresWarehouse, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlt.extract.storage.create_load_id", lambda: "1795703375.5")
    with PostgresServer(database).open() as other:
        load(other, rows_of([summary(1, HOUR)]))
    load(warehouse, rows_of([summary(2, HOUR)]))
    assert count(warehouse)["conference_summaries"] == 2


def test_what_a_former_holder_of_the_account_has_just_loaded_is_known(
    warehouse: PostgresWarehouse, database: str
) -> None:
    stored = DestinationState(warehouse.query, CONFERENCES)
    with PostgresServer(database).open() as other:
        load(other, rows_of([summary(1, HOUR)]))
    (version,) = stored.versions([sid(1)], NOW - 2 * HOUR, NOW, ACCOUNT).values()
    assert version.is_final


def test_what_another_run_begins_to_follow_meanwhile_is_not_asked_for(
    loaded: Loaded, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.run()
    others = f"AC{9:032x}"
    real = DestinationState.pending

    def pending(state: DestinationState, *now: Any) -> list[Pending]:
        with PostgresServer(server_url).open() as other:
            columns = "(account_sid, first_seen_at, followed_by)"
            account = f"INSERT INTO {DATASET}.accounts {columns} VALUES (?, now(), ?)"
            other.execute(account, [others, others])
            load(other, rows_of([summary(1, 60 * HOUR, "in_progress", account_sid=others)]))
        return real(state, *now)

    monkeypatch.setattr(DestinationState, "pending", pending)
    assert loaded.run().rows_refetched == 0


def test_a_run_that_ends_while_another_looks_was_not_killed(
    loaded: Loaded, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.load()
    with PostgresServer(server_url).open() as first:
        first.execute(f"UPDATE {DATASET}._runs SET outcome = 'running'")

    def ends(warehouse: PostgresWarehouse, run_id: str) -> bool:
        warehouse.execute(f"UPDATE {DATASET}._runs SET outcome = 'ok' WHERE run_id = ?", [run_id])
        return False

    monkeypatch.setattr(PostgresWarehouse, "is_at_work", ends)
    loaded.load()
    with PostgresServer(server_url).read() as server:
        assert server.execute(f"SELECT outcome FROM {DATASET}._runs") == [("ok",), ("ok",)]


def test_what_others_have_in_the_schema_stops_no_run(
    loaded: Loaded, postgres: PostgresTestServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    role, name = postgres.new_role(), database.rpartition("/")[2]
    for schema in (DATASET, "analytics"):
        postgres.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {role}", database)
    url = postgres.url_of(name, role, "secret")
    monkeypatch.setenv("DESTINATION_TYPE", "postgres")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
    loaded.run()
    postgres.execute(f"CREATE TABLE {DATASET}.notes (a INT)", database)
    postgres.execute(f'CREATE TABLE {DATASET}."5""%" (_dlt_load_id TEXT)', url)
    postgres.execute(f'INSERT INTO {DATASET}."5""%" SELECT generate_series(1, 3000)', url)
    loaded.account.put(summary(1, HOUR))
    assert loaded.run().rows_new == 1
    rows = PostgresServer(url).recorded(NOW).content["holds"]["rows"]
    assert rows["conference_summaries"] == 1
    assert rows["_runs"] == 2
    assert "notes" not in rows


def test_what_others_have_in_the_schema_stops_no_erasure(
    warehouse: PostgresWarehouse, postgres: PostgresTestServer, database: str
) -> None:
    for made in (
        "TABLE {}.\"Notes of Anna\" AS SELECT 'Anna' AS a",
        'TABLE {}."5""%" AS SELECT * FROM {}.conference_summaries',
        'VIEW {}."Daily" AS SELECT 1 AS a',
    ):
        postgres.execute(f"CREATE {made.replace('{}', DATASET)}", database)
    theirs = f"""SELECT pg_relation_filenode('{DATASET}."Notes of Anna"')"""
    ours = f"SELECT pg_relation_filenode('{DATASET}.conference_summaries')"
    before = [postgres.execute(sql, database) for sql in (theirs, ours)]
    warehouse.scrub()
    after = [postgres.execute(sql, database) for sql in (theirs, ours)]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False]


def test_a_role_that_may_not_rewrite_a_table_has_not_erased(
    warehouse: PostgresWarehouse, postgres: PostgresTestServer, database: str
) -> None:
    role, name = postgres.new_role(), database.rpartition("/")[2]
    for granted in (
        f"ALL ON SCHEMA {DATASET}, analytics TO {role}",
        f"SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {DATASET} TO {role}",
    ):
        postgres.execute(f"GRANT {granted}", database)
    postgres.execute(f"ALTER TABLE {DATASET}._runs OWNER TO {role}", database)
    with PostgresServer(postgres.url_of(name, role, "secret")).open() as theirs:
        with pytest.raises(WarehouseError, match="may not rewrite _drift and") as told:
            theirs.scrub()
    assert told.value.exit_code == 77
    warehouse.scrub()


def test_an_erasure_waits_for_the_first_run_of_an_account(
    loaded: Loaded, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may have read already what is to be erased, and holds an account that none knows."""
    monkeypatch.setattr("pipelines.run.erase.forget_former", lambda *_: None)
    loaded.load(views=True)
    columns = "(run_id, command, outcome, started_at, account_sid)"
    with PostgresServer(server_url).open() as other:
        row = f"'x', 'run', 'running', '{NOW:%F}', 'AC{9:032x}'"
        other.execute(f"INSERT INTO {DATASET}._runs {columns} VALUES ({row})")
        other.hold_run("x")
        with pytest.raises(BusyError, match=f"AC{9:032x} is at work in"):
            erase(Subject(identity="Anna"), threading.Event())
    erase(Subject(identity="Anna"), threading.Event())


def test_a_statement_that_is_refused_as_an_erasure_is_finished_stops_no_loading(
    loaded: Loaded, server_url: str, postgres: PostgresTestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.load(views=True)

    def refused(warehouse: PostgresWarehouse) -> None:
        warehouse.execute("SELECT 1 WHERE 1 % 0 = 1")

    monkeypatch.setattr(PostgresWarehouse, "scrub", refused)
    with pytest.raises(StatementError):
        erase(Subject((sid(9),)), threading.Event())
    loaded.account.put(summary(1, HOUR))
    with pytest.raises(StatementError):
        loaded.load(views=True)
    rows = f"SELECT count(*) FROM {DATASET}.conference_summaries"
    assert postgres.execute(rows, server_url) == [(1,)]


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ("25P04", 69),
        ("53400", 74),
        ("54000", 74),
        ("55006", 75),
        ("XX001", 74),
        ("23514", 74),
        ("P0001", 74),
    ],
)
def test_whatever_a_server_refuses_is_a_sentence(
    warehouse: PostgresWarehouse, state: str, code: int
) -> None:
    refuse = f"DO $$ BEGIN RAISE 'because' USING ERRCODE = '{state}'; END $$"
    with pytest.raises(WarehouseError, match="because") as said:
        warehouse._native(refuse)
    assert exit_code(said.value) == code


def test_a_limit_of_a_transaction_is_not_for_runs(
    postgres: PostgresTestServer, database: str
) -> None:
    if not postgres.execute("SELECT 1 FROM pg_settings WHERE name = 'transaction_timeout'"):
        pytest.skip("PostgreSQL has it since 17")
    role, name = postgres.new_role(), database.rpartition("/")[2]
    postgres.execute(f"ALTER ROLE {role} SET transaction_timeout = '300ms'")
    postgres.execute(f"GRANT CREATE ON DATABASE {name} TO {role}")
    with PostgresServer(postgres.url_of(name, role, "secret")).open() as warehouse:
        with warehouse.transaction():
            warehouse.execute("SELECT pg_sleep(0.5)")


def test_a_run_that_is_busy_after_it_has_loaded_stays_in_the_history(
    loaded: Loaded, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any, **__: Any) -> None:
        raise BusyError("Others write")

    loaded.account.put(summary(1, HOUR))
    monkeypatch.setattr(POST_LOAD, busy)
    with pytest.raises(BusyError):
        loaded.run()
    with PostgresServer(server_url).read() as server:
        (run,) = server.records(f"SELECT outcome, error_class, load_ids FROM {DATASET}._runs")
    assert (run["outcome"], run["error_class"]) == ("failed", "BusyError")
    assert run["load_ids"]


def test_a_server_that_goes_away_hides_no_other_error(
    loaded: Loaded, server_url: str, postgres: PostgresTestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsound(warehouse: PostgresWarehouse, *_: Any, **__: Any) -> None:
        pid = warehouse.connection.info.backend_pid
        postgres.execute(f"SELECT pg_terminate_backend({pid}, 9000)")
        raise ChecksError("unsound")

    monkeypatch.setattr(POST_LOAD, unsound)
    with pytest.raises(ChecksError):
        loaded.run()


def test_a_run_whose_row_does_not_tell_its_end_has_not_ended_well(
    loaded: Loaded, server_url: str, postgres: PostgresTestServer
) -> None:
    loaded.run()
    end_session = f"""
        CREATE FUNCTION end_session() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END';
        CREATE TRIGGER ends BEFORE UPDATE ON {DATASET}._runs FOR EACH ROW
            WHEN (NEW.outcome = 'ok') EXECUTE FUNCTION end_session()
    """
    postgres.execute(end_session, server_url)
    loaded.account.put(summary(1, HOUR))
    with pytest.raises(WarehouseError) as said:
        loaded.run()
    assert exit_code(said.value) == 69
    postgres.execute(f"DROP TRIGGER ends ON {DATASET}._runs", server_url)
    assert loaded.run().rows_new == 0
    with PostgresServer(server_url).read() as server:
        runs = server.execute(f"SELECT outcome, rows_new FROM {DATASET}._runs ORDER BY started_at")
    assert runs[1:] == [("killed", 1), ("ok", 0)]


@pytest.mark.parametrize("moment", ["listed", "extracted", "loaded before"])
def test_a_run_whose_session_is_ended_stops_and_counts_what_is_loaded(
    moment: str,
    loaded: Loaded,
    server_url: str,
    postgres: PostgresTestServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", "10")
    monkeypatch.setattr("pipelines.twilio_insights.extract.lister.PREFETCH_ROWS", 20)
    if moment == "loaded before":
        monkeypatch.setattr("pipelines.run.packages.PACKAGE_ROWS", 50)
    for number in range(1, 400):
        loaded.account.put(summary(number, number * HOUR))
    end = (
        "SELECT count(pg_terminate_backend(pid, 9000)) FROM pg_stat_activity "
        "WHERE application_name = 'conference-insights'"
    )
    progress, ended_after = Progress("run"), list[int]()

    def read(now: Progress) -> None:
        is_due = now.rows_new > 20 and (moment != "loaded before" or now.load_ids)
        if moment != "extracted" and is_due and not ended_after:
            assert postgres.execute(end) == [(1,)]
            ended_after.append(len(loaded.server.requests))

    progress.on_change = read
    if moment == "extracted":
        phase = RunRecord.phase

        def normalize(record: RunRecord, name: str) -> None:
            if name == "load":
                postgres.execute(end)
            phase(record, name)

        monkeypatch.setattr(RunRecord, "phase", normalize)
    with pytest.raises(WarehouseError) as said:
        run(progress)
    assert exit_code(said.value) == 69
    if ended_after:
        assert len(loaded.server.requests) - ended_after[0] < 20
    with PostgresServer(server_url).read() as server:
        there = f"SELECT count(*) FROM {DATASET}.conference_summaries"
        known = f"SELECT outcome, rows_new FROM {DATASET}._runs"
        ((rows,),), ((outcome, counted),) = server.execute(there), server.execute(known)
    assert (rows > 0) is (moment == "loaded before")
    assert (outcome, counted, progress.rows_new) == ("running", rows, rows)


def test_who_has_locked_a_table_makes_no_run_wait_for_ever(
    warehouse: PostgresWarehouse, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.warehouse.postgres.warehouse.LOCK_WAIT", 0.2)
    with warehouse.transaction(), PostgresServer(database).open() as other:
        warehouse._native(f"LOCK TABLE {DATASET}._runs")
        with pytest.raises(WarehouseError, match="lock timeout") as said:
            other.execute(f"SELECT count(*) FROM {DATASET}._runs")
    assert exit_code(said.value) == 75


def test_a_full_disk_of_this_machine_is_named(database: str) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    fault = PostgresServer(database).explain(full)
    assert fault is not None
    assert fault.exit_code == 74
    assert f"The disk of {tempfile.gettempdir()} cannot be used" in str(fault)


@pytest.mark.parametrize("wrong", ["://u:s3cret@host", "?nonsense=s3cret"])
def test_doctor_goes_on_after_a_wrong_address(
    loaded: Loaded, server_url: str, command: Command, wrong: str
) -> None:
    url = f"postgresql{wrong}" if ":" in wrong else server_url + wrong
    done = command("doctor", DESTINATION__POSTGRES__CREDENTIALS=url)
    assert done.returncode == 2
    assert "FAIL" in done.stdout
    assert "Error" not in done.stderr
    assert "s3cret" not in done.stdout + done.stderr
