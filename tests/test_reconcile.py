"""`reconcile` compares Twilio with the warehouse and writes nothing unless it is to repair that; it
tells what is missing from what the next run loads."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from contextlib import closing
from datetime import timedelta
from typing import Any

import duckdb
import pytest

from pipelines.run import packages
from pipelines.run.pipeline import Backfill, run
from pipelines.run.reconcile import DifferencesError, reconcile
from pipelines.simulator.account import ACCOUNT_SID, Account, iso
from pipelines.simulator.participants import participant_row
from pipelines.simulator.server import InsightsHandler, InsightsServer
from pipelines.twilio_insights.api import bounds
from pipelines.twilio_insights.errors import RefusedError, UnavailableError
from pipelines.twilio_insights.extract.comparison import Compared, Comparison
from pipelines.twilio_insights.progress import Progress
from pipelines.warehouse.postgres import PostgresServer
from tests.conftest import NOW, Command, Loaded, kill_when, sid, summary

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SUPPORT = "AC" + "1" * 32
SOURCE = "SOURCES__TWILIO_INSIGHTS__"
DATASET = "conference_insights"
pytestmark = pytest.mark.usefixtures("tables_only")


def compare(
    repair: bool = False, since: str = "29d", until: str = "0d", **progress: Any
) -> Comparison:
    """What is found; what is missing or different does not raise here."""
    comparison = Comparison(repair)
    try:
        reconcile(
            Progress("reconcile", **progress), Backfill(since, until), threading.Event(), comparison
        )
    except DifferencesError:
        assert comparison.faults
    else:
        assert not comparison.faults
    return comparison


def kinds(comparison: Comparison, resource: str | None = None) -> dict[str, int]:
    """The counts that are not 0, without those of what is there."""
    found = vars(comparison.total(resource))
    return {name: n for name, n in found.items() if n and name not in ("at_twilio", "in_warehouse")}


def change(loaded: Loaded, *statements: str) -> None:
    with closing(duckdb.connect(str(loaded.path))) as connection:
        for statement in statements:
            connection.execute(statement.replace("{", f"{DATASET}.").replace("}", ""))


def delete(loaded: Loaded, *numbers: int) -> None:
    sids = ", ".join(f"'{sid(number)}'" for number in numbers)
    change(loaded, f"DELETE FROM {{conference_summaries}} WHERE conference_sid IN ({sids})")


def contents(loaded: Loaded) -> dict[str, list[Any]]:
    """Every table but the history of runs."""
    names = loaded.query(f"SELECT table_name FROM duckdb_tables() WHERE schema_name = '{DATASET}'")
    return {n: loaded.query(f"FROM {DATASET}.{n} ORDER BY ALL") for (n,) in names if n != "_runs"}


@pytest.fixture
def month(loaded: Loaded) -> Loaded:
    """A conference every eight hours, all of them loaded."""
    for number in range(87):
        loaded.account.put(summary(number, number * 8 * HOUR + HOUR))
    loaded.run()
    return loaded


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


@pytest.mark.thorough
def test_rows_in_runs(month: Loaded, command: Command) -> None:
    delete(month, 30)
    assert [command("reconcile", *a).returncode for a in ((), ("--repair",), ())] == [65, 0, 0]
    rows = month.query(
        "SELECT outcome, error_class, rows_new, rows_updated, final_changed, compared "
        f"FROM {DATASET}._runs WHERE command = 'reconcile' ORDER BY started_at"
    )
    assert [row[:-1] for row in rows] == [
        ("failed", "DifferencesError", 0, 0, None),
        ("ok", None, 1, 0, None),
        ("ok", None, 0, 0, None),
    ]
    assert [json.loads(row[-1])["conferences"]["missing"] for row in rows] == [1, 1, 0]
    assert json.loads(command("status", "--json").stdout)["last_good"]["command"] == "run"


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


@pytest.fixture
def two(account: Account, month: Loaded, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    monkeypatch.setenv(f"{SOURCE}ACCOUNTS", "all")
    monkeypatch.setenv(f"{SOURCE}RETRY_BUDGET", "1s")
    account.add_subaccount(SUPPORT, "Support")
    for number in range(500, 505):
        account.subaccounts[SUPPORT].put(summary(number, number * HOUR))
    month.run()
    return month


@pytest.mark.thorough
def test_accounts_are_compared_each(two: Loaded, command: Command) -> None:
    delete(two, 10, 501)
    found = compare()
    missing = {account: c.missing for (_, account, _), c in found.found.items() if c.missing}
    assert missing == {ACCOUNT_SID: 1, SUPPORT: 1}
    done = command("reconcile", "--repair")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "Support" in line]
    assert line.split() == [str((NOW - 501 * HOUR).date()), "Support", "5", "4", "1", "0"]


@pytest.mark.thorough
def test_an_account_that_fails_stops_no_other(two: Loaded, command: Command) -> None:
    delete(two, 10, 501)
    support = two.account.subaccounts[SUPPORT]
    support.failure = 503, 20503, "Service unavailable"
    comparison = Comparison()
    with pytest.raises(UnavailableError):
        reconcile(Progress("reconcile"), Backfill("29d"), threading.Event(), comparison)
    assert (kinds(comparison), not comparison.cut_by) == ({"missing": 1}, False)
    assert two.query(f"SELECT last_error FROM {DATASET}.accounts") == [(None,), (None,)]
    support.failure, support.advanced_features = None, False
    done = command("reconcile")
    assert done.returncode == 65, "one that is refused does not count where all are to be found"
    assert "Not everything" in done.stdout
    assert "Support" in done.stderr
    two.account.advanced_features = False
    with pytest.raises(RefusedError):
        compare()
    assert command("reconcile").returncode == 77


def person(number: int, conference: int, state: str = "complete") -> dict[str, Any]:
    row = participant_row(f"CP{number:032x}", sid(conference), NOW - HOUR)
    return row | {"processing_state": state}


@pytest.fixture
def people(loaded: Loaded, with_participants: None) -> Loaded:
    for number in range(1, 6):
        loaded.account.put(summary(number, number * DAY, unique_participants=2))
        rows = [person(10 * number + n, number) for n in range(2)]
        loaded.account.put_participants(sid(number), rows)
    loaded.run()
    return loaded


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
def test_in_a_server(
    people: Loaded, database: str, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setenv("DESTINATION_TYPE", "postgres")
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", database)
    people.account.put(summary(6, 6 * DAY, "in_progress"))
    run(Progress("run"))
    assert kinds(compare()) == {}
    with PostgresServer(database).open() as warehouse:
        for table, condition in (
            ("conference_summaries", f"conference_sid = '{sid(1)}'"),
            ("conference_participants", f"participant_sid = 'CP{20:032x}'"),
        ):
            warehouse.execute(f"DELETE FROM {DATASET}.{table} WHERE {condition}")
    people.account.forget(sid(5))
    people.account.put(summary(6, 6 * DAY))
    found = compare()
    assert kinds(found, "conferences") == {"missing": 1, "changed": 1, "only_here": 1}
    assert kinds(found, "participants")["missing"] == 1
    assert command("reconcile", "--repair").returncode == 0
    assert kinds(compare(), "conferences") == {"only_here": 1}
    with PostgresServer(database).open() as warehouse:
        ended = f"SELECT outcome FROM {DATASET}._runs WHERE command = 'reconcile'"
        assert Counter(warehouse.execute(ended)) == {("ok",): 3, ("failed",): 1}


@pytest.mark.thorough
def test_a_stop_and_a_repair_by_packages(
    month: Loaded, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setattr(packages, "PACKAGE_ROWS", 5)
    delete(month, *range(10, 70))
    stop, comparison = threading.Event(), Comparison(repair=True)
    progress = Progress("reconcile")

    def stop_half_way(changed: Progress) -> None:
        if changed.rows_new > 20:
            stop.set()

    progress.on_change = stop_half_way
    reconcile(progress, Backfill("29d"), stop, comparison)
    assert comparison.cut_by
    assert 20 < progress.rows_new < 60
    assert kinds(compare()) == {"missing": 60 - progress.rows_new}
    assert command("reconcile", "--repair").returncode == 0
    month.assert_exact()


@pytest.mark.thorough
def test_a_killed_one_leaves_nothing_wrong(month: Loaded) -> None:
    delete(month, *range(10, 70))
    before = contents(month)
    month.server.requests.clear()
    kill_when(lambda: len(month.server.requests) > 2, month.path.parent, command="reconcile")
    assert contents(month) == before
    assert kinds(compare(repair=True)) == {"missing": 60}
    month.assert_exact()
    outcomes = (
        f"SELECT outcome FROM {DATASET}._runs WHERE command = 'reconcile' ORDER BY started_at"
    )
    assert month.query(outcomes)[-1] == ("ok",)


def test_what_a_killed_run_left_is_for_the_next_run(month: Loaded) -> None:
    left = month.path.with_name(f"{month.path.name}.dlt") / "conference_insights/load/normalized/1"
    left.mkdir(parents=True)
    compare()
    assert left.exists()


@pytest.mark.thorough
def test_the_table(month: Loaded, command: Command) -> None:
    delete(month, 30, 31)
    month.account.forget(sid(70))
    done = command("reconcile")
    assert done.returncode == 65
    assert done.stdout.splitlines()[:6] == [
        "day (UTC)   Twilio  warehouse  missing  different  only here",
        "2026-10-28       2          3        0          0          1",
        "2026-11-10       3          1        2          0          0",
        "total           86         85        2          0          1",
        "",
        f"2 missing: Twilio has them, the warehouse has not, the first {sid(30)}",
    ]
    assert "2 missing, the first" in done.stderr
    done = command("reconcile", "--repair")
    assert done.returncode == 0
    assert "2 missing, written now" in done.stdout
    assert "Complete from 2026-10-22T14:30:00Z to 2026-11-20T14:30:00Z" in done.stdout


@pytest.mark.parametrize("is_listed", [True, False])
def test_what_could_not_be_compared_is_told(
    month: Loaded, command: Command, is_listed: bool
) -> None:
    other, prefix = f"AC{7:032x}", "SOURCES__TWILIO_INSIGHTS__"
    variables = {f"{prefix}ACCOUNTS": f"{ACCOUNT_SID},{other}"}
    if not is_listed:
        url = f"{month.server.url}/nope"
        variables = {f"{prefix}ACCOUNTS": "all", f"{prefix}ACCOUNTS_URL": url}
    done = command("reconcile", **variables)
    assert done.returncode in (69, 77)
    (why,) = re.findall("Not everything .* could be compared: (.*)", done.stdout)
    assert why.startswith(f"not read: {other}, " if is_listed else "List of accounts")


def test_json(month: Loaded, command: Command) -> None:
    delete(month, 30)
    done = command("reconcile", "--from", "2026-11-10", "--to", "2026-11-11", "--json")
    assert done.returncode == 65
    found = json.loads(done.stdout)
    counts = vars(Compared(at_twilio=3, in_warehouse=2, missing=1))
    assert found["days"] == [
        {"day": "2026-11-10", "account_sid": ACCOUNT_SID, "resource": "conferences"} | counts
    ]
    assert found["total"] == {"conferences": counts}
    assert found["first_sids"] == {"missing": [sid(30)]}
    assert (found["is_complete"], found["repair"]) == (True, False)


@pytest.mark.parametrize("arguments", [("--from", "soon"), ("--from", "2d", "--to", "3d")])
def test_wrong_usage(loaded: Loaded, command: Command, arguments: tuple[str, ...]) -> None:
    done = command("reconcile", *arguments)
    assert (done.returncode, done.stdout) == (2, "")


def test_no_warehouse_is_made_to_compare_it(loaded: Loaded, command: Command) -> None:
    loaded.path.unlink()
    done = command("reconcile")
    assert (done.returncode, loaded.path.exists(), loaded.server.requests) == (74, False, [])
    assert "Nothing is loaded" in done.stderr


def test_no_table_is_made_to_compare_it(loaded: Loaded, command: Command) -> None:
    loaded.path.unlink()
    duckdb.connect(loaded.path).close()
    done = command("reconcile")
    assert (done.returncode, loaded.server.requests) == (74, [])
    assert "Nothing is loaded" in done.stderr
    with duckdb.connect(loaded.path) as connection:
        assert connection.sql("SHOW ALL TABLES").fetchall() == []


@pytest.mark.thorough
def test_a_record_that_two_listings_show_counts_once(
    two: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the list of the parent account has those of subaccounts is not documented."""
    real = InsightsServer.list_page

    def of_all(server: InsightsServer, query: dict[str, str]) -> bytes:
        page = json.loads(real(server, query))
        if "Subaccount" not in query:
            more = json.loads(real(server, query | {"Subaccount": SUPPORT}))
            page["conferences"] += more["conferences"]
        return json.dumps(page).encode()

    delete(two, 10, 501)
    apart = compare()
    assert kinds(apart) == {"missing": 2}
    monkeypatch.setattr(InsightsServer, "list_page", of_all)
    together = compare()
    assert together.found == apart.found
    assert (compare(repair=True).total().missing, compare().total().missing) == (2, 0)


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


@pytest.mark.thorough
def test_an_empty_warehouse_lacks_everything(loaded: Loaded) -> None:
    loaded.account.put(summary(1, 5 * HOUR))
    assert kinds(compare()) == {"missing": 1}
    assert compare(repair=True).faults == 0
    loaded.assert_exact()
    run(Progress("run"))
    assert kinds(compare()) == {}
