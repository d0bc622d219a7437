"""Secrets stay where they are: in no file, log, message, table or URL, and on no other origin."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
from dlt.common.configuration.resolve import resolve_configuration

from pipelines.simulator.account import ACCOUNT_SID, Account
from pipelines.simulator.server import InsightsHandler, InsightsServer
from pipelines.twilio_insights import TwilioInsightsConfiguration
from pipelines.twilio_insights.settings import SECTION
from tests.conftest import Command, Loaded, environment, summary

pytestmark = pytest.mark.usefixtures("prepared")

CANARY = "canary-7f3b-in-the-coal-mine"


def answers(kind: str) -> Callable[[InsightsHandler], tuple[int, bytes]]:
    """An API that answers with a fault, and repeats the credentials it was sent as it does so."""

    def answer(handler: InsightsHandler) -> tuple[int, bytes]:
        echo = {"code": 20003, "message": f"no: {handler.headers['Authorization']} {CANARY}"}
        if kind == "not JSON":
            return 200, json.dumps(echo).encode()[1:]
        return int(kind), json.dumps(echo).encode()

    return answer


@pytest.mark.parametrize(
    "kind",
    [
        "401",
        "not JSON",
        "ok",
        *(pytest.param(n, marks=pytest.mark.programs) for n in ("200", "503")),
    ],
)
def test_a_token_is_in_no_file_and_no_output(
    loaded: Loaded, process: Command, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.put(summary(1, timedelta(hours=1), "in_progress"))
    loaded.account.logins = {(ACCOUNT_SID, CANARY)}
    settings = {"SOURCES__TWILIO_INSIGHTS__RETRY_BUDGET": "1s", "RUNTIME__LOG_LEVEL": "DEBUG"}
    if kind != "ok":
        monkeypatch.setattr(InsightsHandler, "answer", answers(kind))
    done = process("run", TWILIO_AUTH_TOKEN=CANARY, PYTHONDEVMODE="1", **settings)
    assert done.returncode == {"401": 77, "ok": 0}.get(kind, 69)
    encoded = base64.b64encode(f"{ACCOUNT_SID}:{CANARY}".encode())
    texts = {"output": (done.stdout + done.stderr).encode()}
    texts |= {str(file): file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    assert len(texts) > 3
    for where, text in texts.items():
        assert CANARY.encode() not in text, where
        assert encoded not in text, where


@pytest.mark.thorough
def test_secrets_that_others_can_read_are_named(
    loaded: Loaded, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TWILIO_AUTH_TOKEN")
    file = tmp_path / ".dlt/secrets.toml"
    file.parent.mkdir()
    file.write_text('[sources.twilio_insights]\nauth_token = "simulated-auth-token"\n')
    file.chmod(0o640)
    done = command("run")
    assert done.returncode == 0
    assert f"chmod 600 {file}" in done.stderr.replace("./", f"{tmp_path}/")
    file.chmod(0o600)
    assert "chmod" not in command("run").stderr


def test_a_secrets_file_that_is_no_toml_is_a_usage_error(
    server: InsightsServer, command: Command, tmp_path: Path
) -> None:
    file = tmp_path / ".dlt/secrets.toml"
    file.parent.mkdir()
    file.write_text(f"auth_token = {CANARY}")
    done = command("run")
    assert done.returncode == 2, done.stderr
    assert "secrets.toml" in done.stderr
    assert CANARY not in done.stderr


@pytest.fixture
def private(account: Account, tmp_path: Path) -> InsightsServer:
    """The simulator behind TLS, with a certificate of a private authority."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = InsightsServer(account)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.url = server.url.replace("http:", "https:")
    return server


@pytest.mark.thorough
def test_a_private_authority_is_trusted_when_named_and_only_then(
    private: InsightsServer, command: Command, tmp_path: Path
) -> None:
    settings = {"SOURCES__TWILIO_INSIGHTS__RETRY_BUDGET": "1s"}
    with private as server:
        trusted = environment(server) | settings | {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        done = command("run", **trusted)
        assert done.returncode == 0, done.stderr
        requests = len(server.requests)
        done = command("run", **environment(server), **settings)
        assert done.returncode == 69
        assert "certificate" in done.stderr.lower()
        assert len(server.requests) == requests


@pytest.mark.parametrize(
    "settings",
    [
        {"SSL_CERT_FILE": "nowhere.pem"},
        {"HTTPS_PROXY": "foo://proxy"},
        {"HTTPS_PROXY": "http://[::1"},
        {"SOURCES__TWILIO_INSIGHTS__BASE_URL": "https://[::1"},
        {"SOURCES__TWILIO_INSIGHTS__BASE_URL": "https://x:port"},
        {"DESTINATION__DUCKDB__CREDENTIALS": "postgres://someone@somewhere/database"},
    ],
    ids=lambda settings: "=".join(*settings.items()),
)
def test_what_cannot_be_used_is_a_usage_error(
    server: InsightsServer, command: Command, settings: dict[str, str]
) -> None:
    base = {"SOURCES__TWILIO_INSIGHTS__BASE_URL": "https://insights.invalid"}
    done = command("run", **{**base, **settings})
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert next(iter(settings)).split("__")[-1].lower() in done.stderr.lower()


def test_a_variable_of_another_program_gets_no_credentials(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def settings() -> TwilioInsightsConfiguration:
        return resolve_configuration(TwilioInsightsConfiguration(), sections=SECTION)

    assert settings().base_url == loaded.server.url
    monkeypatch.delenv("SOURCES__TWILIO_INSIGHTS__BASE_URL")
    for name, value in {
        "BASE_URL": "http://127.0.0.1:9",
        "PAGE_SIZE": "7",
        "LOOKBACK": "3h",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__LOOKBACK", "3h")
    found = settings()
    assert found.base_url == "https://insights.twilio.com"
    assert (found.page_size, found.lookback) == (1000, "3h")
