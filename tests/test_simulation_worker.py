"""A process of the simulation that takes long is told from one that hangs."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import pytest

from tests.simulation import worker
from tests.simulation.worker import BrokenError, Worker

Work = Callable[["Connection[Any, Any]"], None]


def works(wire: Connection[Any, Any], seconds: float = 2) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    wire.send(0)


def works_for_ever(wire: Connection[Any, Any]) -> None:
    works(wire, float("inf"))


def waits_for_ever(wire: Connection[Any, Any]) -> None:
    wire.recv()


def outcome(work: Work) -> int:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("forkserver").Process(target=work, args=(there,))
    process.start()
    try:
        return Worker(process, here).outcome()[0]
    finally:
        process.join()


@pytest.mark.thorough
def test_a_process_hangs_if_it_does_not_work_or_does_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "PATIENCE", 1)
    monkeypatch.setattr(worker, "LEAST", 0.01)
    assert outcome(works) == 0
    with pytest.raises(BrokenError, match="hangs"):
        outcome(waits_for_ever)
    monkeypatch.setattr(worker, "MOST", 0.5)
    with pytest.raises(BrokenError, match="hangs"):
        outcome(works_for_ever)
