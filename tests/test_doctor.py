"""`doctor` names each of these troubles, says what to do, and ends with the code of the worst."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import duckdb
import pytest

from pipelines.monitor import doctor
from pipelines.simulator.server import SETTINGS_PATH, InsightsHandler
from tests.conftest import Command, Loaded, python
from tests.test_status import age_last_run

HOUR = timedelta(hours=1)


@dataclass
class Trouble:
    """`make` brings it about; doctor then says `said` and ends with `code`."""

    make: Callable[[Loaded], dict[str, str] | None]
    said: str
    next_step: str
    code: int


def wrong_token(_: Loaded) -> dict[str, str]:
    return {"TWILIO_AUTH_TOKEN": "wrong-canary-token"}


def no_credentials(_: Loaded) -> dict[str, str]:
    return {"TWILIO_AUTH_TOKEN": ""}


def feature_off(loaded: Loaded) -> None:
    loaded.account.advanced_features = False


def api_down(_: Loaded) -> dict[str, str]:
    return {"SOURCES__TWILIO_INSIGHTS__BASE_URL": "http://127.0.0.1:9"}


def clock_wrong(loaded: Loaded) -> None:
    loaded.account.now += timedelta(minutes=10)


def misspelt(_: Loaded) -> dict[str, str]:
    return {"SOURCES__TWILIO_INSIGHTS__LOKBACK": "72h"}


def misspelt_in_a_file(_: Loaded) -> None:
    Path(".dlt").mkdir()
    Path(".dlt/config.toml").write_text("[sources.twilio_insights]\nlokback = '72h'\n")


def hook_misspelt(_: Loaded) -> dict[str, str]:
    return {"RUNTIME__SLACK_INCOMING_HOOK": "hooks.slack.example/canary"}


def wrong_type(_: Loaded) -> dict[str, str]:
    return {"SOURCES__TWILIO_INSIGHTS__PAGE_SIZE": "canary"}


def hook_of_wrong_type(_: Loaded) -> None:
    Path(".dlt").mkdir()
    Path(".dlt/secrets.toml").write_text("runtime.slack_incoming_hook = ['canary']")
    Path(".dlt/secrets.toml").chmod(0o600)


def file_that_is_no_toml(_: Loaded) -> None:
    Path(".dlt").mkdir()
    Path(".dlt/config.toml").write_text("[")


def secrets_exposed(_: Loaded) -> None:
    Path(".dlt").mkdir()
    Path(".dlt/secrets.toml").write_text("")
    Path(".dlt/secrets.toml").chmod(0o644)


def damaged(loaded: Loaded) -> None:
    blocks = "SELECT max(block_id) FROM pragma_storage_info('conference_insights._report_hours')"
    ((block,),) = loaded.query(blocks)
    with loaded.path.open("r+b") as file:
        file.seek((12 << 10) + block * (256 << 10))
        file.write(os.urandom(256 << 10))


def no_database(loaded: Loaded) -> None:
    loaded.path.write_text("this is no database")


def stale(loaded: Loaded) -> None:
    age_last_run(loaded, timedelta(days=2))


def unsound(loaded: Loaded) -> None:
    with duckdb.connect(loaded.path) as connection:
        table = "conference_insights.conference_summaries"
        connection.execute(f"INSERT INTO {table} FROM {table} LIMIT 1")
    loaded.account.now += HOUR
    with pytest.raises(Exception, match="check"):
        loaded.run()
    loaded.account.now = datetime.now(UTC)


def copy_damaged(loaded: Loaded) -> None:
    copy = loaded.path.with_name("warehouse.published") / "current/insights.duckdb"
    copy.chmod(0o644)
    copy.write_text("this is no database")


def folder_closed(loaded: Loaded) -> None:
    loaded.path.with_name("warehouse.published").chmod(0o750)


def left_by_a_stopped_run(loaded: Loaded) -> None:
    (loaded.path.with_name(f"{loaded.path.name}.dlt") / "set_aside").mkdir()


TROUBLES = [
    Trouble(wrong_token, "FAIL  The auth token is refused", "check it, and the region", 77),
    Trouble(no_credentials, "FAIL  No credentials for account", "settings.md", 2),
    Trouble(feature_off, "FAIL  Voice Insights Advanced Features is off", "Twilio Console", 77),
    Trouble(api_down, "FAIL  Cannot read http://127.0.0.1:9", "check base_url", 69),
    Trouble(clock_wrong, "WARN  This machine's clock is ", "set the clock", 0),
    Trouble(misspelt, "WARN  SOURCES__TWILIO_INSIGHTS__LOKBACK is not a setting", "settings.md", 0),
    Trouble(
        misspelt_in_a_file, "WARN  sources.twilio_insights.lokback in .dlt/config.toml is no", "", 0
    ),
    Trouble(hook_misspelt, "WARN  runtime.slack_incoming_hook is no URL", "https://", 0),
    Trouble(wrong_type, "FAIL  sources.twilio_insights.page_size (", "settings.md", 2),
    Trouble(hook_of_wrong_type, "FAIL  runtime.slack_incoming_hook in", "settings.md", 2),
    Trouble(file_that_is_no_toml, "FAIL  Cannot read", "settings.md", 2),
    Trouble(secrets_exposed, "WARN  Others can read", "chmod 600", 0),
    Trouble(damaged, "FAIL  {path} ", "restore a backup", 74),
    Trouble(no_database, "cannot open {path}", "When something goes wrong", 74),
    Trouble(stale, "FAIL  Stale: the last good run ended 2 days ago", "is scheduled", 3),
    Trouble(
        unsound,
        "FAIL  A conference is in conference_summaries more than once",
        "see sql/README.md, Checks",
        65,
    ),
    Trouble(copy_damaged, "insights.duckdb cannot be read", "conference-insights publish", 74),
    Trouble(
        folder_closed, "WARN  A BI server running as another user cannot enter", "chmod o+x", 0
    ),
    Trouble(left_by_a_stopped_run, "WARN  {path}.dlt/set_aside", "delete it", 0),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.make.__name__)
def test_it_names_the_trouble(trouble: Trouble, sound: Loaded, command: Command) -> None:
    environment = trouble.make(sound) or {}
    done = command("doctor", **environment)
    assert trouble.said.format(path=sound.path) in done.stdout
    assert trouble.next_step in done.stdout
    assert done.returncode == trouble.code, done.stdout
    assert "Traceback" not in done.stderr
    assert "canary" not in done.stdout + done.stderr


def test_all_is_well(sound: Loaded, command: Command) -> None:
    before = sound.path.read_bytes()
    sound.server.requests.clear()
    done = command("doctor")
    assert done.returncode == 0
    assert "FAIL" not in done.stdout
    assert "WARN" not in done.stdout.replace(closed_by_the_test(done.stdout), "")
    assert f"{sound.path} is intact" in done.stdout
    assert "Twilio accepts the auth token of AC" in done.stdout
    assert sound.server.requests[0] == "/v1/Voice/Settings"
    assert sound.path.read_bytes() == before


def closed_by_the_test(output: str) -> str:
    """The folder of a test is closed to others."""
    return next(line for line in output.splitlines() if "cannot enter" in line)


def test_it_says_where_each_setting_comes_from(
    sound: Loaded, command: Command, tmp_path: Path
) -> None:
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt/config.toml").write_text("[sources.twilio_insights]\nlookback = '72h'\n")
    done = command("doctor", PUBLISH__PERSONAL_DATA="false")
    source = "sources.twilio_insights"
    lines = done.stdout.splitlines()
    assert f"{source}.lookback = 72h  (.dlt/config.toml)" in lines
    assert f"{source}.auth_token = (20 characters)  (TWILIO_AUTH_TOKEN)" in lines
    assert f"{source}.page_size = 1000  (default)" in lines
    assert "publish.personal_data = false  (PUBLISH__PERSONAL_DATA)" in lines
    assert "simulated-auth-token" not in done.stdout + done.stderr


class RestrictedKey(InsightsHandler):
    """A key that may list conferences, but not see the account's settings."""

    def answer(self) -> tuple[int, bytes]:
        if self.path == SETTINGS_PATH:
            return 403, b'{"code": 20003, "message": "Forbidden", "status": 403}'
        return super().answer()


def test_what_may_be_a_secret_in_a_wrong_place_is_not_shown(
    sound: Loaded, command: Command, tmp_path: Path
) -> None:
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt/secrets.toml").write_text(
        "[destination.duckdb.credentials]\ndatabase = 'other.duckdb'\npassword = 'canary'\n"
    )
    wrong = {
        "TWILIO_ACCOUNT_SID": "canary",
        "TWILIO_API_KEY": "canary",
        "SOURCES__TWILIO_INSIGHTS__BASE_URL": "https://user:canary@insights.twilio.com",
        "RUNTIME__SLACK_INCOMING_HOOK": "https://hooks.slack.com/services/canary",
    }
    done = command("doctor", **wrong)
    assert done.returncode == 2
    assert "destination.duckdb.credentials = other.duckdb" in done.stdout
    assert "canary" not in done.stdout + done.stderr


def test_it_changes_nothing(sound: Loaded, command: Command) -> None:
    program = """
        import duckdb, os, sys
        c = duckdb.connect(sys.argv[1])
        c.execute("CREATE TABLE conference_insights.left_in_the_wal AS SELECT 1 AS a")
        os._exit(0)
    """
    python(program, str(sound.path)).communicate()
    for found in (False, True):
        if found:
            shutil.rmtree(sound.path.with_name(f"{sound.path.name}.dlt"))
        before = contents(sound.path.parent)
        assert f"{sound.path.name}.wal" in before
        assert command("doctor").returncode == 0
        assert contents(sound.path.parent) == before


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "run.lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_restricted_key_may_list_all_the_same(sound: Loaded, command: Command) -> None:
    sound.server.RequestHandlerClass = RestrictedKey
    done = command("doctor")
    assert done.returncode == 0
    assert "Twilio accepts the auth token" in done.stdout


def test_it_names_who_holds_the_warehouse(
    sound: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.warehouse.file.warehouse_file.LOCK_TIMEOUT", 0.1)
    holder = python(
        "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); input(print(1))",
        str(sound.path),
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    done = command("doctor")
    holder.communicate("\n")
    assert done.returncode == 75
    assert f"(process {holder.pid})" in done.stdout


def test_a_package_out_of_bounds_is_named(
    sound: Loaded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def installed(name: str) -> str:
        return "30.23.0" if name == "sqlglot" else version(name)

    monkeypatch.setattr("pipelines.monitor.doctor.version", installed)
    assert doctor.examine() == 2
    assert (
        "FAIL  sqlglot 30.23.0 is installed, which breaks this program" in capsys.readouterr().out
    )


def test_a_disk_without_room_is_named(
    sound: Loaded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "MIN_FREE_BYTES", 1e18)
    assert doctor.examine() == 74
    assert "MB are free on the disk of" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "MIN_FREE_BYTES", 0)
    monkeypatch.setattr(doctor, "MIN_FREE_RATIO", 1e12)
    assert doctor.examine() == 0
    assert "less than twice the warehouse" in capsys.readouterr().out


@pytest.mark.usefixtures("server")
def test_a_folder_that_is_missing_is_named(command: Command) -> None:
    done = command("doctor", DESTINATION__DUCKDB__CREDENTIALS="nowhere/insights.duckdb")
    assert (done.returncode, "nowhere cannot be written" in done.stdout) == (74, True)


def test_free_space_in_the_file_is_told(sound: Loaded, command: Command, tmp_path: Path) -> None:
    with duckdb.connect(sound.path) as connection:
        connection.execute(
            "CREATE TABLE big AS SELECT hash(range) AS a, hash(range + 1) AS b FROM range(4000000)"
        )
        connection.execute("DROP TABLE big")
    done = command("doctor")
    assert done.returncode == 0
    assert "of the file is free space" in done.stdout


def test_a_parent_without_the_feature_is_a_warning_where_others_have_it(
    sound: Loaded, command: Command
) -> None:
    sound.account.add_subaccount("AC" + "1" * 32)
    sound.account.advanced_features = False
    done = command("doctor", SOURCES__TWILIO_INSIGHTS__ACCOUNTS="all")
    assert "WARN  Voice Insights Advanced Features is off" in done.stdout
    assert done.returncode == 0, done.stdout
