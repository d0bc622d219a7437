"""A wall-clock limit on a whole answer, which a peer that drips headers or body cannot stretch.

httpx limits only how long a single read may wait. It has no public place for more, so what it
reads from the network is wrapped: after the deadline of the request that the thread is busy with,
every read is over.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import httpcore
import httpx


class Deadline(threading.local):
    """When the request of this thread must be answered, on the monotonic clock."""

    end = float("inf")

    def limit(self, client: httpx.Client) -> None:
        """Make all connections of the client obey it."""
        for transport in (client._transport, *client._mounts.values()):
            if isinstance(transport, httpx.HTTPTransport):
                pool: Any = transport._pool
                pool._network_backend = _Limited(pool._network_backend, self)


class _Limited:
    """A network backend or stream of httpcore, with reads that end at the deadline."""

    def __init__(self, wrapped: Any, deadline: Deadline) -> None:
        self._wrapped, self._deadline = wrapped, deadline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def connect_tcp(self, *arguments: Any, **options: Any) -> _Limited:
        return _Limited(self._wrapped.connect_tcp(*arguments, **options), self._deadline)

    def start_tls(self, *arguments: Any, **options: Any) -> _Limited:
        return _Limited(self._wrapped.start_tls(*arguments, **options), self._deadline)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._deadline.end - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the answer took more than request_deadline")
        data: bytes = self._wrapped.read(max_bytes, min(left, timeout or left))
        return data
