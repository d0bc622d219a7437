"""The command `erase`: everything of some conferences, of somebody, or older than an age."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from pipelines.cli import epilogs
from pipelines.cli.options import age, conference_option
from pipelines.cli.shutdown import ask, exit_on_error
from pipelines.logs import say

if TYPE_CHECKING:
    from pipelines.run.erase import Found


@click.command(epilog=epilogs.MORE, short_help="Erase conferences, or somebody, for good.")
@conference_option(help="This one; repeatable.")
@click.option("--identity", metavar="TEXT", help="Every personal value that is just this text.")
@click.option("--older-than", type=age, help="What was created before: 400d.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and write nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(
    conferences: tuple[str, ...],
    identity: str | None,
    older_than: timedelta | None,
    dry_run: bool,
    yes: bool,
) -> None:
    """Erase from warehouse, published copies, lake and working folder, for good.

    What Twilio still serves does not come back. An identity becomes NULL wherever personal data may
    be, and conferences stay counted. The table _erasures tells when and how much, not of whom.

    \b
    Examples:
      conference-insights erase --conference CF0123456789abcdef0123456789abcdef --dry-run
      conference-insights erase --identity +15005550006 --yes
      conference-insights erase --older-than 400d --yes
    """
    given = (bool(conferences), identity is not None, older_than is not None)
    if given.count(True) != 1:
        raise click.UsageError("Give one of --conference, --identity and --older-than.")
    if identity is not None and not (identity.strip() and _is_text(identity)):
        raise click.UsageError("--identity: write the text as it is in the warehouse.")
    if not (dry_run or yes or sys.stdin.isatty()):
        raise click.UsageError(
            "There is no terminal to ask on: look with --dry-run, then erase with --yes."
        )
    with exit_on_error() as stop:
        from pipelines.run.erase import count_erasable
        from pipelines.run.erase import erase as erase_all
        from pipelines.run.erasures import Subject

        subject = Subject(conferences, identity, older_than=older_than)
        # Of an identity values are erased, of which a row may have several.
        unit = "row" if identity is None else "value"
        if dry_run or not yes:
            found = count_erasable(subject)
            _tell(found, "would be erased" if dry_run else "will be erased, for good", unit)
            if dry_run or stop.is_set():
                return
            if not ask("Erase them?"):
                say("Nothing was erased")
                return
        found = erase_all(subject, stop)
        if found.counts or not older_than:
            _tell(found, "erased", unit)


def _is_text(argument: str) -> bool:
    """Whether it was UTF-8: any character may be in a name, even such as are not seen."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _tell(found: Found, done: str, unit: str) -> None:
    for table, number in sorted(found.counts.items()):
        say(f"{table}: {number:,} {unit}{'' if number == 1 else 's'} {done}")
    if not found.counts:
        say("There is nothing to erase" if found.is_all else "Nothing was found to erase")
    if not found.is_all:
        say("Not compared: values that were hashed with a hash_key that is not set now")
