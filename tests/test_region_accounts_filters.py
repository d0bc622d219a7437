"""Whose conferences are asked for, and where: the settings of region, accounts and filters."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from dlt.common.configuration.resolve import resolve_configuration

from pipelines.errors import SettingsError
from pipelines.monitor.settings_inventory import find_unknown_settings, shown_settings
from pipelines.run.settings import SettingValue, find, source_settings
from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN
from pipelines.twilio_insights import TwilioInsightsConfiguration
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.twilio_insights.settings import SECTION, Settings
from tests.conftest import ROOT
from tests.given_settings import CANARY, CONFIG, OWN, READERS, SECRETS, write
from tests.given_settings import credentials as credentials

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


def test_the_example_of_settings_hides_no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    write(CONFIG, (ROOT / CONFIG).read_text())
    monkeypatch.setenv("TWILIO_REGION", "ie1")
    assert find(*SECTION, "base_url") == SettingValue(URL("dublin.ie1"), "TWILIO_REGION")


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
