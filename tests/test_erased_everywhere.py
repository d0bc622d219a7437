"""`erase` leaves nothing of a conference, of somebody or of what is old in any file, copy, lake or
server."""

from __future__ import annotations

import json
import shutil
import threading
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.run.destination import publish_settings
from pipelines.run.erase import erase
from pipelines.run.erasures import Subject, erase_rows, finish_erasures
from pipelines.run.migrations import migrate_tables
from pipelines.run.post_load import forget_former
from pipelines.simulator.server import InsightsServer
from pipelines.twilio_insights.extract.personal import KEEP
from pipelines.twilio_insights.tables import TABLES
from pipelines.warehouse.file.warehouse_file import DuckDbFile
from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.runs import prepare_runs
from tests.conftest import NOW, Command, Loaded, sid
from tests.given_to_erase import (
    DAY,
    GONE,
    OWN,
    PERSON,
    RAW,
    STAYS,
    TRACES,
    WHO,
    counted,
    fill,
    found_in,
    noted,
    put,
)
from tests.given_to_erase import kept as kept
from tests.given_to_erase import odd as odd


@pytest.mark.thorough
def test_nothing_is_left_of_a_conference(
    loaded: Loaded,
    with_participants: None,
    odd: None,
    prepared: None,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full, folder = loaded, loaded.path.parent
    monkeypatch.setenv("PUBLISH__LAKE", str(folder / "lake"))
    put(full.account)
    full.run()
    fill(full)
    before = "\n".join(found_in(folder, *TRACES))
    for place in ("warehouse.duckdb", "insights.duckdb", "lake", "unpacked", "set_aside"):
        assert place in before, place
    asked = command("erase", "--conference", GONE, "--dry-run")
    assert asked.returncode == 0, asked.stderr
    assert "conference_summaries: 1 row would be erased" in asked.stdout
    assert noted(full) == []
    done = command("erase", "--conference", GONE, "--yes", CONFERENCE_INSIGHTS_LOG="json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.replace("erased", "would be erased") == asked.stdout
    assert found_in(folder, *TRACES, said=done.stdout + done.stderr) == []
    ((kind, has_digest, _, counts, is_finished),) = noted(full)
    assert (kind, has_digest, is_finished) == ("conference", True, True)
    gone = json.loads(counts)
    for table in (
        *("conference_summaries", "conference_tags", "conference_tag_info", "_listings", "_runs"),
        *("conference_participants", "conference_participant_metrics", "_drift", "_rejected_rows"),
        *("conference_participant_events", "conference_detected_issues", "_refetches", "accounts"),
    ):
        assert gone[table], table
    assert counted(full) == 2
    assert full.query(
        f"SELECT final_changed, unreadable FROM {RAW}_runs WHERE command = 'run'"
    ) == [(json.dumps([STAYS]), None)]
    rows = full.query(f"SELECT command, outcome FROM {RAW}_runs ORDER BY started_at")
    assert rows == [("run", "ok"), ("erase", "ok")]
    assert json.loads(command("status", "--json").stdout)["last_good"]["command"] == "run"
    copy = folder / "warehouse.published/current/insights.duckdb"
    with duckdb.connect(str(copy), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM analytics.conferences").fetchall() == [(2,)]


@pytest.mark.thorough
@pytest.mark.parametrize("how", ["conference", "identity", "switch"])
def test_copies_and_a_lake_that_were_not_set_follow_once_they_are(
    how: str,
    loaded: Loaded,
    with_participants: None,
    prepared: None,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where somebody erases by hand, without the variables of the schedule."""
    folder = loaded.path.parent
    places = {"PUBLISH__LAKE": str(folder / "lake"), "PUBLISH__DIRECTORY": str(folder / "bi")}
    traces = TRACES if how == "conference" else (WHO,)

    def run_with_places() -> None:
        with monkeypatch.context() as schedule:
            for name, value in places.items():
                schedule.setenv(name, value)
            loaded.run()

    put(loaded.account)
    run_with_places()
    if how == "switch":
        monkeypatch.setenv(f"{OWN}PERSONAL_DATA", "drop")
        loaded.run()
    else:
        done = command("erase", f"--{how}", GONE if how == "conference" else WHO, "--yes")
        assert done.returncode == 0, done.stderr
    left = "\n".join(found_in(folder, *traces))
    assert "bi/" in left
    assert "lake" in left
    if how == "identity":  # so that nothing tells which copy was the last
        (folder / "bi/current").unlink()
    run_with_places()
    assert found_in(folder, *traces) == []


@pytest.mark.thorough
def test_nothing_is_left_of_what_a_killed_process_spilled(
    kept: Path, server: InsightsServer, tmp_path: Path, command: Command
) -> None:
    path = Path(shutil.copy(kept, tmp_path / "warehouse.duckdb"))
    spilled = path.with_name(f"{path.name}.tmp") / "duckdb_temp_storage_DEFAULT-0.tmp"
    spilled.parent.mkdir()
    spilled.write_text(f"{GONE} {PERSON}")
    done = command("erase", "--conference", GONE, "--yes")
    assert (done.returncode, found_in(tmp_path, *TRACES)) == (0, []), done.stderr


@pytest.mark.thorough
def test_nothing_is_spilled_elsewhere_than_beside_its_file(
    kept: Path, server: InsightsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = Path(shutil.copy(kept, tmp_path / "warehouse.duckdb")), duckdb.connect
    folders = list[str]()

    def connect(*arguments: Any, **options: Any) -> duckdb.DuckDBPyConnection:
        opened = real(*arguments, **options)
        ((folder,),) = opened.execute("SELECT current_setting('temp_directory')").fetchall()
        folders.append(folder)
        return opened

    monkeypatch.setattr(duckdb, "connect", connect)
    erase(Subject((GONE,)), threading.Event())
    assert {*folders} == {f"{path}.tmp"}
    assert len(folders) > 2


@pytest.mark.thorough
@pytest.mark.parametrize(
    "subject",
    [Subject((GONE,)), Subject(identity=WHO), Subject(created_before=NOW - DAY)],
    ids=["conference", "identity", "age"],
)
def test_a_server_has_the_same(kept: Path, database: str, tmp_path: Path, subject: Subject) -> None:
    path = Path(shutil.copy(kept, tmp_path / "warehouse.duckdb"))
    tables = [*(table.name for table in TABLES), "_runs"]
    with DuckDbFile(path).open() as file, PostgresServer(database).open() as warehouse:
        prepare_runs(warehouse)
        migrate_tables(warehouse)
        warehouse.prepare_indexes({table.name: table.key for table in TABLES})
        warehouse.execute(f"CREATE TABLE {RAW}_dlt_loads AS SELECT '1' AS load_id")
        for name in tables:
            warehouse.append(
                f"{RAW}{name}", file.connection.sql(f"FROM {RAW}{name}").to_arrow_table()
            )
        assert subject.count(file, KEEP) == subject.count(warehouse, KEEP)
        counts = [erase_rows(one, subject, KEEP, "x") for one in (file, warehouse)]
        assert counts[0] == counts[1] == subject.count(warehouse, KEEP) + counts[0]
        for name in tables:
            if name != "_erasures":
                read = f"SELECT * FROM {RAW}{name}"
                assert sorted(map(repr, file.execute(read))) == sorted(
                    map(repr, warehouse.execute(read))
                )
        settings = publish_settings(PostgresServer(database))
        finish_erasures(warehouse, partial(forget_former, warehouse, settings))
        statistics = "SELECT CAST(most_common_vals AS VARCHAR) FROM pg_catalog.pg_stats"
        trace = subject.identity or (subject.conferences or (sid(3),))[0]
        assert trace not in repr(warehouse.execute(statistics))
        finished = f"SELECT count(*) FROM {RAW}_erasures WHERE finished_at IS NOT NULL"
        assert warehouse.execute(finished) == [(1,)]
