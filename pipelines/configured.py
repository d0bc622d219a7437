"""What is configured, and where each value comes from, without the secrets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import dlt

from pipelines.twilio_insights.settings import TWILIO_NAMES, TwilioInsightsConfiguration
from pipelines.warehouse.file import DEFAULT_NAME

SOURCE = ("sources", "twilio_insights")
SECRETS = {"auth_token", "api_key_secret", "slack_incoming_hook"}
OURS: dict[tuple[str, ...], Any] = {
    **{(*SOURCE, name): None for name in TwilioInsightsConfiguration.get_resolvable_fields()},
    ("destination", "duckdb", "credentials"): DEFAULT_NAME,
    ("report_timezone",): "UTC",
    ("publish", "directory"): "published, beside the warehouse",
    ("publish", "personal_data"): True,
    ("runtime", "slack_incoming_hook"): None,
}
"""By path, the default where the source's configuration has none."""


class Setting(NamedTuple):
    """`value` is masked if it is a secret; `origin` names a variable, a file, or the default."""

    name: str
    value: str
    origin: str


def read_settings() -> Iterator[Setting]:
    """Every setting of the program that has a value."""
    for path, default in OURS.items():
        name = path[-1]
        value, origin = _look_up(path)
        if value is None and path[:-1] == SOURCE:
            variable = TWILIO_NAMES.get(name, "")
            value, origin = os.environ.get(variable), variable
            default = getattr(TwilioInsightsConfiguration, name, None)
        if value is None:
            value, origin = default, "default"
        if value is not None:
            is_secret = name in SECRETS or "@" in str(value)  # a password in a URL
            shown = f"({len(str(value))} characters)" if is_secret else str(value)
            yield Setting(".".join(path), shown, origin)


def find_unknown() -> Iterator[str]:
    """Names that look like settings of the program and are none: misspelt ones, mostly."""
    known = {"__".join(path).upper() for path in OURS}
    ours = ("SOURCES__TWILIO_INSIGHTS__", "PUBLISH__")
    yield from (name for name in os.environ if name.startswith(ours) and name not in known)
    for provider in dlt.config.config_providers:
        for section in (SOURCE, ("publish",)):
            found, _ = provider.get_value(section[-1], dict, "", *section[:-1])
            names = found if isinstance(found, dict) else {}
            for name in names.keys() - {path[-1] for path in OURS if path[:-1] == section}:
                yield f"{'.'.join(section)}.{name} in {provider.name}"


def _look_up(path: tuple[str, ...]) -> tuple[Any, str]:
    """As dlt does: the first of its providers that has it."""
    for provider in dlt.config.config_providers:
        value, key = provider.get_value(path[-1], str, "", *path[:-1])
        if value is not None:
            files = ", ".join(map(str, provider.present_locations))
            return value, files or key
    return None, ""
