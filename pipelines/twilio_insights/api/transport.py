"""HTTP to the API: one limit for a whole exchange, bodies of bounded size, no redirects.

httpx limits only how long a single read may wait, undoes as many layers of compression as an answer
claims before anybody can count its bytes, parses where a redirect leads even if it is not followed,
and fails for a proxy that is not needed. So this is httpcore, which httpx is built on.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
import zlib
from base64 import b64encode
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from pipelines.twilio_insights.errors import BadAnswerError, TooLargeError, UnavailableError
from pipelines.twilio_insights.settings import LOOPBACK

MAX_BODY_BYTES = 64 << 20
"""Decoded size of an answer; a page of 1,000 summaries is about 1 MB."""
MAX_QUOTED = 200
"""Characters of a text of others that a message quotes."""
CONNECT, STALL, IDLE = 10.0, 30.0, 5.0
"""Seconds that a connection may take to be made, stand still, and be kept without use."""
NEEDS_SOCKS = "a SOCKS proxy needs one more package: pip install socksio"
_FAULTS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    UnicodeError,  # of a host name that no resolver takes
    zlib.error,
)


class Transport:
    """Sends requests with the credentials; threads may share it.

    Args:
        url: whose host they go to.
        auth: user name and password.
        seconds: wall-clock limit of a request, its whole answer included.
        connections: at once, at the most.
        setting: what says where `url` is.

    Raises:
        ValueError, httpx.InvalidURL: the proxy of the environment cannot be used.
        RuntimeError: it is a SOCKS proxy, and the package for it is missing.
        OSError: the certificates cannot be used.
    """

    def __init__(
        self,
        url: httpx.URL,
        auth: tuple[str, str],
        seconds: float,
        connections: int,
        setting: str,
    ) -> None:
        proxy = proxy_for(url)
        stall = min(STALL, seconds)
        self._through = " through the proxy of the environment" if proxy else ""
        self._seconds, self._deadline, self._setting = seconds, _Deadline(), setting
        self._timeouts = {"connect": CONNECT, "read": stall, "write": stall, "pool": stall}
        secrets = _secrets(*auth)
        sent = secrets[0]
        if proxy and proxy.auth:
            secrets += _secrets(*proxy.auth)
        self._secrets = set(secrets)
        self._headers: dict[str | bytes, str | bytes] = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "Authorization": f"Basic {sent}",
            "Host": url.netloc,
            "User-Agent": "conference-insights",
        }
        options: dict[str, Any] = {
            "ssl_context": tls_for(url),
            "max_connections": connections,
            "keepalive_expiry": IDLE,
            "network_backend": _Limited(httpcore.SyncBackend(), self._deadline),
        }
        if proxy is None:
            self._pool = httpcore.ConnectionPool(**options)
        else:
            kind: Any = httpcore.HTTPProxy
            if proxy.url.scheme.startswith("socks"):
                kind = httpcore.SOCKSProxy
            self._pool = kind(_for_httpcore(proxy.url), proxy_auth=proxy.raw_auth, **options)

    def close(self) -> None:
        self._pool.close()

    def get(self, url: httpx.URL) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and decoded body.

        Raises:
            UnavailableError: there was no answer, or not in time.
            BadAnswerError: it is encoded in a way that was not asked for, or, TooLargeError, too
                large.
        """
        self._deadline.end = time.monotonic() + self._seconds
        extensions = {"timeout": self._timeouts}
        try:
            with self._pool.stream(
                "GET", _for_httpcore(url), headers=self._headers, extensions=extensions
            ) as answer:
                headers = httpx.Headers(answer.headers)
                return answer.status, headers, self._body(answer.iter_stream(), headers, url.host)
        except _FAULTS as error:
            kind = "DecodingError" if isinstance(error, zlib.error) else type(error).__name__
            origin = f"{url.scheme}://{url.netloc.decode()}"
            where = f"{origin} ({self._setting}){self._through}"
            message = f"Cannot read {where}: {kind} {self.quoted(error)}"
            raise UnavailableError(message, kind) from None

    def _body(self, chunks: Iterable[bytes], headers: httpx.Headers, host: str) -> bytes:
        coding = headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("identity", "gzip", ""):
            raise BadAnswerError(
                f"{host} sent an answer encoded as {self.quoted(coding)}, but only gzip was allowed"
            )
        parts, size, gzip = list[bytes](), 0, zlib.decompressobj(zlib.MAX_WBITS | 16)
        for chunk in chunks:
            room = MAX_BODY_BYTES + 1 - size
            parts.append(gzip.decompress(chunk, room) if coding == "gzip" else chunk)
            size += len(parts[-1])
            if size > MAX_BODY_BYTES:
                raise TooLargeError(f"{host} sent more than {MAX_BODY_BYTES} bytes in one answer")
        return b"".join(parts)

    def hide(self, *texts: str) -> None:
        """Take these, too, out of what the other side says: it may repeat what it was asked."""
        for text in texts:
            self._secrets |= {text, quote(text), quote(text, safe=""), quote_plus(text)}

    def quoted(self, words: object) -> str:
        """What the other side says, for messages: not too much of it, and without the secrets that
        it may repeat."""
        secrets = "|".join(map(re.escape, sorted(self._secrets, key=len, reverse=True)))
        text = re.sub(secrets, "***", str(words), flags=re.IGNORECASE)
        return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"


def proxy_for(url: httpx.URL) -> httpx.Proxy | None:
    """The proxy of the environment for a URL; those for others are not even looked at.

    Raises:
        ValueError, httpx.InvalidURL: it is of an unknown kind, or no URL.
    """
    known = getproxies()
    proxy = known.get(url.scheme) or known.get("all")
    if not proxy or url.host in LOOPBACK or proxy_bypass(url.netloc.decode()):
        return None
    return httpx.Proxy(proxy if "://" in proxy else f"http://{proxy}")


def tls_for(url: httpx.URL) -> ssl.SSLContext:
    """The TLS context, with the certificates of SSL_CERT_FILE, else of certifi. For http none are
    read, which saves 0.1 s."""
    if url.scheme == "https":
        return httpx.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _secrets(user: str, password: str) -> list[str]:
    """A password, as it is sent and by itself."""
    sent = b64encode(f"{user}:{password}".encode()).decode()
    return [sent, password] if password else [sent]


def _for_httpcore(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(
        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
    )


class _Deadline(threading.local):
    """When the request of this thread must be answered, on the monotonic clock."""

    end = float("inf")


class _Limited:
    """A network backend or stream of httpcore, every step of which ends at the deadline, so that no
    peer can stretch an exchange that drips a handshake, headers or a body."""

    def __init__(self, wrapped: Any, deadline: _Deadline) -> None:
        self._wrapped, self._deadline = wrapped, deadline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, **more: Any
    ) -> _Limited:
        """Try each address in turn; the limit is for all of them."""
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(error) from error
        fault: Exception = httpcore.ConnectError(f"{host} has no address")
        for *_, address in addresses:
            try:
                step = self._left(timeout)
                stream = self._wrapped.connect_tcp(str(address[0]), port, timeout=step, **more)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                fault = error
            else:
                return _Limited(stream, self._deadline)
        raise fault

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> _Limited:
        stream = self._wrapped.start_tls(ssl_context, server_hostname, self._left(timeout))
        return _Limited(stream, self._deadline)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data: bytes = self._wrapped.read(max_bytes, self._left(timeout))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._wrapped.write(buffer, self._left(timeout))

    def _left(self, timeout: float | None) -> float:
        left = self._deadline.end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the answer took more than request_deadline")
        return min(left, timeout or left)
