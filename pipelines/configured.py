"""What is configured, and where each value comes from, without the secrets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple

import dlt

from pipelines.logs import VARIABLE
from pipelines.twilio_insights.settings import (
    SECTION,
    TWILIO_NAMES,
    Found,
    TwilioInsightsConfiguration,
    look_up,
)
from pipelines.warehouse.file import DEFAULT_NAME

WAREHOUSE = ("destination", "duckdb", "credentials")
OURS: dict[tuple[str, ...], Any] = {
    **{
        (*SECTION, name): getattr(TwilioInsightsConfiguration, name)
        for name in TwilioInsightsConfiguration.get_resolvable_fields()
    },
    WAREHOUSE: DEFAULT_NAME,
    ("report_timezone",): "UTC",
    ("publish", "directory"): "published, beside the warehouse",
    ("publish", "personal_data"): True,
    ("runtime", "slack_incoming_hook"): None,
}
"""The program's settings by path, with what it assumes otherwise."""
_SIDS = ("account_sid", "api_key_sid")
_SECRETS = ("auth_token", "api_key_secret", "slack_incoming_hook")


class Setting(NamedTuple):
    """`value` is masked if it is a secret; `origin` names a variable, a file, or the default."""

    name: str
    value: str
    origin: str


def read_settings() -> Iterator[Setting]:
    """Every setting of the program that has a value."""
    for path, default in OURS.items():
        found = look_up(*path)
        if path == WAREHOUSE:
            found = look_up(*path, "database") or found
        variable = TWILIO_NAMES.get(path[-1], "")
        if found is None and variable in os.environ:
            found = Found(os.environ[variable], variable)
        if found or default is not None:
            value, origin = found or Found(default, "default")
            yield Setting(".".join(path), _shown(path[-1], value), origin)


def _shown(name: str, value: Any) -> str:
    """Not what is a secret, or might be one that was put into the wrong place."""
    text = str(value.get("database")) if isinstance(value, dict) else str(value)
    plain = {
        "base_url": r"https?://[\w.:\[\]-]+/?",
        **dict.fromkeys(_SIDS, "(AC|SK)[0-9a-fA-F]{32}"),
    }
    if name in _SECRETS or not re.fullmatch(plain.get(name, "[^@]*"), text):
        return f"({len(text)} characters)"
    return text


def find_unknown() -> Iterator[str]:
    """Names that look like settings of the program and are none: misspelt ones, mostly."""
    known = {"__".join(path).upper() for path in OURS}
    known |= {*TWILIO_NAMES.values(), VARIABLE, "__".join((*WAREHOUSE, "database")).upper()}
    ours = ("SOURCES__TWILIO_INSIGHTS__", "PUBLISH__")
    for name in sorted(os.environ.keys() - known):
        if name.startswith(ours) or get_close_matches(name, known, 1, cutoff=0.93):
            yield name
    for provider in dlt.config.config_providers:
        for section in (SECTION, ("publish",)):
            found, _ = provider.get_value(section[-1], dict, "", *section[:-1])
            names = found if isinstance(found, dict) else {}
            for name in names.keys() - {path[-1] for path in OURS if path[:-1] == section}:
                yield f"{'.'.join(section)}.{name} in {provider.name}"
