"""A secret that is wrong, or stands where none belongs, is refused by name and not shown."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from pipelines.errors import SettingsError
from pipelines.monitor.settings_inventory import shown_settings
from pipelines.run.destination import publish_settings, warehouse_path, warehouse_place
from pipelines.run.settings import DEFAULTS, HIDDEN, source_settings
from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN
from pipelines.twilio_insights.filters import FILTERS
from pipelines.twilio_insights.twilio_variables import TWILIO_NAMES
from tests.given_settings import CANARY, CONFIG, OWN, SECRETS, read_all, write


@pytest.mark.parametrize("name", ["auth_token", "api_key_sid", "api_key_secret"])
@pytest.mark.parametrize(
    "value",
    [
        f'"{CANARY}"',
        f"'{CANARY}'",
        f"{CANARY}\n{CANARY}",
        f"{CANARY}\r{CANARY}",
        f"my {CANARY}",
        f"\ufeff{CANARY}",
        f"{CANARY}\x1b[A",
        f"\u2018{CANARY}\u2019",
    ],
    ids=ascii,
)
def test_a_secret_with_what_no_token_has_is_refused_by_name(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {"api_key_sid": "SK" + "a" * 32, "api_key_secret": "secret"}
    values = ({"auth_token": ""} if name == "auth_token" else key) | {name: f" {value}\r\n"}
    for field, text in ({"account_sid": ACCOUNT_SID} | values).items():
        monkeypatch.setenv(TWILIO_NAMES[field], text)
    with pytest.raises(SettingsError, match=TWILIO_NAMES[name]) as caught:
        source_settings()
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        f"{OWN}.auth_token",
        f"{OWN}.api_key_secret",
        f"{OWN}.hash_key",
        "runtime.slack_incoming_hook",
    ],
)
@pytest.mark.parametrize("kind", ["text", "list", "in config", "zero"])
def test_a_secret_that_is_wrong_is_not_shown(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", ACCOUNT_SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", AUTH_TOKEN)
    monkeypatch.setenv("TWILIO_API_KEY", "SK" + "a" * 32)
    monkeypatch.setenv("TWILIO_API_SECRET", "secret")
    if kind == "list":
        write(SECRETS, f'{name} = ["{CANARY}"]\n')
    elif kind == "zero":
        write(SECRETS, f'{name} = "{CANARY}\\u0000"\n')
    elif kind == "in config":
        write(CONFIG, f'{name} = "{CANARY}"\n')
    else:
        monkeypatch.setenv(name.replace(".", "__").upper(), os.fsdecode(CANARY.encode() + b"\xff"))
    with pytest.raises(SettingsError) as caught:
        read_all()
    said = str(caught.value)
    assert CANARY not in said
    assert name in said.lower().replace("__", ".")
    if kind == "in config":
        assert str(SECRETS) in said


TOKENS = ["0123456789abcdef" * 2, "SK" + "0123456789ABCDEF" * 2, "aB3" * 10 + "zz", CANARY]
FREE = [path for path in DEFAULTS if path not in HIDDEN]
FREE = [path for path in FREE if path[-1] not in ("account_sid", "api_key_sid")]


@pytest.mark.parametrize("around", ["{}", "token={}", " {}!"])
@pytest.mark.parametrize("path", FREE, ids=".".join)
def test_a_token_in_the_wrong_place_is_not_shown(
    path: tuple[str, ...], around: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", ACCOUNT_SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", CANARY)
    # Anything can be part of a path or of what is searched for, and all of a name.
    is_free = path[-1] in ("credentials", "directory", "lake") or path[:-1] == FILTERS
    unclear = is_free and (around != "{}" or path[-1] == "friendly_name")
    for token in [CANARY] if unclear else TOKENS:
        monkeypatch.setenv("__".join(path).upper(), around.format(token))
        with pytest.raises(SettingsError) as caught:
            read_all()
        assert token not in str(caught.value)
        assert ".".join(path) in str(caught.value)
        with suppress(SettingsError):
            assert token not in str(list(shown_settings()))


def test_a_token_in_place_of_the_account_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", TOKENS[0])
    with pytest.raises(SettingsError, match="account_sid") as caught:
        read_all()
    assert TOKENS[0] not in str(caught.value)
    assert TOKENS[0] not in str(list(shown_settings()))


def test_what_looks_like_no_secret_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "short")
    for path in ("short/calls.duckdb", f"/srv/{TOKENS[0]}/calls.duckdb", f"{TOKENS[0]}.duckdb"):
        monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", path)
        assert warehouse_path() == Path(path).absolute()


@pytest.mark.parametrize(
    "value", [f"postgres://me:{CANARY}@host/db", f"md:calls?motherduck_token={CANARY}"]
)
def test_a_password_in_a_wrong_warehouse_is_not_shown(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", value)
    with pytest.raises(SettingsError) as caught:
        warehouse_path()
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("publish.lake", "s3://AKIA:GEHEIM@bucket/x"),
        ("publish.lake", "s3://AKIA:GEH/GEHEIM@bucket/x"),
        ("publish.lake", "s3://AKIA:GEHEIM/bucket"),
        ("publish.lake", "az://container/p?sv=2022&sig=GEHEIM"),
        ("publish.lake", "s3://bucket/x?secret_access_key=GEHEIM"),
        ("publish.lake", "lake?GEHEIM"),
        ("publish.directory", "s3://b/x?secret=GEHEIM"),
        ("publish.directory", "copies?GEHEIM"),
        ("destination.duckdb.credentials", "md:db?motherduck_token=GEHEIM"),
        ("destination.duckdb.credentials", "my_db?motherduck_token=GEHEIM"),
        ("destination.duckdb.credentials", '{"database":"md:x","password":"GEHEIM"}'),
    ],
)
def test_a_secret_inside_a_path_is_refused_and_not_shown(
    path: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(path.replace(".", "__").upper(), value)
    with pytest.raises(SettingsError, match=path) as caught:
        publish_settings(warehouse_place())
    assert "GEHEIM" not in str(caught.value)
    assert "GEHEIM" not in str(list(shown_settings()))
