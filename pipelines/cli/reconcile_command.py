"""The command `reconcile`: whether the warehouse has what Twilio has."""

from __future__ import annotations

import click

from pipelines.cli import epilogs
from pipelines.cli.options import moment_option
from pipelines.cli.shutdown import exit_on_error


@click.command(epilog=epilogs.LOADING, short_help="Compare the warehouse with Twilio, by day.")
@moment_option(
    "--from", "since", default="29d", show_default=True, help="A date, a time or an age."
)
@moment_option("--to", "until", default="0d", help="The same; now by default.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.option("--repair", is_flag=True, help="Write what is missing or different.")
def reconcile(since: str, until: str, as_json: bool, repair: bool) -> None:
    """Read a range from Twilio and compare it with the warehouse, record by record.

    Shows the days, in UTC, on which they are not equal. Without --repair nothing is written but its
    own row in _runs. Ends with 65 if something is missing or different. What the next run loads is
    no difference.

    \b
    Examples:
      conference-insights reconcile
      conference-insights reconcile --from 2026-11-01 --to 2026-11-08 --json
      conference-insights reconcile --repair
    """
    with exit_on_error() as stop:
        from pipelines.cli.comparison import show_comparison
        from pipelines.cli.console import run_with_progress
        from pipelines.run.pipeline import Backfill
        from pipelines.twilio_insights.extract.comparison import Comparison

        scope, comparison = Backfill(since, until), Comparison(repair)
        try:
            run_with_progress("reconcile", stop, backfill=scope, comparison=comparison)
        finally:
            if comparison.window:
                show_comparison(comparison, as_json)
