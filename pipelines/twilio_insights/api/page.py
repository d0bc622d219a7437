"""A page of the API, as it is handed to whoever takes its rows over."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple


class Page(NamedTuple):
    """`rows` are elements of the list: each a `Record`, or decoded if it is out of the ordinary; an
    object then, if the API keeps its word."""

    rows: list[Any]
    fetched_at: datetime
    next_url: str | None = None
    status: int = 200
