"""Tasks that need others' results, some of them at the same time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter

AT_ONCE = 2
"""DuckDB makes most of the tables for a copy with one thread; more of them at the same time would
not fit into the memory for it."""


def run_concurrently(uses: dict[str, set[str]], do: Callable[[str], None]) -> None:
    """Call `do` with each name after those that it uses; of those that are ready, first with the
    one that has the longest chain of others after it.

    Args:
        uses: by name, others of these that it uses; each after those.
        do: may be called by another thread.
    """
    chain = dict[str, int]()
    for name in reversed(uses):
        users = (user for user in chain if name in uses[user])
        chain[name] = 1 + max((chain[user] for user in users), default=0)
    order = TopologicalSorter(uses)
    order.prepare()
    ready, begun = list[str](), dict[Future[None], str]()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while order.is_active():
            ready = sorted([*ready, *order.get_ready()], key=chain.__getitem__)
            while ready and len(begun) < AT_ONCE:
                name = ready.pop()
                begun[pool.submit(do, name)] = name
            for done in wait(begun, return_when=FIRST_COMPLETED).done:
                done.result()
                order.done(begun.pop(done))
