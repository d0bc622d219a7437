"""Processes that run the real command."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.simulation.child"])

PATIENCE, LEAST, MOST = 300, 5, 600
"""Seconds. A run hangs if it says nothing for the first, and a processor worked for it less than
the second meanwhile; or, since it last said something, more than the third. The clock alone tells
nothing: on a busy machine, a run may take long."""


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
            while self._speaks():
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

    def _speaks(self) -> bool:
        """Wait for what it says; whether it says something before it hangs."""
        begun = used = _processor_seconds(self.process.pid)
        while not self.wire.poll(PATIENCE):
            before, used = used, _processor_seconds(self.process.pid)
            if used - before < LEAST or used - begun > MOST:
                return False
        return True


def _processor_seconds(pid: int) -> float:
    """Of all threads of a process; 0 on a system that has no /proc."""
    try:
        said = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    user, system = said.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def hire(folder: Path, environment: dict[str, str], package_rows: int) -> Worker:
    here, there = _processes.Pipe()
    process = _processes.Process(target=_start, args=(there, folder, environment, package_rows))
    process.start()
    there.close()
    return Worker(process, here)


def _start(*arguments: Any) -> None:
    from tests.simulation.child import work

    work(*arguments)
