"""`python -m tests.simulation`: many seeds at once."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import click

from tests.simulation import months
from tests.simulation.api import LASTING, PASSING
from tests.simulation.engines import File, Server, engine_of
from tests.simulation.months import EVENTS, simulate, simulate_until

ENGINES = (File, Server)
OF_API = {*PASSING, *LASTING, *(f"{kind}: one account" for kind in ("refused", "down"))}
EXPECTED = {
    f"{engine.name}: {kind}"
    for engine in ENGINES
    for kind in (
        *OF_API,
        *EVENTS,
        *engine.events,
        *(f"kill: {moment}" for moment in [*engine.kills, "listing", "fetching", "any time"]),
    )
}

ENOUGH = 100
"""In this many seeds every fault of the API strikes, and all others strike with each engine."""


@click.command()
@click.option("--seeds", default=100, show_default=True, help="How many to simulate.")
@click.option("--first", default=1, show_default=True, help="The first seed.")
@click.option("--minutes", default=math.inf, help="Start no seed after this time.")
@click.option("--jobs", default=2, show_default=True, help="How many seeds at a time.")
@click.option("--every-moment", is_flag=True, help="Kill the runs of one account at each moment.")
def main(seeds: int, first: int, minutes: float, jobs: int, every_moment: bool) -> None:
    """Check the invariants over simulated months; fail if one breaks or a fault never struck.

    \b
    Examples:
      python -m tests.simulation --seeds 20
      python -m tests.simulation --first 5012 --seeds 1    replays one seed, with its log
    """
    started, struck, failed = time.monotonic(), Counter[str](), []
    if every_moment:
        struck, broken, log = simulate(first, months.every_moment)
        click.echo("".join(f"{count:8,}  {name}\n" for name, count in sorted(struck.items())))
        click.echo(f"{broken or 'fine'}, {time.monotonic() - started:.0f} s; {log[-3:]}")
        sys.exit(bool(broken))
    numbers, done = range(first, first + seeds), 0
    in_time = partial(simulate_until, time.time() + 60 * minutes)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for seed, result in zip(numbers, pool.map(in_time, numbers), strict=True):
            if result is None:
                break
            what, broken, log = result
            struck += what
            done += 1
            if broken or seeds == 1:
                click.echo(f"seed {seed}, {engine_of(seed).name}: {broken or 'fine'}")
                click.echo("".join(f"    {line}\n" for line in log))
            if broken:
                failed.append(seed)
            elif seed % 20 == 0:
                click.echo(f"until seed {seed}: {time.monotonic() - started:.0f} s", err=True)
    for name in sorted(EXPECTED | struck.keys()):
        click.echo(f"{struck[name]:8,}  {name}")
    never = sorted(EXPECTED - struck.keys())
    click.echo(
        f"{done} seeds in {time.monotonic() - started:.0f} s; failed: {failed or 'none'}; "
        f"never struck: {', '.join(never) or 'none'}"
    )
    kinds = Counter(name.partition(": ")[2] for name in never)
    lacking = [kind for kind in kinds if kind not in OF_API or kinds[kind] == len(ENGINES)]
    sys.exit(bool(failed or (lacking and done >= ENOUGH)))


if __name__ == "__main__":
    main(prog_name="python -m tests.simulation")
