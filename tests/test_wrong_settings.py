"""A value that is wrong gets a sentence, and a name that is none is named."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import SettingsError
from pipelines.monitor.settings_inventory import find_unknown_settings
from pipelines.run.destination import publish_settings, warehouse_path, warehouse_place
from pipelines.run.settings import find
from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN
from pipelines.twilio_insights.settings import SECTION, Settings
from tests.given_settings import CANARY, CONFIG, OWN, READERS, read_all, write
from tests.given_settings import credentials as credentials


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


@pytest.mark.parametrize("value", ['["completed"]', "true", "{ is = 5 }"])
@pytest.mark.parametrize("name", ["filters.status", "created_after", "accounts_url"])
@pytest.mark.parametrize("read", READERS)
def test_text_is_no_list_nor_table(
    read: Callable[[], Settings], name: str, value: str, credentials: None
) -> None:
    write(CONFIG, f"{OWN}.{name} = {value}\n")
    with pytest.raises(Exception, match=f"{OWN}.{name}.*: write text"):
        read().check()


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
