"""The settings as `doctor` shows them, without secrets, and names that are no settings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, NamedTuple

from pipelines.errors import SettingsError
from pipelines.exit_codes import USAGE
from pipelines.logs import LOG_VARIABLE
from pipelines.monitor.alerts import hook_problem
from pipelines.monitor.health import SEE_SETTINGS, HealthIssue
from pipelines.run.settings import (
    CONFIG_FILE,
    DEFAULTS,
    HIDDEN,
    SECRETS_FILE,
    WAREHOUSE_FILE,
    SettingValue,
    content_of,
    exposed_files,
    find,
)
from pipelines.twilio_insights.filters import FILTERS
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.twilio_insights.twilio_variables import EDGE, REGION, TWILIO_NAMES

PERSONAL = {column.name for column in CONFERENCES.columns if column.personal}
_OURS = ("SOURCES__TWILIO_INSIGHTS__", "PUBLISH__", "CHECKS__")
"""Sections that have settings of this program alone."""


class Shown(NamedTuple):
    """A setting as shown to people; a secret `value` is masked, `origin` may be the default."""

    name: str
    value: str
    origin: str


def shown_settings() -> Iterator[Shown]:
    """Every setting of the program that has a value, without the secrets, and without those that
    are wrong or cannot be read: `look_at_settings` has these."""
    for path, default in DEFAULTS.items():
        try:
            found = find(*path)
        except SettingsError:
            continue
        if found or default is not None:
            value, origin = found or SettingValue(default, "default")
            text = str(value).lower() if isinstance(value, bool) else str(value)  # as it is written
            yield Shown(".".join(path), _masked(path, text), origin)


def _masked(path: tuple[str, ...], text: str) -> str:
    """Hide a secret, personal data, and anything that may be a secret in the wrong place."""

    def location(*more: str) -> str:
        """Matches a path or URL that has nothing like a password in it."""
        suspects = "|".join(("password", "token", "secret", "//[^/]*:", *more))
        return f"(?is)(?!.*({suspects}))[^@?{{]*"

    sid = "(AC|SK)[0-9a-fA-F]{32}"
    paths = {"credentials": location(), "directory": location()}
    paths["lake"] = location("[0-9a-z]{32}")  # which may be a key
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
    paths = {*DEFAULTS, FILTERS, (*WAREHOUSE_FILE, "database")}
    variables = {*map(_variable, paths), *TWILIO_NAMES.values(), EDGE, REGION, LOG_VARIABLE}
    given = [(name, name) for name in sorted(os.environ.keys() - variables)]
    for file in (SECRETS_FILE, CONFIG_FILE):
        unknown = (path for path in _paths(content_of(file)) if path not in paths)
        given += [(_variable(path), f"{'.'.join(path)} in {file}") for path in unknown]
    for name, shown in given:
        if name.startswith(f"{_variable(FILTERS)}__"):
            continue  # an unknown filter is an error
        if name.startswith(_OURS) or get_close_matches(name, variables, 1, cutoff=0.93):
            yield shown


def _variable(path: tuple[str, ...]) -> str:
    return "__".join(path).upper()


def _paths(section: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Of all values, and of empty sections, of a settings file."""
    for name, value in section.items():
        if isinstance(value, dict) and value:
            yield from ((name, *path) for path in _paths(value))
        else:
            yield (name,)


def look_at_settings() -> Iterator[HealthIssue]:
    """Settings that cannot be read, and mistakes in settings that no run refuses."""
    is_read = True
    for path in DEFAULTS:
        try:
            find(*path)
        except SettingsError as error:
            is_read = False
            yield HealthIssue("fail", str(error), SEE_SETTINGS, USAGE)
    with suppress(SettingsError):  # of a file, which is told
        for name in find_unknown_settings():
            yield HealthIssue("warn", f"{name} is not a setting of this program", SEE_SETTINGS)
    for file in exposed_files():
        yield HealthIssue("warn", f"Others can read {file}", f"chmod 600 {file}")
    if is_read and (problem := hook_problem()):
        yield HealthIssue("warn", problem, "write https://… into RUNTIME__SLACK_INCOMING_HOOK")
