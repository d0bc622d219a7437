"""Where settings are read, in which order, and as what; `doctor` shows just these."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.monitor.settings_inventory import shown_settings
from pipelines.run.destination import warehouse_path
from pipelines.run.settings import DEFAULTS, HIDDEN, SettingValue, find, source_settings
from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN
from pipelines.twilio_insights.twilio_variables import TWILIO_NAMES
from tests.conftest import Command, Loaded, summary
from tests.given_settings import CANARY, CONFIG, OWN, SECRETS, write


@pytest.mark.parametrize("path", DEFAULTS, ids=".".join)
def test_the_environment_comes_before_secrets_and_those_before_config(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = path[-1]
    typed: dict[str, list[Any]] = {
        "page_size": [3, 2, 1, 0],
        "max_concurrency": [3, 2, 1, 0],
        "publish.personal_data": [False, True, False, True],
        "participants": [False, True, False, True],
        "reconciled_within_35_days": [False, True, False, True],
        "participant_requests": [3, 2, 1, 0],
    }
    texts = ["from the environment", "from secrets", "from config", "from Twilio"]
    values = typed.get(name, typed.get(".".join(path), texts))
    environment, secrets, config, twilio = values
    if variable := TWILIO_NAMES.get(name):
        monkeypatch.setenv(variable, twilio)
        assert find(*path) == SettingValue(twilio, variable)
    else:
        assert find(*path) is None
    if path not in HIDDEN:
        write(CONFIG, f"{'.'.join(path)} = {json.dumps(config)}\n")
        assert find(*path) == SettingValue(config, str(CONFIG))
    write(SECRETS, f"{'.'.join(path)} = {json.dumps(secrets)}\n")
    assert find(*path) == SettingValue(secrets, str(SECRETS))
    variable = "__".join(path).upper()
    for blank in ("", " ", "\n"):
        monkeypatch.setenv(variable, blank)
        assert find(*path) == SettingValue(secrets, str(SECRETS))
    monkeypatch.setenv(variable, str(environment))
    assert find(*path) == SettingValue(environment, variable)


@pytest.mark.parametrize("deeper", ["", ".database"])
def test_the_warehouse_is_where_the_environment_says(
    deeper: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(CONFIG, f'destination.duckdb.credentials{deeper} = "of_a_file.duckdb"\n')
    assert warehouse_path() == tmp_path / "of_a_file.duckdb"
    for name in ("DESTINATION__DUCKDB__CREDENTIALS", "DESTINATION__DUCKDB__CREDENTIALS__DATABASE"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "duckdb:///of_a_variable.duckdb")
            assert warehouse_path() == tmp_path / "of_a_variable.duckdb"
            shown = {setting.name: setting for setting in shown_settings()}
            assert shown["destination.duckdb.credentials"].origin == name


@pytest.mark.parametrize("place", ["TWILIO_", "SOURCES__", "file"])
def test_blanks_and_newlines_around_a_token_are_none_of_it(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", f"{ACCOUNT_SID}\n")
    token = f" \t{AUTH_TOKEN}\r\n"
    if place == "file":
        write(SECRETS, f"{OWN}.auth_token = {json.dumps(token)}\n")
    elif place == "TWILIO_":
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", token)
    else:
        monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__AUTH_TOKEN", token)
    assert source_settings().basic_auth == (ACCOUNT_SID, AUTH_TOKEN)


def test_a_secret_that_is_not_used_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"ACCOUNT_SID": ACCOUNT_SID, "API_KEY": "SK" + "a" * 32}.items():
        monkeypatch.setenv(f"TWILIO_{name}", text)
    monkeypatch.setenv("TWILIO_API_SECRET", CANARY)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "'x'")
    assert source_settings().basic_auth[1] == CANARY


FINE: list[tuple[str, str, Any]] = [
    ("page_size", "7", 7),
    ("page_size", '" 7 "', 7),
    ("created_after", "2026-11-01", "2026-11-01"),
    ("created_after", "2026-11-01T08:00:00Z", "2026-11-01T08:00:00+00:00"),
    ("created_after", "2026-11-01 08:00:00", "2026-11-01T08:00:00"),
    ("created_after", '"29d"', "29d"),
    ("created_after", '" "', None),
]


@pytest.mark.parametrize(("name", "text", "value"), FINE, ids=lambda value: str(value))
def test_what_toml_can_say(
    name: str, text: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", ACCOUNT_SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", AUTH_TOKEN)
    write(CONFIG, f"{OWN}.{name} = {text}\n")
    assert getattr(source_settings(), name) == value


@pytest.mark.parametrize("text", [f'{OWN}.auth_token = "{CANARY}"\n', "no TOML"])
def test_secrets_in_trouble_end_nothing_that_needs_none(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(CONFIG, text)
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", "calls.duckdb")
    assert warehouse_path() == Path("calls.duckdb").absolute()


@pytest.mark.thorough
def test_doctor_shows_just_what_a_run_uses(
    loaded: Loaded, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.put(summary(1, timedelta(hours=1)))
    loaded.account.logins = {("SK" + "a" * 32, CANARY)}
    monkeypatch.delenv("TWILIO_AUTH_TOKEN")
    for name in ("BASE_URL", "AUTH_TOKEN", "PAGE_SIZE", "REPORT__TIMEZONE", "SOURCES__LOOKBACK"):
        monkeypatch.setenv(name, "of another program")
    monkeypatch.setenv("TWILIO_API_KEY", f"SK{'a' * 32}\n")
    monkeypatch.setenv("PUBLISH__DIRECTORY", " copies ")
    write(
        tmp_path / SECRETS,
        f'{OWN}.api_key_secret = " {CANARY} "\ndestination.duckdb.credentials.database = "w.db"\n'
        f'lookback = "9h"\nsources.lookback = "8h"\n',
    )
    write(tmp_path / CONFIG, f'{OWN}.lookback = "3h"\n{OWN}.page_size = 5\n')
    shown = {setting.name: (setting.value, setting.origin) for setting in shown_settings()}
    settings = source_settings()
    assert shown == {
        f"{OWN}.account_sid": (settings.account_sid, "TWILIO_ACCOUNT_SID"),
        f"{OWN}.api_key_sid": (settings.api_key_sid, "TWILIO_API_KEY"),
        f"{OWN}.api_key_secret": (f"({len(CANARY)} characters)", str(SECRETS)),
        f"{OWN}.base_url": (settings.base_url, "SOURCES__TWILIO_INSIGHTS__BASE_URL"),
        f"{OWN}.lookback": (settings.lookback, str(CONFIG)),
        f"{OWN}.page_size": (str(settings.page_size), str(CONFIG)),
        "destination_type": ("duckdb", "default"),
        f"{OWN}.accounts": ("own", "default"),
        f"{OWN}.participants": ("false", "default"),
        f"{OWN}.participant_requests": (str(settings.participant_requests), "default"),
        f"{OWN}.personal_data": ("keep", "default"),
        f"{OWN}.max_concurrency": (str(settings.max_concurrency), "default"),
        f"{OWN}.request_deadline": (settings.request_deadline, "default"),
        f"{OWN}.retry_budget": (settings.retry_budget, "default"),
        "destination.duckdb.credentials": ("w.db", str(SECRETS)),
        "report_timezone": ("UTC", "default"),
        "publish.directory": ("copies", "PUBLISH__DIRECTORY"),
        "publish.personal_data": ("true", "default"),
        "publish.lake_keep": ("7d", "default"),
        "checks.reconciled_within_35_days": ("false", "default"),
    }
    done = command("run")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "w.db").exists()
    assert (tmp_path / "copies/current").exists()
    assert any("PageSize=5" in str(request) for request in loaded.server.requests)
    told = command("doctor")
    for name, (value, origin) in shown.items():
        assert f"{name} = {value}  ({origin})\n" in told.stdout
    assert CANARY not in told.stdout + told.stderr + done.stdout + done.stderr
