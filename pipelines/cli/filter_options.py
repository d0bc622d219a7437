"""Options for the filters of the list of conferences."""

from __future__ import annotations

import logging
from functools import cached_property

import click

log = logging.getLogger("conference_insights")


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
