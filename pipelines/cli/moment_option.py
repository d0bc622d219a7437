"""Options that take a time."""

from __future__ import annotations

from datetime import UTC, datetime

import click


def moment(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Check a time; an age is counted later, from the server's clock."""
    from pipelines.times import parse_moment

    try:
        parse_moment(value or "0d", datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value
