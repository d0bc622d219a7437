"""Restricts the report to one account, by its name or SID."""

from __future__ import annotations

import re
from difflib import SequenceMatcher

from pipelines.report.formatting import list_some
from pipelines.warehouse.database import ANALYTICS, Database

NAMES_SHOWN = 10
"""Most names of accounts in an error."""


class AccountError(ValueError):
    """The requested account is not in the copy, or several are called so."""


def find_account(database: Database, wanted: str) -> str:
    """The SID of the account that has this SID or name.

    Raises:
        AccountError: there is none, or more than one.
    """
    known: list[tuple[str, str]] = database.execute(
        "SELECT account_sid, account_name FROM analytics.accounts "
        "WHERE account_sid IS NOT NULL ORDER BY account_name, account_sid"
    )
    sids = [sid for sid, _ in known if sid == wanted]
    sids = sids or [sid for sid, name in known if name == wanted]
    sids = sids or [sid for sid, name in known if name.casefold() == wanted.casefold()]
    if len(sids) == 1:
        return sids[0]
    if sids:
        shown = list_some(sids, NAMES_SHOWN)
        raise AccountError(f"{len(sids)} accounts are called {wanted}, give a SID: {shown}")

    def likeness(name: str) -> float:
        return SequenceMatcher(None, wanted.casefold(), name.casefold()).ratio()

    names = sorted(dict.fromkeys(name for _, name in known), key=likeness, reverse=True)
    shown = list_some(names, NAMES_SHOWN) or "none"
    raise AccountError(f"No account is called {wanted}; there are: {shown}")


def of_account(database: Database, text: str) -> str:
    """The same SQL, reading only what belongs to `$account`; runs belong to none."""
    names = "|".join(
        re.escape(name)
        for name, columns in database.columns(ANALYTICS).items()
        if "account_sid" in columns and not name.endswith(".load_history")
    )
    return re.sub(
        rf"\b({names})\b",
        lambda table: f"(SELECT * FROM {table[0]} WHERE account_sid = $account)",
        text,
    )
