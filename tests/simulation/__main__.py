"""Simulate many seeds at once: python -m tests.simulation --seeds 100"""

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
from tests.simulation.months import EVENTS, KILLS, simulate, simulate_until

EXPECTED = {
    *PASSING,
    *LASTING,
    *EVENTS,
    *(f"kill: {moment}" for moment in [*KILLS, "listing", "fetching", "any time"]),
}

ENOUGH = 100
"""Among so many seeds everything strikes."""


@click.command()
@click.option("--seeds", default=100, help="How many.")
@click.option("--first", default=1, help="The first; a failing one is replayed by --seeds 1.")
@click.option("--minutes", default=math.inf, help="Begin none after so many.")
@click.option("--jobs", default=2, help="How many at once.")
@click.option("--every-moment", is_flag=True, help="Kill one account's runs at each moment.")
def main(seeds: int, first: int, minutes: float, jobs: int, every_moment: bool) -> None:
    """Check the invariants over simulated months; fail if one breaks or a fault never struck."""
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
                click.echo(f"seed {seed}: {broken or 'fine'}")
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
    sys.exit(bool(failed or (never and done >= ENOUGH)))


if __name__ == "__main__":
    main()
