"""What a command takes: its help, options and settings, and no module that it can do without."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pipelines.cli import command_line
from pipelines.run.pipeline import Backfill
from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.twilio_insights.twilio_variables import TWILIO_NAMES
from tests.conftest import ROOT, Command, Loaded, sid, summary

pytestmark = pytest.mark.usefixtures("prepared")
HOUR = timedelta(hours=1)


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from pipelines.cli.command_line import main; "
        "main(['--help'], standalone_mode=False)"
        "; print([name for name in ('dlt', 'duckdb', 'httpx', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize("name", sorted(command_line.main.commands))
def test_every_command_has_help_with_an_example(name: str) -> None:
    done = CliRunner().invoke(command_line.main, [name, "--help"])
    assert done.exit_code == 0
    assert f"conference-insights {name}" in done.output


def test_every_exit_code_is_explained_in_the_help_once() -> None:
    done = CliRunner().invoke(command_line.main, ["--help"])
    codes = {0, 1, 2, 69, 74, 75, 77, 129, 130, 143}
    assert codes <= {int(number) for number in re.findall(r"\b\d+\b", done.output)}
    for name in command_line.main.commands:
        page = CliRunner().invoke(command_line.main, [name, "--help"]).output
        told = [line.strip() for line in page.splitlines() if "xit code" in line]
        assert told == ["Exit codes: see conference-insights --help"]
        assert "refused by Twilio" not in page


@pytest.mark.parametrize("name", ["run", "backfill"])
def test_the_help_names_the_settings_that_are_needed(name: str) -> None:
    page = CliRunner().invoke(command_line.main, [name, "--help"]).output
    for variable in (*TWILIO_NAMES.values(), "DESTINATION__DUCKDB__CREDENTIALS"):
        assert re.search(rf"^  .*\b{variable}\b", page, re.MULTILINE)
    assert "conference-insights doctor" in page


@pytest.mark.parametrize("name", sorted(command_line.main.commands))
def test_the_help_says_how_a_duration_is_written(name: str) -> None:
    command = command_line.main.commands[name]
    of = [o for o in command.params if o.type.name == "duration"]
    page = CliRunner().invoke(command_line.main, [name, "--help"]).output
    assert all(option.make_metavar(click.Context(command)) == "DURATION" for option in of)
    assert ("90s, 15m, 2h or 7d" in page) == bool(of)


@pytest.mark.thorough
def test_a_run_with_nothing_new_imports_no_more_than_it_needs(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    program = (
        "import sys; from pipelines.cli.command_line import main; "
        "main(['run'], standalone_mode=False)"
        "; print([name for name in ('dlt', 'numpy', 'pyarrow', 'rich') if name in sys.modules])"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT), "CONFERENCE_INSIGHTS_LOG": "human"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    assert "0 new" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.usefixtures("tables_only")
def test_credentials_are_read_from_secrets_toml(
    loaded: Loaded, command: Command, tmp_path: Path
) -> None:
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt/secrets.toml").write_text(
        f'[sources.twilio_insights]\naccount_sid = "{ACCOUNT_SID}"\nauth_token = "{AUTH_TOKEN}"\n'
        '[destination.duckdb]\ncredentials = "elsewhere.duckdb"\n'
    )
    done = command("run", TWILIO_ACCOUNT_SID="", TWILIO_AUTH_TOKEN="")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "elsewhere.duckdb").exists()


def test_a_wrong_duration_is_a_usage_error(command: Command) -> None:
    done = command("run", "--every", "often")
    assert done.returncode == 2
    assert "90s, 15m, 2h or 7d" in done.stderr


@pytest.fixture
def backfilled(monkeypatch: pytest.MonkeyPatch) -> list[Backfill]:
    """What the command hands on."""
    found: list[Backfill] = []
    monkeypatch.setattr(
        "pipelines.cli.console.run_with_progress",
        lambda *_, backfill: found.append(backfill),
    )
    return found


@pytest.mark.parametrize("name", CONFERENCES.filters)
def test_backfill_has_an_option_for_each_filter(
    name: str, backfilled: list[Backfill], command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    option = f"--{name.replace('_', '-')}"
    done = command("backfill", "--from", "7d", option, " elsewhere ")
    assert done.returncode == 0, done.stderr
    assert backfilled == [Backfill("7d", filters={name: "elsewhere"})]
    assert (f"{option}: Twilio documents no such value" in done.stderr) == (name != "friendly_name")
    assert "elsewhere" not in done.stderr
    for wrong in ("", " ", "a\nb", "\udcff"):
        done = command("backfill", "--from", "7d", option, wrong)
        assert done.returncode == 2
        assert "write text, in one line" in done.stderr
    done = command("backfill", "--conference", sid(1), option, "ie1")
    assert done.returncode == 2
    assert "Filters go with --from" in done.stderr
    assert len(backfilled) == 1


def test_backfill_takes_several_filters(backfilled: list[Backfill], command: Command) -> None:
    done = command("backfill", "--from", "7d", "--mixer-region", " ie1", "--tags", "low_mos")
    assert (done.returncode, done.stderr) == (0, "")
    assert backfilled == [Backfill("7d", filters={"mixer_region": "ie1", "tags": "low_mos"})]
    assert command("backfill", "--from", "7d").returncode == 0
    assert backfilled[1].filters == {}


@pytest.mark.thorough
@pytest.mark.usefixtures("tables_only")
def test_until_complete_polls_until_what_was_pending_is_final(
    loaded: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", "1")  # so each is asked for by SID
    loaded.account.put(summary(1, HOUR, "in_progress"))
    loaded.account.put(summary(2, 23 * HOUR, "in_progress"))
    seen = threading.Event()

    def finish() -> None:
        while not seen.wait(0.05):
            if any(sid(1) in request for request in loaded.server.requests):
                loaded.account.put(summary(1, HOUR))
                loaded.account.put(summary(2, 23 * HOUR))
                loaded.account.put(summary(3, timedelta(0), "in_progress"))
                return

    other = threading.Thread(target=finish)
    other.start()
    done = command("run", "--until-complete", "--every", "1s", "--timeout", "60s")
    seen.set()
    other.join()
    assert done.returncode == 0, done.stderr
    assert "pending 0 -> 0" in done.stdout
    assert "Waiting for 2 pending ones, asking again" in done.stderr
    stored = loaded.query(
        "SELECT conference_sid, processing_state FROM conference_insights.conference_summaries"
    )
    assert sorted(stored) == [(sid(1), "complete"), (sid(2), "complete")]


@pytest.mark.usefixtures("tables_only")
def test_until_complete_does_not_wait_for_what_is_gone(loaded: Loaded, command: Command) -> None:
    loaded.account.put(summary(1, 9 * 24 * HOUR, "in_progress"))
    loaded.run()
    loaded.account.forget(sid(1))
    done = command("run", "--until-complete", "--every", "1s", "--timeout", "2s")
    assert done.returncode == 0, done.stderr


def test_a_secret_in_the_wrong_variable_is_not_shown(command: Command) -> None:
    done = command("status", CONFERENCE_INSIGHTS_LOG="0123456789abcdef0123456789abcdef")
    assert done.returncode == 2
    assert "CONFERENCE_INSIGHTS_LOG" in done.stderr
    assert "0123456789abcdef" not in done.stdout + done.stderr


@pytest.mark.usefixtures("tables_only")
def test_a_misspelt_setting_is_named(loaded: Loaded, command: Command) -> None:
    wrong = (
        "SOURCES__TWILIO_INSIGHTS__LOOKBAK",
        "REPORT_TIMEZON",
        "PUBLISH__PERSONAL_DAT",
        "DESTINATION__DUCKDB__CREDENTIAL",
    )
    done = command("run", **dict.fromkeys(wrong, "2h"))
    for name in wrong:
        assert f"{name} is not a setting of this program, so it has no effect" in done.stderr
    assert "no setting" not in command("run").stderr
