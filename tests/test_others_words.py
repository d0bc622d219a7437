"""What others write, Twilio or who answers in its place, commands no terminal, forges no line; and
the texts of libraries by which faults are told apart are those that they write."""

from __future__ import annotations

import base64
import io
import json
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from errno import EACCES, ENOENT, ENOTDIR
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest

from pipelines.logs import PlainLines, say, visible
from pipelines.monitor.status import read_status, status_lines
from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN, Account
from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.errors import InsightsError
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.warehouse.checks import ChecksError
from pipelines.warehouse.error_texts import (
    CORRUPT_FILE,
    DAMAGE,
    DISK_FAULT,
    LINE_OF_ERROR,
    LOCK_HOLDER,
    LOG_FAULT,
    NO_THREAD,
    OF_OTHERS,
    OUT_OF_MEMORY,
)
from pipelines.warehouse.file.warehouse_file import DuckDbFile
from pipelines.warehouse.warehouse import BusyError
from tests.conftest import NOW, Command, Loaded, python, summary
from tests.faulty_server import Behaviour, answer, page, serving, settings
from tests.postgres_server import PostgresTestServer

pytestmark = pytest.mark.usefixtures("prepared")

HOSTILE = "\x1b[2J\x1b]8;;https://evil.example\x07log in\x1b]8;;\x07\u202egro\u2066\x9b31m\n\u2028"
HOSTILE += "Error: forged"
HOUR = timedelta(hours=1)


def assert_harmless(text: str) -> None:
    assert {c for c in text if not c.isprintable()} <= {"\n"}, ascii(text)
    assert not [line for line in text.split("\n") if line.startswith("Error: forged")]


@pytest.mark.thorough
def test_data_reaches_the_terminal_escaped(loaded: Loaded, command: Command) -> None:
    fields: list[dict[str, Any]] = [{"tags": [HOSTILE]}, {"status": HOSTILE}, {HOSTILE: 1}]
    for number, odd in enumerate([*fields, {"account_sid": HOSTILE}]):
        loaded.account.put(summary(number, HOUR, "in_progress", **odd))
    done = command("run")
    assert done.returncode == 0, done.stderr
    texts = [done.stdout, done.stderr]
    for name in ("status", "doctor"):
        told = command(name)
        texts += [told.stdout, told.stderr]
    for text in texts:
        assert_harmless(text)
    assert r"\x1b[2J" in texts[0]
    assert r"\u202egro" in texts[2]


@pytest.mark.thorough
def test_of_much_that_is_new_the_status_names_some(loaded: Loaded) -> None:
    loaded.account.put(summary(1, HOUR, tags=[f"new_{n:03}_{'x' * 100}" for n in range(300)]))
    loaded.run()
    said = dict(status_lines(read_status(DuckDbFile(loaded.path), datetime.now(UTC))))["Drift"]
    assert said.startswith("tag = new_")
    assert said.endswith(", and 290 more, see _drift")
    assert len(said) < 3000


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["run", "doctor"])
def test_an_answer_reaches_the_terminal_escaped(
    name: str, loaded: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__RETRY_BUDGET", "1s")
    line = HOSTILE.replace("\n", "").encode("latin-1", "ignore").decode("latin-1")

    def odd(handler: InsightsHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", line)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    monkeypatch.setattr(InsightsHandler, "do_GET", odd)
    done = command(name)
    assert done.returncode == 69
    assert r"\x1b[2J" in done.stdout + done.stderr
    assert_harmless(done.stdout + done.stderr)


def test_a_traceback_is_escaped_and_its_lines_begin_like_no_other() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainLines())
    try:
        raise ValueError(HOSTILE)
    except ValueError as error:
        said = ("a bug", (type(error), error, error.__traceback__))
    handler.handle(logging.LogRecord("x", logging.ERROR, "", 0, said[0], None, said[1]))
    first, *rest = stream.getvalue().rstrip("\n").split("\n")
    assert first == "a bug"
    assert len(rest) > 3
    assert all(line.startswith("  ") for line in rest)
    assert_harmless(stream.getvalue())


def test_what_is_ours_stays(capsys: pytest.CaptureFixture[str]) -> None:
    assert visible("Zürich, 北京, „ok“ → 100 %") == "Zürich, 北京, „ok“ → 100 %"
    assert visible("a\udcffb\tc") == r"a\udcffb\tc"
    say("one\ntwo", "\x1b[1mTitle\x1b[0m ")
    assert capsys.readouterr().out == "Title one\\ntwo\n"


SENT = base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
ECHO = f"no {AUTH_TOKEN} Basic {SENT} " + "x" * 60_000


def with_line(line: str) -> Behaviour:
    def respond(handler: InsightsHandler) -> bool:
        handler.wfile.write(f"HTTP/1.1 200 OK\r\n{line}\r\n\r\n".encode())
        handler.close_connection = True
        return True

    return respond


@pytest.mark.parametrize(
    "fault",
    [
        answer(200, b"", ECHO),
        answer(200, b"", Content_Encoding=ECHO),
        answer(503, json.dumps({"message": ECHO}).encode()),
        answer(401, json.dumps({"title": ECHO}).encode()),
        answer(401, json.dumps({"title": [ECHO]}).encode()),
        answer(400, json.dumps({"code": int("9" * 3000)}).encode()),
        answer(200, page(f"https://{AUTH_TOKEN}.{'x' * 30_000}/")),
        answer(200, page(f"https://x:{AUTH_TOKEN}{'x' * 30_000}/")),
        answer(302, Location=ECHO),
        with_line(ECHO),
    ],
    ids=range(10),
)
def test_an_answer_is_told_in_short_and_without_secrets(
    fault: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.twilio_insights.api.client.ATTEMPTS", 1)
    with serving(Account(NOW), fault) as server, pytest.raises(InsightsError) as caught:
        with InsightsClient(settings(server)) as client:
            list(client.list_pages(CONFERENCES, NOW - HOUR, NOW))
    said = str(caught.value)
    assert len(said) < 800
    assert AUTH_TOKEN not in said
    assert SENT not in said


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A file with a table in it."""
    path = tmp_path / "some.duckdb"
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE t AS SELECT range::VARCHAR AS a FROM range(100000)")
    return path


@pytest.fixture
def with_log(database: Path) -> Path:
    """The file after a change that only its log has."""
    with duckdb.connect(database) as connection:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection.execute("INSERT INTO t SELECT 'more' FROM range(5000)")
    return database


def error_of(do: Callable[[], object]) -> str:
    with pytest.raises(duckdb.Error) as caught:
        do()
    return str(caught.value)


def read(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("SELECT sum(hash(a)) FROM t").fetchall()


def flip(path: Path) -> None:
    """Change a byte in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def test_a_disk_that_is_full_is_told_by_its_text() -> None:
    write = "COPY (FROM range(100000)) TO '/dev/full' (FORMAT csv)"
    assert DISK_FAULT.search(error_of(lambda: duckdb.connect().execute(write)))


def test_a_folder_that_is_gone_is_told_by_its_text(tmp_path: Path) -> None:
    folder = tmp_path / "it"
    folder.mkdir()
    settings: dict[str, Any] = {"temp_directory": str(folder / "spilled"), "memory_limit": "20MB"}
    with duckdb.connect(config=settings) as connection:
        connection.execute(
            f"ATTACH '{folder}/a.duckdb' AS a; CREATE TABLE a.t (b INT); CHECKPOINT a"
        )
        folder.rename(tmp_path / "gone")
        spill = "CREATE TABLE x AS SELECT hash(range) AS a FROM range(3000000) ORDER BY a"
        assert DISK_FAULT.search(error_of(lambda: connection.execute(spill).fetchall()))
        folder.touch()
        text = error_of(lambda: connection.execute("INSERT INTO a.t VALUES (1)"))
        assert DISK_FAULT.search(text)
        denied = text.replace(os.strerror(ENOTDIR), os.strerror(EACCES))
        assert DISK_FAULT.search(denied)
    missing = FileNotFoundError(ENOENT, os.strerror(ENOENT), "what a killed run left")
    assert not DISK_FAULT.search(str(missing))


@pytest.mark.parametrize("sql", ["SELECT list(range::VARCHAR)", "SELECT DISTINCT range"])
def test_memory_that_is_not_enough_is_told_by_its_text(sql: str) -> None:
    with duckdb.connect(config={"memory_limit": "12MB", "temp_directory": ""}) as connection:
        text = error_of(lambda: connection.execute(f"{sql} FROM range(3000000)").fetchall())
    assert OUT_OF_MEMORY.search(text)
    assert OUT_OF_MEMORY.search(text.partition(": ")[2]), "without the name of the class"


def test_a_thread_that_cannot_start_is_told_by_its_text() -> None:
    program = """
        import resource, threading
        resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
        threading.stack_size(2**31)
        threading.Thread(target=print).start()
    """
    with python(program) as started:
        assert NO_THREAD.search(started.communicate(timeout=60)[1])


def test_a_holder_of_the_file_is_named_in_the_text(database: Path) -> None:
    with python(f"import duckdb; c = duckdb.connect('{database}'); print(1); input()") as holder:
        assert holder.stdout
        holder.stdout.readline()
        held = LOCK_HOLDER.search(error_of(lambda: duckdb.connect(database)))
        holder.communicate("")
    assert held
    assert held["pid"] == str(holder.pid)
    assert "python" in held["program"]


def test_a_file_that_is_cut_is_told_by_its_text(database: Path) -> None:
    database.write_bytes(database.read_bytes()[:300_000])
    assert DAMAGE.search(error_of(lambda: read(database)))


def test_a_file_that_is_damaged_is_told_by_its_text(database: Path) -> None:
    flip(database)
    text = error_of(lambda: read(database))
    assert DAMAGE.search(text)
    assert CORRUPT_FILE in text


def test_a_log_that_is_damaged_is_told_by_its_text(with_log: Path) -> None:
    flip(with_log.with_name(f"{with_log.name}.wal"))
    assert LOG_FAULT.search(error_of(lambda: duckdb.connect(with_log)))


def test_a_log_of_another_state_is_told_by_its_text(with_log: Path) -> None:
    log = with_log.with_name(f"{with_log.name}.wal")
    former = log.read_bytes()
    read(with_log)
    with duckdb.connect(with_log) as connection:
        connection.execute("CHECKPOINT")
    log.write_bytes(former)
    assert LOG_FAULT.search(error_of(lambda: duckdb.connect(with_log)))


@pytest.mark.parametrize(
    "error",
    [
        BusyError("/checksums/warehouse.duckdb is held by another run"),
        ChecksError("1 check failed (unique_tags: 1, first tag corrupt_audio)"),
        duckdb.IOException('Cannot open file "/checksums/warehouse.duckdb": Too many open files'),
    ],
    ids=["busy", "check", "path"],
)
def test_names_and_data_are_not_taken_for_words_of_a_library(error: Exception) -> None:
    assert DuckDbFile(Path("/checksums/warehouse.duckdb")).explain(error) is None


def test_the_line_of_an_error_is_in_its_text() -> None:
    wrong = "CREATE VIEW v AS\n\nSELECT nothing FROM range(3)"
    line = LINE_OF_ERROR.search(error_of(lambda: duckdb.connect().execute(wrong)))
    assert line
    assert line[1] == "3"


def test_a_table_in_place_of_a_view_is_told_by_its_text(postgres: PostgresTestServer) -> None:
    create = "CREATE TEMP TABLE v (a INT); CREATE OR REPLACE TEMP VIEW v AS SELECT 1 AS a"
    assert OF_OTHERS.search(error_of(lambda: duckdb.connect().execute(create)))
    with pytest.raises(psycopg2.Error) as caught:
        postgres.execute(create)
    assert OF_OTHERS.search(str(caught.value))
