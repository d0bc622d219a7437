"""A log without its tail, or a folder copied while a run loaded: the next run leaves the warehouse
exact, or ends with a sentence that says what to do, and is exact after that."""

from __future__ import annotations

import random
import re
import shutil
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Event, Thread
from typing import Any

import orjson
import pytest

from pipelines.exit_codes import DISK
from tests import expected
from tests.benchmarks.api import LargeAccount, Traffic, served
from tests.conftest import Loaded, environment, slow, summary
from tests.simulation.worker import Worker, hire

HOUR = timedelta(hours=1)
DATABASE, LOG, WORK = "warehouse.duckdb", "warehouse.duckdb.wal", "warehouse.duckdb.dlt"
STATEMENTS = {"schema", "write", "completed", "before COMMIT", "after COMMIT"}
AT_ONCE = 2
Parts = tuple[tuple[str, ...], tuple[str, ...]]
_MOVE_AWAY = re.compile(r"\b(move|delete|remove|rename)\b", re.IGNORECASE)


@dataclass
class Account:
    """Where its API is, and what the warehouse must hold."""

    environment: dict[str, str]
    contents: expected.Contents
    package_rows: int = 100_000

    @contextmanager
    def process(self, folder: Path) -> Iterator[Worker]:
        worker = hire(folder, self.environment, self.package_rows)
        try:
            yield worker
        finally:
            worker.wire.close()
            worker.process.join()

    def run(self, folder: Path, waiting: Callable[[Worker, str], None] | None = None) -> int:
        """Run the command in a folder; its exit code."""
        with self.process(folder) as worker:
            worker.begin(["run"], waits=waiting is not None)
            return worker.outcome(waiting and partial(waiting, worker))[0]

    def fault(self, folder: Path, backup: Path | None = None) -> str | None:
        """What is wrong after the next run, or after what it asks for; None: all is exact."""
        code, said = self.run(folder), (folder / "output.txt").read_text()
        if code == DISK and "Traceback" not in said and str(folder / DATABASE) in said:
            if LOG in said and _MOVE_AWAY.search(said):
                (folder / LOG).rename(folder / "the log, moved away")
            elif backup and "restore a backup" in said:
                shutil.rmtree(folder)
                shutil.copytree(backup, folder)
            else:
                return f"no next step is named: {said}"
            code, said = self.run(folder), (folder / "output.txt").read_text()
        if code:
            return f"exit code {code}: {said}"
        found = expected.of_warehouse(folder / DATABASE)
        lost = {
            table: len(rows - found[table])
            for table, rows in self.contents.items()
            if rows != found[table]
        }
        more = sum((found[table] - rows).total() for table, rows in self.contents.items())
        return f"lost {lost}, {more} rows too many" if lost else None

    def faults(self, folders: Iterable[Path], backup: Path | None = None) -> list[str]:
        """What is wrong with each; the folders are gone afterwards."""

        def look(folder: Path) -> str | None:
            fault = self.fault(folder, backup)
            shutil.rmtree(folder)
            return f"{folder.name}: {fault}" if fault else None

        with ThreadPoolExecutor(AT_ONCE) as several:
            return [fault for fault in several.map(look, folders) if fault]


def assert_none(faults: list[str], of: int) -> None:
    told = "\n".join(fault[:1000] for fault in faults[:20])
    assert not faults, f"{len(faults)} of {of}:\n{told}"


@pytest.fixture
def growing(tables_only: None, loaded: Loaded) -> Account:
    """A warehouse with a finished run in it; since then, conferences have come and changed."""
    for number in range(40):
        loaded.account.put(summary(number, number * HOUR, "in_progress", tags=["low_mos"]))
    loaded.run()
    for number in range(20, 200):
        loaded.account.put(summary(number, number * HOUR / 5))
    loaded.account.now += HOUR
    settings = environment(loaded.server) | {"HOME": str(loaded.path.parent / "home")}
    return Account(settings, expected.of_api(loaded.account.rows()))


def kill_at(account: Account, folder: Path, number: int) -> bool:
    """Kill a run at its n-th statement of those that load; whether it has so many."""
    left = [number]

    def waiting(worker: Worker, kind: str) -> None:
        left[0] -= kind in STATEMENTS
        if not left[0]:
            worker.process.kill()
            worker.process.join()

    code = account.run(folder, waiting)
    assert code in (0, -signal.SIGKILL), (folder / "output.txt").read_text()
    return code != 0


def cuts(size: int, dice: random.Random) -> list[int]:
    """Lengths of what is left of a log."""
    ends = {0, 5, size // 2, size - 300, size - 1, dice.randrange(size), dice.randrange(size)}
    return sorted(end for end in ends if 0 <= end < size)


def with_torn_logs(
    account: Account, base: Path, place: Path, moments: Iterable[int], limit: int
) -> Iterator[Path]:
    """Folders of runs that were killed at these statements, their logs cut in so many ways."""
    for number in moments:
        killed, dice = place / f"killed {number}", random.Random(number)
        shutil.copytree(base, killed)
        if not kill_at(account, killed, number):
            break
        log = killed / LOG
        lengths = cuts(log.stat().st_size, dice) if log.exists() else []
        for length in dice.sample(lengths, min(limit, len(lengths))):
            torn = place / f"killed at {number}, log cut to {length} of {log.stat().st_size}"
            shutil.copytree(killed, torn)
            with (torn / LOG).open("r+b") as file:
                file.truncate(length)
            yield torn
        shutil.rmtree(killed)


def base_of(tmp_path: Path, folder: Path) -> Path:
    base = tmp_path / "base"
    base.mkdir()
    shutil.copy(folder / DATABASE, base)
    shutil.copytree(folder / WORK, base / WORK)
    return base


@pytest.mark.thorough
@pytest.mark.parametrize("first", [3, *slow(1, 5, 7)])
def test_a_log_without_its_tail(growing: Account, tmp_path: Path, first: int) -> None:
    """The kill is at every eighth statement of a load; together, the cases take every second."""
    base = base_of(tmp_path, tmp_path)
    torn = list(with_torn_logs(growing, base, tmp_path, range(first, 1000, 8), limit=2))
    assert len(torn) >= 2
    assert_none(growing.faults(torn), len(torn))


@pytest.mark.slow
def test_a_log_without_its_tail_after_a_kill_at_every_statement(
    growing: Account, tmp_path: Path
) -> None:
    base = base_of(tmp_path, tmp_path)
    torn = list(with_torn_logs(growing, base, tmp_path, range(1, 1000), limit=7))
    assert len(torn) > 50
    assert_none(growing.faults(torn), len(torn))


@contextmanager
def large(folder: Path, count: int, package_rows: int) -> Iterator[Account]:
    """An account that a run loads in several packages."""
    traffic = Traffic(count)
    account = LargeAccount(traffic)
    rows = [orjson.loads(version.body) for n in range(count) if (version := account.get(n))]
    with served(traffic) as api:
        yield Account(api.environment | {"HOME": str(folder)}, expected.of_api(rows), package_rows)


@dataclass
class Copies:
    """Copies a folder part by part while a run in it stands still at moment after moment.

    `begin` at these moments; the second part follows so many moments after the first.
    """

    source: Path
    place: Path
    parts: Parts
    begin: dict[int, int]
    made: list[Path] = field(default_factory=list)
    _seen: int = 0
    _due: list[tuple[int, Path]] = field(default_factory=list)

    def waiting(self, _worker: Worker, _kind: str) -> None:
        self._seen += 1
        if (lag := self.begin.get(self._seen)) is not None:
            target = self.place / f"copied at {self._seen}, and {lag} moments later"
            target.mkdir()
            self._copy(0, target)
            self._due.append((self._seen + lag, target))
        for due in [due for due in self._due if due[0] <= self._seen]:
            self._copy(1, due[1])
            self._due.remove(due)

    def finish(self) -> list[Path]:
        for _, target in self._due:
            self._copy(1, target)
        return self.made

    def _copy(self, part: int, target: Path) -> None:
        for name in self.parts[part]:
            source = self.source / name
            if source.is_dir():
                shutil.copytree(source, target / name)
            elif source.exists():
                shutil.copy(source, target)
        if part and (target / DATABASE).exists():  # else there was none yet, or only its log
            self.made.append(target)


def copied(
    account: Account, tmp_path: Path, several: list[Parts], count: int, lag: int
) -> list[list[Path]]:
    """Copies made at random moments of one run, the second part up to `lag` moments later."""
    whole, source = tmp_path / "whole", tmp_path / "source"
    seen: list[str] = []
    whole.mkdir()
    assert account.run(whole, lambda _, kind: seen.append(kind)) == 0
    loading = [number for number, kind in enumerate(seen, 1) if kind in {"load", *STATEMENTS}]
    dice = random.Random(count)
    source.mkdir()
    of_all = list[Copies]()
    for parts in several:
        place = tmp_path / f"first {' and '.join(parts[0])}"
        place.mkdir()
        begin = {number: dice.randrange(lag + 1) for number in dice.sample(loading, count)}
        of_all.append(Copies(source, place, parts, begin))

    def waiting(worker: Worker, kind: str) -> None:
        for copies in of_all:
            copies.waiting(worker, kind)

    assert account.run(source, waiting) == 0
    assert account.fault(source) is None
    return [copies.finish() for copies in of_all]


FOLDER: Parts = (DATABASE, LOG), (WORK,)
ONE_BY_ONE: list[Parts] = [((DATABASE,), (LOG, WORK)), ((LOG,), (DATABASE, WORK))]
"""Between them the log may have become part of the file, and another one begun."""


@pytest.mark.parametrize("count", [pytest.param(8, marks=pytest.mark.programs), *slow(60)])
def test_a_folder_that_was_copied_part_by_part_while_a_run_loaded(
    tmp_path: Path, count: int
) -> None:
    with large(tmp_path, 1500, package_rows=400) as account:
        several = copied(account, tmp_path, [FOLDER, *ONE_BY_ONE], count, lag=150)
        assert all(len(copies) >= count / 2 for copies in several)
        assert_none(account.faults(chain(*several)), 3 * count)


@pytest.mark.slow
def test_two_hundred_copies_made_while_a_run_loaded(tmp_path: Path) -> None:
    with large(tmp_path, 20_000, package_rows=4_000) as account:
        (copies,) = copied(account, tmp_path, [FOLDER], count=200, lag=300)
        assert len(copies) > 150
        assert_none(account.faults(copies), len(copies))


@pytest.mark.thorough
def test_a_log_that_was_begun_after_its_database_was_copied(tmp_path: Path) -> None:
    """The second package was in the log when the database was copied, and is in neither: when the
    log was copied, it held the third alone."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.mkdir()
    copy.mkdir()
    completed = 0

    def waiting(_: Worker, kind: str) -> None:
        nonlocal completed
        completed += kind == "completed"
        if completed == 2 and not (copy / DATABASE).exists():
            shutil.copy(source / DATABASE, copy)
        begun = completed == 3 and kind not in ("completed", "before COMMIT")
        if begun and not (copy / LOG).exists():
            shutil.copy(source / LOG, copy)

    with large(tmp_path, 1500, package_rows=400) as account:
        assert account.run(source, waiting) == 0
        assert (copy / LOG).stat().st_size > 10_000
        assert_none(account.faults([copy]), 1)


@pytest.mark.slow
def test_a_hundred_copies_that_another_program_made(tmp_path: Path) -> None:
    """At random instants of runs that do not wait, the working folder up to half a second later."""
    dice, made = random.Random(1), list[Path]()
    with large(tmp_path, 20_000, package_rows=4_000) as account:
        while len(made) < 100:
            source = tmp_path / f"source {len(made)}"
            source.mkdir()
            ended = Event()

            def run(folder: Path = source, ended: Event = ended) -> None:
                account.run(folder)
                ended.set()

            running = Thread(target=run)
            running.start()
            while not ended.wait(dice.random() * 0.4):
                target = tmp_path / f"copy {len(made)}"
                target.mkdir()
                for name in (DATABASE, LOG):
                    if (source / name).exists():
                        shutil.copy(source / name, target)
                if not (target / DATABASE).exists():
                    shutil.rmtree(target)
                    continue
                ended.wait(dice.random() * 0.5)
                copy_what_stays(source / WORK, target / WORK)
                made.append(target)
            running.join()
        assert_none(account.faults(made), len(made))


def copy_what_stays(source: Path, target: Path) -> None:
    """Files may vanish while they are copied."""

    def copy(*paths: Any) -> None:
        try:
            shutil.copy(*paths)
        except FileNotFoundError:
            return

    try:
        shutil.copytree(source, target, copy_function=copy)
    except shutil.Error:
        return  # a folder is gone, all others are there
