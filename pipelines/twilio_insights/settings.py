"""The settings of the source, and their defaults."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from pipelines.errors import SettingsError
from pipelines.times import parse_duration, parse_moment
from pipelines.twilio_insights.codec import to_json
from pipelines.twilio_insights.filters import filter_problem, filter_warning
from pipelines.twilio_insights.resources import Resource
from pipelines.twilio_insights.twilio_variables import TWILIO_NAMES

log = logging.getLogger("conference_insights")

SECTION = ("sources", "twilio_insights")
SECRETS = ("auth_token", "api_key_secret", "hash_key")
PERSONAL_DATA = ("keep", "hash", "drop")
SHORTEST_KEY = 16
"""Characters of a `hash_key`; a shorter one could be found by trying."""
MAX_CONCURRENCY = 256
"""Each request under way has a thread."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
ACCOUNT_SID = re.compile("AC[0-9a-fA-F]{32}")
_TWILIO = re.compile(r"insights(\.[a-z0-9-]+)??(\.[a-z0-9-]+)?\.twilio\.com(:\d+)?")
"""Edge and region may be between the name of the product and the domain."""
_ACCOUNTS_PATH = "/2010-04-01/Accounts.json"
_ELSEWHERE = "; or {} under [sources.twilio_insights] in .dlt/secrets.toml"


def as_text(accounts: Any) -> Any:
    """A list of SIDs as a text with commas; anything else as it is. An empty list becomes ",", as a
    blank text would count as a setting that is not set."""
    if isinstance(accounts, list) and all(isinstance(one, str) for one in accounts):
        return ",".join(accounts) or ","
    return accounts


def personal_data_problem(personal_data: str, hash_key: str | None) -> str | None:
    """What is wrong with these settings, if something is."""
    if personal_data not in PERSONAL_DATA:
        return f"personal_data: write {', '.join(PERSONAL_DATA[:-1])} or {PERSONAL_DATA[-1]}"
    if personal_data == "hash" and len(hash_key or "") < SHORTEST_KEY:
        what = "is too short" if hash_key else "is missing, which personal_data = hash needs"
        return (
            f"hash_key {what}: write {SHORTEST_KEY} characters or more that nobody can guess into "
            "SOURCES__TWILIO_INSIGHTS__HASH_KEY or .dlt/secrets.toml; `openssl rand -hex 32` makes "
            "a key"
        )
    return None


@dataclass
class Settings:
    """Settings of the source, section `sources.twilio_insights`."""

    account_sid: str | None = None
    auth_token: str | None = field(default=None, repr=False)
    api_key_sid: str | None = None
    api_key_secret: str | None = field(default=None, repr=False)
    base_url: str = "https://insights.twilio.com"
    created_after: str | None = None
    """Where the listing of an account begins that has no watermark; 30 days ago by default."""
    lookback: str = "48h"
    """How far behind the watermark every run lists again, for rows that appear late."""
    page_size: int = 1000
    max_concurrency: int = 4
    """Requests in flight at once; Twilio limits how many, not how often."""
    request_deadline: str = "60s"
    """Wall-clock limit of one request, body included."""
    retry_budget: str = "10m"
    """How long a run may wait for retries in all, for each account, before it gives up."""
    accounts: str = "own"
    """`own`, that of the credentials; `all`, it and its active subaccounts; or SIDs."""
    accounts_url: str | None = None
    """Where `all` of them are listed; on the host of Twilio's API that belongs to `base_url`."""
    participants: bool = False
    """Whether participants are loaded too: one request a conference."""
    participant_requests: int = 5000
    """Conferences whose participants one run asks for, at the most."""
    personal_data: str = "keep"
    """What is done to personal data before it is written: `keep`, `hash` or `drop`."""
    hash_key: str | None = field(default=None, repr=False)
    """The secret that it is hashed with."""
    filters: dict[str, str] = field(default_factory=dict)
    """What is listed, by name and value of the API's filters."""

    def loads(self, resource: Resource) -> bool:
        """Whether a resource is to be loaded."""
        return resource.setting is None or bool(getattr(self, resource.setting))

    def most_requests(self, resource: Resource) -> int | None:
        """How many listings of it one run makes at the most; None: as many as there are."""
        setting = resource.most_requests
        return int(getattr(self, setting)) if setting else None

    def check(self) -> None:
        """Warn of what may be a mistake.

        Raises:
            SettingsError: one is missing or wrong.
        """
        if problem := self._missing() or self._garbled() or self._wrong():
            raise SettingsError(problem)
        for warning in self._warnings():
            log.warning("sources.twilio_insights.%s", warning)

    def _missing(self) -> str | None:
        if not self.account_sid:
            return "No account: set TWILIO_ACCOUNT_SID" + _ELSEWHERE.format("account_sid")
        if not ACCOUNT_SID.fullmatch(self.account_sid):  # a secret, by mistake?
            return (
                "sources.twilio_insights.account_sid (TWILIO_ACCOUNT_SID): not AC and 32 hex digits"
            )
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
            # Printable ASCII without quotes, and without the colon that ends a user's name.
            if not re.fullmatch("[!#-&(-9;-~]+", getattr(self, name)):
                return (
                    f"sources.twilio_insights.{name} or {TWILIO_NAMES[name]}: no token has a "
                    "blank, a quote or the like in it; write it in one line, without quotes"
                )
        return None

    def _wrong(self) -> str | None:
        section = "sources.twilio_insights"
        if problem := (
            self._wrong_url("base_url")
            or self._wrong_url("accounts_url")
            or self._wrong_accounts()
            or self._wrong_number()
            or self._wrong_time()
            or personal_data_problem(self.personal_data, self.hash_key)
        ):
            return f"{section}.{problem}"
        for name, value in self.filters.items():
            if problem := filter_problem(name, value):
                return f"{section}.filters.{name}: {problem}"
        return None

    def _wrong_time(self) -> str | None:
        for name in ("lookback", "request_deadline", "retry_budget"):
            try:
                if not parse_duration(getattr(self, name)):
                    return f"{name}: must be greater than zero"
            except ValueError as error:
                return f"{name}: {error}"
        try:
            parse_moment(self.created_after or "0d", datetime.now(UTC))
        except ValueError as error:
            return f"created_after: {error}"
        return None

    def _wrong_number(self) -> str | None:
        for name, most in {"page_size": 1000, "max_concurrency": MAX_CONCURRENCY}.items():
            if not 1 <= getattr(self, name) <= most:
                return f"{name}: {getattr(self, name)} is not between 1 and {most}"
        if self.participant_requests < 1:
            return f"participant_requests: {self.participant_requests} is not 1 or more"
        return None

    def _wrong_url(self, name: str) -> str | None:
        if (text := getattr(self, name)) is None:
            return None
        try:
            url = urlsplit(text)
            plain = url.scheme == "http" and url.hostname in LOOPBACK
            has_more = (  # than host and port, as a blank, a user or a query
                not re.fullmatch(r"[\w.:\[\]-]+", url.netloc)
                or url.port == 0
                or url.query
                or url.fragment
                or (name == "base_url" and url.path.strip("/"))
            )
        except ValueError:  # its text may hold a password
            return f"{name}: not a URL; write https://host"
        if not url.hostname or has_more or not (url.scheme == "https" or plain):
            return f"{name}: write https://host; plain http is for loopback only"
        return None

    def _wrong_accounts(self) -> str | None:
        how = "write own, all, or account SIDs with commas between them"
        if self.accounts in ("own", "all"):
            return None
        if self.accounts.lower() in ("own", "all"):
            return f"accounts: write {self.accounts.lower()} in small letters"
        for position, sid in enumerate(given := self._given_accounts(), 1):
            if not ACCOUNT_SID.fullmatch(sid):  # a secret, by mistake?
                which = f"number {position} is" if len(given) > 1 else "that is"
                return f"accounts: {which} not AC and 32 hex digits; {how}"
        return None if given else f"accounts: there is none in the list; {how}"

    def _warnings(self) -> Iterator[str]:
        given = self._given_accounts()
        for sid in self.listed_accounts:
            if given.count(sid) > 1:
                yield f"accounts: {sid} is in the list more than once"
        for name, value in self.filters.items():
            if warning := filter_warning(name, value):
                yield f"filters.{name}: {warning}"

    def _given_accounts(self) -> list[str]:
        return re.findall(r"[^,\s]+", self.accounts)

    @property
    def listed_accounts(self) -> tuple[str, ...]:
        """The SIDs of the list, each once; none for own and all."""
        given = () if self.accounts in ("own", "all") else self._given_accounts()
        return (*dict.fromkeys(given),)

    @property
    def filters_text(self) -> str:
        """The filters as JSON, the same for the same ones; blank for none. Of the name of a
        conference, which is personal, it has a digest."""
        name = self.filters.get("friendly_name", "")
        told = {"friendly_name": sha256(name.encode()).hexdigest()[:16]} if name else {}
        return to_json(self.filters | told) if self.filters else ""

    @property
    def shown_filters(self) -> str | None:
        """The same for people and logs; of the name of a conference, which is personal, only how
        long it is. None for none."""
        shown = {
            name: f"({len(value)} characters)" if name == "friendly_name" else value
            for name, value in self.filters.items()
        }
        return to_json(shown) if shown else None

    @property
    def accounts_page_url(self) -> str:
        """Where the accounts are listed.

        The credentials go to no host that was not configured: for a `base_url` elsewhere than at
        Twilio, its own origin.
        """
        url = urlsplit(self.accounts_url or self.base_url)
        if not self.accounts_url and _TWILIO.fullmatch(host := url.netloc.lower()):
            url = url._replace(netloc=host.replace("insights", "api", 1))
        path = url.path if url.path.strip("/") else _ACCOUNTS_PATH
        return url._replace(path=path).geturl()

    @property
    def region(self) -> str:
        """The region of Twilio's that `base_url` leads to; blank for us1, and elsewhere."""
        found = _TWILIO.fullmatch(urlsplit(self.base_url).netloc.lower())
        region = found[2].removeprefix(".") if found and found[2] else ""
        return "" if region == "us1" else region

    @property
    def basic_auth(self) -> tuple[str, str]:
        """User name and password: the API key when there is one, else SID and auth token."""
        key = self.api_key_sid or self.account_sid or ""
        return key, (self.api_key_secret if self.api_key_sid else self.auth_token) or ""
