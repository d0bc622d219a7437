"""A proxy of the environment is gone through, with TLS from end to end."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path

import pytest
import trustme

from pipelines.simulator.account import Account
from pipelines.simulator.server import InsightsServer
from tests.conftest import Command, environment, summary


class TunnelProxy:
    """A proxy on loopback that takes CONNECT, whatever the name, to one port."""

    def __init__(self, port: int) -> None:
        self.asked: list[bytes] = []
        self._open: list[socket.socket] = []
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for opened in (self._listener, *self._open):
            opened.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                self._tunnel(self._listener.accept()[0])

    def _tunnel(self, client: socket.socket) -> None:
        self.asked.append(client.recv(4000))
        server = socket.create_connection(("127.0.0.1", self._target))
        self._open += [client, server]
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for one, other in ((client, server), (server, client)):
            threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    @staticmethod
    def _copy(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)


@pytest.mark.thorough
def test_an_https_proxy_is_gone_through(account: Account, tmp_path: Path, command: Command) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("insights.example.test").configure_cert(context)
    account.put(summary(1, timedelta(hours=1)))
    server = InsightsServer(account)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    proxy = TunnelProxy(server.server_address[1])
    names = environment(server) | {
        "SOURCES__TWILIO_INSIGHTS__BASE_URL": "https://insights.example.test",
        "HTTPS_PROXY": proxy.url,
        "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
    }
    with server, closing(proxy):
        done = command("run", **names)
    assert done.returncode == 0, done.stderr
    assert "1 new" in done.stdout
    assert proxy.asked[0].startswith(b"CONNECT insights.example.test:443 ")
    assert not any(b"Basic" in asked for asked in proxy.asked)
