"""What was erased from the destination, so that it does not come back while Twilio still serves it.

Of whom an erasure was there is only a salted digest, and that not for longer than Twilio keeps it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from pipelines.lifecycle import RETENTION
from pipelines.times import as_utc
from pipelines.twilio_insights.codec import parse
from pipelines.twilio_insights.extract.personal import changed
from pipelines.twilio_insights.tables import Column

if TYPE_CHECKING:
    from pipelines.twilio_insights.extract.flatten import Tables

KEPT = RETENTION + timedelta(days=1)
"""How long a digest is."""
SIDS = re.compile("C[FP][0-9a-fA-F]{32}")
"""Of conferences and participants."""
_TEXTS = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
"""Those of JSON, in their quotation marks."""


def new_salt() -> str:
    return secrets.token_hex(blake2b.SALT_SIZE)


def digest_of(text: str, salt: str) -> str:
    return blake2b(text.encode(), digest_size=16, salt=bytes.fromhex(salt)).hexdigest()


class Erasures:
    """Those whose conferences or identities Twilio may still serve.

    Args:
        query: reads the destination.
    """

    def __init__(self, query: Callable[..., list[tuple[Any, ...]]]) -> None:
        self._digests: dict[str, list[tuple[str, str]]] = {"conference": [], "identity": []}
        self._created_before: datetime | None = None
        self._known: dict[str, bool] = {}
        for kind, salt, digest, before in query(
            "SELECT kind, erasure_id, digest, created_before FROM {_erasures} "
            "WHERE digest IS NOT NULL OR created_before IS NOT NULL"
        ):
            if before is None:
                self._digests[kind].append((salt, digest))
            else:
                self._created_before = max(as_utc(before), self._created_before or as_utc(before))
        self.has_any = bool(self._digests["conference"] or self._created_before)
        """Whether conferences were erased."""

    def covers(self, conference: str, created: datetime | None) -> bool:
        """Whether a conference, by its SID and when it was created, was erased."""
        return self._is_old(created) or self._is_one("conference", conference)

    def covers_rejected(self, text: str, created: datetime | None) -> bool:
        """Whether what cannot be a record, created then as far as it says, names an erased
        conference or would be one itself."""
        if self._is_old(created):
            return True
        return self.has_any and any(self._is_one("conference", sid) for sid in SIDS.findall(text))

    def _is_old(self, created: datetime | None) -> bool:
        return bool(created and self._created_before and created < self._created_before)

    def tables(self, tables: Tables) -> Tables:
        """What is written instead of these rows: nothing where an erased identity is."""
        return changed(tables, self._without) if self._digests["identity"] else tables

    def reason(self, text: str) -> str:
        """The same of why something failed: behind a colon there may be what it failed at."""
        return text.partition(":")[0] if self._digests["identity"] else text

    def _without(self, column: Column, text: str | None) -> str | None:
        if text is None:
            return None
        if not column.is_json:
            return None if self._is_erased(text) else text
        return empty_of(column) if holds(text, self._is_erased) else text

    def _is_erased(self, text: str) -> bool:
        if text not in self._known:
            # A destination that has no NUL has this instead, and so it was given.
            forms = {text, text.replace("\0", "\ufffd")}
            self._known[text] = any(self._is_one("identity", form) for form in forms)
        return self._known[text]

    def _is_one(self, kind: str, text: str) -> bool:
        return any(digest_of(text, salt) == digest for salt, digest in self._digests[kind])


def empty_of(column: Column) -> str | None:
    """What a column of personal data has where nothing is left."""
    return None if column.nullable else "null"


def holds(json_text: str, is_it: Callable[[str], bool]) -> bool:
    """Whether a text in some JSON, at any depth, is one of these; names of members too.

    It is looked through text by text: what reads values ends at some depth.
    """
    return any(is_it(_unquoted(quoted)) for quoted in _TEXTS.findall(json_text))


def _unquoted(quoted: str) -> str:
    try:
        return str(parse(quoted.encode(errors="replace")))
    except ValueError:
        return quoted[1:-1]
