"""One origin that credentials may go to: where its pages may lead, and what its answers mean."""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, Protocol

import httpx

from pipelines.errors import SettingsError
from pipelines.times import as_utc, parse_duration
from pipelines.twilio_insights.api.clock import Clock
from pipelines.twilio_insights.api.transport import NEEDS_SOCKS, Transport
from pipelines.twilio_insights.errors import (
    RUN_AGAIN,
    BadAnswerError,
    ForeignOriginError,
    QueryTimeoutError,
    RefusedError,
    UnavailableError,
)
from pipelines.twilio_insights.settings import Settings

FEATURE_OFF, QUERY_TIMEOUT = 17007, 17008
ACTIVATE = "Activate Voice Insights Advanced Features, which are paid, for this account"


class Decoder(Protocol):
    """Reads the body of an answer."""

    def decode(self, headers: httpx.Headers, content: bytes) -> Any:
        """The value, None if it is no JSON."""


class Answer(NamedTuple):
    """A usable answer: status 200, 404 or the like."""

    body: Any
    received_at: datetime
    status: int


class Origin:
    """The Insights API; threads may share it."""

    name, setting = "the Insights API", "base_url"
    """What it is, and the setting that says where."""
    aliases = re.compile(r"https://insights(\.[a-z0-9-]+){0,2}\.twilio\.com")
    """Where Twilio may say that the next page is; as its SDKs do, the configured host is asked."""

    def __init__(self, url: str, settings: Settings, clock: Clock) -> None:
        self.url, self._settings, self._clock = url, settings, clock
        try:
            self._base = httpx.URL(url).join("/")
            self.http = Transport(
                self._base,
                settings.basic_auth,
                parse_duration(settings.request_deadline).total_seconds(),
                settings.max_concurrency,
                self.setting,
            )
        except (ValueError, OSError, RuntimeError, httpx.InvalidURL) as error:
            reason = type(error).__name__  # its text may hold the password of a proxy
            if isinstance(error, RuntimeError):
                reason = NEEDS_SOCKS
            raise SettingsError(
                f"sources.twilio_insights.{self.setting}, HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or "
                f"SSL_CERT_FILE cannot be used: {reason}"
            ) from None

    def close(self) -> None:
        self.http.close()

    def target(self, url: str) -> httpx.URL:
        """Where a path or the URL of a next page leads.

        Raises:
            BadAnswerError: nowhere; or, ForeignOriginError, to another origin.
        """
        try:
            target, base = self._base.join(url), self._base
            if self.aliases.fullmatch(f"{target.scheme}://{target.netloc.decode()}"):
                target = target.copy_with(scheme=base.scheme, host=base.host, port=base.port)
        except (httpx.InvalidURL, ValueError):  # its text quotes the URL, which filters are part of
            raise BadAnswerError("The API sent an invalid next_page_url") from None
        if (target.scheme, target.netloc, target.userinfo) != (base.scheme, base.netloc, b""):
            raise ForeignOriginError(
                f"The API pointed to {self.http.quoted(_named(target))}, not to "
                f"{self.url}; nothing was sent there"
            )
        return target

    def read(
        self, received: tuple[int, httpx.Headers, bytes], decoder: Decoder, account: str
    ) -> Answer:
        """What it answered when it was asked for something of an account.

        Raises:
            InsightsError: nothing that can be used.
        """
        status, headers, content = received
        body = decoder.decode(headers, content)
        # The clock is taken from what the API itself says, not from some gateway's error page.
        received_at = self._clock.at(None if body is None else _http_date(headers.get("date")))
        kind = self.http.quoted(headers.get("content-type", "an unknown type"))
        host = self._base.host
        if status in (401, 403) and body is None and content:
            raise BadAnswerError(
                f"{host} answered {status} with {kind} that is not JSON: a firewall or proxy "
                "on the way refuses this, not Twilio; have it let these requests pass"
            )
        if status in (401, 403):
            refused = f"Twilio refused account {account} ({self.describe(status, body)})"
            code = body.get("code") if isinstance(body, dict) else None
            reasons = ACTIVATE if code == FEATURE_OFF else self.reasons(account)
            raise RefusedError(f"{refused}. {reasons}", status)
        if status == 200 and body is None:
            message = f"{host} answered with {kind} that is not JSON; is it {self.name}?"
            raise UnavailableError(message, "malformed")
        timed_out = status != 200 and isinstance(body, dict) and body.get("code") == QUERY_TIMEOUT
        if timed_out or status in (408, 429) or status >= 500:
            wait = _retry_after(headers.get("retry-after", ""), received_at)
            message = f"Twilio answered {self.describe(status, body)}{RUN_AGAIN}"
            if timed_out:
                raise QueryTimeoutError(message, "QueryTimeout", wait)
            raise UnavailableError(message, str(status), wait)
        if 300 <= status < 400:
            raise ForeignOriginError(f"{host} answered with a redirect, which is not followed")
        return Answer(body, received_at, status)

    def reasons(self, account: str) -> str:
        """Why it may refuse an account, and what to do."""
        own = self._settings.account_sid
        if account != own:
            return (
                f"Either it is closed, suspended or no subaccount of {own}: name others in "
                "SOURCES__TWILIO_INSIGHTS__ACCOUNTS; or Voice Insights Advanced Features, a paid "
                "setting, is not active for that account itself"
            )
        return (
            f"Either the credentials are wrong or belong to another region than {self.url}, or "
            "Voice Insights Advanced Features, a paid setting, is not active for this account"
        )

    def describe(self, status: int, body: Any) -> str:
        """`401, code 20003: Authenticate` of an error body, classic or RFC 9457, for messages."""
        if not isinstance(body, dict):
            return str(status)
        code = body.get("code")
        text = self.http.quoted(body.get("message") or body.get("title") or "")
        named = f"{status}, code {self.http.quoted(code)}" if isinstance(code, int) else str(status)
        return f"{named}: {text}" if text else named


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


def _named(url: httpx.URL) -> str:
    """Without its path and what may be a password."""
    user = "...@" if url.userinfo else ""
    return f"{url.scheme}://{user}{url.netloc.decode()}"
