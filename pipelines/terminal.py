"""What people see while a run goes on, and its last line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from pipelines.conference_insights import Run
from pipelines.twilio_insights import Progress
from pipelines.twilio_insights.times import iso_seconds

SECONDS_BETWEEN_LINES = 5.0


@contextmanager
def progress_shown() -> Iterator[Callable[[Progress], None]]:
    """A progress bar on a terminal, elsewhere a plain line every few seconds; on stderr."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    said = TextColumn("{task.description}")
    with Bar(*columns, said, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda progress: bar.update(
            task, completed=progress.share_listed, description=_so_far(progress)
        )


def _lines() -> Callable[[Progress], None]:
    last = time.monotonic()

    def on_change(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            click.echo(f"{progress.share_listed:.0%} listed: {_so_far(progress)}", err=True)

    return on_change


def _so_far(progress: Progress) -> str:
    return (
        f"{progress.pages:,} pages, {progress.listed:,} listed, "
        f"{progress.new + progress.updated:,} to write, {progress.refetched:,} asked for again"
    )


def final_line(done: Run) -> str:
    """One line that says all a run did."""
    progress = done.progress
    window = "nothing listed"
    if progress.started_at and progress.listed_until:
        window = f"{iso_seconds(progress.started_at)} to {iso_seconds(progress.listed_until)}"
    kinds = ", ".join(f"{kind}: {count}" for kind, count in progress.retries.items())
    parts = [
        f"{done.command} {progress.run_id}",
        window,
        f"{progress.pages:,} pages",
        f"{progress.requests:,} requests",
        f"{progress.retries.total():,} retries" + (f" ({kinds})" if kinds else ""),
        f"{progress.new:,} new",
        f"{progress.updated:,} updated",
        f"{progress.unchanged:,} unchanged",
    ]
    if progress.rejected:
        parts.append(f"{progress.rejected:,} rejected, see _rejected_rows")
    if changed := progress.final_changed:
        parts.append(f"{len(changed):,} final ones changed, the first {changed[0]}")
    parts += [f"pending {done.pending_before:,} -> {done.pending_after:,}", f"{done.seconds:.1f} s"]
    return " | ".join(parts)
