"""Parameters of a request, read as Twilio reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def parameter(query: dict[str, str], name: str, parse: Callable[[str], T], default: T) -> T:
    """A parameter's value; raises ValueError naming one that is wrong."""
    try:
        return parse(query[name]) if name in query else default
    except ValueError:
        raise ValueError(f"Invalid query parameter: {name}") from None


def page_size(query: dict[str, str]) -> int:
    """50 by default, and 1000 at most."""
    if not 1 <= (size := parameter(query, "PageSize", int, 50)) <= 1000:
        raise ValueError("Invalid query parameter: PageSize")
    return size


def fits(row: dict[str, Any], query: dict[str, str], filters: dict[str, str]) -> bool:
    """Whether a row is what the query's filters ask for; `filters` are fields by parameter."""
    for name in query.keys() & filters:
        value, wanted = row.get(filters[name]), query[name]
        if isinstance(value, dict):
            value = [kind for kind, count in value.items() if count]
        if wanted not in value if isinstance(value, list) else wanted != value:
            return False
    return True
