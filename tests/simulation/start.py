"""The entry of a worker process: the program is imported there, and only there."""

from __future__ import annotations

from typing import Any


def start(*arguments: Any) -> None:
    from tests.simulation.child import work

    work(*arguments)
