"""The command `conference-insights` and its options.

Everything heavy is imported by the commands that need it, so that `--help` answers at once.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from datetime import timedelta
from pathlib import Path

import click
from click.core import ParameterSource

from pipelines.cli import epilogs
from pipelines.cli.erase_command import erase
from pipelines.cli.options import (
    Filtered,
    conference_option,
    conference_sid,
    duration,
    moment_option,
)
from pipelines.cli.reconcile_command import reconcile
from pipelines.cli.shutdown import exit_on_error
from pipelines.cli.sql_command import sql
from pipelines.exit_codes import EXIT_CODES
from pipelines.logs import LOG_VARIABLE, say, start_logging

log = logging.getLogger("conference_insights")


def _log_style(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value not in (None, "", "human", "json"):  # not repeated: it may be a secret's
        raise click.BadParameter(f"write human or json, also in {LOG_VARIABLE}")
    return value or None


@click.group(epilog=EXIT_CODES, context_settings={"max_content_width": 100})
@click.version_option(package_name="conference-insights")
@click.option(
    "--log",
    callback=_log_style,
    envvar=LOG_VARIABLE,
    metavar="human|json",
    help="Plain lines or JSON lines; by default plain on a terminal, JSON elsewhere.",
)
@click.pass_context
def main(context: click.Context, log: str | None) -> None:
    """Load Twilio Conference Summaries into DuckDB or PostgreSQL, and keep them complete."""
    os.umask(os.umask(0o077) | 0o022)  # no other user can write the files
    if log or context.invoked_subcommand == "demo":
        os.environ[LOG_VARIABLE] = log or "human"
    if not os.environ.get("COLUMNS", "").strip("0"):  # which rich would take for a width
        os.environ.pop("COLUMNS", None)
    start_logging()
    context.color = False if os.environ.get("NO_COLOR") else None
    # Without pygments httpx leaves out its own command, which imports rich: 60 ms of each run.
    sys.modules.setdefault("pygments", None)  # type: ignore[arg-type]
    gc.set_threshold(200_000, 20, 20)  # pages are many dicts, none of them in a cycle
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # returns freed memory


main.add_command(sql)
main.add_command(reconcile)
main.add_command(erase)


@main.command(epilog=epilogs.RUN, short_help="Bring the warehouse up to date.")
@click.option(
    "--until-complete",
    is_flag=True,
    help="Keep polling until everything that was pending at the first listing is final. It waits "
    "for no conference that ended, or began if it has no end, over 24 hours ago.",
)
@click.option("--every", type=duration, default="60s", show_default=True, help="How often to poll.")
@click.option(
    "--timeout", type=duration, default="45m", show_default=True, help="When to stop polling."
)
@click.pass_context
def run(context: click.Context, until_complete: bool, every: timedelta, timeout: timedelta) -> None:
    """Bring the warehouse up to date: what is new, late, changed or still pending.

    \b
    Examples:
      conference-insights run
      conference-insights run --until-complete --every 60s --timeout 45m
    """
    sources = {context.get_parameter_source(option) for option in ("every", "timeout")}
    if ParameterSource.COMMANDLINE in sources and not until_complete:
        raise click.UsageError("--every and --timeout go with --until-complete.")
    with exit_on_error() as stop:
        from pipelines.cli.console import run_with_progress
        from pipelines.run.pipeline import Polling

        run_with_progress("run", stop, Polling(every, timeout) if until_complete else None)


@main.command(
    cls=Filtered, epilog=epilogs.LOADING, short_help="Load a range, or single conferences, again."
)
@moment_option("--from", "since", help="A date, a time or an age: 2026-11-01, 29d.")
@moment_option("--to", "until", default="0d", help="The same; now by default.")
@conference_option(help="Only this one.")
@click.pass_context
def backfill(
    context: click.Context,
    /,
    since: str | None,
    until: str,
    conferences: tuple[str, ...],
    **filters: str | None,
) -> None:
    """Load summaries again that scheduled runs no longer list, and write what differs.

    The watermark does not move. Twilio keeps 30 days. If a backfill is interrupted, run it again.
    Filters go with --from, and replace configured ones of the same name.

    \b
    Examples:
      conference-insights backfill --from 29d
      conference-insights backfill --from 2026-11-01 --to 2026-11-08
      conference-insights backfill --from 7d --mixer-region ie1
      conference-insights backfill --conference CF0123456789abcdef0123456789abcdef
    """
    if bool(since) == bool(conferences):
        raise click.UsageError("Give either --from or --conference.")
    if conferences and context.get_parameter_source("until") is ParameterSource.COMMANDLINE:
        raise click.UsageError("--to goes with --from, not with --conference.")
    given = {name: value for name, value in filters.items() if value is not None}
    if given and conferences:
        raise click.UsageError("Filters go with --from, not with --conference.")
    with exit_on_error() as stop:
        from pipelines.cli.console import run_with_progress
        from pipelines.run.pipeline import Backfill

        scope = Backfill(since or "30d", until, conferences, given)
        run_with_progress("backfill", stop, backfill=scope)


@main.command(epilog=epilogs.MORE, short_help="Rebuild the copy for BI tools, or a server's views.")
def publish() -> None:
    """Apply the views, run the checks, and publish a new copy of the warehouse as it is.

    Every successful run does this too; here all is rebuilt, without the API. A server has no copy.

    \b
    Example:
      conference-insights publish
    """
    with exit_on_error():
        from pipelines.run.post_load import publish_now

        say(str(publish_now()))


@main.command(epilog=epilogs.MORE, short_help="Write an HTML report of charts and figures.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default="report.html",
    show_default=True,
    help="The HTML file; an earlier one is replaced, nothing else.",
)
@click.option("--from", "since", help="First day, a date or an age: 2026-11-01, 29d.")
@click.option("--to", "until", help="Day after the last; by default the day of the newest data.")
@click.option("--account", metavar="NAME|AC...", help="Only this account; by default all.")
def report(output: Path, since: str | None, until: str | None, account: str | None) -> None:
    """Write one HTML file of charts and figures from the published copy, or from the server.

    By default it compares the last 7 full days with the 7 before. Days are in report_timezone;
    ages count back from the day of the newest data. The file is self-contained: open it in a
    browser, print it, or send it.

    \b
    Examples:
      conference-insights report
      conference-insights report --output november.html --from 2026-11-01 --to 2026-12-01
      conference-insights report --account "Support" --output support.html
    """
    with exit_on_error():
        from pipelines.cli.own_copy import own_copy
        from pipelines.errors import SettingsError
        from pipelines.report import AccountError, PeriodError, write_report

        try:
            say(str(write_report(own_copy(), output, since, until, account)))
        except (PeriodError, AccountError) as error:
            raise SettingsError(str(error)) from None


@main.command(epilog=epilogs.MORE, short_help="Show one conference with its participants.")
@click.argument("conference", metavar="CF...", type=conference_sid)
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
def show(conference: str, as_json: bool) -> None:
    """Show one conference with its participants, from the published copy, or from the server.

    Times are in report_timezone; in JSON in UTC. An exclamation mark follows what Twilio documents
    as poor. On a terminal there are tables; elsewhere each line says whose it is.

    \b
    Examples:
      conference-insights show CF0123456789abcdef0123456789abcdef
      conference-insights show CF0123456789abcdef0123456789abcdef | grep '^Participant '
      conference-insights show --json CF0123456789abcdef0123456789abcdef
    """
    with exit_on_error():
        from pipelines.cli.own_copy import own_copy
        from pipelines.cli.show import show_conference

        show_conference(own_copy(), conference, as_json)


@main.command(epilog=epilogs.EXITS, short_help="Try everything on simulated accounts.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default="demo",
    show_default=True,
    help="Folder of its own warehouse; only that of an earlier demo is replaced.",
)
def demo(folder: Path) -> None:
    """Show the whole pipeline at work on simulated accounts: no credentials, no network.

    \b
    Example:
      conference-insights demo
    """
    with exit_on_error() as stop:
        from pipelines.cli.demo import run_demo

        run_demo(folder, stop)


@main.command(epilog=epilogs.DURATIONS, short_help="Show the warehouse's state.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, for programs.")
@click.option("--max-age", type=duration, help="Exit with 3 if the last good run is older.")
def status(as_json: bool, max_age: timedelta | None) -> None:
    """Show the warehouse's state, from what runs leave with it; no run has to wait.

    For monitors: ends with the code of the most severe problem marked FAIL, or with 0.

    \b
    Examples:
      conference-insights status
      conference-insights status --json
      conference-insights status --max-age 2h
    """
    with exit_on_error():
        from pipelines.monitor.status import show_status

        code = show_status(as_json, max_age)
    sys.exit(code)


@main.command(epilog=epilogs.MORE, short_help="Find problems and say how to fix them.")
def doctor() -> None:
    """Check settings, credentials, clock, warehouse, copies, disk and versions.

    Each problem comes with a next step; ends with the code of the most severe. It reads the whole
    warehouse while it holds the run lock, and changes nothing, here or at Twilio.

    \b
    Example:
      conference-insights doctor
    """
    with exit_on_error():
        from pipelines.monitor.doctor import examine

        code = examine()
    sys.exit(code)
