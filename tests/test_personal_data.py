"""What is set by `personal_data`: whom a conference was with is in no file, table, log or page."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import textwrap
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from pipelines.run.destination import publish_settings
from pipelines.run.migrations import migrate_tables
from pipelines.run.personal_switch import rewrite_personal_data
from pipelines.run.post_load import forget_former
from pipelines.simulator.account import Account, Row
from pipelines.simulator.participants import participant_row
from pipelines.twilio_insights.extract.personal import COLUMNS, PersonalData, is_hash
from pipelines.twilio_insights.tables import TABLES
from pipelines.warehouse.file.warehouse_file import DuckDbFile, DuckDbWarehouse
from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.runs import prepare_runs
from pipelines.warehouse.warehouse import WarehouseError
from tests import expected
from tests.comparisons import compare
from tests.conftest import NOW, Command, Loaded, loaded_once, sid, summary
from tests.forked import COMMAND, Forked

OWN = "SOURCES__TWILIO_INSIGHTS__"
KEY = "a-key-that-nobody-guesses"
CANARY = "kanarie"
"""In every personal place of what the API sends."""
HASHED = {"PERSONAL_DATA": "hash", "HASH_KEY": KEY}
DROPPED = {"PERSONAL_DATA": "drop"}
MODES = {"hash": PersonalData("hash", KEY), "drop": PersonalData("drop")}
RAW = "conference_insights."


def canary(place: str) -> str:
    return f"{CANARY} {place}"


def put(account: Account) -> None:
    """A conference, a participant and an element that is none, with something personal wherever
    that can be."""
    details = {"reason": "poor", "participant_identity": canary("identity"), "who": canary("who")}
    tagged = {"high_jitter": {"severity": "low"} | details}
    unknown = {canary("field"): canary("value"), "duration_seconds": canary("misfit")}
    row = summary(1, timedelta(hours=2), friendly_name=canary("name"), tag_info=tagged) | unknown
    account.put(row)
    account.put(summary(2, timedelta(hours=3), friendly_name=canary("name")))
    person: Row = participant_row("CP" + "1" * 32, sid(1), NOW - timedelta(hours=2)) | {
        "label": canary("label"),
        "from": "+1555" + CANARY,
        "to": f"client:{CANARY}",
        "properties": {canary("property"): canary("value"), "beep_on_exit": canary("beep")},
        "metrics": {"inbound": {"mos": 4.4, canary("metric"): canary("measured")}},
        canary("field"): canary("value"),
        "processing_state": "complete",
    }
    account.put_participants(sid(1), [person])
    account.put_participants(sid(2), [])


def odd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listings have two elements more: one is no conference, and one cannot become rows."""
    from pipelines.simulator import server

    real = server.InsightsHandler.answer

    def answer(handler: Any) -> tuple[int, bytes]:
        status, body = real(handler)
        content = json.loads(body) if status == 200 else {}
        if content.get("conferences"):
            bad = {"conference_sid": canary("no SID"), "friendly_name": canary("rejected")}
            content["conferences"] += [bad]
            body = json.dumps(content).encode()
        return status, body

    monkeypatch.setattr(server.InsightsHandler, "answer", answer)


def settings_of(mode: str, **more: str) -> dict[str, str]:
    chosen = {"hash": HASHED, "drop": DROPPED, "keep": {}}[mode]
    return {OWN + name: value for name, value in chosen.items()} | more


def texts(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The bytes of all files; of compressed ones what is in them."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.is_symlink():
            yield str(file.relative_to(folder)), file.read_bytes()
            if file.suffix == ".parquet":
                yield f"{file.name}, unpacked", repr(pq.ParquetFile(file).read()).encode()


def found_in(folder: Path, *said: str) -> list[str]:
    """Where the canary is, whether a space of it is one of JSON or of a URL."""
    all_texts = [*texts(folder), *(("output", text.encode()) for text in said)]
    return [name for name, text in all_texts if CANARY.encode() in text]


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["hash", "drop"])
def test_no_file_and_no_output_has_anything_personal(
    loaded: Loaded,
    process: Command,
    command: Command,
    with_participants: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    mode: str,
) -> None:
    """Neither of a warehouse that began so, nor of one that had it."""
    put(loaded.account)
    odd(monkeypatch)
    lake = {
        "PUBLISH__LAKE": str(tmp_path / "lake"),
        f"{OWN}FILTERS__FRIENDLY_NAME": canary("name"),
    }
    assert command("run", **lake).returncode == 0
    kept = found_in(tmp_path)
    for place in ("warehouse.duckdb", "insights.duckdb", "unpacked", "status.json"):
        assert any(place in file for file in kept), place
    done = process("--log", "json", "run", **settings_of(mode, **lake))
    assert done.returncode == 0, done.stderr
    said = [done.stdout, done.stderr]
    for name in ("publish", "report", "status", "doctor", "show"):
        more = [sid(1)] if name == "show" else []
        done = command(name, *more, **settings_of(mode, **lake))
        assert name == "doctor" or done.returncode == 0, done.stderr
        said += [done.stdout, done.stderr]
    assert found_in(tmp_path, *said) == []
    for number in (1, 2):  # as it is now
        loaded.account.put(summary(number, timedelta(hours=number), friendly_name=canary("new")))
    done = process("--log", "json", "run", **settings_of(mode, **lake))
    assert found_in(tmp_path, done.stdout, done.stderr) == []
    assert loaded.query(f"SELECT count(*) FROM {RAW}_rejected_rows") == [(1,)]


def test_every_personal_column_is_text_and_json_stays_json() -> None:
    for table, columns in COLUMNS.items():
        for column in columns:
            assert column.type in ("text", "json"), (table, column.name)
            for personal in MODES.values():
                masked = personal.of_column(column, '{"a": 1}')
                assert masked is not None or (column.nullable and personal.mode == "drop")
                if column.is_json and masked:
                    assert json.loads(masked) is None or is_hash(json.loads(masked))
    assert sum(map(len, COLUMNS.values())) == 11


def test_equal_values_have_equal_hashes_that_need_the_key() -> None:
    hashed = MODES["hash"]
    assert hashed.value("Ann") == PersonalData("hash", KEY).value("Ann")
    assert hashed.value("Ann") != hashed.value("Bob")
    assert hashed.value("Ann") != PersonalData("hash", KEY * 9).value("Ann")
    assert is_hash(str(hashed.value("Ann")))


@pytest.mark.parametrize("mode", ["hash", "drop"])
def test_names_of_documented_fields_are_named_and_others_are_not(mode: str) -> None:
    personal = MODES[mode]
    told = ["tag = new", "extra_fields = duration_seconds", "participants: extra_fields = metrics"]
    for name in (*told, "participants: properties = beep_on_exit"):
        assert personal.drift(name) == name
    for name in (f"extra_fields = {CANARY}", f"participants: properties = {CANARY} = {CANARY}"):
        masked = personal.drift(name)
        assert CANARY not in masked
        assert masked.startswith(name.partition(" = ")[0])
        assert personal.drift(masked) == masked


def test_what_cannot_become_rows_is_rejected_without_a_quotation(
    loaded: Loaded, tables_only: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError(f"could not convert {CANARY}")

    put(loaded.account)
    for name, value in settings_of("hash").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("pipelines.twilio_insights.extract.flatten.flatten", broken)
    loaded.run()
    rejected = loaded.query(f"SELECT reason, row FROM {RAW}_rejected_rows")
    assert {reason for reason, _ in rejected} == {"ValueError"}
    assert all(is_hash(json.loads(row)) for _, row in rejected)
    assert len(rejected) == 2


@pytest.mark.parametrize("mode", ["hash", "drop"])
def test_what_a_killed_run_leaves_has_nothing_personal(
    loaded: Loaded,
    prepared: None,
    with_participants: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    mode: str,
) -> None:
    put(loaded.account)
    killed = """
        import os, signal
        from pipelines.warehouse.file.one_transaction import PackageClient
        PackageClient._load = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    """
    for name, value in settings_of(mode).items():
        monkeypatch.setenv(name, value)
    code, said = Forked(textwrap.dedent(killed) + COMMAND, "run", folder=tmp_path).end()
    assert code == -signal.SIGKILL
    left = [name for name, _ in texts(tmp_path / "warehouse.duckdb.dlt")]
    assert any("conference_summaries" in name and "unpacked" in name for name in left)
    assert found_in(tmp_path, said) == []


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Path:
    """A warehouse that has everything personal."""
    account = Account(NOW)
    put(account)
    with loaded_once(account, tmp_path_factory.mktemp("kept"), empty_warehouse) as loaded:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(f"{OWN}PARTICIPANTS", "true")
            odd(patch)
            loaded.load(views=True)
        return loaded.path


def contents(path: Path) -> dict[str, list[str]]:
    """All rows, in order, but what follows from the time of a run."""
    with expected.reading(path) as connection:
        names = connection.execute(
            "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'conference_insights' "
            "AND table_name NOT IN ('_runs', '_checks', '_report')"
        ).fetchall()
        return {
            name: sorted(map(repr, connection.execute(f"FROM {RAW}{name}").fetchall()))
            for (name,) in names
        }


def switch(path: Path, personal: PersonalData, everywhere: bool = True) -> bool:
    """Change the setting; `everywhere`: in files too, not in rows alone."""
    settings = publish_settings(DuckDbFile(path))
    with DuckDbFile(path).open() as warehouse:
        forget = partial(forget_former, warehouse, settings) if everywhere else lambda: None
        return rewrite_personal_data(warehouse, personal, forget)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("point", "number"),
    [
        ("personal_switch.unmasked", 3),  # columns are rewritten one after the other
        ("personal_switch._rewrite_drift", 1),
        ("post_load.apply_views", 1),
        ("warehouse_file.rebuild", 1),  # the connection is closed
        ("warehouse_file._connect", 2),  # the new file is in its place
        ("publishing.swap", 1),  # the new copy is there, and the former is read
        ("publishing.delete_old", 1),
    ],
)
def test_a_switch_that_is_killed_is_finished_by_the_next(
    kept: Path, tmp_path: Path, point: str, number: int
) -> None:
    path = Path(shutil.copy(kept, tmp_path / "warehouse.duckdb"))
    killed = """
        import os, signal, sys
        from pathlib import Path
        from pipelines.run import personal_switch, post_load
        from pipelines.warehouse.copy import publishing
        from pipelines.warehouse.file import warehouse_file
        from tests import test_personal_data

        module, name = sys.argv[2].split(".")
        module, left = globals()[module], int(sys.argv[3])
        real = getattr(module, name)

        def counted(*given, **more):
            global left
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given, **more)

        setattr(module, name, counted)
        test_personal_data.switch(Path(sys.argv[1]), test_personal_data.MODES["hash"])
    """
    code, said = Forked(killed, str(path), point, str(number), folder=tmp_path).end()
    assert code == -signal.SIGKILL, said
    assert switch(path, MODES["hash"])
    assert found_in(tmp_path) == []
    assert not switch(path, MODES["hash"])
    with expected.reading(path) as connection:
        names = f"SELECT friendly_name FROM {RAW}conference_summaries ORDER BY conference_sid"
        assert connection.execute(names).fetchall() == [(MODES["hash"].value(canary("name")),)] * 2


@pytest.mark.parametrize(
    ("former", "now", "words"),
    [
        (MODES["hash"], PersonalData(), "what earlier runs have hashed stays so"),
        (MODES["drop"], PersonalData(), "what earlier runs have dropped stays so"),
        (MODES["drop"], MODES["hash"], "what earlier runs have dropped stays so"),
        (MODES["hash"], PersonalData("hash", "another-key-of-ours"), "hash_key is another one"),
        (MODES["hash"], MODES["hash"], ""),
    ],
)
def test_what_cannot_be_brought_back_is_named(
    kept: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    former: PersonalData,
    now: PersonalData,
    words: str,
) -> None:
    path = Path(shutil.copy(kept, tmp_path / "warehouse.duckdb"))
    assert switch(path, former, everywhere=False)
    before = contents(path)
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert not switch(path, now)
    assert words in caplog.text
    assert len(caplog.records) == bool(words)
    assert contents(path) == before


@pytest.mark.usefixtures("tables_only")
def test_status_warns_of_a_key_that_is_another_one_in_each_run(
    loaded: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.run.pipeline.forget_former", lambda *_: None)
    monkeypatch.setenv(f"{OWN}PERSONAL_DATA", "hash")
    told = "with another hash_key than the one before"
    for key, is_told in (("the-first-key-of-all", False), (KEY, True), (KEY, False)):
        monkeypatch.setenv(f"{OWN}HASH_KEY", key)
        loaded.run()
        assert (told in command("status").stdout) == is_told


@pytest.mark.thorough
def test_hashes_can_be_dropped_and_what_was_kept_meanwhile_is_hashed(
    kept: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(kept, tmp_path / "warehouse.duckdb"))
    assert switch(path, MODES["hash"], everywhere=False)
    hashed = contents(path)
    with duckdb.connect(path) as connection:
        connection.execute("UPDATE conference_insights._runs SET personal_data = 'keep'")
        name = canary("name")
        connection.execute(f"UPDATE {RAW}conference_summaries SET friendly_name = '{name}'")
    assert switch(path, MODES["hash"], everywhere=False)
    assert contents(path) == hashed
    assert switch(path, MODES["drop"])
    assert "hashed:" not in repr(contents(path))
    assert found_in(tmp_path) == []


@pytest.mark.thorough
def test_what_a_repair_has_written_meanwhile_is_hashed(
    loaded: Loaded, kept: Path, tables_only: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(kept, loaded.path)
    assert switch(loaded.path, MODES["hash"], everywhere=False)
    loaded.account.put(summary(3, timedelta(hours=1), friendly_name=canary("new")))
    compare(repair=True)
    names = f"SELECT count(*) FROM {RAW}conference_summaries WHERE friendly_name LIKE '{CANARY}%'"
    assert loaded.query(names) == [(1,)]
    for name, value in settings_of("hash").items():
        monkeypatch.setenv(name, value)
    loaded.run()
    assert loaded.query(names) == [(0,)]


@pytest.mark.thorough
def test_a_repair_rewrites_what_is_stored_as_a_run_does(
    loaded: Loaded, kept: Path, tables_only: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(kept, loaded.path)
    for name, value in settings_of("drop").items():
        monkeypatch.setenv(name, value)
    compare()
    names = f"SELECT DISTINCT friendly_name IS NULL FROM {RAW}conference_summaries"
    assert loaded.query(names) == [(False,)]
    compare(repair=True)
    assert loaded.query(names) == [(True,)]
    assert found_in(loaded.path.parent) == []


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["hash", "drop"])
def test_a_server_has_the_same(kept: Path, database: str, tmp_path: Path, mode: str) -> None:
    path = Path(shutil.copy(kept, tmp_path / "warehouse.duckdb"))
    server = PostgresServer(database)
    settings = publish_settings(server)
    tables = [*(table.name for table in TABLES), "_runs"]
    with DuckDbFile(path).open() as file, server.open() as warehouse:
        prepare_runs(warehouse)
        migrate_tables(warehouse)
        warehouse.prepare_indexes({table.name: table.key for table in TABLES})
        warehouse.execute(f"CREATE TABLE {RAW}_dlt_loads AS SELECT '1' AS load_id")
        for name in tables:
            warehouse.append(
                f"{RAW}{name}", file.connection.sql(f"FROM {RAW}{name}").to_arrow_table()
            )
        assert CANARY in repr([warehouse.execute(f"SELECT * FROM {RAW}{t}") for t in tables])
        for one in (file, warehouse):
            assert rewrite_personal_data(one, MODES[mode], partial(forget_former, one, settings))
        for table in TABLES:
            read = f"SELECT * FROM {RAW}{table.name}"
            assert sorted(map(repr, file.execute(read))) == sorted(
                map(repr, warehouse.execute(read))
            )
        statistics = "SELECT CAST(most_common_vals AS VARCHAR) FROM pg_catalog.pg_stats"
        assert CANARY not in repr(warehouse.execute(statistics))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"PERSONAL_DATA": "hash"},
            "hash_key is missing, which personal_data = hash needs: write 16",
        ),
        ({"PERSONAL_DATA": "hash", "HASH_KEY": "short"}, "hash_key is too short"),
        ({"PERSONAL_DATA": "Hash"}, "write keep, hash or drop"),
        ({"PERSONAL_DATA": "true"}, "write keep, hash or drop"),
    ],
)
def test_a_wrong_setting_ends_a_command_before_it_begins(
    loaded: Loaded, command: Command, settings: dict[str, str], words: str
) -> None:
    for name in ("run", "publish"):
        done = command(name, **{OWN + setting: value for setting, value in settings.items()})
        assert done.returncode == 2
        assert words in done.stderr
    assert not loaded.path.exists()


@pytest.mark.thorough
def test_what_is_new_is_loaded_even_if_the_file_cannot_be_written_anew(
    loaded: Loaded, kept: Path, tables_only: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise WarehouseError("The disk is full")

    shutil.copy(kept, loaded.path)
    loaded.account.put(summary(3, timedelta(hours=1), friendly_name=canary("new")))
    for name, value in settings_of("drop").items():
        monkeypatch.setenv(name, value)
    with monkeypatch.context() as patch:
        patch.setattr(DuckDbWarehouse, "scrub", full)
        with pytest.raises(WarehouseError, match="full"):
            loaded.run()
    names = f"SELECT friendly_name, count(*) FROM {RAW}conference_summaries GROUP BY 1"
    assert loaded.query(names) == [(None, 3)]
    noted = f"SELECT personal_data FROM {RAW}_runs WHERE outcome = 'failed'"
    assert loaded.query(noted) == [(None,)]
    loaded.run()
    assert found_in(loaded.path.parent) == []
