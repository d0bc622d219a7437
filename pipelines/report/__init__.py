"""The report: one HTML file of charts and figures, made from the published copy; and `conference`,
which reads from there what is known of a single one.

Nothing here knows how a run loads: `figures` queries the copy, all of it or what `accounts`
finds of one, `charts` draws, `layout`, `sections`, `participants` and `page` make the page,
`markup` escapes.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.exit_codes import USAGE
from pipelines.files import replace_file
from pipelines.report.accounts import AccountError
from pipelines.report.figures import PeriodError, read_figures
from pipelines.report.page import TITLE, write_page
from pipelines.report.published_copy import CopyError
from pipelines.warehouse.warehouse import Place

__all__ = [
    "AccountError",
    "CopyError",
    "OutputError",
    "PeriodError",
    "expect_replaceable",
    "write_report",
]

HEAD_BYTES = 1_000
"""Where the title of every report is, whichever version wrote it."""


class OutputError(Exception):
    """There is something else that the report would replace."""

    exit_code = USAGE


def write_report(
    copy: Path | Place,
    output: Path,
    since: str | None = None,
    until: str | None = None,
    account: str | None = None,
) -> Path:
    """Write the report of a period to a file, which is there as a whole or not at all.

    Args:
        copy: the published `insights.duckdb`.
        output: the HTML file; one that is there is replaced, but nothing else.
        since: first day, a date or an age such as `29d`; by default 7 days before the end.
        until: the day after the last; by default the day that the data goes to, so that all days
            of the report are over.
        account: SID or name of the only account to be in it; by default all are.

    Returns:
        The file's absolute path.

    Raises:
        CopyError: there is no copy, or it cannot be read.
        PeriodError: there is no such period.
        AccountError: there is no such account, or there are several.
        OutputError: there is another file.
        OSError: the file cannot be written.
    """
    output = output.absolute()
    expect_replaceable(output)
    document = write_page(read_figures(copy, since, until, account))
    try:
        replace_file(output, document)
    except OSError as error:
        raise OSError(f"{output} cannot be written: {error.strerror}") from None
    return output


def expect_replaceable(output: Path) -> None:
    """Only an earlier report or an empty file is written over, also a device or a pipe.

    Raises:
        OutputError: there is such a file.
    """
    if output.suffix == ".wal" or (output.is_file() and not _may_be_report(output)):
        raise OutputError(f"{output} is no report: write it to another file")


def _may_be_report(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            head = opened.read(HEAD_BYTES)
    except OSError:
        return False
    return not head or f"<title>{TITLE}".encode() in head
