"""The files of settings: other users', those that others can read or write, and odd ones."""

from __future__ import annotations

import logging
import os
import signal
import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import SettingsError
from pipelines.run.settings import SettingValue, find, source_settings
from pipelines.simulator.account import ACCOUNT_SID
from tests.conftest import Command, Loaded
from tests.given_settings import CANARY, CONFIG, OWN, SECRETS, write

NOBODY, SOMEBODY = 65534, 65533


def as_user(user: int, call: Callable[[], Any]) -> str:
    """What a call says in a process of that user."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():  # that there are threads, which the child does without
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        said = ""
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            said = f"{call()}"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as pipe:
        return pipe.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("file", [SECRETS, CONFIG], ids=str)
def test_a_file_of_another_user_is_refused_but_to_root(file: Path, tmp_path: Path) -> None:
    write(file, 'report_timezone = "Europe/Berlin"\n', 0o644)
    tmp_path.chmod(0o755)

    def zone() -> Any:
        found = find("report_timezone")
        return found and found.value

    # The folders above belong to root alone, so the child stays in the one that it is in.
    os.chown(file, SOMEBODY, SOMEBODY)
    assert zone() == "Europe/Berlin"
    said = as_user(NOBODY, zone)
    assert said.startswith("SettingsError: "), said
    assert f"another user ({SOMEBODY})" in said, said
    assert str(file.name) in said
    assert "chown" in said
    for owner in (NOBODY, 0):
        os.chown(file, owner, owner)
        assert as_user(NOBODY, zone) == "Europe/Berlin"
    file.chmod(0o600)
    os.chown(file, SOMEBODY, SOMEBODY)
    said = as_user(NOBODY, zone)
    assert said.startswith("SettingsError: "), said
    assert "Permission denied" in said, said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads files of other users")
@pytest.mark.parametrize("open_to_all", [".", ".dlt"])
@pytest.mark.parametrize("file", [SECRETS, CONFIG], ids=str)
def test_root_reads_no_file_of_another_user_where_every_user_may_put_one(
    file: Path, open_to_all: str
) -> None:
    write(file, 'report_timezone = "Europe/Berlin"\n', 0o644)
    os.chown(file, SOMEBODY, SOMEBODY)
    assert find("report_timezone") == SettingValue("Europe/Berlin", str(file))
    Path(open_to_all).chmod(0o1777)
    with pytest.raises(SettingsError, match=rf"another user \({SOMEBODY}\)"):
        find("report_timezone")
    os.chown(file, 0, 0)
    assert find("report_timezone") == SettingValue("Europe/Berlin", str(file))


@pytest.mark.parametrize("file", [SECRETS, CONFIG], ids=str)
def test_a_file_that_every_user_can_write_is_refused(file: Path) -> None:
    write(file, 'report_timezone = "Europe/Berlin"\n', 0o666)
    with pytest.raises(SettingsError, match="chmod o-w") as caught:
        find("report_timezone")
    assert str(file.absolute()) in str(caught.value)
    file.chmod(0o644)
    assert find("report_timezone") == SettingValue("Europe/Berlin", str(file))


def test_a_file_of_secrets_that_others_can_read_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", ACCOUNT_SID)
    write(SECRETS, f'{OWN}.auth_token = "{CANARY}"\n', 0o640)
    write(CONFIG, "", 0o644)
    with caplog.at_level(logging.WARNING, "conference_insights"):
        assert source_settings().auth_token == CANARY
    assert [record.getMessage() for record in caplog.records] == [
        f"Others can read {SECRETS.absolute()}; run: chmod 600 {SECRETS.absolute()}"
    ]


def folder(file: Path) -> None:
    file.mkdir(parents=True)


def pipe(file: Path) -> None:
    file.parent.mkdir()
    os.mkfifo(file)


def device(file: Path) -> None:
    file.parent.mkdir()
    file.symlink_to("/dev/zero")


def sock(file: Path) -> None:
    file.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(file))


def dangling(file: Path) -> None:
    file.parent.mkdir()
    file.symlink_to("gone.toml")


def circle(file: Path) -> None:
    file.parent.mkdir()
    file.symlink_to(file.name)


def huge(file: Path) -> None:
    write(file, "# " + "x" * 30_000_000)


def sparse(file: Path) -> None:
    write(file, "")
    os.truncate(file, 1 << 40)


def deep(file: Path) -> None:
    write(file, f"a = {'[' * 100_000}")


def binary(file: Path) -> None:
    write(file, "")
    file.write_bytes(bytes(range(256)))


def latin(file: Path) -> None:
    write(file, "")
    file.write_bytes('report_timezone = "Zürich"'.encode("latin-1"))


def no_toml(file: Path) -> None:
    write(file, f"a = 1\nauth_token = {CANARY}\n")


def twice(file: Path) -> None:
    write(file, f"[a]\n{CANARY} = 1\n[a]\n")


ODD: list[tuple[Callable[[Path], None], str]] = [
    (folder, "Is a directory"),
    (pipe, "no ordinary file"),
    (device, "no ordinary file"),
    (sock, "Cannot read|no ordinary file"),
    (dangling, "gone.toml, which is not there"),
    (circle, "Cannot read"),
    (huge, "more than 1 MB"),
    (sparse, "more than 1 MB"),
    (deep, "no TOML"),
    (binary, "no TOML"),
    (latin, "no TOML"),
    (no_toml, r"no TOML \(at line 2, column 14\)"),
    (twice, "no TOML"),
]


@pytest.mark.parametrize("file", [SECRETS, CONFIG], ids=str)
@pytest.mark.parametrize(("make", "said"), ODD, ids=lambda value: getattr(value, "__name__", ""))
def test_an_odd_file_gets_a_sentence_and_no_wait(
    file: Path, make: Callable[[Path], None], said: str
) -> None:
    def late(*_: Any) -> None:
        raise TimeoutError

    make(file)
    former = signal.signal(signal.SIGALRM, late)
    signal.alarm(5)
    try:
        with pytest.raises(SettingsError, match=said) as caught:
            find("report_timezone")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)
    assert str(file.absolute()) in str(caught.value)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("make", [lambda: None, lambda: Path(".dlt").write_text("")])
def test_without_files_there_is_nothing_set(make: Callable[[], Any]) -> None:
    make()
    assert find("report_timezone") is None


@pytest.mark.parametrize("make", [pipe, no_toml, dangling])
def test_commands_end_with_2_for_an_odd_file(
    loaded: Loaded, command: Command, make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / SECRETS)
    for name in ("run", "doctor") if make is pipe else ("run",):
        done = command(name)
        assert done.returncode == 2, done.stderr
        said = done.stderr + done.stdout
        assert "secrets.toml" in said
        assert "Traceback" not in said
        assert CANARY not in said
    assert not loaded.path.exists()
