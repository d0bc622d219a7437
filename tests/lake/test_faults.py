"""What is wrong where a lake is, or with what it takes."""

from __future__ import annotations

import os
import re
from pathlib import Path

import deltalake
import pyarrow as pa
import pytest

from pipelines.exit_codes import DISK, REFUSED, UNAVAILABLE, USAGE, exit_code
from pipelines.lake_spark import read, register
from pipelines.simulator.sample_data import busy_account
from pipelines.warehouse.lake import store
from pipelines.warehouse.lake.commits import Commits
from pipelines.warehouse.lake.store import LakeError, LakeRefusedError, Store, lake_errors
from tests.conftest import NOW, ROOT, Command, Loaded, loaded_once, python
from tests.lakes import Publisher, rows_in_lake


@pytest.mark.thorough
def test_a_folder_with_something_else_is_left_alone(one: Publisher) -> None:
    folder = Path(one.lake)
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(LakeError, match="has something else, such as thesis") as found:
        one.publish()
    assert exit_code(found.value) == DISK
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]
    with pytest.raises(LakeError, match="There is no lake at"):
        read(one.lake)


def test_a_lake_before_its_first_commit(tmp_path: Path) -> None:
    Commits(Store(str(tmp_path / "lake"))).prepare(())
    with pytest.raises(LakeError, match="Nothing is published in the lake at"):
        register(None, str(tmp_path / "lake"))


def test_a_table_of_somebody_else_is_left_alone(one: Publisher) -> None:
    theirs = pa.table({"n": [1]})
    deltalake.write_deltalake(f"{one.lake}/_commits", theirs)
    with pytest.raises(LakeError, match="is no commit table of this version") as found:
        one.publish()
    assert exit_code(found.value) == DISK
    assert deltalake.DeltaTable(f"{one.lake}/_commits").to_pyarrow_table() == theirs


def test_a_file_where_the_lake_should_be(one: Publisher) -> None:
    Path(one.lake).write_text("")
    with pytest.raises(LakeError, match=r"cannot be used: .*File exists") as found:
        one.publish()
    assert exit_code(found.value) == DISK


@pytest.mark.parametrize("account", ["AC" + "x" * 300, "\U0001f600" * 30])
def test_an_account_that_no_folder_can_be_named_after(one: Publisher, account: str) -> None:
    sid = "(SELECT max(conference_sid) FROM conference_summaries)"
    one.execute(
        f"UPDATE conference_summaries SET account_sid = '{account}' WHERE conference_sid = {sid}"
    )
    one.publish()
    table = "conference_insights.conference_summaries"
    rows = rows_in_lake(one.lake, table)[table]
    assert rows.total() == one.rows(table)[table].total()
    assert account not in str(rows)


@pytest.mark.parametrize("url", ["ftp://host/lake", "nothing://x/y", "https://host/lake"])
def test_a_url_of_no_bucket_is_a_wrong_setting(loaded: Loaded, command: Command, url: str) -> None:
    done = command("run", PUBLISH__LAKE=url)
    assert (done.returncode, loaded.server.requests) == (USAGE, []), done.stderr
    assert "publish.lake: write a folder, or a bucket" in done.stderr


def test_a_package_is_missing(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    """Which shows before anything is loaded."""
    monkeypatch.setattr(store, "find_spec", lambda _: None)
    done = command("run", PUBLISH__LAKE="lake")
    assert done.returncode == USAGE
    assert "pip install 'conference-insights[lake]'" in done.stderr
    assert loaded.server.requests == []


@pytest.mark.parametrize("keep", ["soon", "5m", "31d"])
def test_how_long_states_are_kept_is_a_duration(
    loaded: Loaded, command: Command, keep: str
) -> None:
    done = command("run", PUBLISH__LAKE_KEEP=keep)
    assert done.returncode == USAGE
    assert "publish.lake_keep: " in done.stderr


def test_a_bucket_without_credentials_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # which would be asked for some
    url = "s3://bucket/lake"
    with pytest.raises(LakeRefusedError, match="set those of its tools"), lake_errors(url):
        Store(url).exists("conferences")


PAGE = (ROOT / "pipelines/warehouse/lake/README.md").read_text()


@pytest.mark.thorough
def test_the_command_and_the_example_of_the_page_run(
    tmp_path: Path, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = re.findall(r"^    (PUBLISH__LAKE=.*)$", PAGE, re.MULTILINE)
    setting, _, words = line.partition(" conference-insights ")
    name, _, place = setting.partition("=")
    with loaded_once(busy_account(NOW, days=2, per_day=9), tmp_path):
        done = command(*words.split(), **{name: str(tmp_path / "lake")})
    assert (done.returncode, f"Lake: {tmp_path}/lake (" in done.stderr) == (0, True)
    example = re.findall("^```py\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)[0]
    exec(example.replace(place, str(tmp_path / "lake")), {})
    assert "high_latency" in capsys.readouterr().out


REFUSING = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Refusing(BaseHTTPRequestHandler):
    def do_GET(self):
        text = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(403)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)
    do_HEAD = do_PUT = do_POST = do_GET
    def log_message(self, *_):
        pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
"""


def test_a_bucket_refuses_or_cannot_be_reached(
    one: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own, since `deltalake` would not let this one answer."""
    one.lake = "s3://bucket/lake"
    server = python(REFUSING)
    assert server.stdout
    for name, value in S3.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.stdout.readline().strip())
    with pytest.raises(LakeError, match="refuses the credentials, or they lack") as found:
        one.publish()
    assert exit_code(found.value) == REFUSED
    server.kill()
    server.communicate()
    monkeypatch.setattr(store, "_STORAGE", {"max_retries": "1", "retry_timeout": "1s"})
    with pytest.raises(LakeError, match=r"cannot be reached: .*the next run brings") as found:
        one.publish()
    assert exit_code(found.value) == UNAVAILABLE
    assert "\\x1b" not in str(found.value)
    with pytest.raises(LakeError, match="cannot be reached"):
        read(one.lake)


S3 = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}
