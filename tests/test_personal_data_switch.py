"""Once `personal_data` is set otherwise, what was loaded before is rewritten everywhere, even if a
run is killed; what cannot be brought back is named."""

from __future__ import annotations

import logging
import shutil
import signal
from datetime import timedelta
from functools import partial
from pathlib import Path

import duckdb
import pytest

from pipelines.run.destination import publish_settings
from pipelines.run.migrations import migrate_tables
from pipelines.run.personal_switch import rewrite_personal_data
from pipelines.run.post_load import forget_former
from pipelines.simulator.account import Account
from pipelines.twilio_insights.extract.personal import PersonalData
from pipelines.twilio_insights.tables import TABLES
from pipelines.warehouse.file.warehouse_file import DuckDbFile, DuckDbWarehouse
from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.runs import prepare_runs
from pipelines.warehouse.warehouse import WarehouseError
from tests import expected
from tests.comparisons import compare
from tests.conftest import NOW, Command, Loaded, loaded_once, summary
from tests.forked import Forked
from tests.given_personal_data import (
    CANARY,
    KEY,
    MODES,
    OWN,
    RAW,
    canary,
    found_in,
    odd,
    put,
    settings_of,
)


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
        from tests.given_personal_data import MODES
        from tests.test_personal_data_switch import switch

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
        switch(Path(sys.argv[1]), MODES["hash"])
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
