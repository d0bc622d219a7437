"""`Accounts.json` of the 2010 API: an account and its subaccounts, with the auth token of each."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import orjson

from pipelines.simulator.account import Account
from pipelines.simulator.parameters import page_size, parameter

_VERSION = "/2010-04-01"
ACCOUNTS_PATH = f"{_VERSION}/Accounts.json"
_SUBRESOURCES = ("calls", "conferences", "recordings")


def accounts_page(account: Account, query: dict[str, str]) -> bytes:
    """One page, the latest account first, so that the parent comes last.

    Paging is that of the 2010 API: relative links, beside the list and not in a `meta` object; a
    page token names the account before the page.

    Raises:
        ValueError: a parameter is wrong; the message names it.
    """
    size, number = page_size(query), parameter(query, "Page", int, 0)
    everyone = [*account.tree()][::-1]
    sids = [a.sid for a in everyone]
    first = parameter(query, "PageToken", lambda token: sids.index(token.removeprefix("PA")) + 1, 0)
    status, name = query.get("Status"), query.get("FriendlyName")
    rest = [
        a
        for a in everyone[first:]
        if status in (None, a.status) and name in (None, a.friendly_name)
    ]
    page = rest[:size]

    def link(to: int, after: str | None = None) -> str:
        token = {"PageToken": f"PA{after}"} if after else {}
        kept = {key: query[key] for key in ("FriendlyName", "Status") if key in query}
        return f"{ACCOUNTS_PATH}?{urlencode(kept | {'PageSize': size, 'Page': to} | token)}"

    answer = {
        "accounts": [_row(a) for a in page],
        "first_page_uri": link(0),
        "next_page_uri": link(number + 1, page[-1].sid) if len(rest) > size else None,
        "previous_page_uri": link(number - 1) if number else None,
        "uri": link(number, query.get("PageToken", "").removeprefix("PA")),
        "page": number,
        "page_size": size,
        "start": number * size,
        "end": number * size + max(len(page) - 1, 0),
    }
    return orjson.dumps(answer)


def _row(account: Account) -> dict[str, Any]:
    at, uri = f"{account.created:%a, %d %b %Y %H:%M:%S +0000}", f"{_VERSION}/Accounts/{account.sid}"
    return {
        "sid": account.sid,
        "friendly_name": account.friendly_name,
        "status": account.status,
        "owner_account_sid": (account.parent or account).sid,
        "type": "Full",
        "date_created": at,
        "date_updated": at,
        "auth_token": account.auth_token,
        "uri": f"{uri}.json",
        "subresource_uris": {name: f"{uri}/{name.title()}.json" for name in _SUBRESOURCES},
    }
