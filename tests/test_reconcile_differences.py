"""What differs between Twilio and the warehouse is counted by kind and day, and told from what the
next run loads; nothing is written unless it is to be repaired."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from pipelines.run import packages
from pipelines.run.pipeline import run
from pipelines.simulator.account import iso
from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.progress import Progress
from tests.comparisons import DATASET, DAY, HOUR, SOURCE, change, compare, contents, delete, kinds
from tests.comparisons import month as month
from tests.conftest import NOW, Command, Loaded, sid, summary

pytestmark = pytest.mark.usefixtures("tables_only")


@pytest.mark.thorough
def test_what_is_equal_is_counted_day_by_day(month: Loaded) -> None:
    before = contents(month)
    found = compare()
    assert (kinds(found), not found.cut_by) == ({}, True)
    by_day = {str(day): counts.at_twilio for (_, _, day), counts in found.found.items()}
    in_warehouse = month.query(
        f"SELECT CAST(CAST(create_time AS DATE) AS VARCHAR), count(*) "
        f"FROM {DATASET}.conference_summaries WHERE create_time >= '{NOW - 29 * DAY}' GROUP BY 1"
    )
    assert by_day == dict(in_warehouse)
    assert all(c.at_twilio == c.in_warehouse for c in found.found.values())
    assert contents(month) == before


@pytest.mark.thorough
def test_every_kind_is_told_apart_and_repaired(month: Loaded) -> None:
    delete(month, 30, 31, 60)
    change(
        month,
        f"UPDATE {{conference_summaries}} SET row_digest = 1 WHERE conference_sid = '{sid(40)}'",
        "UPDATE {conference_summaries} SET row_digest = 2, processing_state = 'in_progress' "
        f"WHERE conference_sid = '{sid(41)}'",
    )
    month.account.put(summary(50, 50 * 8 * HOUR + HOUR, "in_progress"))
    month.account.forget(sid(70))
    month.account.now += HOUR
    month.account.put(summary(99, -HOUR / 2))
    before = contents(month)
    found = compare()
    expected = {"missing": 3, "different": 1, "changed": 1, "ahead": 1, "new": 1, "only_here": 1}
    assert kinds(found) == expected
    assert contents(month) == before, "nothing is written"
    assert {*found.sids["missing"]} == {sid(60), sid(31), sid(30)}
    days = {(NOW - number * 8 * HOUR - HOUR).date(): number for number in (30, 31, 60)}
    missing = {day: c.missing for (_, _, day), c in found.found.items() if c.missing}
    assert missing == dict(Counter((NOW - n * 8 * HOUR - HOUR).date() for n in (30, 31, 60)))
    assert days.keys() == missing.keys()
    total = found.total()
    assert total.in_warehouse == total.at_twilio - 3 - 1 + 1
    repaired = compare(repair=True)
    assert kinds(repaired) == expected
    assert repaired.faults == 0
    assert kinds(compare()) == {"ahead": 1, "only_here": 1}


def test_what_the_next_run_loads_is_not_missing(month: Loaded) -> None:
    month.account.now += 3 * HOUR
    month.account.put(summary(200, -HOUR))  # since the run
    long = iso(NOW - 10 * timedelta(minutes=1))
    month.account.put(summary(201, 20 * HOUR) | {"end_time": long})  # shown when it had ended
    month.account.put(summary(202, 20 * HOUR, "in_progress"))  # the same, and still going on
    month.account.put(summary(203, 20 * HOUR))  # ended 20 hours before the run
    month.account.put(summary(204, 4 * DAY, "in_progress"))  # too old for the next run to list it
    found = compare()
    assert kinds(found) == {"new": 3, "missing": 2}
    assert {*found.sids["missing"]} == {sid(203), sid(204)}


def test_an_hour_that_the_warehouse_has_nothing_of(month: Loaded) -> None:
    """Its pages become rows of tables at once."""
    month.account.now += 3 * HOUR
    for number in range(300, 900):
        month.account.put(summary(number, -2 * HOUR - timedelta(seconds=number)))
        month.account.put(summary(1000 + number, 101 * HOUR - timedelta(seconds=number)))
    assert kinds(compare()) == {"new": 600, "missing": 600}


@pytest.mark.thorough
def test_ranges_are_exact_however_they_are_cut(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    midnight = NOW.replace(hour=0, minute=0)
    for number in range(240):  # four each second around midnight
        loaded.account.put(summary(number, NOW - midnight + timedelta(seconds=number // 4 - 30)))
    loaded.run()
    delete(loaded, *range(0, 240, 4))
    monkeypatch.setattr(packages, "PACKAGE_ROWS", 3)
    monkeypatch.setenv(f"{SOURCE}PAGE_SIZE", "10")
    found = compare(since="2026-11-19", until="2026-11-21")
    by_day = {str(day): (c.at_twilio, c.missing) for (_, _, day), c in found.found.items()}
    assert by_day == {"2026-11-19": (116, 29), "2026-11-20": (124, 31)}
    only = compare(since="2026-11-20", until="2026-11-20T00:00:10").total()
    assert (only.at_twilio, only.missing) == (40, 10)


def test_records_that_only_the_warehouse_has_are_explained(
    month: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    month.account.now += 10 * DAY
    found = compare(since="45d")
    old = month.query(
        f"SELECT count(*) FROM {DATASET}.conference_summaries "
        f"WHERE create_time < '{NOW - 20 * DAY}'"
    )
    total = found.total()
    assert (total.only_here, total.explained, total.faults) == (old[0][0], old[0][0], 0)
    assert sum(found.reasons.values()) == total.explained
    monkeypatch.setenv(f"{SOURCE}FILTERS__MIXER_REGION", "ie1")
    filtered = compare(since="5d").total()
    assert filtered.only_here == filtered.explained == filtered.in_warehouse


def test_a_listing_that_lags_behind_is_no_difference(month: Loaded) -> None:
    """What is final here and listed otherwise is asked for by SID, as in a run."""
    change(
        month,
        f"UPDATE {{conference_summaries}} SET row_digest = 1 WHERE conference_sid = '{sid(40)}'",
    )
    requests = len(month.server.requests)
    assert kinds(compare()) == {"different": 1}
    assert any(sid(40) in url for url in month.server.requests[requests:])


@pytest.mark.thorough
def test_what_cannot_be_confirmed_is_no_proof(
    month: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    month.account.put(summary(40, 321 * HOUR, tags=["low_mos"]))
    real = InsightsHandler.answer

    def failing(handler: InsightsHandler) -> tuple[int, bytes]:
        return (404, b"{}") if sid(40) in handler.path else real(handler)

    with monkeypatch.context() as patch:
        patch.setattr(InsightsHandler, "answer", failing)
        assert kinds(compare()) == {"unconfirmed": 1}
        done = command("reconcile", "--repair")
        assert done.returncode == 65
        assert "1 unconfirmed, the first" in done.stderr
    assert kinds(compare()) == {"different": 1}
    assert command("reconcile", "--repair").returncode == 0


@pytest.mark.thorough
def test_an_empty_warehouse_lacks_everything(loaded: Loaded) -> None:
    loaded.account.put(summary(1, 5 * HOUR))
    assert kinds(compare()) == {"missing": 1}
    assert compare(repair=True).faults == 0
    loaded.assert_exact()
    run(Progress("run"))
    assert kinds(compare()) == {}
