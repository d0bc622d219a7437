"""Some months of runs over one account or several, from one seed, and what must hold after each."""

from __future__ import annotations

import itertools
import random
import signal
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.in_memory import folder_in_memory
from tests.simulation.account import (
    ACCOUNT_SID,
    ACCOUNTS,
    DAY,
    HOUR,
    MINUTE,
    NEIGHBOUR,
    RETENTION,
    Account,
)
from tests.simulation.api import LASTING, PASSING, TOKEN, Api, Plan
from tests.simulation.engines import AT_FIRST, SHARE, Engine, File, engine_of
from tests.simulation.invariants import Invariants
from tests.simulation.lake import EVENTS as LAKE_EVENTS
from tests.simulation.participants import people_of
from tests.simulation.worker import BrokenError, Worker, hire

CONFERENCES, RUNS = 1_400, 7
"""Of the conferences an account has about half, see `UNSETTLED`."""
ANYWHERE = ("request", "any time", "fetch")
"""Moments of a death that no engine has a say in."""
EVENTS = ("SIGTERM", "two at once", "gap", "backfill", "participants listed")
"""What happens with every engine."""


@dataclass
class Months:
    """One seed: its account, its API, its warehouse."""

    seed: int
    folder: Path
    engine: Engine
    struck: Counter[str] = field(default_factory=Counter)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        start = int(datetime(2026, 8, 1, tzinfo=UTC).timestamp()) + self.dice.randrange(9 * DAY)
        steps = [5 * MINUTE, HOUR, HOUR, 7 * HOUR, DAY, DAY, 2 * DAY, 5 * DAY]
        self.steps = [self.dice.choice(steps) + self.dice.randrange(300) for _ in range(RUNS)]
        if self.dice.random() < 0.15:
            self.steps[self.dice.randrange(3, RUNS)] = 34 * DAY
        self.has_several = self.dice.random() < 0.5
        accounts = len(ACCOUNTS) if self.has_several else 1
        span, others = sum(self.steps), self.engine.has_neighbour
        self.account = Account(self.dice, start, span, CONFERENCES, accounts, others)
        # Drawn apart, so that a seed is the same with them or without.
        apart = random.Random(f"participants {self.seed}")
        self.has_participants = apart.random() < 0.4
        self.most_listings = apart.choice([40, 300, 5000])
        self.begins_with_backfill = apart.random() < 0.15
        conferences = self.account.conferences if self.has_participants else []
        of_conferences = {c.sid: people_of(c) for c in conferences}
        self.evil = socket.create_server(("127.0.0.1", 0))
        self.api = Api(self.account, self.dice, self.evil.getsockname()[1], of_conferences)
        people = {p.sid: p for people in of_conferences.values() for p in people}
        limits = self.most_listings, self.has_several
        self.invariants = Invariants(self.api, self.engine, people, *limits)
        self.worker: Worker | None = None
        self.neighbour: Worker | None = None
        self.package_rows = self.dice.choice([150, 100_000, 100_000])
        self.environment = {
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "SOURCES__TWILIO_INSIGHTS__BASE_URL": self.api.url,
            "SOURCES__TWILIO_INSIGHTS__PAGE_SIZE": str(self.dice.choice([20, 100, 300, 1000])),
            "SOURCES__TWILIO_INSIGHTS__MAX_CONCURRENCY": str(self.dice.choice([1, 2, 4])),
            "SOURCES__TWILIO_INSIGHTS__REQUEST_DEADLINE": "1s",
            "SOURCES__TWILIO_INSIGHTS__ACCOUNTS": "all" if self.has_several else "own",
            "SOURCES__TWILIO_INSIGHTS__PARTICIPANTS": str(self.has_participants).lower(),
            "SOURCES__TWILIO_INSIGHTS__PARTICIPANT_REQUESTS": str(self.most_listings),
            "HOME": str(self.folder),
            **self.engine.environment,
        }

    def live(self) -> None:
        """Run after run; the last ones are quiet, and must leave everything exact."""
        deaths = (*ANYWHERE, *self.engine.kills)
        turn = deaths[self.seed // SHARE % len(deaths)]  # so that all have one
        kill_from = self.dice.randrange(RUNS - 4) * (turn not in AT_FIRST)
        self.begin(turn)
        for number, step in enumerate(self.steps):
            self.account.now += step
            if step > RETENTION:
                self.struck["gap"] += 1
            self.engine.disturb(self)
            killed = any(name.startswith("kill") for name in self.all_struck)
            due = number >= kill_from and not killed
            death = None
            if due:
                death = self.death(turn)
            elif self.dice.random() < 0.15:
                death = self.death(self.dice.choice(deaths))
            if due and number == RUNS - 1:
                death = "request", 1  # this one surely strikes
            self.run(["run"], self.plan(), death)
        if len(self.all_struck.keys() - {*LAKE_EVENTS}) < 3:
            raise BrokenError("fewer than three kinds of fault struck")
        self.api.seconds_a_request = 0
        self.account.now += 30 * HOUR  # longer than any waiting after a 404
        self.run(["run"], Plan(), quiet=True)
        self.run(["backfill", "--from", "30d"], Plan(), quiet=True)
        self.struck["backfill"] += 1
        self.run(["run"], Plan(), quiet=True)
        last = self.invariants.stored.runs[ACCOUNT_SID][-1]
        if last["accounts_failed"]:
            raise BrokenError(f"not asked again: {last['accounts_failed']}")
        if last["rows_new"] or last["rows_updated"]:
            raise BrokenError(f"with nothing new, a run wrote {last}")
        self.evil.setblocking(False)
        try:
            self.evil.accept()
        except BlockingIOError:
            return
        raise BrokenError("somebody connected to the foreign origin")

    def begin(self, turn: str) -> None:
        """Load some with a backfill first: then nobody knows until when everything is loaded."""
        if self.begins_with_backfill and turn not in AT_FIRST:
            self.account.now += self.steps[0]
            self.run(["backfill", "--from", "30d"], Plan(), quiet=True)

    @property
    def all_struck(self) -> Counter[str]:
        return self.struck + self.api.struck + self.invariants.struck

    def note(self, event: str, more: str = "") -> None:
        self.struck[event] += 1
        self.log.append(f"{event} {more}".strip())

    def restore(self, event: str) -> None:
        """What the warehouse holds now is where it goes on from."""
        self.note(event)
        self.invariants.restored()

    def plan(self) -> Plan:
        plan, dice = Plan(), self.dice
        plan.lag = dice.getrandbits(30)
        for kind in dice.sample(PASSING, dice.randrange(1, 5)):
            if kind not in ("hang", "drip") or dice.random() < 0.2:
                plan.passing[dice.randrange(15)] = kind
        if dice.random() < 0.2:
            plan.lasting = dice.randrange(15), dice.choice(list(LASTING))
        elif self.has_several and dice.random() < 0.3:
            plan.of_account = dice.choice(ACCOUNTS), dice.choice(["refused", "down"])
        elif dice.random() < 0.06:
            plan.signal = dice.randrange(15), signal.SIGTERM
        return plan

    def death(self, kind: str) -> tuple[str, int]:
        """When a run is to be killed: at the n-th moment of a kind."""
        return kind, self.dice.randrange(
            self.engine.kills.get(kind, 2 if kind == "fetch" else 15)
        ) + 1

    def run(
        self,
        arguments: list[str],
        plan: Plan,
        death: tuple[str, int] | None = None,
        quiet: bool = False,
    ) -> None:
        """Run the command, wait for its end, check everything."""
        moment = death[0] if death else ""
        if death and moment in ("request", "fetch"):
            plan.signal, plan.fetching = (death[1], signal.SIGKILL), moment == "fetch"
        worker = self.worker = self.worker or self.hire()
        plan.process = worker.process.pid
        now, waiting = self.account.now, None
        self.api.begin(plan)
        self.engine.was_cut = False
        if not (death or plan.signal or quiet) and self.dice.random() < 0.25:
            waiting = self.engine.meanwhile(self, now)
        exact = death if moment in self.engine.kills else None
        if self.engine.lake:
            self.engine.lake.watch(random.Random(f"{self.seed} {now}"))
        worker.begin(arguments, exact, waits=waiting is not None)
        timer = threading.Timer(self.dice.random() * 0.5, worker.process.kill)
        if moment == "any time":
            timer.start()
        neighbour = twin = None
        if self.engine.has_neighbour:
            neighbour = self.begin_beside("neighbour at once", 0.5, ["run"], NEIGHBOUR)
            self.neighbour = neighbour or self.neighbour
        if not (death or waiting or plan.signal or plan.lasting):
            twin = self.begin_beside("two at once", 0.05, arguments)
        code, kind = worker.outcome(waiting)
        timer.cancel()
        if code == -signal.SIGKILL:
            self.worker = None
            self.struck[f"kill: {kind or moment}"] += bool(kind or moment == "any time")
        self.log.append(
            f"{' '.join(arguments)} at {now}: {code}, met {self.api.met}, plan {plan.passing} "
            f"{plan.lasting} {plan.signal} {death}"
        )
        codes, others = [code, *self.codes(twin)], self.codes(neighbour)
        self.engine.settle()
        if self.engine.lake:
            self.struck += self.engine.lake.check(codes)
        self.invariants.check(now, codes, plan)
        if others:
            self.invariants.check_neighbour(now, others)

    def begin_beside(
        self, event: str, chance: float, arguments: list[str], account: str = ACCOUNT_SID
    ) -> Worker | None:
        """Start a run of another process, by chance; the neighbour's stays for the next."""
        if self.dice.random() > chance:
            return None
        known = self.neighbour if account == NEIGHBOUR else None
        worker = known or self.hire(account)
        worker.begin(arguments)
        self.struck[event] += 1
        return worker

    def codes(self, beside: Worker | None) -> list[int]:
        """The exit code of a run that another process made, if there was one."""
        if beside is None:
            return []
        code, _ = beside.outcome()
        if beside is not self.neighbour:
            beside.wire.close()
        return [code]

    def hire(self, account: str = ACCOUNT_SID) -> Worker:
        own: dict[str, str] = {}
        folder = self.folder
        if account == NEIGHBOUR:
            folder /= "neighbour"
            folder.mkdir(exist_ok=True)
            own = {"TWILIO_ACCOUNT_SID": account, "SOURCES__TWILIO_INSIGHTS__ACCOUNTS": "own"}
        return hire(folder, self.environment | own, self.package_rows)


def every_moment(months: Months) -> None:
    """Kill a run, and the next that finishes what it left, at each moment there is, in turn."""
    months.run(["run"], Plan())
    for kind in months.engine.kills:
        for number in itertools.count(1):
            months.account.now += HOUR  # so that there is something to load
            before = months.struck.total()
            months.run(["run"], Plan(), (kind, number))
            if months.struck.total() == before:
                break
            months.run(["run"], Plan(), (kind, number))
            months.run(["run"], Plan())


def engine_for(seed: int, folder: Path) -> Engine:
    """Every second file is published to a lake, too."""
    kind = engine_of(seed)
    return File(folder, seed % 2 == 0) if kind is File else kind(folder)


def simulate(
    seed: int, live: Callable[[Months], None] = Months.live
) -> tuple[Counter[str], str | None, list[str]]:
    """What struck; what broke, if anything; and what was done until then."""
    place = folder_in_memory()
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=place) as folder:
        months = Months(seed, Path(folder), engine_for(seed, Path(folder)))
        try:
            live(months)
            broken = None
        except BrokenError as error:
            outputs = sorted(Path(folder).rglob("output.txt"))  # the neighbour has one too
            broken = "\n".join([str(error), *(output.read_text() for output in outputs)])
        finally:
            for worker in (months.worker, months.neighbour):
                if worker:
                    worker.wire.close()
            months.api.shutdown()
            months.api.server_close()
            months.evil.close()
            months.engine.close()
        struck = months.all_struck.items()
        of = {f"{months.engine.name}: {name}": count for name, count in struck}
        return Counter(of), broken, months.log


def simulate_until(deadline: float, seed: int) -> tuple[Counter[str], str | None, list[str]] | None:
    """The same; nothing after the deadline, in seconds since 1970."""
    return simulate(seed) if time.time() < deadline else None
