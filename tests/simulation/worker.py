"""Processes that run the real command."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.simulation.child"])

PATIENCE = 300
"""A run that says nothing for so many seconds hangs, on a busy machine too."""


class BrokenError(AssertionError):
    """An invariant does not hold."""


@dataclass
class Worker:
    """A process that runs the command."""

    process: Any
    wire: Connection[Any, Any]

    def begin(
        self, arguments: list[str], death: tuple[str, int] | None = None, waits: bool = False
    ) -> None:
        """Start a run; see `child.Wire`."""
        self.wire.send((arguments, death, waits))

    def outcome(self, waiting: Callable[[str], None] | None = None) -> tuple[int, str | None]:
        """Exit code of the run, and at what kind of moment it killed itself.

        `waiting` is called at each moment that the run waits at, and may kill its process.
        """
        died = None
        try:
            while self.wire.poll(PATIENCE):
                said = self.wire.recv()
                if isinstance(said, int):
                    return said, None
                what, kind = said
                if what == "dies":
                    died = kind
                    continue
                assert waiting
                waiting(kind)
                self.wire.send(None)
        except (EOFError, ConnectionResetError, BrokenPipeError):
            self.process.join()
            return self.process.exitcode, died
        self.process.kill()
        raise BrokenError("it hangs")


def hire(folder: Path, environment: dict[str, str], package_rows: int) -> Worker:
    here, there = _processes.Pipe()
    process = _processes.Process(target=_start, args=(there, folder, environment, package_rows))
    process.start()
    there.close()
    return Worker(process, here)


def _start(*arguments: Any) -> None:
    from tests.simulation.child import work

    work(*arguments)
