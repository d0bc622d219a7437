"""`reconcile` compares participants too, of the newest conferences if there are many, and names
what cannot be loaded."""

from __future__ import annotations

import pytest

from pipelines.run.pipeline import run
from pipelines.simulator.account import ACCOUNT_SID
from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.api import bounds
from pipelines.twilio_insights.progress import Progress
from tests.comparisons import DAY, HOUR, SOURCE, change, compare, contents, kinds, person
from tests.comparisons import people as people
from tests.conftest import NOW, Command, Loaded, sid, summary

pytestmark = pytest.mark.usefixtures("tables_only")


@pytest.mark.thorough
def test_participants(people: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kinds(compare()) == {}
    key = "participant_sid = 'CP{:032x}'".format
    change(
        people,
        f"DELETE FROM {{conference_participants}} WHERE {key(10)}",
        f"UPDATE {{conference_participants}} SET row_digest = 1 WHERE {key(20)}",
        "UPDATE {conference_participants} SET row_digest = 1, processing_state = NULL "
        f"WHERE {key(30)}",
        f"DELETE FROM {{_listings}} WHERE parent_key = '{sid(4)}'",
        f"DELETE FROM {{conference_participants}} WHERE conference_sid = '{sid(4)}'",
    )
    people.account.put_participants(sid(5), [person(50, 5)])
    before = contents(people)
    found = compare()
    assert kinds(found, "conferences") == {}
    assert kinds(found, "participants") == {
        "missing": 1, "different": 1, "changed": 1, "only_here": 1,
    }  # fmt: skip
    assert [*found.not_compared.values()] == [1]
    day = (NOW - DAY).date()
    assert found.found["participants", ACCOUNT_SID, day].missing == 1, "the conference's day"
    assert contents(people) == before
    monkeypatch.setenv(f"{SOURCE}PARTICIPANT_REQUESTS", "2")
    real = InsightsHandler.answer

    def failing(handler: InsightsHandler) -> tuple[int, bytes]:
        return (400, b"{}") if f"{sid(1)}/P" in handler.path else real(handler)

    with monkeypatch.context() as patch:
        patch.setattr(InsightsHandler, "answer", failing)
        assert kinds(compare(), "participants") == {"different": 1}
    few = compare()
    assert kinds(few, "participants") == {"missing": 1, "different": 1}, "of the newest two"
    assert sorted(few.not_compared.values()) == [1, 2]
    monkeypatch.delenv(f"{SOURCE}PARTICIPANT_REQUESTS")
    assert compare(repair=True).faults == 0
    assert kinds(compare()) == {"only_here": 1}


@pytest.mark.thorough
@pytest.mark.usefixtures("with_participants")
def test_what_cannot_be_loaded_is_no_reason_to_call_all_complete(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    for name in ("MANY", "MAX_VALUES"):
        monkeypatch.setattr(bounds, name, 1000)
    large = {"details": [[0, 0]] * 1500}
    loaded.account.put(summary(1, 30 * HOUR, "in_progress"))
    loaded.account.put(summary(2, 5 * HOUR, unique_participants=1))
    loaded.account.put_participants(sid(2), [person(20, 2), person(21, 2) | large])
    run(Progress("run"))
    loaded.account.put(summary(1, 30 * HOUR, tag_info=large))
    loaded.account.put(summary(3, 5 * HOUR, tag_info=large))
    run(Progress("run"))
    for repair in (False, True):
        found = compare(repair=repair)
        assert kinds(found, "conferences") == {"rejected": 2}
        assert kinds(found, "participants") == {"rejected": 1}
        assert (found.total("conferences").at_twilio, found.total().in_warehouse) == (3, 3)
        assert found.found["conferences", ACCOUNT_SID, (NOW - 30 * HOUR).date()].rejected == 1
    done = command("reconcile")
    assert done.returncode == 65
    assert (
        "3 rejected: Twilio has them, and they cannot be loaded, see _rejected_rows" in done.stdout
    )
    assert "Complete" not in done.stdout
