"""What arguments and options take: SIDs of conferences, times, durations, values of filters."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial

import click

log = logging.getLogger("conference_insights")


def conference_sid(text: str) -> str:
    """The SID of a conference."""
    if not re.fullmatch("CF[0-9a-fA-F]{32}", text):
        raise click.BadParameter(
            f"{text!r} is not CF and 32 hex digits, as in CF0123456789abcdef0123456789abcdef"
        )
    return text


def _moment(text: str) -> str:
    """A date, a time or an age; that is counted later, from the server's clock."""
    from pipelines.times import parse_moment

    try:
        parse_moment(text, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return text


def duration(text: str, longest: timedelta = timedelta(days=366)) -> timedelta:
    """A duration such as 90s, 15m, 2h or 7d."""
    from pipelines.times import parse_duration

    try:
        if found := parse_duration(text, longest):
            return found
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    raise click.BadParameter("must be greater than zero")


def age(text: str) -> timedelta:
    """The same, up to a century."""
    return duration(text, timedelta(days=36_600))


moment_option = partial(click.option, type=_moment, metavar="TIME")
conference_option = partial(
    click.option,
    "--conference",
    "conferences",
    type=conference_sid,
    metavar="CF...",
    multiple=True,
)


def _filter(_context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Check the value of a filter, as in the settings."""
    from pipelines.twilio_insights.filters import filter_problem, filter_warning

    if value is None:
        return None
    name, value = str(option.name), value.strip()
    if problem := filter_problem(name, value):
        raise click.BadParameter(problem)
    if warning := filter_warning(name, value):
        log.warning("%s: %s", option.opts[0], warning)
    return value


class Filtered(click.Command):
    """It has an option for each filter of the list, by names that take a while to import."""

    @cached_property
    def _filters(self) -> list[click.Parameter]:
        from pipelines.twilio_insights.resources import CONFERENCES

        options = {name: name.replace("_", "-") for name in CONFERENCES.filters}
        return [
            click.Option([f"--{option}"], callback=_filter, help=f"Filter by {name}; one value.")
            for name, option in options.items()
        ]

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        *own, help_option = super().get_params(ctx)
        return [*own, *self._filters, help_option]
