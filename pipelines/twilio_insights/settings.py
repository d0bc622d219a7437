"""The settings of the source, and their defaults."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from pipelines.errors import SettingsError
from pipelines.times import parse_duration, parse_moment

SECTION = ("sources", "twilio_insights")
TWILIO_NAMES = {
    "account_sid": "TWILIO_ACCOUNT_SID",
    "auth_token": "TWILIO_AUTH_TOKEN",
    "api_key_sid": "TWILIO_API_KEY",
    "api_key_secret": "TWILIO_API_SECRET",
}
"""What Twilio's own tools call the credentials."""
REGION, EDGE = "TWILIO_REGION", "TWILIO_EDGE"
EDGES = {
    "au1": "sydney",
    "br1": "sao-paulo",
    "de1": "frankfurt",
    "ie1": "dublin",
    "jp1": "tokyo",
    "jp2": "osaka",
    "sg1": "singapore",
    "us1": "ashburn",
    "us2": "umatilla",
}
"""Twilio's regions, and the edge of each where nobody names one."""
SECRETS = ("auth_token", "api_key_secret")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ELSEWHERE = "; or {} under [sources.twilio_insights] in .dlt/secrets.toml"


def from_twilio(name: str) -> tuple[str, str]:
    """What the variables of Twilio's own tools say of a setting, and which they are; blank if none.

    Raises:
        SettingsError: they name no region, or no edge.
    """
    if name == "base_url":
        return _regional_url()
    variable = TWILIO_NAMES.get(name, "")
    return os.environ.get(variable, "").strip(), variable


def _regional_url() -> tuple[str, str]:
    """Edge and region come after the name of the product, as in the URLs of Twilio's SDKs."""
    given = {name: os.environ.get(name, "").strip().lower() for name in (EDGE, REGION)}
    for name, label in given.items():
        if not re.fullmatch("[a-z0-9-]{0,20}", label):
            raise SettingsError(f"{name}: write a name such as dublin (edge) or ie1 (region)")
    region = given[REGION] or "us1"
    if not any(given.values()):
        return "", ""
    if not (edge := given[EDGE] or EDGES.get(region)):
        raise SettingsError(f"{REGION}: the edge of that region is not known; set {EDGE} too")
    origin = " and ".join(name for name in given if given[name])
    return f"https://insights.{edge}.{region}.twilio.com", origin


@dataclass
class Settings:
    """Credentials and knobs of the source, section `sources.twilio_insights`."""

    account_sid: str | None = None
    auth_token: str | None = field(default=None, repr=False)
    api_key_sid: str | None = None
    api_key_secret: str | None = field(default=None, repr=False)
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

    def check(self) -> None:
        """Raises SettingsError: one is missing or wrong."""
        if problem := self._missing() or self._garbled() or self._wrong():
            raise SettingsError(problem)

    def _missing(self) -> str | None:
        if not self.account_sid:
            return "No account: set TWILIO_ACCOUNT_SID" + _ELSEWHERE.format("account_sid")
        if not re.fullmatch("AC[0-9a-fA-F]{32}", self.account_sid):  # a secret, by mistake?
            return "sources.twilio_insights.account_sid: not AC and 32 hex digits"
        if bool(self.api_key_sid) != bool(self.api_key_secret):
            return "Half an API key: set both TWILIO_API_KEY and TWILIO_API_SECRET, or neither"
        if not self.api_key_sid and not self.auth_token:
            return (
                f"No credentials for account {self.account_sid}: set TWILIO_AUTH_TOKEN, or "
                "TWILIO_API_KEY and TWILIO_API_SECRET" + _ELSEWHERE.format("the same")
            )
        return None

    def _garbled(self) -> str | None:
        for name in ("api_key_sid", "api_key_secret") if self.api_key_sid else ("auth_token",):
            if not re.fullmatch("[!#-&(-9;-~]+", getattr(self, name)):
                return (
                    f"sources.twilio_insights.{name} or {TWILIO_NAMES[name]}: no token has a "
                    "blank, a quote or the like in it; write it in one line, without quotes"
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
        if not url.hostname or beyond or not (url.scheme == "https" or plain):
            return f"{section}.base_url: write https://host; plain http is for loopback only"
        if not 1 <= self.page_size <= 1000:
            return f"{section}.page_size: {self.page_size} is not between 1 and 1000"
        if self.max_concurrency < 1:
            return f"{section}.max_concurrency: {self.max_concurrency} is not 1 or more"
        for name in ("lookback", "request_deadline", "retry_budget", "created_after"):
            try:
                if name == "created_after":
                    parse_moment(self.created_after or "0d", datetime.now(UTC))
                elif not parse_duration(getattr(self, name)):
                    return f"{section}.{name}: must be greater than zero"
            except ValueError as error:
                return f"{section}.{name}: {error}"
        return None

    @property
    def basic_auth(self) -> tuple[str, str]:
        """User name and password: the API key when there is one, else SID and auth token."""
        key = self.api_key_sid or self.account_sid or ""
        return key, (self.api_key_secret if self.api_key_sid else self.auth_token) or ""

    @property
    def is_loopback(self) -> bool:
        return urlsplit(self.base_url).hostname in LOOPBACK
