"""The Insights API over HTTP: one origin, bounded waiting, answers checked before use."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

import httpx

from pipelines.errors import SettingsError
from pipelines.times import as_utc, iso_seconds, parse_duration
from pipelines.twilio_insights import codec
from pipelines.twilio_insights.api.bounds import Oversized
from pipelines.twilio_insights.api.clock import Clock
from pipelines.twilio_insights.api.concurrency import ConcurrencyLimiter
from pipelines.twilio_insights.api.decoding import PageDecoder
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.api.transport import Transport
from pipelines.twilio_insights.errors import (
    BadAnswerError,
    ExpiredTokenError,
    ForeignOriginError,
    RefusedError,
    UnavailableError,
)
from pipelines.twilio_insights.progress import Progress
from pipelines.twilio_insights.resources import CONFERENCES, RESOURCES, Resource
from pipelines.twilio_insights.settings import Settings

SETTINGS_PATH = "/v1/Voice/Settings"
ATTEMPTS = 8
MALFORMED_ATTEMPTS = 3
MAX_RETRY_AFTER, MAX_BACKOFF = 300.0, 30.0
"""Seconds."""
INVALID_PAGE_TOKEN = 21481


_OF_THE_PRODUCT = re.compile(r"https://insights(\.[a-z0-9-]+){0,2}\.twilio\.com")
"""Where Twilio may say that the next page is; as its SDKs do, the configured host is asked."""


class InsightsClient:
    """Lists and fetches records of one account; threads may share it."""

    def __init__(
        self,
        settings: Settings,
        progress: Progress | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.settings = settings
        self.progress = progress or Progress()
        self.stop = stop or threading.Event()
        """Set to give up waiting, and to end a listing at the next window edge."""
        self._budget = parse_duration(settings.retry_budget).total_seconds()
        self._lock = threading.Lock()
        self._decoders = {name: PageDecoder(one) for name, one in RESOURCES.items()}
        self._limiter = ConcurrencyLimiter(settings.max_concurrency, self.stop)
        self._clock = Clock(self.progress)
        try:
            self._base = httpx.URL(settings.base_url)
            self._http = Transport(
                self._base,
                settings.basic_auth,
                parse_duration(settings.request_deadline).total_seconds(),
                settings.max_concurrency,
            )
        except (ValueError, OSError, RuntimeError, httpx.InvalidURL) as error:
            raise SettingsError(  # its text may hold the password of a proxy
                "sources.twilio_insights.base_url, HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or "
                f"SSL_CERT_FILE cannot be used: {type(error).__name__}"
            ) from None

    def __enter__(self) -> InsightsClient:
        return self

    def cancel(self) -> None:
        """Whatever waits for its turn, or to try again, raises UnavailableError."""
        self._limiter.close()

    def __exit__(self, *error: object) -> None:
        self.cancel()
        self._http.close()

    def now(self) -> datetime:
        """What time it is by the server (header `Date`), asked for if not yet known."""
        if not self._clock.is_set:
            here = datetime.now(UTC)
            self._get(_listed(CONFERENCES, here - timedelta(seconds=1), here, 1), CONFERENCES)
        return self._clock.now()

    def advanced_features(self) -> bool | None:
        """Whether Voice Insights Advanced Features is active; None: the answer does not tell.

        Raises:
            InsightsError: refused, as it may be to a restricted key, or no usable answer.
        """
        body, _, status = self._get(SETTINGS_PATH, None)
        value = body.get("advanced_features") if status == 200 and isinstance(body, dict) else None
        return value if isinstance(value, bool) else None

    def list_pages(self, resource: Resource, after: datetime, before: datetime) -> Iterator[Page]:
        """Walk the records created between two times, until there is no next page.

        Both bounds are always sent: with none, the API lists the last 24 hours only.

        Raises:
            InsightsError: a page could not be had; what was yielded before is good.
        """
        url = _listed(resource, after, before, self.settings.page_size)
        return self._walk(resource, url, f"{iso_seconds(after)} to {iso_seconds(before)}")

    def list_children(self, resource: Resource, parent: str) -> Iterator[Page]:
        """Walk the records that belong to one of the parent resource, by its key.

        Raises:
            InsightsError: a page could not be had; what was yielded before is good.
        """
        url = f"{resource.path_of(parent)}?PageSize={self.settings.page_size}"
        return self._walk(resource, url, parent)

    def fetch(self, resource: Resource, sid: str) -> Page:
        """Fetch one record: a page with one row, or with none after a 404 or the like.

        Raises:
            InsightsError: there was no usable answer.
        """
        body, fetched_at, status = self._get(f"{resource.path}/{quote(sid, safe='')}", resource)
        if status in (400, 404) and isinstance(body, dict):
            return Page([], fetched_at, status=status)
        if status != 200:
            raise BadAnswerError(f"{sid}: Twilio answered {self._describe(status, body)}")
        if isinstance(body, Oversized):
            return Page([body], fetched_at)
        if not isinstance(body, dict) or body.get(resource.key) != sid:
            raise BadAnswerError(f"The answer for {sid} is another record, or none")
        return Page([body], fetched_at)

    def _walk(self, resource: Resource, first: str, what: str) -> Iterator[Page]:
        url: str | None = first
        visited: set[str] = set()
        while url is not None:
            if url in visited:
                raise BadAnswerError(
                    f"The API sent the same next_page_url twice after {len(visited)} pages of "
                    f"{what}; run again"
                )
            visited.add(url)
            page = self._page(resource, url)
            yield page
            url = page.next_url

    def _page(self, resource: Resource, url: str) -> Page:
        body, fetched_at, status = self._get(url, resource)
        meta = body.get("meta") if isinstance(body, dict) else None
        rows = body.get(resource.envelope) if isinstance(body, dict) else None
        next_url = meta.get("next_page_url", 0) if isinstance(meta, dict) else 0
        if isinstance(body, dict) and body.get("code") == INVALID_PAGE_TOKEN:
            raise ExpiredTokenError(f"{resource.path} answered {self._describe(status, body)}")
        if resource.parent and status == 404:
            return Page([], fetched_at, status=status)
        if status != 200 or not isinstance(rows, list) or not isinstance(next_url, str | None):
            raise BadAnswerError(
                f"{resource.path} answered {self._describe(status, body)}, not with "
                f"`{resource.envelope}` and `meta.next_page_url`; is {self.settings.base_url} the "
                "Insights API?"
            )
        return Page(rows, fetched_at, next_url or None)

    def _describe(self, status: int, body: Any) -> str:
        """`401, code 20003: Authenticate` of an error body, classic or RFC 9457, for messages."""
        if not isinstance(body, dict):
            return str(status)
        code, text = (
            body.get("code"),
            self._http.quoted(body.get("message") or body.get("title") or ""),
        )
        named = (
            f"{status}, code {self._http.quoted(code)}" if isinstance(code, int) else str(status)
        )
        return f"{named}: {text}" if text else named

    def _get(self, url: str, resource: Resource | None) -> tuple[Any, datetime, int]:
        """Decoded body, server time and status (200, 404 and the like) of a request, retried."""
        try:
            target, base = self._base.join(url), self._base
            host = target.host
            if _OF_THE_PRODUCT.fullmatch(f"{target.scheme}://{target.netloc.decode()}"):
                target = target.copy_with(scheme=base.scheme, host=base.host, port=base.port)
        except (httpx.InvalidURL, ValueError) as error:
            reason = self._http.quoted(error)
            raise BadAnswerError(f"The API sent an invalid next_page_url: {reason}") from None
        if (target.scheme, target.netloc, target.userinfo) != (base.scheme, base.netloc, b""):
            raise ForeignOriginError(
                f"The API pointed to {self._http.quoted(f'{target.scheme}://{host}')}, not to "
                f"{self.settings.base_url}; nothing was sent there"
            )
        faults: list[str] = []
        while True:
            try:
                return self._request(target, resource)
            except UnavailableError as error:
                faults.append(error.kind)
                wait = None if error.kind == "closed" else self._wait(error, faults)
                if error.kind == "429":
                    self._limiter.on_throttle(wait if error.retry_after and wait else 0)
                if wait is None:
                    raise
                self.progress.count_retry(error.kind)
                self._limiter.sleep(wait)

    def _wait(self, fault: UnavailableError, faults: list[str]) -> float | None:
        """Seconds to wait before the next attempt; None: there is to be none."""
        wait = random.uniform(0, min(MAX_BACKOFF, 2.0 ** (len(faults) - 1)))
        if fault.retry_after is not None:  # with jitter, so that threads do not all return at once
            wait = min(fault.retry_after, MAX_RETRY_AFTER) + min(1.0, wait)
        spent = len(faults) == ATTEMPTS or faults.count("malformed") == MALFORMED_ATTEMPTS
        with self._lock:
            if spent or wait > self._budget or self.stop.is_set():
                return None
            self._budget -= wait
        return wait

    def _request(self, url: httpx.URL, resource: Resource | None) -> tuple[Any, datetime, int]:
        with self._limiter.slot():
            self.progress.count_request()
            status, headers, content = self._http.get(url)
        decoder = self._decoders[resource.name] if resource else codec
        body = decoder.decode(headers, content)
        # The clock is taken from what the API itself says, not from some gateway's error page.
        fetched_at = self._clock.at(None if body is None else _http_date(headers.get("date")))
        kind = self._http.quoted(headers.get("content-type", "an unknown type"))
        if status in (401, 403) and body is None and content:
            raise BadAnswerError(
                f"{url.host} answered {status} with {kind} that is not JSON: a firewall or proxy "
                "on the way refuses this, not Twilio; have it let these requests pass"
            )
        if status in (401, 403):
            raise RefusedError(
                f"Twilio refused account {self.settings.account_sid} "
                f"({self._describe(status, body)}). Either the credentials are wrong or belong to "
                f"another region than {self.settings.base_url}, or Voice Insights Advanced "
                "Features, a paid setting, is not active for this account",
                status,
            )
        if status == 200 and body is None:
            message = f"{url.host} answered with {kind} that is not JSON; is it the Insights API?"
            raise UnavailableError(message, "malformed")
        if status in (408, 429) or status >= 500:
            wait = _retry_after(headers.get("retry-after", ""), fetched_at)
            message = f"Twilio answered {self._describe(status, body)}; run again later"
            raise UnavailableError(message, str(status), wait)
        if 300 <= status < 400:
            raise ForeignOriginError(f"{url.host} answered with a redirect, which is not followed")
        self._limiter.on_success()
        return body, fetched_at, status


def _listed(resource: Resource, after: datetime, before: datetime, page_size: int) -> str:
    bounds = {"CreatedAfter": iso_seconds(after), "CreatedBefore": iso_seconds(before)}
    return f"{resource.path}?{urlencode(bounds | {'PageSize': str(page_size)})}"


def _http_date(value: str | None) -> datetime | None:
    try:
        return as_utc(parsedate_to_datetime(value or ""))
    except (ValueError, OverflowError):
        return None


def _retry_after(value: str, now: datetime) -> float | None:
    """Seconds to wait, from a number or a date; None when absent or unreadable."""
    if value.isascii() and value.isdigit():
        return float(value)
    return max(0.0, (date - now).total_seconds()) if (date := _http_date(value)) else None
