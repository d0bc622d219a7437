"""The SID of a conference, as an argument."""

from __future__ import annotations

import re

import click


def expect_sid(text: str) -> None:
    """Check that it has the shape of a conference's SID."""
    if not re.fullmatch("CF[0-9a-fA-F]{32}", text):
        raise click.BadParameter(
            f"{text!r} is not CF and 32 hex digits, as in CF0123456789abcdef0123456789abcdef",
            param_hint="conference",
        )
