"""A conference that was erased does not come back with a later run, backfill or repair."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from pipelines.run.erase import erase
from pipelines.run.erasures import Subject
from tests.comparisons import compare, kinds
from tests.conftest import NOW, Command, Loaded, sid, summary
from tests.given_to_erase import DAY, GONE, HOUR, RAW, TIME, backfill, change, counted, noted
from tests.given_to_erase import full as full
from tests.given_to_erase import odd as odd
from tests.given_to_erase import rows_only as rows_only


@pytest.mark.thorough
def test_it_does_not_come_back(
    full: Loaded,
    rows_only: None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TIME, lambda: NOW)
    found = erase(Subject((GONE,)), threading.Event())
    assert found.counts["conference_summaries"] == 1
    full.account.put(summary(0xCA11AB1E, 2 * HOUR, "timeout", friendly_name="another"))
    by_sid = partial(backfill, GONE)
    for load in (full.run, backfill, by_sid, partial(compare, repair=True)):
        caplog.clear()
        load()
        assert counted(full, f"conference_sid = '{GONE}'") == 0
        assert ("erased here: 1 of the given conferences" in caplog.text) is (load is by_sid)
    compared = compare()
    assert kinds(compared) == {"erased": 1}
    change(full, f"UPDATE {RAW}_erasures SET erased_at = erased_at - INTERVAL 32 DAY")
    full.run()
    assert [row[1] for row in noted(full)] == [False]
    backfill()
    assert counted(full, f"conference_sid = '{GONE}'") == 1, "Twilio has nothing so old in fact"


@pytest.mark.parametrize("days", [40, -40], ids=["ahead", "behind"])
def test_a_wrong_clock_of_this_machine_brings_nothing_back(
    full: Loaded, rows_only: None, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(TIME, lambda: NOW + min(days, 0) * DAY)
        erase(Subject((GONE,)), threading.Event())
    with monkeypatch.context() as patch:
        patch.setattr(TIME, lambda: NOW + max(days, 0) * DAY)
        full.run()
    monkeypatch.setattr(TIME, lambda: NOW)
    backfill()
    assert counted(full, f"conference_sid = '{GONE}'") == 0


def test_an_unknown_conference_does_not_come_either(
    full: Loaded, rows_only: None, command: Command
) -> None:
    unknown = sid(77)
    done = command("erase", "--conference", unknown, "--yes")
    assert (done.returncode, done.stdout) == (0, "There is nothing to erase\n")
    full.account.put(summary(77, HOUR / 2))
    backfill(unknown)
    assert counted(full) == 3
