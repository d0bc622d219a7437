"""Some months of runs over one account or several, from one seed, and what must hold after each."""

from __future__ import annotations

import itertools
import json
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
from typing import Any

from tests.in_memory import folder_in_memory
from tests.simulation import warehouse
from tests.simulation.account import (
    ACCOUNT_SID,
    ACCOUNTS,
    DAY,
    HOUR,
    MINUTE,
    NEIGHBOUR,
    RETENTION,
    Account,
    Conference,
    Contents,
    Version,
)
from tests.simulation.api import LASTING, PASSING, TOKEN, Api, Plan
from tests.simulation.engines import AT_FIRST, SHARE, Engine, File, engine_of
from tests.simulation.lake import EVENTS as LAKE_EVENTS
from tests.simulation.participants import ASKED_AGAIN, Person, people_of
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
        conferences = self.account.conferences if self.has_participants else []
        of_conferences = {c.sid: people_of(c) for c in conferences}
        self.people = {p.sid: p for people in of_conferences.values() for p in people}
        self.lagged: dict[str, int] = {}
        """When the participants of a conference were last listed by a replica that lags behind."""
        self.evil = socket.create_server(("127.0.0.1", 0))
        self.api = Api(self.account, self.dice, self.evil.getsockname()[1], of_conferences)
        self.worker: Worker | None = None
        self.neighbour: Worker | None = None
        self.stored = self.engine.read()
        self.opened = Counter[str]()
        """Rows of `_runs` by the account of the credentials."""
        self.uncertain: set[str] = set()
        """Stale copies of these were shown, maybe when a correction could be seen for the last
        time: which final copy is stored is left open until the newest was."""
        self.listed_at: dict[tuple[str, int], int] = {}
        """When the run began that set the watermark of an account."""
        self.killed_at: int | None = None
        """When the run began that may have left a package."""
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
        for number, step in enumerate(self.steps):
            self.account.now += step
            if step > RETENTION:
                self.struck["gap"] += 1
            self.engine.disturb(self)
            killed = any(name.startswith("kill") for name in self.struck + self.api.struck)
            due = number >= kill_from and not killed
            death = None
            if due:
                death = self.death(turn)
            elif self.dice.random() < 0.15:
                death = self.death(self.dice.choice(deaths))
            if due and number == RUNS - 1:
                death = "request", 1  # this one surely strikes
            self.run(["run"], self.plan(), death)
        if len((self.struck + self.api.struck).keys() - {*LAKE_EVENTS}) < 3:
            raise BrokenError("fewer than three kinds of fault struck")
        self.api.seconds_a_request = 0
        self.account.now += 30 * HOUR  # longer than any waiting after a 404
        self.run(["run"], Plan(), quiet=True)
        self.run(["backfill", "--from", "30d"], Plan(), quiet=True)
        self.struck["backfill"] += 1
        self.run(["run"], Plan(), quiet=True)
        last = self.stored.runs[ACCOUNT_SID][-1]
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

    def note(self, event: str, more: str = "") -> None:
        self.struck[event] += 1
        self.log.append(f"{event} {more}".strip())

    def restore(self, event: str) -> None:
        """What the warehouse holds now is where it goes on from."""
        self.note(event)
        self.stored = self.engine.read()
        self.opened = Counter({sid: len(runs) for sid, runs in self.stored.runs.items()})

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
        self.check(now, codes, plan)
        if others:
            self.check_neighbour(now, others)

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

    def check(self, now: int, codes: list[int], plan: Plan) -> None:
        """The invariants.

        Raises:
            BrokenError: one does not hold.
        """
        before, self.stored = self.stored, self.engine.read()
        stored, code = self.stored, min(codes)
        met = {fault for fault, _ in self.api.met}
        self.uncertain |= self.api.stale
        self.lagged |= dict.fromkeys(self.api.stale_people, now)
        is_down = self.api.met_of_account and plan.of_account and plan.of_account[1] == "down"
        ended = 69 if is_down else 0
        if len(codes) > 1 and ({*codes} - {ended, 75} or ended not in codes):
            raise BrokenError(f"two at once ended with {codes}")
        self.check_exit_code(code, plan)
        if self.api.bad_requests:
            raise BrokenError(f"requests without both bounds: {self.api.bad_requests}")
        if stored.doubled:
            raise BrokenError(f"doubled: {stored.doubled[:3]}")
        if stored.orphans:
            raise BrokenError(f"child rows without a parent: {list(stored.orphans)[:3]}")
        self.check_runs(ACCOUNT_SID, codes)
        self.check_contents(before)
        if code == 0 and (stale := self.engine.stale(self.opened[ACCOUNT_SID])):
            raise BrokenError(f"readers see what is stale: {stale}")
        skewed = bool(met & {"far-date", "no-date"})
        for account, watermark in stored.watermarks.items():
            # On a slow machine it is seconds ahead of the model's clock, which stands in a run.
            listed_at = self.listed_at.setdefault((account, watermark), self.killed_at or now)
            if watermark <= self.account.now:
                self.check_watermark(account, watermark, listed_at)
        self.killed_at = (self.killed_at or now) if code == -signal.SIGKILL else None
        if code == 0 and not skewed:
            self.check_complete(now, ACCOUNT_SID)
        self.check_people(before)

    def check_neighbour(self, now: int, codes: list[int]) -> None:
        """Whatever happens to the other run, this one is complete, if the server lets it."""
        if codes != [0] and not (self.engine.was_cut and codes == [69]):
            raise BrokenError(f"the neighbour's exit code is {codes}")
        self.check_runs(NEIGHBOUR, codes)
        if codes == [0]:
            self.check_complete(now, NEIGHBOUR)

    def check_exit_code(self, code: int, plan: Plan) -> None:
        met = self.api.met
        lasting = {kind for kind, _ in met} & LASTING.keys()
        expected = {0}
        if lasting:
            (kind,) = lasting
            listing = kind == "refused" or any(was for which, was in met if which == kind)
            expected = LASTING[kind] if listing else LASTING[kind] | {0}
            if kind == "token-always-expired":
                expected = expected | {0}  # it has to last for three listings of a window
            if kind == "refused" and self.has_several:
                expected = expected | {0}  # those that are refused do not stop the others
        if self.api.met_of_account and plan.of_account:
            expected = {0} if plan.of_account[1] == "refused" else {69}
        if plan.signal:
            expected = expected | {128 + plan.signal[1], -plan.signal[1]}
        if self.engine.was_cut:
            expected = expected | {69}
        if code != -signal.SIGKILL and code not in expected:
            raise BrokenError(f"exit code {code}, not {expected}")

    def check_runs(self, writer: str, codes: list[int]) -> None:
        """Every run that held the warehouse has its row, and each row says how it ended."""
        outcomes, known = [run["outcome"] for run in self.stored.runs[writer]], self.opened[writer]
        if codes == [-signal.SIGKILL] or (self.engine.was_cut and codes != [0]):
            if not known <= len(outcomes) <= known + 1:
                raise BrokenError(f"_runs has {outcomes}, not {known} rows, or one more")
            self.opened[writer] = len(outcomes)
            return
        self.opened[writer] = known = known + sum(code != 75 for code in codes)
        last = {0: "ok", 143: "stopped"}.get(min(codes), "failed")
        if len(outcomes) != known or outcomes[-1] != last or "running" in outcomes:
            raise BrokenError(f"after {codes}, _runs has {outcomes}, not {known} rows")

    def check_contents(self, before: warehouse.Stored) -> None:
        """Nothing is stored that was never shown, and nothing final is replaced by less."""
        end = self.account.now
        for sid, contents in self.stored.summaries.items():
            conference, earlier = self.account.by_sid[sid], None
            now = _which(conference, contents, end)
            if now is None:
                raise BrokenError(f"{sid} was never shown so: {contents}")
            if sid in before.summaries:
                earlier = _which(conference, before.summaries[sid], end)
            if earlier is None or now.since >= earlier.since:
                continue
            if now.rank < earlier.rank or earlier.rank >= 2:
                raise BrokenError(f"{sid}: {earlier.state} was replaced by an older {now.state}")

    def check_watermark(self, account: str, watermark: int, listed_at: int) -> None:
        """All that was created before it, and was to be seen when it was listed, is stored."""
        for conference in self.account.conferences:
            if conference.created >= watermark:
                break
            if conference.account != account:
                continue
            shown = self.shown(conference, listed_at)
            if shown and not conference.late and conference.sid not in self.stored.summaries:
                raise BrokenError(f"{conference.sid}: created before the watermark, but not stored")

    def check_complete(self, now: int, writer: str) -> None:
        """Everything that was to be seen when the run began is stored as it was then, or newer."""
        last = self.stored.runs[writer][-1]
        backfill = last["command"] == "backfill"
        failed = json.loads(last["accounts_failed"] or "{}")
        # A fetch that gets a lasting fault is named, and left for the next run.
        is_fetch_lost = any(not listing and kind in LASTING for kind, listing in self.api.met)
        named = json.loads(last["unreadable"] or "[]") if is_fetch_lost else []
        for conference in self.account.conferences:
            if conference.account in failed or not _is_of(writer, conference):
                continue
            sid, shown = conference.sid, self.shown(conference, now)
            if shown is None or (conference.late and not backfill):
                continue
            if sid not in self.stored.summaries:
                raise BrokenError(f"{sid} is missing")
            kept = _which(conference, self.stored.summaries[sid], self.account.now)
            assert kept is not None
            if kept.since >= shown.since:
                self.uncertain.discard(sid)
            elif sid not in {*self.api.stale, *named} and (
                sid not in self.uncertain or kept.rank < 2
            ):
                raise BrokenError(f"{sid} is stale: {kept.state}, shown was {shown.state}")
        self.check_all_people(now, writer, last)

    def check_people(self, before: warehouse.Stored) -> None:
        """Each participant is stored as it was shown, and never less final than before."""
        for sid, contents in self.stored.people.items():
            kept = self.people[sid].which(contents, self.account.now)
            if kept is None:
                raise BrokenError(f"{sid} was never shown so: {contents}")
            if sid in before.people:
                earlier = self.people[sid].which(before.people[sid], self.account.now)
                if earlier and kept.rank < earlier.rank:
                    raise BrokenError(f"{sid}: {earlier.state} was replaced by {kept.state}")

    def check_all_people(self, now: int, writer: str, last: dict[str, Any]) -> None:
        """After a run with none left to list, all that were to be seen when it began are stored."""
        told = json.loads(last["resources"] or "{}").get("participants")
        if not told or told["waiting"] or told["listings_due"] == self.most_listings:
            return
        if told["listings"] < told["listings_due"]:  # some could not be listed
            return
        self.struck["participants listed"] += 1
        for person in self.people.values():
            if not _is_of(writer, person.conference):
                continue
            if (shown := person.at(now)) and self.is_listed(person, now):
                stored = self.stored.people.get(person.sid)
                kept = stored and person.which(stored, self.account.now)
                if kept is None or kept.since < shown.since:
                    state = kept and kept.state
                    raise BrokenError(f"{person.sid} is stale: {state}, shown was {shown.state}")

    def is_listed(self, person: Person, now: int) -> bool:
        """Whether a listing of its conference had to find it."""
        conference = person.conference
        stored, visible = self.stored.summaries.get(conference.sid), self.shown(conference, now)
        of = stored and _which(conference, stored, self.account.now)
        if not of or of.rank < 2 or not visible or of.since < visible.since:
            return False
        lagged = self.lagged.get(conference.sid)
        if not person.late and lagged is None:
            return True
        return now > max(lagged or 0, person.versions[0].since) + ASKED_AGAIN

    def shown(self, conference: Conference, now: int) -> Version | None:
        """What was to be seen of it then, if the API still has it at the end of this run."""
        end = self.account.now
        if conference.created <= end - RETENTION + MINUTE or conference.at(end) is None:
            return None
        return conference.at(now)


def _is_of(writer: str, conference: Conference) -> bool:
    """Whether a run with the credentials of that account loads it."""
    return (conference.account == NEIGHBOUR) == (writer == NEIGHBOUR)


def _which(conference: Conference, contents: Contents, until: int) -> Version | None:
    """The newest version shown until then that is just so."""
    for version in reversed(conference.versions):
        if version.since <= until and version.contents == contents:
            return version
    return None


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
            output = Path(folder, "output.txt")
            broken = f"{error}\n{output.read_text() if output.exists() else ''}"
        finally:
            for worker in (months.worker, months.neighbour):
                if worker:
                    worker.wire.close()
            months.api.shutdown()
            months.api.server_close()
            months.evil.close()
            months.engine.close()
        struck = months.struck + months.api.struck
        of = {f"{months.engine.name}: {name}": count for name, count in struck.items()}
        return Counter(of), broken, months.log


def simulate_until(deadline: float, seed: int) -> tuple[Counter[str], str | None, list[str]] | None:
    """The same; nothing after the deadline, in seconds since 1970."""
    return simulate(seed) if time.time() < deadline else None
