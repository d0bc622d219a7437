"""`python -m tests.benchmarks`: every goal, measured; prints a table and draws a chart."""

from __future__ import annotations

import compileall
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import click

from tests.benchmarks.api import Api, Traffic, served
from tests.benchmarks.measuring import RUN, Measured, compare, measure, row
from tests.benchmarks.participants import participants
from tests.benchmarks.several_accounts import against_one, idle

WITHOUT_COPY = (sys.executable, "-m", "tests.benchmarks.without_copy")
"""The same without what follows the load: views, checks and the copy, which no peer makes."""
PROFILED = (sys.executable, "-m", "tests.benchmarks.profile", "run")
"""The same, telling where its time went; takes some more time and memory."""
CHART = Path(__file__).with_name("chart.svg")


def contender(api: Api, name: str, rows: int) -> Measured:
    """One fresh load."""
    with tempfile.TemporaryDirectory() as folder:
        program = (sys.executable, "-m", f"tests.benchmarks.{name}", "fresh.duckdb")
        limits = (str(max(1, rows // 1000)), "4") if name == "limit" else ()
        own = {"ours": RUN, "ours without the copy": WITHOUT_COPY}
        return measure(api, Path(folder), *own.get(name, (*program, *limits)))


def fresh(rows: int, latency: float, rounds: int, *names: str) -> dict[str, float]:
    """Median seconds of each contender; they take turns."""
    found: dict[str, list[Measured]] = {name: [] for name in names}
    with served(Traffic(rows, latency=latency)) as api:
        for _ in range(rounds):
            for name in names:
                found[name].append(contender(api, name, rows))
        with tempfile.TemporaryDirectory() as folder:
            profiled = measure(api, Path(folder), *PROFILED)
    title = f"{rows:,} summaries, {latency * 1000:.0f} ms an answer"
    for name in names:
        seconds, cpu, ratio, cpu_ratio = compare(found[name], found["limit"])
        peak = max(m.peak_mb for m in found[name])
        row(
            title,
            name,
            f"{seconds:.1f} s ({cpu:.1f} s CPU)",
            f"{ratio:.2f} ({cpu_ratio:.2f})",
            f"{rows / seconds:,.0f}/s, {found[name][-1].requests} requests for "
            f"{rows / 1000:.0f} pages, {peak:.0f} MB",
        )
    where_it_went(profiled)
    return {name: compare(found[name], found["limit"])[0] for name in names}


def where_it_went(ours: Measured) -> None:
    parts = sorted(ours.parts.items(), key=lambda part: -part[1])
    print("<!-- " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in parts) + " -->")


IMPORTS = (sys.executable, "-c", "import dlt, duckdb, httpx, pyarrow")
"""What a run of any pipeline made of these takes at least."""


def scheduled(rows: int, rounds: int) -> None:
    """A run with 500 new rows, one with nothing new five minutes later, and the help."""
    imports, news, nothing, help_text = [], [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with served(Traffic(rows)) as api:
                measure(api, folder, *RUN)
            with served(Traffic(rows, recent=500)) as api:
                news.append(measure(api, folder, *RUN))
                imports.append(measure(api, folder, *IMPORTS))
                api.later()
                nothing.append(measure(api, folder, *RUN))
                api.later()
                profiled = measure(api, folder, *PROFILED)
                program = (sys.executable, "-m", "pipelines", "--help")
                help_text.append(measure(api, folder, *program))
    limit, cpu, *_ = compare(imports, imports)
    row("the imports alone", "limit", f"{limit:.2f} s ({cpu:.2f} s CPU)", "1.00", "")
    for title, found in (("500 new", news), ("nothing new", nothing), ("--help", help_text)):
        seconds, cpu, ratio, cpu_ratio = compare(found, imports)
        what = f"{found[0].requests} requests, {found[0].peak_mb:.0f} MB"
        row(
            f"{title}, in a warehouse of {rows:,}",
            "ours",
            f"{seconds:.2f} s ({cpu:.2f} s CPU)",
            f"{ratio:.2f} ({cpu_ratio:.2f})",
            what,
        )
    where_it_went(profiled)


def pending() -> None:
    """3,000 of one evening that became final, and five in five days."""
    for title, traffic in (
        ("3,000 pending in a row, of 100,000", Traffic(100_000, pending=range(30_000, 33_000))),
        ("5 pending, scattered", Traffic(100_000, pending=range(20_000, 70_000, 10_000))),
    ):
        with tempfile.TemporaryDirectory() as name:
            with served(traffic) as api:
                measure(api, Path(name), *RUN)
                api.later()
                found = measure(api, Path(name), *RUN)
        row(title, "ours", f"{found.seconds:.1f} s", "", f"{found.requests} requests")


def memory(rows: int) -> None:
    for size in (rows // 10, rows // 3, rows):
        with served(Traffic(size)) as api:
            found = contender(api, "ours", size)
        title = f"first load of {size:,}"
        row(title, "ours", f"{found.seconds:.0f} s", "", f"{found.peak_mb:.0f} MB at most")


def growth(small: int, large: int) -> None:
    """Merging 10,000 recent rows."""
    loads = []
    for rows in (small, large):
        with tempfile.TemporaryDirectory() as name:
            with served(Traffic(rows)) as api:
                measure(api, Path(name), *RUN)
            with served(Traffic(rows, recent=10_000)) as api:
                found = measure(api, Path(name), *PROFILED)
        loads.append(found.parts["merge"])
        ratio = f"{loads[-1] / loads[0]:.2f}"
        what = f"whole run {found.seconds:.1f} s, {found.peak_mb:.0f} MB"
        row(f"10,000 recent into {rows:,}", "ours", f"{loads[-1]:.2f} s", ratio, what)


def draw(medians: dict[str, dict[str, float]]) -> None:
    """Bars of the fresh loads, as multiples of the bare limit."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "conference-insights", "svg.fonttype": "none"}
    from matplotlib import pyplot

    titles = {
        "limit": "bare limit",
        "ours": "conference-insights with the copy",
        "ours without the copy": "conference-insights",
        "sdk": "Twilio's SDK, raw JSON",
        "rest_api": "dlt rest_api",
    }
    figure, all_axes = pyplot.subplots(len(medians), 1, figsize=(8, 1.9 * len(medians)))
    for axes, (title, seconds) in zip(all_axes, medians.items(), strict=True):
        names = list(seconds)[::-1]
        colors = ["#2563eb" if name.startswith("ours") else "#9ca3af" for name in names]
        bars = axes.barh([titles[n] for n in names], [seconds[n] for n in names], color=colors)
        labels = [f"{seconds[n]:.1f} s  ({seconds[n] / seconds['limit']:.2f} x)" for n in names]
        axes.bar_label(bars, labels, padding=4)
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xlim(0, max(seconds.values()) * 1.25)
        axes.spines[["top", "right", "bottom"]].set_visible(False)
        axes.set_xticks([])
    figure.tight_layout()
    figure.savefig(CHART, metadata={"Date": None})


GOALS = (
    "fresh",
    "latency",
    "scheduled",
    "pending",
    "memory",
    "growth",
    "idle",
    "accounts",
    "participants",
)


@click.command()
@click.option(
    "--goals",
    type=click.Choice(GOALS),
    multiple=True,
    default=GOALS,
    help="Measure only this one; may be repeated.",
)
@click.option("--rounds", default=5, show_default=True, help="The median of these counts.")
@click.option("--size", default=1, show_default=True, help="Divide all numbers by this.")
def main(goals: tuple[str, ...], rounds: int, size: int) -> None:
    """Measure every goal, print a table and draw a chart.

    Each program is a process of its own, timed from its start to its end, and reads the same API,
    which is another process.

    \b
    Examples:
      python -m tests.benchmarks
      python -m tests.benchmarks --goals fresh --goals scheduled --rounds 1 --size 100
    """
    compileall.compile_dir("pipelines", quiet=1)  # as it is where the program is installed
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{date.today():%Y-%m-%d}, {machine}\n")
    row("what", "program", "time (processors)", "times the first (processors)", "besides")
    row(*["---"] * 5)
    medians: dict[str, dict[str, float]] = {}
    if "fresh" in goals:
        title = f"{200_000 // size:,} summaries, answers at once"
        medians[title] = fresh(
            200_000 // size, 0.0, rounds, "limit", "ours without the copy", "ours"
        )
        peers = fresh(
            100_000 // size, 0.0, 1, "limit", "ours without the copy", "ours", "sdk", "rest_api"
        )
        medians[f"{100_000 // size:,} summaries, answers at once"] = peers
    if "latency" in goals:
        title = f"{100_000 // size:,} summaries, 200 ms an answer"
        medians[title] = fresh(
            100_000 // size, 0.2, rounds, "limit", "ours without the copy", "sdk"
        )
    others: dict[str, Callable[[], None]] = {
        "scheduled": lambda: scheduled(300_000 // size, rounds),
        "pending": pending,
        "memory": lambda: memory(1_000_000 // size),
        "growth": lambda: growth(100_000 // size, 3_000_000 // size),
        "idle": lambda: idle(1_000 // size, rounds),
        "accounts": lambda: against_one(1_000 // size, rounds),
        "participants": lambda: participants(100_000 // size, rounds),
    }
    for name, measure_it in others.items():
        if name in goals:
            measure_it()
    if medians and size == 1:
        draw(medians)


if __name__ == "__main__":
    main(prog_name="python -m tests.benchmarks")
