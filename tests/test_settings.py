"""Where settings are read from, what they may be, and what is said of one that is wrong."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import tomllib
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dlt.common.configuration.resolve import resolve_configuration

from pipelines.errors import SettingsError
from pipelines.monitor.settings_inventory import find_unknown_settings, shown_settings
from pipelines.run.destination import publish_settings, warehouse_path, warehouse_place
from pipelines.run.settings import DEFAULTS, HIDDEN, Found, find, slack_hook, source_settings
from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN
from pipelines.twilio_insights import TwilioInsightsConfiguration
from pipelines.twilio_insights.filters import FILTERS
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.twilio_insights.settings import SECTION, TWILIO_NAMES, Settings
from tests.conftest import ROOT, Command, Loaded, summary

NOBODY, SOMEBODY = 65534, 65533
CANARY = "canary-5b1d-in-the-mine"
SECRETS, CONFIG = Path(".dlt/secrets.toml"), Path(".dlt/config.toml")
OWN = ".".join(SECTION)


def write(file: Path, text: str, mode: int = 0o600) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


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
        assert find(*path) == Found(twilio, variable)
    else:
        assert find(*path) is None
    if path not in HIDDEN:
        write(CONFIG, f"{'.'.join(path)} = {json.dumps(config)}\n")
        assert find(*path) == Found(config, str(CONFIG))
    write(SECRETS, f"{'.'.join(path)} = {json.dumps(secrets)}\n")
    assert find(*path) == Found(secrets, str(SECRETS))
    variable = "__".join(path).upper()
    for blank in ("", " ", "\n"):
        monkeypatch.setenv(variable, blank)
        assert find(*path) == Found(secrets, str(SECRETS))
    monkeypatch.setenv(variable, str(environment))
    assert find(*path) == Found(environment, variable)


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


def test_a_secret_that_is_not_used_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {"ACCOUNT_SID": ACCOUNT_SID, "API_KEY": "SK" + "a" * 32}.items():
        monkeypatch.setenv(f"TWILIO_{name}", text)
    monkeypatch.setenv("TWILIO_API_SECRET", CANARY)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "'x'")
    assert source_settings().basic_auth[1] == CANARY


URL = "https://insights.{}.twilio.com".format


@pytest.mark.parametrize(
    ("region", "edge", "url"),
    [
        ("ie1", "dublin", URL("dublin.ie1")),
        ("ie1", "", URL("dublin.ie1")),
        ("AU1\n", " ", URL("sydney.au1")),
        ("", "frankfurt", URL("frankfurt.us1")),
        ("us1", "", URL("ashburn.us1")),
        ("xy7", "somewhere", URL("somewhere.xy7")),
    ],
)
def test_region_and_edge_are_those_of_twilios_own_tools(
    region: str, edge: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", ACCOUNT_SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", AUTH_TOKEN)
    monkeypatch.setenv("TWILIO_REGION", region)
    monkeypatch.setenv("TWILIO_EDGE", edge)
    assert source_settings().base_url == url
    assert resolve_configuration(TwilioInsightsConfiguration(), sections=SECTION).base_url == url
    (shown,) = (setting for setting in shown_settings() if setting.name == f"{OWN}.base_url")
    given = [name for name in ("TWILIO_EDGE", "TWILIO_REGION") if os.environ[name].strip()]
    assert (shown.value, shown.origin) == (url, " and ".join(given))
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__BASE_URL", "https://elsewhere.example")
    assert source_settings().base_url == "https://elsewhere.example"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("TWILIO_REGION", "xy7", "TWILIO_EDGE"),
        ("TWILIO_REGION", "evil.example/", "TWILIO_REGION"),
        ("TWILIO_EDGE", "a@evil.example/", "TWILIO_EDGE"),
        ("TWILIO_EDGE", "dublin.ie1", "TWILIO_EDGE"),
        ("TWILIO_EDGE", CANARY * 3, "TWILIO_EDGE"),
    ],
)
def test_a_region_or_edge_that_is_none_gets_a_sentence(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=said) as caught:
        find(*SECTION, "base_url")
    assert CANARY not in str(caught.value)


def test_the_example_of_settings_hides_no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    write(CONFIG, (ROOT / CONFIG).read_text())
    monkeypatch.setenv("TWILIO_REGION", "ie1")
    assert find(*SECTION, "base_url") == Found(URL("dublin.ie1"), "TWILIO_REGION")


READERS = [
    source_settings,
    lambda: resolve_configuration(TwilioInsightsConfiguration(), sections=SECTION),
]


@pytest.mark.parametrize(
    ("region", "edge", "host", "found"),
    [
        ("ie1", "dublin", "api.dublin.ie1.twilio.com", "ie1"),
        ("IE1", "", "api.dublin.ie1.twilio.com", "ie1"),
        ("", "dublin", "api.dublin.us1.twilio.com", ""),
        ("", "", "api.twilio.com", ""),
    ],
)
@pytest.mark.parametrize("read", READERS)
def test_accounts_are_listed_in_the_region_of_the_conferences(
    read: Callable[[], Settings],
    region: str,
    edge: str,
    host: str,
    found: str,
    credentials: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TWILIO_REGION", region)
    monkeypatch.setenv("TWILIO_EDGE", edge)
    settings = read()
    assert settings.accounts_page_url == f"https://{host}/2010-04-01/Accounts.json"
    assert settings.region == found


LISTED = "/2010-04-01/Accounts.json"


@pytest.mark.parametrize(
    ("base_url", "accounts_url", "listed_at", "region"),
    [
        ("https://insights.ie1.twilio.com/", None, f"https://api.ie1.twilio.com{LISTED}", "ie1"),
        ("https://Insights.Twilio.com:443", None, f"https://api.twilio.com:443{LISTED}", ""),
        ("http://127.0.0.1:8080", None, f"http://127.0.0.1:8080{LISTED}", ""),
        ("https://elsewhere.example/", None, f"https://elsewhere.example{LISTED}", ""),
        *(
            (f"https://{host}", None, f"https://{host}{LISTED}", "")
            for host in (
                "insights.twilio.com.elsewhere.example",
                "insights.dublin.ie1.twilio.example",
                "insights.a.b.c.twilio.com",
                "not-insights.twilio.com",
                "insights-twilio.com",
                "insights.elsewhere.example",
            )
        ),
        ("https://elsewhere.example", "https://a.example", f"https://a.example{LISTED}", ""),
        ("https://insights.twilio.com", "https://a.example/", f"https://a.example{LISTED}", ""),
        ("https://insights.twilio.com", "https://a.example/b/c", "https://a.example/b/c", ""),
        ("https://a.example", "http://localhost:8080", f"http://localhost:8080{LISTED}", ""),
    ],
)
def test_accounts_are_listed_at_no_host_that_was_not_set(
    base_url: str, accounts_url: str | None, listed_at: str, region: str
) -> None:
    settings = Settings(ACCOUNT_SID, "token", base_url=base_url, accounts_url=accounts_url)
    settings.check()
    assert settings.accounts_page_url == listed_at
    assert settings.region == region


A, B = "AC" + "a" * 32, "AC" + "b" * 32


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ('"own"', ()),
        ('"all"', ()),
        (f'"{A}"', (A,)),
        (f'["{B}", "{A}"]', (B, A)),
        (f'"{B},{A}"', (B, A)),
        (f'" {B}  {A} ,"', (B, A)),
        (f'["{B}", "{ACCOUNT_SID}", "{B}"]', (B, ACCOUNT_SID)),
    ],
)
@pytest.mark.parametrize("medium", ["environment", "config.toml", "secrets.toml"])
@pytest.mark.parametrize("read", READERS)
def test_accounts_are_own_all_or_a_list(
    read: Callable[[], Settings],
    medium: str,
    text: str,
    listed: tuple[str, ...],
    credentials: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if medium == "environment":
        if text.startswith("["):
            text = text.translate(str.maketrans("", "", '[]"'))
        monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__ACCOUNTS", text.strip('"'))
    else:
        write(Path(".dlt") / medium, f"{OWN}.accounts = {text}\n")
    settings = read()
    settings.check()
    assert settings.listed_accounts == listed
    assert settings.accounts in ("own", "all") or listed
    said = {record.getMessage() for record in caplog.records}
    twice = f"{OWN}.accounts: {B} is in the list more than once"
    assert said == ({twice} if text.count(B) > 1 else set())
    shown = next(setting for setting in shown_settings() if setting.name == f"{OWN}.accounts")
    assert shown.value == settings.accounts


@pytest.mark.parametrize("read", READERS)
def test_a_filter_is_read_by_its_full_name(
    read: Callable[[], Settings], credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__FILTERS__MIXER_REGION", " ie1\n")
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__FILTERS__END_REASON", " ")
    for name in ("SOURCES__FILTERS__STATUS", "FILTERS__STATUS", "STATUS"):
        monkeypatch.setenv(name, "of another program")
    write(SECRETS, f"{OWN}.filters.friendly_name = 'Zürich'\nfilters.status = 'x'\n")
    write(
        CONFIG,
        f"[{OWN}.filters]\nmixer_region = 'us1'\ntags = 'low_mos'\nstatus = ''\n"
        "friendly_name = 'support'\n",
    )
    settings = read()
    assert settings.filters == {
        "mixer_region": "ie1",
        "tags": "low_mos",
        "friendly_name": "Zürich",
    }
    others = '"mixer_region":"ie1","tags":"low_mos"}'
    assert settings.shown_filters == '{"friendly_name":"(6 characters)",' + others
    assert re.fullmatch('{"friendly_name":"[0-9a-f]{16}",' + others, settings.filters_text)


@pytest.mark.parametrize("read", READERS)
def test_there_is_no_filter_by_default(read: Callable[[], Settings], credentials: None) -> None:
    settings = read()
    assert (settings.filters, settings.filters_text) == ({}, "")


@pytest.mark.parametrize("read", READERS)
def test_an_unknown_filter_is_found_in_each_file(
    read: Callable[[], Settings], credentials: None
) -> None:
    write(SECRETS, f"{OWN}.filters.status = 'completed'\n")
    write(CONFIG, f"{OWN}.filters.stat = 'completed'\n")
    with pytest.raises(SettingsError, match=r"filters\.stat: no such filter; did you mean status"):
        read().check()


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "name",
    [
        "SOURCES__TWILIO_INSIGHTS__FILTERS__Mixer_Region",
        "SOURCES__TWILIO_INSIGHTS__FILTERS__mixer_region",
        "sources__twilio_insights__filters__mixer_region",
    ],
)
def test_a_filter_in_other_letters_is_not_ignored(
    name: str, read: Callable[[], Settings], credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "ie1")
    with pytest.raises(SettingsError, match="MIXER_REGION"):
        read().check()


@pytest.mark.parametrize("value", ['["completed"]', "true", "{ is = 5 }"])
@pytest.mark.parametrize("name", ["filters.status", "created_after", "accounts_url"])
@pytest.mark.parametrize("read", READERS)
def test_text_is_no_list_nor_table(
    read: Callable[[], Settings], name: str, value: str, credentials: None
) -> None:
    write(CONFIG, f"{OWN}.{name} = {value}\n")
    with pytest.raises(Exception, match=f"{OWN}.{name}.*: write text"):
        read().check()


DOCUMENTED = [
    ("status", "completed"),
    ("mixer_region", "ie1"),
    ("tags", "low_mos"),
    ("detected_issues", "call_quality"),
    ("end_reason", "last_participant_left"),
    ("friendly_name", "WT" + "0" * 32),
]


@pytest.mark.parametrize(("name", "value"), DOCUMENTED)
def test_a_value_that_twilio_does_not_document_is_warned_of(
    name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(ACCOUNT_SID, "token", filters={name: value})
    settings.check()
    assert caplog.messages == []
    settings.filters[name] = CANARY
    settings.check()
    if name == "friendly_name":
        assert caplog.messages == []
    else:
        (said,) = caplog.messages
        assert said.startswith(f"{OWN}.filters.{name}: Twilio documents no such value")
        assert value in said.partition("Documented: ")[2].split(", ")
        assert CANARY not in said


def test_every_filter_but_the_name_has_documented_values() -> None:
    assert {name for name, _ in DOCUMENTED} == {*CONFERENCES.filters}


def test_doctor_shows_filters_without_names_of_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__FILTERS__FRIENDLY_NAME", "Ada")
    write(CONFIG, f"{OWN}.filters.status = 'completed'\n{OWN}.accounts_url = 'https://a.b/c'\n")
    shown = {setting.name: setting[1:] for setting in shown_settings()}
    assert shown[f"{OWN}.filters.friendly_name"] == (
        "(3 characters)",
        "SOURCES__TWILIO_INSIGHTS__FILTERS__FRIENDLY_NAME",
    )
    assert shown[f"{OWN}.filters.status"] == ("completed", str(CONFIG))
    assert shown[f"{OWN}.accounts_url"] == ("https://a.b/c", str(CONFIG))
    assert list(find_unknown_settings()) == []


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", ACCOUNT_SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", AUTH_TOKEN)


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


WRONG: list[tuple[str, str, str]] = [
    (f"{OWN}.page_size", "x", "write a whole number"),
    (f"{OWN}.page_size", "true", "write a whole number"),
    (f"{OWN}.page_size", "7.0", "write a whole number"),
    (f"{OWN}.page_size", "-1", "write a whole number|not between 1 and 1000"),
    (f"{OWN}.page_size", "99999999999999999999", "write a whole number|not between 1 and 1000"),
    (f"{OWN}.max_concurrency", "auto", "write a whole number"),
    (f"{OWN}.max_concurrency", "100000", "100000 is not between 1 and 256"),
    (f"{OWN}.lookback", "auto", "not a duration"),
    (f"{OWN}.lookback", "true", "not a duration|write text"),
    (f"{OWN}.lookback", "48", "not a duration"),
    (f"{OWN}.created_after", "[2026]", "not a time|write text"),
    (f"{OWN}.created_after", "08:00:00", "not a time"),
    (f"{OWN}.account_sid", "[]", "account_sid"),
    (f"{OWN}.base_url", "true", "base_url"),
    (f"{OWN}.base_url", "http://10.0.0.1", "base_url"),
    (f"{OWN}.base_url", "https://insights .twilio.com", "base_url: write https://host"),
    (f"{OWN}.base_url", "https://insights.twilio.com:443 /", "base_url: .*https://host"),
    (f"{OWN}.base_url", "https://insights.twilio.com,", "base_url: write https://host"),
    (f"{OWN}.accounts", "some", "write own, all, or account SIDs with commas"),
    (f"{OWN}.accounts", f"own, {ACCOUNT_SID}", "number 1 is not AC and 32 hex digits"),
    (f"{OWN}.accounts", f'["{ACCOUNT_SID}", "AC1"]', "number [12] is not AC and 32 hex digits"),
    (f"{OWN}.accounts", "[]", "none in the list|not AC"),
    (f"{OWN}.accounts", " , ", "none in the list"),
    (f"{OWN}.accounts", "[5]", "write text|not AC"),
    (f"{OWN}.accounts", "true", "write text|not AC"),
    (f"{OWN}.accounts_url", "true", "write https://host|write text"),
    (f"{OWN}.accounts_url", "http://10.0.0.1", "plain http is for loopback only"),
    (f"{OWN}.accounts_url", "https://api.twilio.com/?Status=closed", "write https://host"),
    (f"{OWN}.accounts_url", "https://me@api.twilio.com", "write https://host"),
    (f"{OWN}.accounts_url", "https://[", "not a URL"),
    (f"{OWN}.accounts_url", "https://api.twilio.com%20/", "write https://host"),
    (f"{OWN}.filters.statsu", "completed", "did you mean status[?] There are: friendly_name, "),
    (f"{OWN}.filters.subaccount", "5", "no such filter. There are: friendly_name, "),
    (f"{OWN}.filters.status.is", "5", "write text|no such filter"),
    (f"{OWN}.filters.status", "a\nb", "write text, in one line"),
    (f"{OWN}.filters", "status", "set each filter by its name"),
    (f"{OWN}.filters", '{"status": "completed"}', "set each filter by its name"),
    ("publish.personal_data", "maybe", "write true or false"),
    ("publish.personal_data", "0", "write true or false"),
    ("publish.directory", "~nobody-of-that-name/x", "write the whole path"),
    ("report_timezone", "true", "no time zone|write text"),
    ("report_timezone", "Mars/Phobos", "IANA"),
    ("report_timezone", "/etc/passwd", "IANA"),
    ("report_timezone", "../../etc/passwd", "IANA"),
    ("destination.duckdb.credentials", "md:calls", "write the path of a file"),
    ("destination.duckdb.credentials", "/", "/ is a folder; name a file"),
    ("publish.lake", "http://bucket/lake", "write a folder, or a bucket"),
    ("publish.lake", "s3://", "write a folder, or a bucket"),
    ("publish.lake", "~nobody-of-that-name/x", "write the whole path"),
    ("destination.duckdb.credentials", "duckdb:///", "write the path of a file"),
    ("destination.duckdb.credentials", "~nobody-of-that-name/x", "write the whole path"),
    ("destination.duckdb.credentials", "why?/calls.duckdb", "because of the [?]"),
    ("destination.duckdb.credentials", "C:\\calls.duckdb", r"because of the \\"),
    ("publish.directory", "why?", "because of the [?]"),
]


@pytest.mark.parametrize("medium", ["environment", "config.toml", "secrets.toml"])
@pytest.mark.parametrize(("name", "value", "said"), WRONG, ids=lambda value: str(value)[:30])
def test_a_wrong_value_gets_a_sentence(
    medium: str, name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", ACCOUNT_SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", AUTH_TOKEN)
    if medium == "environment":
        monkeypatch.setenv(name.replace(".", "__").upper(), value)
    else:
        try:
            tomllib.loads(f"a = {value}")
        except tomllib.TOMLDecodeError:
            value = json.dumps(value)
        write(Path(".dlt") / medium, f"{name} = {value}\n")
    with pytest.raises(SettingsError, match=said) as caught:
        read_all()
    named = str(caught.value).lower().replace("__", ".")
    assert name.removesuffix(".is") in named, caught.value


def read_all() -> None:
    source_settings()
    publish_settings(warehouse_place())
    slack_hook()


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


@pytest.mark.parametrize("text", [f'{OWN}.auth_token = "{CANARY}"\n', "no TOML"])
def test_secrets_in_trouble_end_nothing_that_needs_none(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(CONFIG, text)
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", "calls.duckdb")
    assert warehouse_path() == Path("calls.duckdb").absolute()


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


@pytest.mark.parametrize(
    "path", ["destination.duckdb.credentials", "publish.directory", "publish.lake"]
)
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('"calls.duckdb"', "without the quotes"),
        ("'calls.duckdb'", "without the quotes"),
        ('"s3://bucket/x"', "without the quotes|write the path of a file"),
        ("s3:bucket/x", "is no path"),
        ("duckdb:calls.duckdb", "is no path"),
        ("file:calls.duckdb", "is no path"),
    ],
)
def test_what_is_no_path_makes_no_file_of_that_name(
    path: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(path.replace(".", "__").upper(), value)
    with pytest.raises(SettingsError, match=f"{path}: .*({said})"):
        publish_settings(warehouse_place())


@pytest.mark.parametrize("name", ["'tis.duckdb", 'a"b".duckdb', "./a:b.duckdb", "d:b.duckdb", '"'])
def test_a_path_may_have_quotes_and_colons(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", name)
    assert warehouse_path() == Path(name).absolute()


@pytest.mark.parametrize(
    "url", ["abfss://container@account.dfs.core.windows.net/x", "s3://bucket/a:b", "s3://host:9/b"]
)
def test_a_bucket_without_secrets_is_one(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLISH__LAKE", url)
    lake = publish_settings(warehouse_place()).lake
    assert lake is not None
    assert lake.url == url


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
    assert find("report_timezone") == Found("Europe/Berlin", str(file))
    Path(open_to_all).chmod(0o1777)
    with pytest.raises(SettingsError, match=rf"another user \({SOMEBODY}\)"):
        find("report_timezone")
    os.chown(file, 0, 0)
    assert find("report_timezone") == Found("Europe/Berlin", str(file))


@pytest.mark.parametrize("file", [SECRETS, CONFIG], ids=str)
def test_a_file_that_every_user_can_write_is_refused(file: Path) -> None:
    write(file, 'report_timezone = "Europe/Berlin"\n', 0o666)
    with pytest.raises(SettingsError, match="chmod o-w") as caught:
        find("report_timezone")
    assert str(file.absolute()) in str(caught.value)
    file.chmod(0o644)
    assert find("report_timezone") == Found("Europe/Berlin", str(file))


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


def test_names_that_are_none_are_told_from_what_others_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = [
        "CHECKS__RECONCILED",
        "PUBLISH__DIRECTOR",
        "REPORT_TIMEZON",
        "SOURCES__TWILIO_INSIGHTS__LOKBACK",
    ]
    for name in (*ours, "LOAD__WORKERS", "SOURCES__BASE_URL", "RUNTIME__LOG_LEVEL", "BASE_URL"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__FILTERS__STATSU", "is an error")
    wrong = [f"{OWN}.lokback", f"{OWN}.filterss.status", "report_timezon", "TWILIO_REGION"]
    wrong += ["Publish.directory"]
    others = ["sources.other.lokback", "lokback", "runtime.log_level"]
    lines = [f"{name} = '1h'\n" for name in [*wrong, *others, f"{OWN}.filters.stat"]]
    wrong.append("checks.none")
    write(CONFIG, f"{''.join(lines)}[checks.none]\n")
    assert [*find_unknown_settings()] == [*ours, *(f"{name} in {CONFIG}" for name in wrong)]
