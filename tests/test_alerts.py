"""Failures and recoveries are posted to Slack's hook, and never fail or delay a run."""

from __future__ import annotations

import gzip
import json
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipelines.monitor.alerts import alerting
from pipelines.run.pipeline import Backfill
from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN, Account
from pipelines.simulator.server import InsightsServer
from pipelines.warehouse.file.warehouse_file import open_warehouse
from tests.conftest import NOW, Command, Loaded, environment, summary
from tests.test_server_warehouse import server_url as server_url

pytestmark = pytest.mark.usefixtures("tables_only")


class Hook(ThreadingHTTPServer):
    """Keeps the texts that are posted to it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), HookHandler)
        self.url = f"http://127.0.0.1:{self.server_port}/services/canary-secret"
        self.texts: list[str] = []
        self.status, self.released = 200, threading.Event()
        self.released.set()
        self.headers: dict[str, str] = {}
        self.body = b""


class HookHandler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.texts.append(body["text"])
        self.server.released.wait(60)
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.body)

    def do_GET(self) -> None:
        self.server.texts.append(f"GET {self.path}")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    with Hook() as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("RUNTIME__SLACK_INCOMING_HOOK", server.url)
        yield server
        server.released.set()
        server.shutdown()


def test_a_failure_is_posted_once_and_so_is_the_recovery(
    loaded: Loaded, hook: Hook, command: Command
) -> None:
    assert command("run").returncode == 0
    assert hook.texts == []
    loaded.account.logins.clear()
    assert [command("run").returncode for _ in range(2)] == [77, 77]
    assert len(hook.texts) == 1
    assert hook.texts[0].startswith("run FAILED on ")
    assert str(loaded.path) in hook.texts[0]
    assert "Twilio refused account" in hook.texts[0]
    loaded.account.logins.add((ACCOUNT_SID, AUTH_TOKEN))
    assert [command("run").returncode for _ in range(2)] == [0, 0]
    assert len(hook.texts) == 2
    assert hook.texts[1].startswith("run recovered on ")
    assert hook.texts[1].endswith("after RefusedError")


@pytest.mark.thorough
@pytest.mark.usefixtures("server_url")
def test_on_a_server_the_run_of_another_account_is_no_recovery(
    loaded: Loaded, hook: Hook, command: Command
) -> None:
    other = Account(NOW, f"AC{9:032x}")
    with InsightsServer(other) as api:
        theirs = environment(api) | {"TWILIO_ACCOUNT_SID": other.sid}
        theirs["TWILIO_AUTH_TOKEN"] = other.auth_token
        assert command("run").returncode == 0
        loaded.account.logins.clear()
        for _ in range(2):
            assert command("run").returncode == 77
            assert command("run", **theirs).returncode == 0
        loaded.account.logins.add((ACCOUNT_SID, AUTH_TOKEN))
        assert command("run").returncode == 0
    assert [text.split(" on ")[0] for text in hook.texts] == ["run FAILED", "run recovered"]


def end(error: str = "", command: str = "run", scope: Backfill | None = None) -> None:
    """A run ends, with an error of this text, or well."""
    with suppress(ValueError), alerting(command, threading.Event(), scope):
        if error:
            raise ValueError(error)


OTHER_RUNS: dict[str, tuple[str, Backfill | None, dict[str, str]]] = {
    "command": ("reconcile", None, {}),
    "account": ("run", None, {"TWILIO_ACCOUNT_SID": f"AC{9:032x}"}),
    "accounts": ("run", None, {"SOURCES__TWILIO_INSIGHTS__ACCOUNTS": "all"}),
    "filter": ("run", None, {"SOURCES__TWILIO_INSIGHTS__FILTERS__STATUS": "completed"}),
    "range": ("run", Backfill("7d"), {}),
    "filter of a range": ("run", Backfill(filters={"status": "completed"}), {}),
}


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("name", OTHER_RUNS)
def test_a_run_of_something_else_is_no_recovery(
    name: str, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, scope, settings = OTHER_RUNS[name]
    for _ in range(2):
        end("x")
        with monkeypatch.context() as patch:
            for variable, value in settings.items():
                patch.setenv(variable, value)
            end(command=command, scope=scope)
    assert len(hook.texts) == 1
    end()
    end()
    assert [text.split(" on ")[0] for text in hook.texts] == ["run FAILED", "run recovered"]


@pytest.mark.thorough
def test_what_a_comparison_found_stands_until_the_next(
    loaded: Loaded, hook: Hook, command: Command
) -> None:
    loaded.run()
    loaded.account.put(summary(1, timedelta(days=5)))
    ends = [command(name).returncode for name in ("reconcile", "run", "reconcile", "run")]
    assert ends == [65, 0, 65, 0]
    assert [text.split(" on ")[0] for text in hook.texts] == ["reconcile FAILED"]
    assert command("backfill", "--from", "6d").returncode == 0
    assert command("reconcile").returncode == 0
    assert len(hook.texts) == 2
    assert hook.texts[1].startswith("reconcile recovered on ")
    assert hook.texts[1].endswith("after DifferencesError")


@pytest.mark.usefixtures("server")
def test_what_could_not_be_posted_is_posted_by_the_next_run(hook: Hook) -> None:
    for error in ("x", ""):
        hook.status = 500
        end(error)
        hook.status = 200
        end(error)
        end(error)
    said = [text.split(" on ")[0] for text in hook.texts]
    assert said == ["run FAILED"] * 2 + ["run recovered"] * 2


@pytest.mark.usefixtures("server")
def test_what_was_posted_two_months_ago_is_forgotten(hook: Hook, tmp_path: Path) -> None:
    end("x")
    record = tmp_path / "warehouse.duckdb.alerts.json"
    year = str(datetime.now(UTC).year)
    record.write_text(record.read_text().replace(f'"{year}-', f'"{int(year) - 1}-'))
    end()
    end("x")
    assert [text.split(" on ")[0] for text in hook.texts] == ["run FAILED"] * 2


RECORDS = ["[", "[]", "{}", '{"format": 1, "posted": 1}', '{"format": 1, "posted": {"x": {}}}']


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("text", RECORDS)
def test_a_record_that_cannot_be_read_is_made_anew(text: str, hook: Hook, tmp_path: Path) -> None:
    record = tmp_path / "warehouse.duckdb.alerts.json"
    record.write_text(text)
    end("x")
    end("x")
    end()
    assert [text.split(" on ")[0] for text in hook.texts] == ["run FAILED", "run recovered"]


@pytest.mark.thorough
@pytest.mark.usefixtures("server_url")
def test_on_a_server_each_of_several_workers_is_told_of_once(
    loaded: Loaded, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(accounts: str, error: str = "") -> None:
        monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__ACCOUNTS", accounts)
        end(error)

    ours, theirs = ACCOUNT_SID, f"AC{9:032x}"
    work(ours, "before anything is loaded, nothing is kept")
    loaded.run()
    hook.texts.clear()
    for _ in range(2):
        work(theirs, "x")
        work(ours)
    work(theirs)
    work(theirs)
    assert [text.split(" on ")[0] for text in hook.texts] == ["run FAILED", "run recovered"]
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__ACCOUNTS", ours)
    loaded.run()  # which takes the schemas for its own still


@pytest.mark.usefixtures("loaded")
def test_another_failure_is_posted_too(hook: Hook, command: Command) -> None:
    assert command("run", TWILIO_AUTH_TOKEN="").returncode == 2
    nowhere = {"SOURCES__TWILIO_INSIGHTS__BASE_URL": "http://127.0.0.1:9"}
    assert command("run", SOURCES__TWILIO_INSIGHTS__RETRY_BUDGET="1s", **nowhere).returncode == 69
    assert ["No credentials" in hook.texts[0], "ConnectError" in hook.texts[1]] == [True, True]


def test_a_run_that_meets_another_is_no_failure(
    loaded: Loaded, hook: Hook, command: Command
) -> None:
    with open_warehouse(loaded.path):
        assert command("run").returncode == 75
    assert command("run").returncode == 0
    assert hook.texts == []
    assert command("run", TWILIO_AUTH_TOKEN="").returncode == 2
    with open_warehouse(loaded.path):
        assert command("run").returncode == 75
    assert command("run", TWILIO_AUTH_TOKEN="").returncode == 2
    assert len(hook.texts) == 1, "the same as before the busy one"


@pytest.fixture
def refused(loaded: Loaded, hook: Hook, command: Command) -> Loaded:
    """Its last run failed, and that was posted."""
    loaded.account.put(summary(1, timedelta(hours=1)))
    loaded.run()
    loaded.account.logins.clear()
    assert command("run").returncode == 77
    assert len(hook.texts) == 1
    return loaded


def test_a_run_that_meets_another_makes_no_failure_forgotten(
    refused: Loaded, hook: Hook, command: Command
) -> None:
    with open_warehouse(refused.path):
        assert command("run").returncode == 75
    assert command("run").returncode == 77
    assert [text.split(" on ")[0] for text in hook.texts] == ["run FAILED"]


def test_a_run_that_is_stopped_keeps_what_was_wrong_in_mind(
    refused: Loaded, hook: Hook, command: Command
) -> None:
    refused.account.logins.add((ACCOUNT_SID, AUTH_TOKEN))
    stop = threading.Event()
    stop.set()
    refused.run(stop=stop)
    assert command("run").returncode == 0
    assert [text.split(" on ")[0] for text in hook.texts] == ["run FAILED", "run recovered"]


@pytest.mark.parametrize("trouble", ["hangs", "refuses", "is not there"])
def test_a_hook_in_trouble_changes_nothing(
    trouble: str, loaded: Loaded, hook: Hook, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.put(summary(1, timedelta(hours=1)))
    loaded.account.logins.clear()
    monkeypatch.setattr("pipelines.monitor.alerts.TIMEOUT", 0.1)
    if trouble == "hangs":
        hook.released.clear()
    elif trouble == "refuses":
        hook.status = 404
    else:
        monkeypatch.setenv("RUNTIME__SLACK_INCOMING_HOOK", "http://127.0.0.1:9/canary-secret")
    failed = command("run")
    assert failed.returncode == 77
    assert "Nothing was posted to slack_incoming_hook" in failed.stderr
    assert "canary" not in failed.stderr
    loaded.account.logins.add((ACCOUNT_SID, AUTH_TOKEN))
    assert command("run").returncode == 0
    loaded.assert_exact()


BROKEN = {"no TOML": ("[", 0o644), "writable by every user": ("", 0o666)}


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("name", BROKEN)
def test_a_settings_file_that_is_not_read_is_posted_once(
    name: str, hook: Hook, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(tmp_path / "warehouse.duckdb"))
    file = tmp_path / ".dlt/config.toml"
    file.parent.mkdir()
    text, mode = BROKEN[name]
    file.write_text(text)
    file.chmod(mode)
    assert [command("run").returncode for _ in range(2)] == [2, 2]
    assert ["config.toml" in text for text in hook.texts] == [True]
    file.unlink()
    assert command("run", DESTINATION_TYPE="sqlite").returncode == 2
    assert command("run").returncode == 0
    assert len(hook.texts) == 2
    assert hook.texts[1].endswith("after SettingsError")


NO_PLACE = {
    "no such destination": {"DESTINATION_TYPE": "sqlite"},
    "no folder": {"DESTINATION__DUCKDB__CREDENTIALS": "gone/warehouse.duckdb"},
}


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("name", NO_PLACE)
def test_where_nothing_can_be_kept_each_run_is_posted(
    name: str, hook: Hook, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "warehouse.duckdb").unlink()
    ends = [command("run", **NO_PLACE[name]).returncode for _ in range(2)]
    assert ends == [2 if "DESTINATION_TYPE" in NO_PLACE[name] else 74] * 2
    assert [text.split(" on ")[0] for text in hook.texts] == ["run FAILED"] * 2
    assert not [*tmp_path.rglob("*.alerts.json"), *tmp_path.rglob("gone")]


@pytest.mark.usefixtures("server")
def test_the_error_of_the_run_stands_where_its_folder_is_gone(
    hook: Hook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    end("x")
    assert [text.split(" on ")[0] for text in hook.texts] == ["run FAILED"]


@pytest.mark.usefixtures("server")
def test_the_error_of_the_run_stands_where_no_thread_can_begin(
    hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    threading.stack_size(1 << 47)  # more than there are addresses
    try:
        end("x")
    finally:
        threading.stack_size(0)
    assert hook.texts == []
    assert "Nothing was posted to slack_incoming_hook" in caplog.text


FORGED = "<!channel> <http://evil.example|Slack> & \x1b[2J\n*bold*"


@pytest.mark.usefixtures("server")
def test_what_others_wrote_is_text_to_slack_and_not_long(hook: Hook) -> None:
    with pytest.raises(ValueError, match="channel"), alerting("run", threading.Event()):
        raise ValueError(FORGED + "&" * 50_000)
    (text,) = hook.texts
    assert "&lt;!channel&gt; &lt;http://evil.example|Slack&gt; &amp; \\x1b[2J\\n*bold*" in text
    assert {"<", ">", "\n", "\x1b"}.isdisjoint(text)
    assert len(text) < 15_000
    assert text.endswith("&amp;…")


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_the_hook_is_not_followed(
    status: int, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    hook.status, hook.headers = status, {"Location": hook.url.replace("services", "elsewhere")}
    with pytest.raises(ValueError, match="x"), alerting("run", threading.Event()):
        raise ValueError("x")
    assert len(hook.texts) == 1
    assert "Nothing was posted to slack_incoming_hook" in caplog.text


@pytest.mark.usefixtures("server")
def test_what_the_hook_answers_is_not_read(hook: Hook) -> None:
    hook.body = gzip.compress(gzip.compress(b" " * (64 << 20)))
    hook.headers = {"Content-Encoding": "gzip, gzip", "Content-Length": str(len(hook.body))}
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="x"), alerting("run", threading.Event()):
            raise ValueError("x")
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()
    assert len(hook.texts) == 1


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("variable", ["NO_PROXY=::1/128", "ALL_PROXY=socks://127.0.0.1:9"])
def test_a_proxy_for_others_keeps_no_alert_back(
    variable: str, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(*variable.split("=", 1))
    with pytest.raises(ValueError, match="x"), alerting("run", threading.Event()):
        raise ValueError("x")
    assert len(hook.texts) == 1
