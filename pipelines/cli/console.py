"""The progress of a run on the console, and its last line."""

from __future__ import annotations

import gc
import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import SimpleNamespace

import click

from pipelines.logs import is_for_people, json_line, visible
from pipelines.monitor.alerts import alerting
from pipelines.monitor.settings_inventory import find_unknown_settings
from pipelines.run.pipeline import Backfill, Polling, run
from pipelines.run.reconcile import reconcile
from pipelines.times import format_duration, iso_seconds
from pipelines.twilio_insights.extract.comparison import Comparison
from pipelines.twilio_insights.progress import ByParentCounts, Progress
from pipelines.warehouse.runs import COLUMNS, StillPendingError

log = logging.getLogger("conference_insights")

SECONDS_BETWEEN_LINES, SECONDS_BETWEEN_FRAMES = 5.0, 0.1


def run_with_progress(
    command: str,
    stop: threading.Event,
    polling: Polling | None = None,
    backfill: Backfill | None = None,
    comparison: Comparison | None = None,
) -> Progress:
    """Run, show the progress, and in any case print a last line of what was done."""
    progress, outcome = Progress(command), "failed"
    gc.freeze()  # skips imported modules in garbage collection: 6 % of a long load
    try:
        with alerting(command, stop, backfill):
            for name in find_unknown_settings():
                log.warning("%s is not a setting of this program, so it has no effect", name)
            with _progress_shown() as progress.on_change:
                if comparison:
                    reconcile(progress, backfill or Backfill(), stop, comparison)
                else:
                    run(progress, polling, backfill, stop)
        outcome = "stopped" if stop.is_set() else "ok"
    except StillPendingError:
        outcome = "pending"
        raise
    finally:
        gc.unfreeze()  # or DuckDB's modules warn of leaks at the exit
        if progress.requests and comparison:  # whose result has the standard output
            log.info("%s", final_line(progress, outcome))
        elif progress.requests:
            _print_summary(progress, outcome)
    return progress


def _print_summary(progress: Progress, outcome: str) -> None:
    """Print the last line; for programs also as fields, named like columns of `_runs`."""
    line = final_line(progress, outcome)
    if is_for_people(sys.stdout):
        line = visible(line)
    else:
        fields = {name: getattr(progress, name) for name in COLUMNS if hasattr(progress, name)}
        line = json_line("INFO", line, outcome=outcome, **fields)
    try:
        click.echo(line)
    except OSError as error:  # which is no trouble of the run
        log.warning("The last line cannot be written: %s", error.strerror)


@contextmanager
def _progress_shown() -> Iterator[Callable[[Progress], None]]:
    """A progress bar on a terminal, elsewhere a plain line every few seconds; on stderr."""
    if not (sys.stderr.isatty() and is_for_people(sys.stderr)):
        yield _lines()
        return
    from rich.console import Console, Group
    from rich.live import Live
    from rich.progress import BarColumn, TaskProgressColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    console, counts = Console(stderr=True), Text()
    bar = Bar(BarColumn(None), TaskProgressColumn(), TimeRemainingColumn(), expand=True)
    task = bar.add_task("", total=1.0)
    live = Live(Group(bar, counts), console=console, auto_refresh=False, transient=True)
    # rich may lose count of its lines where one thread writes while another refreshes.
    lock, due = threading.Lock(), 0.0

    def on_change(progress: Progress) -> None:
        nonlocal due
        with lock, suppress(OSError):  # a terminal that went away is no trouble of the run
            bar.update(task, completed=_step(progress)[1])
            counts.plain = _counts(progress)
            if (now := time.monotonic()) >= due:
                due = now + SECONDS_BETWEEN_FRAMES
                live.refresh()

    def write(text: str) -> None:
        with lock:
            console.out(text, end="", highlight=False)

    stderr, handlers = sys.stderr, logging.getLogger().handlers
    ours = [h for h in handlers if isinstance(h, logging.StreamHandler) and h.stream is stderr]
    with lock, suppress(OSError):
        live.start(refresh=True)
    for handler in ours:  # lines that rich does not know of would be written into the bar
        handler.setStream(SimpleNamespace(write=write, flush=lambda: None))
    try:
        yield on_change
    finally:
        for handler in ours:
            handler.setStream(stderr)
        with lock, suppress(OSError):
            live.stop()


def _lines() -> Callable[[Progress], None]:
    last = time.monotonic()
    begun = {"listed": last}

    def on_change(progress: Progress) -> None:
        nonlocal last
        now, (step, share) = time.monotonic(), _step(progress)
        start = begun.setdefault(step, now)
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            left = timedelta(seconds=(now - start) * (1 - share) / share) if share else None
            log.info(
                "%.0f%% %s: %s%s",
                100 * share,
                step,
                _counts(progress),
                f", {format_duration(left)} left" if left else "",
            )

    return on_change


def _step(progress: Progress) -> tuple[str, float]:
    """What the run is at, and how much of that is done, 0 to 1."""
    for name, counts in progress.others.items():
        if counts.listings_due:
            return f"of {name} listed", counts.listings / counts.listings_due
    return "listed", progress.share_listed


def _counts(progress: Progress) -> str:
    to_do = "not equal so far" if progress.command == "reconcile" else "to write"
    to_write = progress.rows_new + progress.rows_updated
    parts = [
        f"{progress.pages:,} pages, {progress.rows_listed:,} listed, {to_write:,} {to_do}, "
        f"{progress.pending_before or 0:,} pending, {progress.rows_refetched:,} asked for by SID"
    ]
    for name, counts in progress.others.items():
        parts.append(f"{name} of {counts.listings:,} of {counts.listings_due:,} conferences")
    return ", ".join(parts)


def final_line(progress: Progress, outcome: str) -> str:
    """One line with everything that a run did, and its outcome if it is not ok."""
    fetched = progress.rows_refetched
    window = f"{fetched:,} asked for by SID" if fetched else "nothing listed"
    start, reached = progress.window_from, progress.window_to
    if start and reached and start < reached:
        window = f"{iso_seconds(start)} to {iso_seconds(reached)}"
    kinds = ", ".join(f"{kind}: {count}" for kind, count in progress.retries.items())
    parts = [
        f"{progress.command} {progress.run_id}",
        *([outcome.upper()] if outcome != "ok" else ()),
        window,
        *([f"{progress.accounts:,} accounts"] if (progress.accounts or 0) > 1 else ()),
        *([f"filtered by {', '.join(json.loads(progress.filters))}"] if progress.filters else ()),
        f"{progress.pages:,} pages",
        f"{progress.requests:,} requests",
        f"{progress.retries.total():,} retries" + (f" ({kinds})" if kinds else ""),
        f"{progress.rows_new:,} new",
        f"{progress.rows_updated:,} updated",
        f"{progress.rows_unchanged:,} unchanged",
        *(_line_of(name, counts) for name, counts in progress.others.items()),
    ]
    rejected = progress.rows_rejected + sum(c.rows_rejected for c in progress.others.values())
    if rejected:
        parts.append(f"{rejected:,} rejected, see _rejected_rows")
    for sids, fate in (
        (progress.not_found, "not found"),
        (progress.unreadable, "could not be fetched"),
        (progress.final_changed, "final ones changed"),
    ):
        if sids:
            parts.append(f"{len(sids):,} {fate}, the first {sids[0]}")
    if progress.drift:
        named = [f"{name} (first {sid})" for name, sid in progress.drift.items()]
        parts.append(f"{len(named)} not in the documentation: {', '.join(named[:3])}")
    if progress.failures:
        parts.append(f"{len(progress.failures):,} not loaded: {'; '.join(progress.failures[:3])}")
    if progress.pending_before is not None and progress.pending_after is not None:
        parts.append(f"pending {progress.pending_before:,} -> {progress.pending_after:,}")
    return " | ".join([*parts, f"{progress.seconds:.1f} s"])


def _line_of(name: str, counts: ByParentCounts) -> str:
    said = f"{name}: {counts.listings:,} conferences asked for, {counts.rows_new:,} new, "
    said += f"{counts.rows_updated:,} updated, {counts.pending:,} not final"
    if counts.lost_from:
        day = counts.lost_from.partition("T")[0]
        said += f", {counts.waiting:,} conferences wait, Twilio deletes the first on {day}"
    return said
