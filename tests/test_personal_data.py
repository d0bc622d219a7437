"""What is set by `personal_data`: whom a conference was with is in no file, table, log or page."""

from __future__ import annotations

import json
import signal
import textwrap
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.twilio_insights.extract.personal import COLUMNS, PersonalData, is_hash
from tests.conftest import Command, Loaded, sid, summary
from tests.file_contents import texts
from tests.forked import COMMAND, Forked
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
