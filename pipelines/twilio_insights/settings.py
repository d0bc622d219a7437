"""What the source can be told, where it looks for it, and what it assumes otherwise."""

from __future__ import annotations

import logging
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import dlt
from dlt.common.configuration import configspec
from dlt.common.configuration.exceptions import ConfigurationValueError
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.typing import TSecretStrValue

from pipelines.times import parse_duration, parse_moment

log = logging.getLogger("conference_insights")

RETENTION = timedelta(days=30)
"""Twilio deletes a summary 30 days after the call (docs: Voice Insights FAQ)."""
SOON = timedelta(days=10)
"""So long before Twilio deletes what was never listed, people are warned."""

SECTION = ("sources", "twilio_insights")
TWILIO_NAMES = {
    "account_sid": "TWILIO_ACCOUNT_SID",
    "auth_token": "TWILIO_AUTH_TOKEN",
    "api_key_sid": "TWILIO_API_KEY",
    "api_key_secret": "TWILIO_API_SECRET",
}
"""What Twilio's own tools call the credentials."""
_ELSEWHERE = "; or {} under [sources.twilio_insights] in .dlt/secrets.toml"


@configspec
class TwilioInsightsConfiguration(BaseConfiguration):
    """Credentials and knobs of the source, section `sources.twilio_insights`.

    Each is read from `SOURCES__TWILIO_INSIGHTS__<NAME>`, `.dlt/secrets.toml` or
    `.dlt/config.toml`; credentials also from the variables that Twilio's own tools use.
    """

    account_sid: str | None = None
    auth_token: TSecretStrValue | None = None
    api_key_sid: str | None = None
    api_key_secret: TSecretStrValue | None = None
    base_url: str = "https://insights.twilio.com"
    created_after: str | None = None
    """First cursor of an account never listed before; as far back as Twilio keeps by default."""
    lookback: str = "48h"
    """How far behind the watermark every run lists again, for rows that appear late."""
    page_size: int = 1000
    max_concurrency: int = 4
    """Requests in flight at once; Twilio limits how many, not how often."""
    request_deadline: str = "60s"
    """Wall-clock limit of one request, body included."""
    retry_budget: str = "10m"
    """How long one run may wait for retries in all before it gives up."""

    def on_resolved(self) -> None:
        self._forget_namesakes()
        for field, variable in TWILIO_NAMES.items():
            if getattr(self, field) is None:
                setattr(self, field, os.environ.get(variable))
        if problem := self._missing() or self._wrong():
            raise ConfigurationValueError(problem)
        for file in exposed_secrets():
            log.warning("Others can read %s; run: chmod 600 %s", file, file)

    def _forget_namesakes(self) -> None:
        """dlt also takes variables that are named like a field alone: a BASE_URL that is meant for
        another program would get the credentials."""
        for field in self.get_resolvable_fields():
            namesake = os.environ.get(field.upper())
            if namesake == str(getattr(self, field)) and look_up(*SECTION, field) is None:
                setattr(self, field, getattr(type(self), field))

    def _missing(self) -> str | None:
        if not self.account_sid:
            return "No account: set TWILIO_ACCOUNT_SID" + _ELSEWHERE.format("account_sid")
        if bool(self.api_key_sid) != bool(self.api_key_secret):
            return "Half an API key: set both TWILIO_API_KEY and TWILIO_API_SECRET, or neither"
        if not self.api_key_sid and not self.auth_token:
            return (
                f"No credentials for account {self.account_sid}: set TWILIO_AUTH_TOKEN, or "
                "TWILIO_API_KEY and TWILIO_API_SECRET" + _ELSEWHERE.format("the same")
            )
        return None

    def _wrong(self) -> str | None:
        section = "sources.twilio_insights"
        try:
            url = urlsplit(self.base_url)
            plain = url.scheme == "http" and self.is_loopback
            beyond = url.port == 0 or "@" in url.netloc or url.path.strip("/") or url.query
        except ValueError:  # its text may hold a password
            return f"{section}.base_url: not a URL; write https://host"
        if not re.fullmatch("AC[0-9a-fA-F]{32}", self.account_sid or ""):
            return f"{section}.account_sid: not AC and 32 hex digits"  # a secret, by mistake?
        if not url.hostname or beyond or not (url.scheme == "https" or plain):
            return f"{section}.base_url: write https://host; plain http is for loopback only"
        if not 1 <= self.page_size <= 1000:
            return f"{section}.page_size: {self.page_size} is not between 1 and 1000"
        if self.max_concurrency < 1:
            return f"{section}.max_concurrency: {self.max_concurrency} is not 1 or more"
        for field in ("lookback", "request_deadline", "retry_budget", "created_after"):
            try:
                if field == "created_after":
                    parse_moment(self.created_after or "0d", datetime.now(UTC))
                elif not parse_duration(getattr(self, field)):
                    return f"{section}.{field}: must be more than nothing"
            except ValueError as error:
                return f"{section}.{field}: {error}"
        return None

    @property
    def basic_auth(self) -> tuple[str, str]:
        """User name and password: the API key when there is one, else SID and auth token."""
        key = self.api_key_sid or self.account_sid or ""
        return key, (self.api_key_secret if self.api_key_sid else self.auth_token) or ""

    @property
    def is_loopback(self) -> bool:
        return urlsplit(self.base_url).hostname in ("127.0.0.1", "localhost", "::1")


class Found(NamedTuple):
    """A value of the configuration, and the variable or the files it is from."""

    value: Any
    origin: str


def look_up(*path: str) -> Found | None:
    """What dlt's configuration has at just this path: the first of its providers that has it."""
    for provider in dlt.config.config_providers:
        value, key = provider.get_value(path[-1], str, "", *path[:-1])
        if value is not None:
            return Found(value, ", ".join(map(str, provider.present_locations)) or key)
    return None


def exposed_secrets() -> list[Path]:
    """Files with secrets that other users can read."""
    files = (
        Path(file).absolute()
        for provider in dlt.secrets.config_providers
        if provider.supports_secrets
        for file in provider.present_locations
    )
    return [file for file in files if file.stat().st_mode & 0o077]
