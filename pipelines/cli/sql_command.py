"""The command `sql`: the views as SQL of another engine."""

from __future__ import annotations

from functools import cached_property

import click

from pipelines.cli import epilogs
from pipelines.cli.shutdown import exit_on_error


class _InDialect(click.Command):
    """It has an option for the dialects, by names that take a while to import."""

    @cached_property
    def _dialect(self) -> click.Parameter:
        from pipelines.warehouse.dialects import DIALECTS

        kind = click.Choice([*DIALECTS])
        return click.Option(["--dialect"], type=kind, required=True, help="The engine's SQL.")

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [self._dialect, *super().get_params(ctx)]


@click.command(cls=_InDialect, epilog=epilogs.EXITS, short_help="Print the views for an engine.")
@click.option("--view", metavar="NAME", help="Only this view, with those that it is made of.")
def sql(dialect: str, view: str | None) -> None:
    """Print the statements that make the views in another engine, with their comments.

    Apply them in their order, with a tool of your own. The views are in schema analytics, which has
    to exist; they read tables of schema conference_insights, which the first line names. Bring
    those there too, also the ones that runs make: _runs, _checks, _report, and _report_hours,
    from which the views take the hours and days of report_timezone.

    \b
    Examples:
      conference-insights sql --dialect postgres
      conference-insights sql --dialect snowflake --view conference_kpis
    """
    with exit_on_error():
        from pipelines.run.post_load import DESCRIPTIONS
        from pipelines.warehouse.dialects import write_views

        click.echo("\n\n".join(write_views(dialect, DESCRIPTIONS, view)))
