"""Some months of runs over one account or several, from one seed, and what must hold after each."""

from __future__ import annotations

import itertools
import json
import random
import shutil
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
from tests.simulation import warehouse
from tests.simulation.account import (
    ACCOUNT_SID,
    ACCOUNTS,
    DAY,
    HOUR,
    MINUTE,
    RETENTION,
    Account,
    Conference,
    Contents,
    Version,
)
from tests.simulation.api import LASTING, PASSING, TOKEN, Api, Plan
from tests.simulation.participants import ASKED_AGAIN, Person, people_of
from tests.simulation.worker import BrokenError, Worker, hire

CONFERENCES, RUNS = 2_000, 7
KILLS = {
    "extract": 31,
    "normalize": 36,
    "load": 105,
    "state": 32,
    "schema": 1,
    "write": 10,
    "completed": 1,
    "before COMMIT": 1,
    "after COMMIT": 1,
    "record": 10,
    "status file": 17,
    "views": 50,
    "publish": 10,
}
"""Kinds of moments at which a run can be killed, and about how many of each it has."""
DEATHS = ("request", "any time", "fetch", *KILLS)
EVENTS = (
    "SIGTERM",
    "two at once",
    "old copy put back",
    "working folder lost",
    "torn log",
    "folder copied in mid-run",
    "gap",
    "backfill",
    "participants listed",
)


@dataclass
class Months:
    """One seed: its account, its API, its warehouse."""

    seed: int
    folder: Path
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
        self.account = Account(self.dice, start, sum(self.steps), CONFERENCES, accounts)
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
        self.path = self.folder / "warehouse.duckdb"
        self.worker: Worker | None = None
        self.stored = self.read()
        self.opened = 0
        self.uncertain: set[str] = set()
        """Stale copies of these were shown, maybe when a correction could be seen for the last
        time: which final copy is stored is left open until the newest was."""
        self.listed_at: dict[tuple[str, int], int] = {}
        """When the run began that set the watermark of an account."""
        self.killed_at: int | None = None
        """When the run began that may have left a package."""
        self.package_lost = False
        """With the working folder: what it had merged in part is mended while the API has it."""
        self.copy: tuple[Path, int] | None = None
        self.midway: tuple[Path, int] | None = None
        """A copy of the folder made while a run loaded, and when that run began."""
        self.package_rows = self.dice.choice([700, 100_000, 100_000])
        self.environment = {
            "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "SOURCES__TWILIO_INSIGHTS__BASE_URL": self.api.url,
            "SOURCES__TWILIO_INSIGHTS__PAGE_SIZE": str(self.dice.choice([20, 100, 1000])),
            "SOURCES__TWILIO_INSIGHTS__MAX_CONCURRENCY": str(self.dice.choice([1, 2, 4])),
            "SOURCES__TWILIO_INSIGHTS__REQUEST_DEADLINE": "1s",
            "SOURCES__TWILIO_INSIGHTS__ACCOUNTS": "all" if self.has_several else "own",
            "SOURCES__TWILIO_INSIGHTS__PARTICIPANTS": str(self.has_participants).lower(),
            "SOURCES__TWILIO_INSIGHTS__PARTICIPANT_REQUESTS": str(self.most_listings),
            "HOME": str(self.folder),
        }

    def live(self) -> None:
        """Run after run; the last ones are quiet, and must leave everything exact."""
        kill_from = self.dice.randrange(RUNS - 4)
        for number, step in enumerate(self.steps):
            self.account.now += step
            if step > RETENTION:
                self.struck["gap"] += 1
            self.disturb()
            killed = any(name.startswith("kill") for name in self.struck + self.api.struck)
            due = number >= kill_from and not killed
            death = None
            if due:
                death = self.death(DEATHS[self.seed % len(DEATHS)])  # so that all have their turn
            elif self.dice.random() < 0.15:
                death = self.death(self.dice.choice(DEATHS))
            if due and number == RUNS - 1:
                death = "request", 1  # this one surely strikes
            self.run(["run"], self.plan(), death)
        if len((self.struck + self.api.struck).keys()) < 3:
            raise BrokenError("fewer than three kinds of fault struck")
        self.api.seconds_a_request = 0
        self.account.now += 30 * HOUR  # longer than any waiting after a 404
        self.run(["run"], Plan())
        self.run(["backfill", "--from", "30d"], Plan())
        self.struck["backfill"] += 1
        self.run(["run"], Plan())
        last = self.stored.runs[-1]
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

    def disturb(self) -> None:
        """Between runs people and machines do things to the files."""
        event = self.dice.random()
        wal = self.path.with_name(f"{self.path.name}.wal")
        if event < 0.07 and self.copy:
            copy, self.opened = self.copy
            shutil.copy(copy, self.path)
            wal.unlink(missing_ok=True)
            self.struck["old copy put back"] += 1
            self.log.append("an old copy was put back")
            self.stored = self.read()
        elif event < 0.12:
            shutil.rmtree(self.folder / "warehouse.duckdb.dlt", ignore_errors=True)
            self.struck["working folder lost"] += 1
            self.package_lost |= self.killed_at is not None
            self.log.append("the working folder was lost")
        elif event < 0.3 and self.path.exists() and not wal.exists():
            copy = self.folder / "copy"
            shutil.copy(self.path, copy)
            self.copy = copy, self.opened
        elif event < 0.45 and self.midway:
            self.put_back(*self.midway)
        elif wal.exists() and self.dice.random() < 0.6:
            self.tear(wal)

    def tear(self, log: Path) -> None:
        """What was written last is lost, as if the power had failed."""
        size = log.stat().st_size
        with log.open("r+b") as file:
            file.truncate(self.dice.choice([0, size // 2, size - 1, self.dice.randrange(size)]))
        self.struck["torn log"] += 1
        self.log.append("the log lost its tail")
        self.take_as_it_is()

    def put_back(self, copy: Path, began: int) -> None:
        for place in self.path.parent.glob("warehouse.duckdb*"):
            shutil.rmtree(place) if place.is_dir() else place.unlink()
        shutil.copytree(copy, self.folder, dirs_exist_ok=True)
        self.struck["folder copied in mid-run"] += 1
        self.log.append("a folder that was copied in mid-run was put back")
        self.killed_at = began
        self.take_as_it_is()

    def take_as_it_is(self) -> None:
        """What the warehouse holds now is where it goes on from."""
        self.stored = self.read()
        self.opened = len(self.stored.runs)

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
        return kind, self.dice.randrange(KILLS.get(kind, 2 if kind == "fetch" else 15)) + 1

    def run(self, arguments: list[str], plan: Plan, death: tuple[str, int] | None = None) -> None:
        """Run the command, wait for its end, check everything."""
        moment = death[0] if death else ""
        if death and moment in ("request", "fetch"):
            plan.signal, plan.fetching = (death[1], signal.SIGKILL), moment == "fetch"
        worker = self.worker = self.worker or self.hire()
        plan.process = worker.process.pid
        now = self.account.now
        self.api.begin(plan)
        copying = None
        if not death and not plan.signal and self.dice.random() < 0.25:
            copying = self.copying(now)
        worker.begin(arguments, death if moment in KILLS else None, waits=copying is not None)
        timer = threading.Timer(self.dice.random() * 0.5, worker.process.kill)
        if moment == "any time":
            timer.start()
        twin = None
        if not (death or copying or plan.signal or plan.lasting) and self.dice.random() < 0.05:
            twin = self.hire()
            twin.begin(arguments)
            self.struck["two at once"] += 1
        code, kind = worker.outcome(copying)
        timer.cancel()
        if code == -signal.SIGKILL:
            self.worker = None
            if kind or moment == "any time":
                self.struck[f"kill: {kind or moment}"] += 1
        self.log.append(
            f"{' '.join(arguments)} at {now}: {code}, met {self.api.met}, plan {plan.passing} "
            f"{plan.lasting} {plan.signal} {death}"
        )
        codes = [code]
        if twin:
            codes.append(twin.outcome()[0])
            twin.wire.close()
            if {*codes} - {0, 75} or 0 not in codes:
                raise BrokenError(f"two at once ended with {codes}")
        self.check(now, codes, plan)

    def copying(self, began: int) -> Callable[[str], None]:
        """Copies database and log at a moment of the run, and the working folder at a later one."""
        place, seen = self.folder / "midway", itertools.count(1)
        first = self.dice.randrange(10, 450)
        second = first + self.dice.choice([0, self.dice.randrange(150)])

        def waiting(_: str) -> None:
            moment = next(seen)
            if moment == first:
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                self.midway = None
                for file in (self.path, self.path.with_name(f"{self.path.name}.wal")):
                    if file.exists():
                        shutil.copy(file, place)
            if moment == second and (place / self.path.name).exists():
                work = f"{self.path.name}.dlt"
                shutil.copytree(self.folder / work, place / work)
                self.midway = place, began

        return waiting

    def hire(self) -> Worker:
        return hire(self.folder, self.environment, self.package_rows)

    def read(self) -> warehouse.Stored:
        if not self.path.exists():
            return warehouse.Stored({}, {}, [], set(), {}, [])
        return warehouse.read(self.path)

    def check(self, now: int, codes: list[int], plan: Plan) -> None:
        """The invariants.

        Raises:
            BrokenError: one does not hold.
        """
        before, self.stored = self.stored, self.read()
        stored, code = self.stored, min(codes)
        met = {fault for fault, _ in self.api.met}
        self.uncertain |= self.api.stale
        self.lagged |= dict.fromkeys(self.api.stale_people, now)
        self.check_exit_code(code, plan)
        if self.api.bad_requests:
            raise BrokenError(f"requests without both bounds: {self.api.bad_requests}")
        if stored.doubled:
            raise BrokenError(f"doubled: {stored.doubled[:3]}")
        self.check_runs(codes)
        self.check_contents(before, whole=code == 0)
        if (stale := warehouse.stale_copies(self.path, self.opened)) and code == 0:
            raise BrokenError(f"the published copy is stale: {stale}")
        skewed = bool(met & {"far-date", "no-date"})
        for account, watermark in stored.watermarks.items():
            # On a slow machine it is seconds ahead of the model's clock, which stands in a run.
            listed_at = self.listed_at.setdefault((account, watermark), self.killed_at or now)
            if watermark <= self.account.now:
                self.check_watermark(account, watermark, listed_at)
        self.killed_at = (self.killed_at or now) if code == -signal.SIGKILL else None
        if code == 0 and not skewed:
            self.check_complete(now)
            self.check_all_people(now)
        self.check_people(before)

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
        if code != -signal.SIGKILL and code not in expected:
            raise BrokenError(f"exit code {code}, not {expected}")

    def check_runs(self, codes: list[int]) -> None:
        """Every run that held the warehouse has its row, and each row says how it ended."""
        outcomes = [run["outcome"] for run in self.stored.runs]
        if codes == [-signal.SIGKILL]:
            if not self.opened <= len(outcomes) <= self.opened + 1:
                raise BrokenError(f"_runs has {outcomes}, not {self.opened} rows, or one more")
            self.opened = len(outcomes)
            return
        self.opened += sum(code != 75 for code in codes)
        last = {0: "ok", 143: "stopped"}.get(min(codes), "failed")
        if len(outcomes) != self.opened or outcomes[-1] != last or "running" in outcomes:
            raise BrokenError(f"after {codes}, _runs has {outcomes}, not {self.opened} rows")

    def check_contents(self, before: warehouse.Stored, whole: bool) -> None:
        """Nothing is stored that was never shown, and nothing final is replaced by less."""
        stored = self.stored
        if whole and stored.orphans:
            raise BrokenError(f"child rows without a parent: {list(stored.orphans)[:3]}")
        end = self.account.now
        for sid, contents in stored.summaries.items():
            conference, earlier = self.account.by_sid[sid], None
            now = _which(conference, contents, end)
            lost = self.package_lost and conference.at(end) is None
            if now is None and (lost or not whole):
                continue  # its package is not finished
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

    def check_complete(self, now: int) -> None:
        """Everything that was to be seen when the run began is stored as it was then, or newer."""
        last = self.stored.runs[-1]
        backfill = last["command"] == "backfill"
        failed = json.loads(last["accounts_failed"] or "{}")
        for conference in self.account.conferences:
            if conference.account in failed:
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
            elif sid not in self.api.stale and (sid not in self.uncertain or kept.rank < 2):
                raise BrokenError(f"{sid} is stale: {kept.state}, shown was {shown.state}")

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

    def check_all_people(self, now: int) -> None:
        """After a run with none left to list, all that were to be seen when it began are stored."""
        told = json.loads(self.stored.runs[-1]["resources"] or "{}").get("participants")
        if not told or told["waiting"] or told["listings_due"] == self.most_listings:
            return
        if told["listings"] < told["listings_due"]:  # some could not be listed
            return
        self.struck["participants listed"] += 1
        for person in self.people.values():
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


def _which(conference: Conference, contents: Contents, until: int) -> Version | None:
    """The newest version shown until then that is just so."""
    for version in reversed(conference.versions):
        if version.since <= until and version.contents == contents:
            return version
    return None


def every_moment(months: Months) -> None:
    """Kill a run, and the next that finishes what it left, at each moment there is, in turn."""
    months.run(["run"], Plan())
    for kind in KILLS:
        for number in itertools.count(1):
            months.account.now += HOUR  # so that there is something to load
            before = months.struck.total()
            months.run(["run"], Plan(), (kind, number))
            if months.struck.total() == before:
                break
            months.run(["run"], Plan(), (kind, number))
            months.run(["run"], Plan())


def simulate(
    seed: int, live: Callable[[Months], None] = Months.live
) -> tuple[Counter[str], str | None, list[str]]:
    """What struck; what broke, if anything; and what was done until then."""
    place = folder_in_memory()
    with tempfile.TemporaryDirectory(prefix="conference-insights-", dir=place) as folder:
        months = Months(seed, Path(folder))
        try:
            live(months)
            broken = None
        except BrokenError as error:
            output = Path(folder, "output.txt")
            broken = f"{error}\n{output.read_text() if output.exists() else ''}"
        finally:
            if months.worker:
                months.worker.wire.close()
            months.api.shutdown()
            months.api.server_close()
            months.evil.close()
        return months.struck + months.api.struck, broken, months.log


def simulate_until(deadline: float, seed: int) -> tuple[Counter[str], str | None, list[str]] | None:
    """The same; nothing after the deadline, in seconds since 1970."""
    return simulate(seed) if time.time() < deadline else None
