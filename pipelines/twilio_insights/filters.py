"""The filters of the list of conferences: their names, and what their values may be."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from typing import Any

from pipelines.errors import SettingsError
from pipelines.twilio_insights.resources import CONFERENCES

FILTERS = ("sources", "twilio_insights", "filters")
"""The section that has a setting for each."""


def filter_names(table: Any, origin: object) -> set[str]:
    """Those that there are, and those that a table or the environment has, known or not.

    Raises:
        SettingsError: it is no table, or a variable is in other letters, which nothing would read.
    """
    section, variable = ".".join(FILTERS), "__".join(FILTERS).upper()
    if text := os.environ.get(variable, "").strip():
        table, origin = text, variable
    if not isinstance(table, dict | None):  # it may be a secret
        one = CONFERENCES.filters[-1]
        raise SettingsError(
            f"{section} in {origin}: set each filter by its name, as {section}.{one} or "
            f"{variable}__{one.upper()}"
        )
    variables = [name for name in os.environ if name.upper().startswith(f"{variable}__")]
    for one in variables:
        if one != one.upper():
            raise SettingsError(f"{one}: write it in capitals, {one.upper()}")
    named = {name.removeprefix(f"{variable}__").lower() for name in variables}
    return {*CONFERENCES.filters, *(table or {}), *named}


def filter_problem(name: str, value: Any) -> str | None:
    """What is wrong with a filter, if something is; the value may be a secret."""
    if name not in CONFERENCES.filters:
        close = get_close_matches(name, CONFERENCES.filters, 1)
        meant = f"; did you mean {close[0]}?" if close else "."
        return f"no such filter{meant} There are: {', '.join(CONFERENCES.filters)}"
    is_text = isinstance(value, str) and value.strip()
    if not is_text or re.search(r"[\0-\x1f\x7f\ud800-\udfff]", value):
        return "write text, in one line"
    return None


def filter_warning(name: str, value: str) -> str | None:
    """What to say of a value that Twilio's documentation does not have."""
    tables = {child.name: child.table for child in CONFERENCES.children}
    table = tables.get(name, CONFERENCES.table)
    for column in table.columns:
        if column.name in (name, table.key[-1]) and column.values and value not in column.values:
            return (
                "Twilio documents no such value, but it is used as it is. "
                f"Documented: {', '.join(column.values)}"
            )
    return None
