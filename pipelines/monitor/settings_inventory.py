"""The settings as `doctor` shows them, without secrets, and names that are no settings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import NamedTuple

from pipelines.logs import LOG_VARIABLE
from pipelines.monitor.alerts import hook_problem
from pipelines.monitor.health import HealthIssue
from pipelines.run.settings import (
    CONFIG_FILE,
    DEFAULTS,
    HIDDEN,
    SECRETS_FILE,
    Found,
    content_of,
    exposed_files,
    find,
)
from pipelines.twilio_insights.filters import FILTERS
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.twilio_insights.settings import EDGE, REGION, SECTION, TWILIO_NAMES

PERSONAL = {column.name for column in CONFERENCES.columns if column.personal}


class Shown(NamedTuple):
    """A setting as shown to people; a secret `value` is masked, `origin` may be the default."""

    name: str
    value: str
    origin: str


def shown_settings() -> Iterator[Shown]:
    """Every setting of the program that has a value, without the secrets.

    Raises:
        SettingsError: as `find`.
    """
    for path, default in DEFAULTS.items():
        found = find(*path)
        if found or default is not None:
            value, origin = found or Found(default, "default")
            text = str(value).lower() if isinstance(value, bool) else str(value)  # as it is written
            yield Shown(".".join(path), _masked(path, text), origin)


def _masked(path: tuple[str, ...], text: str) -> str:
    """Hide a secret, personal data, and anything that may be a secret in the wrong place."""
    sid = "(AC|SK)[0-9a-fA-F]{32}"
    paths = {"credentials": "[^@]*", "directory": "[^@]*"}
    host = r"https?://[\w.:\[\]-]+"
    plain = paths | {"base_url": f"{host}/?", "account_sid": sid, "api_key_sid": sid}
    plain |= {"accounts": r"own|all|(AC[0-9a-fA-F]{32}[,\s]*)+"}
    plain |= {"accounts_url": rf"(?!.*[0-9A-Za-z]{{32}}){host}(/[\w./-]*)?"}
    pattern = plain.get(path[-1], "(?!.*[0-9A-Za-z]{32})[^@]*")
    if path in HIDDEN or path[-1] in PERSONAL or not re.fullmatch(pattern, text):
        return f"({len(text)} characters)"
    return text


def find_unknown_settings() -> Iterator[str]:
    """Names that look like settings of this program but are not: mostly misspelt ones."""
    known = {"__".join(path).upper() for path in DEFAULTS}
    known |= {*TWILIO_NAMES.values(), EDGE, REGION, LOG_VARIABLE}
    known.add("DESTINATION__DUCKDB__CREDENTIALS__DATABASE")
    ours = ("SOURCES__TWILIO_INSIGHTS__", "PUBLISH__", "CHECKS__")
    for name in sorted(os.environ.keys() - known):
        if name.startswith("__".join(FILTERS).upper()):
            continue  # an unknown filter is an error
        if name.startswith(ours) or get_close_matches(name, known, 1, cutoff=0.93):
            yield name
    for file in (SECRETS_FILE, CONFIG_FILE):
        content = content_of(file)
        sources = content.get("sources")
        for section, names in (
            (SECTION, sources.get(SECTION[-1]) if isinstance(sources, dict) else None),
            (("publish",), content.get("publish")),
            (("checks",), content.get("checks")),
        ):
            for name in names.keys() if isinstance(names, dict) else ():
                if (*section, name) not in {*DEFAULTS, FILTERS}:
                    yield f"{'.'.join((*section, name))} in {file}"


def look_at_settings() -> Iterator[HealthIssue]:
    """What is wrong with settings that no run refuses."""
    for name in find_unknown_settings():
        yield HealthIssue(
            "warn", f"{name} is not a setting of this program", "see pipelines/settings.md"
        )
    for file in exposed_files():
        yield HealthIssue("warn", f"Others can read {file}", f"chmod 600 {file}")
    if problem := hook_problem():
        yield HealthIssue("warn", problem, "write https://… into RUNTIME__SLACK_INCOMING_HOOK")
