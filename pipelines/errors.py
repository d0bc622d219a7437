"""The error that every layer raises for a setting."""

from __future__ import annotations

from pipelines.exit_codes import USAGE


class SettingsError(ValueError):
    """A setting is missing or wrong; the message names it and says what to write."""

    exit_code = USAGE
