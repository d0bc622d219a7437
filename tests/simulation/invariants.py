"""What must hold after each run, whatever struck."""

from __future__ import annotations

import json
import signal
from collections import Counter
from typing import Any

from tests.simulation.account import (
    ACCOUNT_SID,
    MINUTE,
    NEIGHBOUR,
    RETENTION,
    Conference,
    Contents,
    Version,
)
from tests.simulation.api import LASTING, MALFORMED, Api, Plan
from tests.simulation.engines import Engine
from tests.simulation.participants import ASKED_AGAIN, Person
from tests.simulation.warehouse import Stored
from tests.simulation.worker import BrokenError


class Invariants:
    """Compares what is stored with what the API has shown so far.

    Args:
        people: participants by SID, if they are loaded.
        most_listings: of participants in a run.
        has_several: accounts.
    """

    def __init__(
        self,
        api: Api,
        engine: Engine,
        people: dict[str, Person],
        most_listings: int,
        has_several: bool,
    ) -> None:
        self.api, self.account, self.engine = api, api.account, engine
        self.people, self.most_listings, self.has_several = people, most_listings, has_several
        self.struck = Counter[str]()
        self.stored = engine.read()
        self.opened = Counter[str]()
        """Rows of `_runs` by the account of the credentials."""
        self.lagged: dict[str, int] = {}
        """When the participants of a conference were last listed by a replica that lags behind."""
        self.uncertain: set[str] = set()
        """Stale copies of these were shown, maybe when a correction could be seen for the last
        time: which final copy is stored is left open until the newest was."""
        self.listed_at: dict[tuple[str, int], int] = {}
        """When the run began that set the watermark of an account."""
        self.refused_at: dict[str, int] = {}
        """When an account was last refused, of several."""
        self.killed_at: int | None = None
        """When the run began that may have left a package."""

    def restored(self) -> None:
        """What the warehouse holds now is where it goes on from."""
        self.stored = self.engine.read()
        self.opened = Counter({sid: len(runs) for sid, runs in self.stored.runs.items()})

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
            account, kind = plan.of_account
            expected = {0} if kind == "refused" else {69}
            if kind == "refused":
                self.refused_at[account] = self.account.now
                since = self.account.now - 86_400  # none that was refused is asked again so soon
                if {a for a, at in self.refused_at.items() if at > since} == {*self.account.sids}:
                    expected = {0, 77}
        if plan.signal:
            expected = expected | {128 + plan.signal[1], -plan.signal[1]}
        # All three may be answers to the same request, which is not made a fourth time then.
        if self.engine.was_cut or {kind for kind, _ in met} >= MALFORMED:
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

    def check_contents(self, before: Stored) -> None:
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

    def check_people(self, before: Stored) -> None:
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
