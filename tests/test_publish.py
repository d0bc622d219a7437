"""The published copy: always whole, always what the views say, and open to everyone's engine."""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.run.post_load import PublishError, publish_now
from pipelines.simulator.sample_data import busy_account
from pipelines.twilio_insights.errors import UnavailableError
from pipelines.warehouse.copy import writer
from pipelines.warehouse.copy.publishing import _stamp
from pipelines.warehouse.views import read_columns, read_views
from tests.conftest import NOW, Command, Loaded, copy_all, loaded_once, python, summary
from tests.expected import reading

HOUR = timedelta(hours=1)
BUSY: dict[str, Any] = {"days": 9, "per_day": 50}
PUBLISHED = [view.name for view in read_views() if not view.is_staging]
LOCKED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "lock_configuration": True,
}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Loaded:
    """What a run leaves, for tests that only read it."""
    folder = tmp_path_factory.mktemp("busy")
    with loaded_once(busy_account(NOW, **BUSY), folder, empty_warehouse) as loaded:
        loaded.run()
    return loaded


@pytest.fixture
def lively(loaded: Loaded, published: Loaded) -> Loaded:
    """The same in a folder of its own, where nothing is published yet."""
    shutil.copy(published.path, loaded.path)
    loaded.server.account = loaded.account = busy_account(NOW, **BUSY)
    return loaded


@pytest.fixture
def with_copy(lively: Loaded, published: Loaded) -> Loaded:
    """The same, with the copy that the run left."""
    copy_all(published.path, lively.path)
    seal = lively.path.with_name(f"{lively.path.name}.dlt") / "published.txt"
    seal.write_text(_stamp(copy_of(lively).resolve()))  # as if it had been written there
    return lively


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def copy_of(loaded: Loaded) -> Path:
    return loaded.path.with_name("warehouse.published") / "current/insights.duckdb"


def contents(path: Path, names: list[str] = PUBLISHED) -> dict[str, Counter[Any]]:
    with reading(path) as connection:
        return {
            name: Counter(connection.execute(f"FROM analytics.{name}").fetchall()) for name in names
        }


def assert_published(loaded: Loaded) -> None:
    """The copy has what the views say; of the runs, what they said before the last one ended."""
    of_runs = {"load_history", "data_as_of"}
    names = [name for name in PUBLISHED if name not in of_runs]
    found, expected = contents(copy_of(loaded), names), contents(loaded.path, names)
    assert [name for name in names if found[name] != expected[name]] == []
    with duckdb.connect(copy_of(loaded), read_only=True) as connection:
        as_of = connection.execute("SELECT as_of, report_timezone FROM analytics.data_as_of")
        assert as_of.fetchall() == loaded.query(
            "SELECT as_of, report_timezone FROM analytics.data_as_of"
        )


@pytest.mark.thorough
def test_the_copy_follows_the_warehouse(lively: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    renewed = Counter[str]()
    for name in ("_build", "_replace"):
        real = getattr(writer, name)

        def counted(*arguments: Any, real: Any = real, name: str = name) -> None:
            renewed[name] += 1
            real(*arguments)

        monkeypatch.setattr(writer, name, counted)

    def run() -> dict[str, int]:
        renewed.clear()
        lively.run()
        return dict(renewed)

    assert run() == {"_build": len(PUBLISHED)}
    changed = {"_replace": len(PUBLISHED)}
    for minutes in (20, 300):
        lively.account.now += timedelta(minutes=minutes)
        assert run() == changed
    assert_published(lively)
    assert run() == {"_replace": len(writer.OF_RUNS)}
    lively.account.now += timedelta(days=31)
    assert run() == changed, "what was pending has expired"
    assert_published(lively)
    monkeypatch.setenv("REPORT_TIMEZONE", "Asia/Tokyo")
    assert run() == {"_build": len(PUBLISHED)}
    with duckdb.connect(lively.path) as connection:
        connection.execute(
            "DELETE FROM conference_insights.conference_summaries WHERE conference_sid = "
            "(SELECT min(conference_sid) FROM conference_insights.conference_summaries "
            "WHERE processing_state = 'complete')"
        )
        for child in ("tags", "tag_info", "detected_issues"):
            connection.execute(
                f"DELETE FROM conference_insights.conference_{child} WHERE conference_sid NOT IN "
                "(SELECT conference_sid FROM conference_insights.conference_summaries)"
            )
    lively.account.now += HOUR
    assert run() == {"_build": len(PUBLISHED), **changed}
    assert_published(lively)


@pytest.mark.thorough
def test_a_restored_warehouse_is_published_anew(with_copy: Loaded) -> None:
    lively = with_copy
    backup = lively.path.read_bytes()
    lively.account.now += HOUR
    lively.run()
    lively.path.write_bytes(backup)
    lively.run()
    assert_published(lively)


def test_names_comments_and_plain_types_are_kept(published: Loaded) -> None:
    about = (
        "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() "
        "WHERE schema_name = 'analytics' AND NOT starts_with(table_name, 'stg_') ORDER BY ALL"
    )
    with duckdb.connect(copy_of(published), read_only=True) as connection:
        columns = connection.execute(about).fetchall()
        tables = dict(
            connection.execute("SELECT table_name, comment FROM duckdb_tables()").fetchall()
        )
        assert not connection.execute("FROM duckdb_views() WHERE NOT internal").fetchall()
    assert columns == published.query(about)
    assert {kind for _, _, kind, _ in columns} <= {
        *("VARCHAR", "BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "DATE", "TIMESTAMP"),
    }
    assert sorted(tables) == sorted(PUBLISHED)
    assert "one row per conference" in tables["conferences"]


@pytest.mark.thorough
def test_a_damaged_copy_is_made_anew(with_copy: Loaded) -> None:
    lively = with_copy
    copy = copy_of(lively).resolve()
    copy.chmod(0o644)
    for damage in (b"no database", os.urandom(64 << 10)):
        with copy.open("r+b") as file:
            file.seek(0 if damage == b"no database" else copy.stat().st_size // 2)
            file.write(damage)
        lively.account.now += HOUR
        lively.run()
        assert_published(lively)
        copy = copy_of(lively).resolve()
        copy.chmod(0o644)


@pytest.mark.thorough
def test_a_view_that_was_dropped_or_changed_by_hand_is_mended(
    lively: Loaded, command: Command
) -> None:
    views = lively.query("SELECT sql FROM duckdb_views() WHERE schema_name = 'analytics'")
    for spoil in (
        "DROP VIEW analytics.by_account",
        "CREATE OR REPLACE VIEW analytics.by_account AS SELECT 1 AS a",
    ):
        with duckdb.connect(lively.path) as connection:
            connection.execute(spoil)
        assert command("publish").returncode == 0
        after = lively.query("SELECT sql FROM duckdb_views() WHERE schema_name = 'analytics'")
        assert Counter(after) == Counter(views)


def test_an_owner_that_was_half_written_is_written_again(lively: Loaded) -> None:
    copies = lively.path.with_name("warehouse.published")
    copies.mkdir()
    (copies / "warehouse.txt").write_text("")
    lively.run()
    assert (copies / "warehouse.txt").read_text() == "../warehouse.duckdb"


def test_personal_data_is_in_no_copy_once_it_is_left_out(
    with_copy: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively = with_copy
    monkeypatch.setenv("PUBLISH__PERSONAL_DATA", "false")
    lively.run()
    found = lively.path.with_name("warehouse.published").glob("*/insights.duckdb")
    assert {path.resolve() for path in found} == {copy_of(lively).resolve()}


@pytest.mark.thorough
def test_numbers_beyond_all_sums_do_not_hold_up_a_copy(lively: Loaded) -> None:
    beyond = 2**63 - 1
    lively.account.put(summary(1, HOUR, duration_seconds=beyond, unique_participants=beyond))
    lively.account.put(summary(2, HOUR, detected_issues={"call_quality": beyond, "x": beyond}))
    lively.run()
    assert_published(lively)


@pytest.mark.thorough
def test_others_can_read_it_whatever_the_umask(lively: Loaded) -> None:
    before = os.umask(0o077)
    try:
        for _ in range(4):
            lively.run()
    finally:
        os.umask(before)
    folder = lively.path.with_name("warehouse.published")
    link = folder / "current"
    assert not link.readlink().is_absolute()
    copies = [path for path in folder.iterdir() if path.is_dir() and path != link]
    assert len(copies) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in [folder, *copies]} == {0o755}
    files = [file for path in copies for file in path.iterdir()]
    assert {(file.name, stat.S_IMODE(file.stat().st_mode)) for file in files} == {
        ("insights.duckdb", 0o444)
    }


@pytest.mark.parametrize(
    "version",
    [*(pytest.param(old, marks=pytest.mark.programs) for old in ("1.2.2", "1.4.5", "1.5.6")), None],
)
def test_every_engine_reads_it_while_a_run_writes(
    version: str | None, with_copy: Loaded, old_engine: Callable[[str], Path]
) -> None:
    place, lively = {"PYTHONPATH": str(old_engine(version))} if version else {}, with_copy
    conferences = lively.query("SELECT count(*) FROM analytics.conferences")[0][0]
    lively.account.now += HOUR
    lively.server.latency = 1.5
    program = """
        import duckdb, json, sys
        connection = duckdb.connect(sys.argv[1], read_only=True, config=json.loads(sys.argv[2]))
        tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        for (name,) in tables:
            connection.execute(f"SELECT * FROM analytics.{name}").fetchall()
        count = connection.execute("SELECT count(*) FROM analytics.conferences").fetchall()
        print(duckdb.__version__, len(tables), count)
    """
    status = lively.path.with_name(f"{lively.path.name}.status.json")
    with python("from pipelines.cli.command_line import main; main(['run'])") as running:
        try:
            while json.loads(status.read_text())["run"]["outcome"] != "running":
                assert running.poll() is None
                time.sleep(0.01)
            reader = python(program, str(copy_of(lively)), json.dumps(LOCKED), **place)
            said, wrong = reader.communicate(timeout=300)
            assert running.poll() is None, "the run was still on"
        finally:
            lively.server.latency = 0
            running.communicate(timeout=300)
    expected = f"{version or duckdb.__version__} {len(PUBLISHED)} [({conferences},)]\n"
    assert said == expected, wrong
    assert running.returncode == 0
    assert_published(lively)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('{secret}')",
        "SELECT * FROM read_text('{secret}')",
        "COPY (SELECT 1) TO '{secret}.out'",
        "ATTACH '{secret}.duckdb'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "CREATE TABLE analytics.mine AS SELECT 1",
        "DELETE FROM analytics.conferences",
    ],
)
def test_the_documented_connection_can_do_nothing_else(
    statement: str, published: Loaded, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    with duckdb.connect(copy_of(published), read_only=True, config=LOCKED) as connection:
        assert connection.execute("FROM analytics.data_as_of").fetchall()
        with pytest.raises(duckdb.Error):
            connection.execute(statement.format(secret=secret)).fetchall()
    assert [path.name for path in tmp_path.glob("secret*")] == ["secret.csv"]


@pytest.mark.thorough
def test_personal_columns_can_be_left_out(lively: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLISH__PERSONAL_DATA", "false")
    lively.run()
    with duckdb.connect(copy_of(lively), read_only=True) as connection:
        names = {
            n for (n,) in connection.execute("SELECT column_name FROM duckdb_columns()").fetchall()
        }
    personal = {"friendly_name", "participant_identity", "details", "duplicate_identities"}
    assert names & personal == set()
    assert {"conference_sid", "severities"} <= names
    assert read_columns()["duplicate_identities"]["personal"]
    lively.account.now += HOUR
    lively.run()  # what was left out stays left out in a copy that is only renewed
    monkeypatch.delenv("PUBLISH__PERSONAL_DATA")
    lively.run()
    with duckdb.connect(copy_of(lively), read_only=True) as connection:
        assert connection.execute("SELECT friendly_name FROM analytics.conferences").fetchall()


@pytest.mark.thorough
def test_a_reader_keeps_what_it_opened(with_copy: Loaded) -> None:
    lively = with_copy
    with duckdb.connect(copy_of(lively), read_only=True) as connection:
        count = "SELECT count(*) FROM analytics.conferences"
        before = connection.execute(count).fetchall()
        lively.account.now += HOUR
        lively.run()
        assert connection.execute(count).fetchall() == before
        with duckdb.connect(copy_of(lively), read_only=True) as another:
            assert another.execute(count).fetchall() > before


@pytest.mark.thorough
def test_no_copy_fails_the_run_but_not_the_load(
    lively: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "taken").write_text("")
    done = command("run", PUBLISH__DIRECTORY=str(tmp_path / "taken"))
    assert done.returncode == 74
    assert "All is loaded, but no copy was published" in done.stderr
    assert "Traceback" not in done.stderr
    lively.assert_exact()
    assert command("run", PUBLISH__DIRECTORY=str(tmp_path / "bi")).returncode == 0
    assert (tmp_path / "bi/current/insights.duckdb").is_file()


@pytest.mark.thorough
def test_two_warehouses_do_not_share_a_folder(with_copy: Loaded, command: Command) -> None:
    lively = with_copy
    before = contents(copy_of(lively))
    directory = {"PUBLISH__DIRECTORY": "warehouse.published"}
    done = command("run", DESTINATION__DUCKDB__CREDENTIALS="another.duckdb", **directory)
    assert done.returncode == 74
    assert f"warehouse.published has the copies of {lively.path}; set PUBLISH" in done.stderr
    assert contents(copy_of(lively)) == before
    directory = {"PUBLISH__DIRECTORY": "elsewhere"}
    done = command("run", DESTINATION__DUCKDB__CREDENTIALS="another.duckdb", **directory)
    assert done.returncode == 0, done.stderr


def test_a_folder_of_the_users_keeps_its_mode(lively: Loaded, tmp_path: Path) -> None:
    folder = tmp_path / "warehouse.published"
    folder.mkdir(mode=0o750)
    lively.run()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750


def test_what_an_interrupted_copy_left_is_deleted(lively: Loaded) -> None:
    left = (
        lively.path.with_name("warehouse.published")
        / "20261120T000000000000-1.5-2026112000-abc.new"
    )
    left.mkdir(parents=True)
    other = left.with_name("something of the user's")
    other.mkdir()
    lively.run()
    assert not left.exists()
    assert other.exists()


def test_copies_that_fail_leave_no_more_on_the_disk(
    with_copy: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = with_copy.path.with_name("warehouse.published")
    before = {*copies.iterdir()}
    (copies / "20261120T000000000000-1.5-2026112000-abc.new").mkdir()

    with monkeypatch.context() as patch:
        patch.setattr("pipelines.warehouse.copy.publishing.build", full)
        with pytest.raises(PublishError, match="No space left"):
            publish_now()
    assert {*copies.iterdir()} == before
    seal = with_copy.path.with_name("warehouse.duckdb.dlt") / "published.txt"
    seal.unlink()
    seal.mkdir()  # nothing can be written to it
    with pytest.raises(PublishError, match="directory"):
        publish_now()
    assert {*copies.iterdir()} == before


def test_of_nothing_there_is_no_copy(loaded: Loaded, command: Command) -> None:
    done = command("publish")
    assert done.returncode == 74
    assert "Nothing is loaded" in done.stderr
    assert not loaded.path.exists()


@pytest.mark.thorough
def test_publish_makes_a_copy_of_what_there_is(with_copy: Loaded, command: Command) -> None:
    lively = with_copy
    before = copy_of(lively).resolve()
    done = command("publish")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(copy_of(lively))
    assert copy_of(lively).resolve() != before
    assert_published(lively)


@pytest.mark.parametrize(
    ("name", "value"), [("REPORT_TIMEZONE", "Mars/Olympus"), ("PUBLISH__PERSONAL_DATA", "maybe")]
)
def test_a_wrong_setting_is_named(name: str, value: str, loaded: Loaded, command: Command) -> None:
    done = command("run", **{name: value})
    assert done.returncode == 2
    assert name.lower().replace("__", ".") in done.stderr
    assert "Traceback" not in done.stderr
    assert not loaded.path.exists()


@pytest.mark.thorough
def test_a_full_disk_leaves_the_former_copy(
    with_copy: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively = with_copy
    before = copy_of(lively).resolve()

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(PublishError, match="No space left"):
            publish_now()
    assert copy_of(lively).resolve() == before
    assert not list(lively.path.with_name("warehouse.published").glob("*.new"))
    lively.account.put(summary(1, HOUR))
    lively.run()
    assert_published(lively)


@pytest.mark.thorough
@pytest.mark.usefixtures("prepared")
def test_an_account_that_fails_keeps_no_other_from_the_copy(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__ACCOUNTS", "all")
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__RETRY_BUDGET", "1s")
    down = loaded.account.add_subaccount("AC" + "1" * 32)
    down.failure = 503, 20503, "Service unavailable"
    loaded.account.put(summary(1, timedelta(hours=1)))
    with pytest.raises(UnavailableError):
        loaded.run()
    copy = loaded.path.with_name("warehouse.published") / "current" / "insights.duckdb"
    with duckdb.connect(copy, read_only=True) as connection:
        found = connection.execute("SELECT count(*) FROM analytics.conferences").fetchall()
    assert found == [(1,)]
