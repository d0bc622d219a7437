"""The accounts that a parent account's credentials may list.

An answer holds the auth token of every account. No token is ever decoded: only three fields of an
account are, no error quotes what Twilio says, and none keeps the answer alive.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

import httpx
import msgspec
from msgspec import UNSET, Raw, UnsetType

from pipelines.twilio_insights import codec
from pipelines.twilio_insights.api import bounds
from pipelines.twilio_insights.api.bounds import Oversized
from pipelines.twilio_insights.api.clock import Clock
from pipelines.twilio_insights.api.origin import Answer, Origin
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.errors import BadAnswerError, InsightsError
from pipelines.twilio_insights.settings import ACCOUNT_SID, Settings

log = logging.getLogger("conference_insights")

ACTIVE = "active"


class ListedAccount(NamedTuple):
    """An account, as Twilio lists it."""

    sid: str
    friendly_name: str | None
    status: str


class _Row(msgspec.Struct):
    sid: Any = None
    friendly_name: Any = None
    status: Any = None


class _Body(msgspec.Struct):
    accounts: Raw | UnsetType = UNSET
    next_page_uri: str | UnsetType | None = UNSET
    code: int | None = None


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_row = msgspec.json.Decoder(_Row).decode


class AccountsOrigin(Origin):
    """Where accounts are listed; it decodes its answers itself."""

    name, setting = "Twilio's list of accounts", "accounts_url"
    aliases = re.compile("(?!)")  # matches nothing: the URLs of its next pages are relative

    def __init__(self, settings: Settings, clock: Clock) -> None:
        super().__init__(settings.accounts_page_url, settings, clock)
        self.first_page = f"{self.url}?Status={ACTIVE}&PageSize=1000"

    def decode(self, headers: httpx.Headers, content: bytes) -> Any:
        """`accounts`, `next_page_uri` and `code`, as far as the answer has them; an element without
        a valid SID becomes None. {} if a field has another type, None if it is no JSON."""
        if not codec.is_json(headers):
            return None
        try:
            body = _decode_body(codec.mend(content))
            known: dict[str, Any] = {"code": body.code, "next_page_uri": body.next_page_uri}
            if isinstance(body.accounts, Raw) and bytes(body.accounts).startswith(b"["):
                known["accounts"] = [*map(_listed, bounds.split(bytes(body.accounts)))]
        except msgspec.ValidationError:
            return {}
        except (ValueError, RecursionError):
            return None
        return known

    def page(self, answer: Answer) -> Page:
        """What an answer lists.

        Raises:
            BadAnswerError: it lists no accounts, or does not say what follows.
        """
        body = answer.body or {}
        rows, next_url = body.get("accounts"), body.get("next_page_uri", UNSET)
        if answer.status != 200 or rows is None or next_url is UNSET:
            raise BadAnswerError(
                f"{self.url} answered {self.describe(answer.status, body)}, not with `accounts` "
                "and `next_page_uri`: set SOURCES__TWILIO_INSIGHTS__ACCOUNTS_URL to where Twilio "
                "lists accounts, or name them in SOURCES__TWILIO_INSIGHTS__ACCOUNTS"
            )
        return Page(rows, answer.received_at, next_url or None)

    def reasons(self, account: str) -> str:
        """Why it may refuse, and what to do."""
        if not self._settings.api_key_sid:
            return f"The auth token is wrong, or belongs to another region than {self.url}"
        return (
            "Either this is a standard or restricted API key, which may not list accounts: use the "
            f"auth token or a Main API key of the parent account {account}, or name the accounts "
            "in SOURCES__TWILIO_INSIGHTS__ACCOUNTS; or the credentials are wrong, or belong to "
            f"another region than {self.url}"
        )


def active(pages: Iterable[Page]) -> list[ListedAccount]:
    """The active ones, each once."""
    found: dict[str, ListedAccount] = {}
    odd = 0
    for page in pages:
        for row in page.rows:
            if row is None:
                odd += 1
            elif row.status == ACTIVE:
                found.setdefault(row.sid, row)
    if odd:
        log.warning("%d rows of the list of accounts are skipped: they have no valid SID", odd)
    return [*found.values()]


def without_answers(error: InsightsError) -> InsightsError:
    """The error without the frames and errors that led to it, which hold what Twilio sent."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _listed(element: bytes | Oversized) -> ListedAccount | None:
    with suppress(msgspec.DecodeError, RecursionError):
        row = _decode_row(element.text if isinstance(element, Oversized) else element)
        if isinstance(row.sid, str) and ACCOUNT_SID.fullmatch(row.sid):
            name = row.friendly_name if isinstance(row.friendly_name, str) else None
            return ListedAccount(row.sid, name, str(row.status))
    return None
