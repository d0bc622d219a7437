"""The command as a user meets it: help, exit codes, messages, the demonstration."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import click
import duckdb
import pytest
from click.testing import CliRunner

from pipelines.cli import command_line, demo
from pipelines.run.pipeline import Backfill
from pipelines.run.settings import DEFAULTS
from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN
from pipelines.simulator.sample_data import busy_tree
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.twilio_insights.settings import TWILIO_NAMES
from tests import forked
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


@pytest.mark.thorough
@pytest.mark.fresh
def test_the_final_line_tells_all(loaded: Loaded, command: Command) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.account.put(summary(2, HOUR, "in_progress"))
    done = command("run")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    assert re.fullmatch(
        r"run [0-9a-f]{16} \| 2026-10-21T14:30:00Z to 2026-11-20T14:30:00Z \| \d+ pages \| "
        r"\d+ requests \| 0 retries \| 2 new \| 0 updated \| 0 unchanged \| pending 0 -> 1 \| "
        r"\d+\.\d s\n",
        done.stdout,
    )
    assert done.stderr == f"Warehouse: {loaded.path} (NEW, created now)\n"
    assert command("run").stderr == f"Warehouse: {loaded.path}\n"


@pytest.mark.thorough
def test_each_command_is_the_same_in_a_process_of_its_own(
    loaded: Loaded, command: Command, process: Command
) -> None:
    """Most tests call it in theirs; `demo` has processes of its own below."""
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    reading = "reconcile", "report", f"show {sid(1)}", "status", "status --json", "doctor"
    changing = "run", "backfill --from 2d", "publish", "erase --older-than 400d --yes"
    every = *changing, *reading, "sql --dialect trino --view checks"
    assert {"demo", *(line.split()[0] for line in every)} == command_line.main.commands.keys()
    for line in every:
        here, there = (call(*line.split()) for call in (command, process))
        assert here.returncode == there.returncode == 0
        for said, also in ((here.stdout, there.stdout), (here.stderr, there.stderr)):
            assert without_numbers(said) == without_numbers(also)


def without_numbers(text: str) -> str:
    return re.sub(r"[\w.:+-]*\d[\w.:+-]*", "…", text)


def test_no_credentials_is_a_usage_error_that_names_what_to_set(command: Command) -> None:
    done = command("run")
    assert done.returncode == 2
    assert "TWILIO_ACCOUNT_SID" in done.stderr
    assert "Traceback" not in done.stderr


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


def test_refused_credentials_exit_77(loaded: Loaded, command: Command) -> None:
    done = command("run", TWILIO_AUTH_TOKEN="wrong-canary-token")
    assert done.returncode == 77
    assert "20003" in done.stderr
    assert "canary" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_an_api_that_is_down_exits_69(loaded: Loaded, command: Command) -> None:
    nowhere = {"SOURCES__TWILIO_INSIGHTS__BASE_URL": "http://127.0.0.1:9"}
    done = command("run", SOURCES__TWILIO_INSIGHTS__RETRY_BUDGET="1s", **nowhere)
    assert done.returncode == 69
    assert "ConnectError" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_used_exits_74(loaded: Loaded, command: Command) -> None:
    done = command("run", DESTINATION__DUCKDB__CREDENTIALS="/proc/nowhere/w.duckdb")
    assert done.returncode == 74
    assert "/proc/nowhere" in done.stderr
    assert "Traceback" not in done.stderr


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


@pytest.mark.thorough
@pytest.mark.fresh
def test_the_demo_leaves_a_warehouse_that_is_held(process: Command, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    with duckdb.connect(tmp_path / "demo/demo.duckdb") as held:
        held.execute("CREATE TABLE mine AS SELECT 1")
        done = process("demo")
        assert done.returncode == 75
        assert "is held by python" in done.stderr
    with duckdb.connect(tmp_path / "demo/demo.duckdb") as held:
        assert held.sql("FROM mine").fetchall() == [(1,)]


def _put_warehouse(path: Path, command: str) -> None:
    """In an old format, which a run would rewrite."""
    path.parent.mkdir()
    with duckdb.connect(path, config={"storage_compatibility_version": "v1.0.0"}) as made:
        made.execute("CREATE SCHEMA conference_insights")
        made.execute(f"CREATE TABLE conference_insights._runs AS SELECT '{command}' AS command")


@pytest.mark.parametrize("loaded_by", ["run", None])
def test_the_demo_deletes_no_warehouse_of_others(
    loaded_by: str | None, command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "demo/demo.duckdb"
    if loaded_by:
        _put_warehouse(path, loaded_by)
    else:
        path.parent.mkdir()
        path.write_text("not even a warehouse")
    before = path.read_bytes()
    done = command("demo")
    assert done.returncode == 74
    assert str(path) in done.stderr
    assert path.read_bytes() == before


def test_the_demo_replaces_no_page_of_others(command: Command, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/report.html").write_text("my own notes")
    done = command("demo")
    assert done.returncode == 2
    assert "demo/report.html is no report" in done.stderr
    assert (tmp_path / "demo/report.html").read_text() == "my own notes"


@pytest.mark.parametrize("output", ["warehouse.duckdb", "warehouse.duckdb.wal", ".dlt/mine.toml"])
def test_a_report_replaces_nothing_but_a_report(
    sound: Loaded, command: Command, output: str
) -> None:
    file = sound.path.parent / output
    file.parent.mkdir(exist_ok=True)
    if file != sound.path:
        file.write_text("a = 1")
    before = file.read_bytes()
    done = command("report", "--output", output)
    assert done.returncode == 2
    assert f"{file} is no report: write it to another file" in done.stderr
    assert file.read_bytes() == before
    assert command("report").returncode == command("report").returncode == 0


@pytest.mark.usefixtures("server")
def test_a_warehouse_in_a_folder_that_is_missing_is_one_message(command: Command) -> None:
    done = command("run", DESTINATION__DUCKDB__CREDENTIALS="nowhere/w.duckdb")
    assert done.returncode == 74
    assert "nowhere/w.duckdb: make its folder, " in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_demo_knows_every_setting_of_the_user() -> None:
    variables = [*TWILIO_NAMES.values(), *("__".join(path).upper() for path in DEFAULTS)]
    assert [name for name in variables if not name.startswith(demo.USER_SETTINGS)] == []


@pytest.mark.fresh
@pytest.mark.parametrize(
    ("caller", "per_day", "least"),
    [
        pytest.param("command", 100, 1, marks=pytest.mark.thorough),
        pytest.param("process", 60, 5, marks=pytest.mark.programs),
    ],
)
def test_the_demo_shows_rows_becoming_complete(
    caller: str,
    per_day: int,
    least: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """In this process with fewer conferences a day."""
    monkeypatch.setattr(demo, "busy_tree", lambda at, **_: busy_tree(at, per_day=per_day))
    _put_warehouse(tmp_path / "demo/demo.duckdb", "demo")
    mine = {
        "TWILIO_API_KEY": "SK1",
        "TWILIO_API_SECRET": "mine",
        "PUBLISH__DIRECTORY": "bi",
        "SOURCES__TWILIO_INSIGHTS__CREATED_AFTER": "2099-01-01",
        "DESTINATION__DUCKDB__CREDENTIALS__DATABASE": str(tmp_path / "mine.duckdb"),
        "REPORT_TIMEZONE": "nonsense",
    }
    for folder in (tmp_path, tmp_path / "demo"):
        (folder / ".dlt").mkdir()
    (tmp_path / "demo/.dlt/config.toml").write_text(
        f"destination_type = 'postgres'\npublish.lake = '{tmp_path}/lake'\n"
    )
    (tmp_path / ".dlt/config.toml").write_text("[sources.twilio_insights]\npage_size = 'all'\n")
    (tmp_path / ".dlt/secrets.toml").write_text("[sources.twilio_insights]\nauth_token = 5.\n")
    done = request.getfixturevalue(caller)("demo", **mine)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo/demo.published/current/insights.duckdb").exists()
    assert {path.name for path in tmp_path.iterdir()} == {".dlt", "home", "demo"}
    assert f"The HTML report is {tmp_path}/demo/report.html" in done.stdout
    assert "<svg" in (tmp_path / "demo/report.html").read_text()
    assert re.search(r"Of \d+ summaries in progress, \d+ changed", done.stdout)
    for question, (_, help_to_read) in demo.QUESTIONS.items():
        assert question in done.stdout
        assert " ".join(help_to_read.split()) in " ".join(done.stdout.split())
    assert "Every run ends with such a line" in done.stdout
    assert "WARN" not in done.stdout + done.stderr
    assert done.stderr.count("Not loaded: Field service (") == 2, "once in each run"
    assert "Field service is refused on purpose: " in done.stdout
    assert "│ Field service " not in done.stdout
    assert re.search(r"│ Head office +│ +[1-9][\d,]* │ +[1-9][\d,]* │ +\d+ │", done.stdout)
    assert re.search(r"participant_region.*\n.*\n│ jp1 ", done.stdout), "the worst comes first"
    with duckdb.connect(tmp_path / "demo/demo.duckdb", read_only=True) as connection:
        (first, second) = connection.execute(
            "SELECT rows_new, rows_updated, pending_after FROM conference_insights._runs "
            "ORDER BY started_at"
        ).fetchall()
        shapes = connection.execute(
            "SELECT count(reason), count(severity), count(participant_identity), count(details) "
            "FROM conference_insights.conference_tag_info"
        ).fetchone()
    assert first[0] > 8 * per_day
    assert shapes is not None
    assert min(first[2], second[1], *shapes) >= least


@pytest.mark.thorough
@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", "2>&-", "| true", ">/dev/full"])
def test_a_run_is_well_whoever_reads_what_it_says(closed: str, loaded: Loaded) -> None:
    run = f"{sys.executable} -m pipelines run"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    script = f"set -o pipefail; {run} {closed}"
    done = subprocess.run(
        ["bash", "-c", script], env=env, capture_output=True, timeout=300, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert loaded.query("SELECT outcome FROM conference_insights._runs") == [("ok",)]


STRUCK = """
import os, signal, sys

class Strike:
    def find_spec(name, *_):
        if name == early:
            os.kill(os.getpid(), int(number))

early, number = sys.argv[1:]
sys.meta_path.insert(0, Strike)
from pipelines.__main__ import main
sys.argv[1:] = ["status", "--max-age", "2h"]
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "early",
    [
        "pipelines.cli.command_line",
        "click",
        "pipelines.logs",
        "pipelines.times",
        "pipelines.monitor.status",
    ],
)
def test_a_signal_is_one_from_the_first_moment_on(early: str, number: int) -> None:
    """It comes while that is imported."""
    struck = [sys.executable, "-c", STRUCK, early, str(int(number))]
    done = subprocess.run(struck, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (128 + number, False)
    assert "Aborted" not in done.stderr


def test_a_secret_in_the_wrong_variable_is_not_shown(command: Command) -> None:
    done = command("status", CONFERENCE_INSIGHTS_LOG="0123456789abcdef0123456789abcdef")
    assert done.returncode == 2
    assert "CONFERENCE_INSIGHTS_LOG" in done.stderr
    assert "0123456789abcdef" not in done.stdout + done.stderr


@pytest.mark.parametrize("ignored", [False, True], ids=["a closed terminal", "nohup"])
def test_what_ignores_hang_ups_goes_on(ignored: bool) -> None:
    program = (
        "import signal; from pipelines.cli.shutdown import exit_on_error\n"
        f"signal.signal(signal.SIGHUP, signal.{'SIG_IGN' if ignored else 'SIG_DFL'})\n"
        "with exit_on_error(): signal.raise_signal(signal.SIGHUP)\n"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=env, timeout=300, check=False)
    assert done.returncode == (0 if ignored else 129)


def test_a_closed_stream_does_not_become_a_file(tmp_path: Path) -> None:
    program = (
        "import os; from pipelines import __main__; from pipelines.cli import command_line; "
        "command_line.main = lambda: "
        "open('said', 'w').write(str([os.path.samestat(os.fstat(n), os.stat(os.devnull)) "
        "for n in range(3)]))"
        "; __main__.main()"
    )
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    script = f'{sys.executable} -c "$0" <&- >&- 2>&-'
    subprocess.run(["bash", "-c", script, program], env=env, timeout=300, check=True)
    assert (tmp_path / "said").read_text() == "[True, True, True]"


def test_a_folder_that_cannot_be_used_is_named(command: Command) -> None:
    done = command("demo", "--folder", "/dev/null/demo")
    assert done.returncode == 74
    assert done.stderr == "Error: /dev/null/demo: Not a directory\n"


@pytest.mark.parametrize("name", ["run", "status", "doctor", "report", "demo", "publish"])
def test_a_working_folder_that_was_deleted_is_named(name: str, tmp_path: Path) -> None:
    (folder := tmp_path / "gone").mkdir()
    deleted = f"import os; os.rmdir({str(folder)!r}); "
    code, said = forked.Forked(deleted + forked.COMMAND, name, folder=folder).end()
    assert (code, "The working folder was deleted" in said) == (74, True), said


def test_who_stops_reading_gets_141(loaded: Loaded) -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    script = f"set -o pipefail; {sys.executable} -m pipelines status | true"
    assert subprocess.run(["bash", "-c", script], env=env, timeout=300).returncode == 141


def test_the_last_line_says_when_a_run_failed(loaded: Loaded, command: Command) -> None:
    done = command("run", TWILIO_AUTH_TOKEN="wrong")
    assert " | FAILED | nothing listed | " in done.stdout
    done = command("run", TWILIO_AUTH_TOKEN="wrong", CONFERENCE_INSIGHTS_LOG="json")
    assert json.loads(done.stdout)["outcome"] == "failed"


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
