"""Whatever a network, a proxy or a server does to a request ends in time, and in little memory."""

from __future__ import annotations

import gzip
import os
import socket
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import httpx
import pytest

from pipelines.errors import SettingsError
from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN, Account
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.errors import BadAnswerError, ForeignOriginError, UnavailableError
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.twilio_insights.settings import Settings
from tests.conftest import NOW
from tests.faulty_server import Behaviour, answer, serving, settings


@pytest.fixture(autouse=True)
def _once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.twilio_insights.api.client.ATTEMPTS", 1)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def ask(config: Settings) -> None:
    with InsightsClient(config) as client:
        client.fetch(CONFERENCES, "CF")


def ask_of(url: str, **values: Any) -> None:
    ask(Settings(account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, base_url=url, **values))


def ask_served(fault: Behaviour) -> None:
    with serving(Account(NOW), fault) as server:
        ask(settings(server))


@contextmanager
def listening(said: bytes = b"") -> Iterator[int]:
    """The port of a server that says this to whoever connects, and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    held.append(listener.accept()[0])
                    held[-1].recv(1000)
                    held[-1].sendall(said)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        for connection in held:
            connection.close()


def test_a_handshake_without_end_is_cut_off_at_the_deadline() -> None:
    with listening() as port:
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="ConnectTimeout"):
            ask_of(f"https://127.0.0.1:{port}", request_deadline="1s")
        assert time.monotonic() - began < 3


def test_a_handshake_that_drips_is_cut_off_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            with suppress(OSError), listener.accept()[0] as connection:
                connection.sendall(b"\x16\x03\x03\x40\x00\x02")
                for _ in range(100):
                    connection.sendall(b"\0")
                    time.sleep(0.1)

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="ConnectTimeout"):
            ask_of(f"https://127.0.0.1:{listener.getsockname()[1]}", request_deadline="1s")
        assert time.monotonic() - began < 3


def test_a_host_of_many_addresses_has_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        resolve = socket.getaddrinfo

        def eight(host: str, *more: Any, **options: Any) -> Any:
            many = host == "many.invalid"
            return resolve("127.0.0.1" if many else host, *more, **options) * (8 if many else 1)

        with ExitStack() as waiting:  # until the kernel answers nobody any more
            for _ in range(3):
                client = waiting.enter_context(socket.socket())
                client.setblocking(False)
                client.connect_ex(address)
            monkeypatch.setattr(socket, "getaddrinfo", eight)
            began = time.monotonic()
            with pytest.raises(UnavailableError, match="Timeout"):
                ask_of(f"https://many.invalid:{address[1]}", request_deadline="1s")
            assert time.monotonic() - began < 3


def test_another_address_of_a_host_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(b"HTTP/1.1 418 x\r\nContent-Length: 0\r\n\r\n") as port:
        resolve = socket.getaddrinfo

        def two(host: str, *more: Any, **options: Any) -> Any:
            hosts = ["127.0.0.2", "127.0.0.1"] if host == "localhost" else [host]
            return [found for host in hosts for found in resolve(host, *more, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", two)
        with pytest.raises(BadAnswerError, match="418"):
            ask_of(f"http://localhost:{port}")


@pytest.mark.parametrize(
    "target", [r"http:\\x\y", "http:a", "http://xn--/", "http://[", "/\x80", ""]
)
def test_a_redirect_to_anything_is_not_followed(target: str) -> None:
    with pytest.raises(ForeignOriginError, match="redirect"):
        ask_served(answer(302, Location=target))


@pytest.mark.parametrize("layers", ["gzip", "gzip, gzip"])
def test_a_bomb_takes_little_memory(layers: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.twilio_insights.api.transport.MAX_BODY_BYTES", 1 << 20)
    bomb = b" " * (64 << 20)
    for _ in layers.split():
        bomb = gzip.compress(bomb)
    tracemalloc.start()
    try:
        with pytest.raises(BadAnswerError, match=r"more than 1048576 bytes|encoded as gzip, gzip"):
            ask_served(answer(200, bomb, Content_Encoding=layers))
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "identity"])
def test_what_was_asked_for_is_decoded(coding: str) -> None:
    body = b'{"code": 7, "message": "Well."}'
    sent = gzip.compress(body) if coding != "identity" else body
    with pytest.raises(BadAnswerError, match="418, code 7: Well"):
        ask_served(answer(418, sent, Content_Encoding=coding))


NOT_NEEDED = [
    {"ALL_PROXY": "socks://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"},
    {"ALL_PROXY": "socks://127.0.0.1:9", "NO_PROXY": "invalid"},
    {"HTTP_PROXY": "foo://127.0.0.1:9"},
    {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "localhost,::1/128"},
    {"HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "[::1], 10.0.0.0/8, ::/0,%,http://x:y"},
    {"NO_PROXY": "::1/128"},
]


@pytest.mark.parametrize("variables", NOT_NEEDED, ids=str)
def test_a_proxy_for_others_is_not_looked_at(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UnavailableError, match="ConnectError") as caught:
        ask_of("https://insights.invalid")
    proxied = "HTTPS_PROXY" in variables
    assert ("through the proxy" in str(caught.value)) == proxied


@pytest.mark.parametrize("proxy", ["socks://me:canary@127.0.0.1:9", "http://[::1", "foo://canary"])
def test_a_proxy_that_is_needed_and_cannot_be_used_is_named(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(SettingsError, match="ALL_PROXY") as caught:
        ask_of("https://insights.invalid")
    assert "canary" not in str(caught.value)


def test_what_a_socks_proxy_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "socksio", None)  # also where it is installed
    with pytest.raises(SettingsError, match=r"ALL_PROXY .* pip install socksio"):
        ask_of("https://insights.invalid")


def test_a_host_that_no_resolver_takes_is_no_bug() -> None:
    with pytest.raises(UnavailableError):
        ask_of(f"https://{'a' * 64}.invalid")


def test_what_a_proxy_says_is_cut_and_holds_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    url = httpx.URL("http://me:canary-pw@127.0.0.1")
    encoded = "bWU6Y2FuYXJ5LXB3"
    said = f"HTTP/1.1 407 No canary-pw, Basic {encoded} {'x' * 90_000}\r\n\r\n"
    with listening(said.encode()) as port:
        monkeypatch.setenv("HTTPS_PROXY", str(url.copy_with(port=port)))
        with pytest.raises(UnavailableError, match="407 No") as caught:
            ask_of("https://insights.invalid")
    assert len(str(caught.value)) < 500
    assert "canary" not in str(caught.value)
    assert encoded not in str(caught.value)
    assert "canary" in os.environ["HTTPS_PROXY"]
