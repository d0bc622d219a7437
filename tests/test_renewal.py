"""A copy that is renewed from the conferences that changed equals one built from nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from pipelines.run.post_load import DESCRIPTIONS
from pipelines.simulator.account import ACCOUNT_SID, Account
from pipelines.simulator.sample_data import busy_account
from pipelines.warehouse.checks import run_checks
from pipelines.warehouse.copy import writer
from pipelines.warehouse.copy.changed import CannotRenewError
from pipelines.warehouse.copy.in_memory import take_staging
from pipelines.warehouse.copy.publishing import PublishedCopies
from pipelines.warehouse.database import ANALYTICS
from pipelines.warehouse.duckdb_database import DuckDb
from pipelines.warehouse.views import apply_views
from tests.conftest import NOW, Loaded, loaded_once, slow, summary
from tests.given_participants import participant, put_participants
from tests.test_publish import PUBLISHED

RAW = "conference_insights."
ACCOUNTS = f"{RAW}accounts"
SUMMARIES = f"{RAW}conference_summaries"
CHILDREN = [f"{RAW}conference_{kind}" for kind in ("tags", "tag_info", "detected_issues")]
PERSONAL = frozenset(
    {"friendly_name", "participant_identity", "details", "duplicate_identities", "label"}
    | {"calling_party", "called_party"}
)


@pytest.fixture(scope="module")
def loaded_file(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Path:
    account: Account = busy_account(NOW, days=9, per_day=15)
    with loaded_once(account, tmp_path_factory.mktemp("renewal"), empty_warehouse) as loaded:
        loaded.load()
        with duckdb.connect(loaded.path) as connection:
            loads = f"SELECT max(load_id) FROM {RAW}_dlt_loads"
            list_participants(connection, Random(1), *connection.execute(loads).fetchall()[0])
        return loaded.path


@pytest.fixture
def connection(loaded_file: Path, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(loaded_file.read_bytes())
    with duckdb.connect(path) as connection:
        yield connection


def renew(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    zone: str,
    personal: frozenset[str],
    is_renamed: bool = False,
) -> None:
    """Renew the last copy, or build the first, and compare it with the views."""
    digest = apply_views(DuckDb(connection), DESCRIPTIONS, zone)
    warehouse, seal = (folder.with_name(name) for name in ("warehouse.duckdb", "seal.txt"))
    copies = PublishedCopies(connection, folder, personal, digest, "", warehouse, seal)
    read = copies.changed or copies.staging
    findings = run_checks(DuckDb(connection), NOW, lambda check: read.of(check.sql))
    assert [finding for finding in findings if finding.check.level == "fail"] == []
    try:
        file = copies.publish()
    except CannotRenewError:
        assert is_renamed
        file = copies.publish(rebuild=True)
    with duckdb.connect(file, read_only=True) as copy:
        for name in PUBLISHED:
            found = copy.execute(f"FROM analytics.{name}")
            columns = ", ".join(name for name, *_ in found.description)
            expected = connection.execute(f"SELECT {columns} FROM analytics.{name}")
            assert Counter(found.fetchall()) == Counter(expected.fetchall()), name


def put_account(
    connection: duckdb.DuckDBPyConnection, sid: str, name: str | None, **values: Any
) -> None:
    connection.execute(f"DELETE FROM {ACCOUNTS} WHERE account_sid = ?", [sid])
    now = NOW.replace(tzinfo=None)
    always = {"first_seen_at": now, "listed_to": now, "followed_by": sid, "_dlt_load_id": "1"}
    row = always | {"account_sid": sid, "friendly_name": name} | values
    names, marks = ", ".join(row), ", ".join(f"${name}" for name in row)
    connection.execute(f"INSERT INTO {ACCOUNTS} ({names}) VALUES ({marks})", row)


def add_package(connection: duckdb.DuckDBPyConnection, number: int) -> str:
    load_id, loads = f"{2_000_000_000 + number}.5", f"{RAW}_dlt_loads"
    row = f"SELECT * REPLACE ('{load_id}' AS load_id) FROM {loads} LIMIT 1"
    connection.execute(f"INSERT INTO {loads} {row}")
    return load_id


def list_participants(
    connection: duckdb.DuckDBPyConnection, random: Random, load_id: str, share: float = 0.5
) -> None:
    """Of some conferences; there may be none, or a 404. Some are not final yet, and change."""
    states, measures = ["complete", "complete", "in_progress", None], ["mos", "latency_avg"]
    sids = connection.execute(f"SELECT conference_sid FROM {SUMMARIES} ORDER BY ALL").fetchall()
    for (sid,) in random.sample(sids, round(share * len(sids))):
        rows = [
            participant(
                int(sid[2:], 16) % 10**9 * 10 + place,
                sid,
                processing_state=random.choice(states),
                country_code=random.choice(["US", "DE", None]),
                label=random.choice(["Agent", None]),
                duration_seconds=random.choice([None, 9, 99]),
                join_time=random.choice([None, NOW.replace(tzinfo=None)]),
                leave_time=random.choice([None, NOW.replace(tzinfo=None) + timedelta(hours=3)]),
                metrics={
                    direction: {measure: random.choice([None, 3.4, 4.1, 150.7])}
                    for direction in random.sample(["inbound", "outbound"], random.randint(0, 2))
                    for measure in random.sample(measures, 1)
                },
                events={"mute": [NOW.replace(tzinfo=None)] * random.randint(0, 2)},
                coached=range(random.randint(0, 2)),
            )
            for place in range(random.randint(0, 3))
        ]
        listing = {"conference": sid, "last_status": 200 if rows else random.choice([200, 404])}
        put_participants(connection, rows, [listing], load_id)


def load_something(connection: duckdb.DuckDBPyConnection, random: Random, package: int) -> None:
    """What a package may do: conferences appear, move to another day, become final or no longer
    are, lose and get tags, details and issues; time passes, or goes back, as with an account that
    is behind."""

    def execute(sql: str) -> list[Any]:
        return connection.execute(sql).fetchall()

    def maybe(chance: float = 0.5) -> bool:
        return random.random() < chance

    load_id = add_package(connection, package)
    hours = random.choice([0, 0, 0, 1, 5, 40, -30, 24 * 31])
    execute(f"UPDATE {RAW}_runs SET loaded_to = loaded_to + to_hours({hours})")
    execute(f"UPDATE {ACCOUNTS} SET listed_to = listed_to + to_hours({hours})")
    sids = execute(f"SELECT conference_sid FROM {SUMMARIES} ORDER BY ALL")
    for number, (old,) in enumerate(random.sample(sids, random.randint(0, 12))):
        new = f"CF{package:016x}{number:016x}" if maybe(0.3) else old
        keys = {"_dlt_load_id": f"'{load_id}'", "conference_sid": f"'{new}'"}
        others = {
            "create_time": [f"create_time + to_minutes({random.randint(-9999, 9999)})", "NULL"],
            "account_sid": ["account_sid", "'AC2'", "'AC3'", "NULL"],
            "start_time": [f"start_time + to_minutes({random.randint(-9999, 9999)})", "NULL"],
            "end_time": [f"end_time + to_minutes({random.randint(-99, 9999)})", "NULL"],
            "max_concurrent_participants": [str(random.randint(0, 9)), "NULL"],
            "duration_seconds": [str(random.randint(0, 9999)), "NULL"],
            "processing_state": ["'in_progress'", "'complete'", "'timeout'", "NULL"],
        }
        values = keys | {name: random.choice(some) for name, some in others.items() if maybe()}
        for table in (SUMMARIES, *CHILDREN):
            said = values if table == SUMMARIES else keys
            changes = ", ".join(f"{value} AS {name}" for name, value in said.items())
            execute(
                f"CREATE OR REPLACE TEMP TABLE rows AS SELECT * REPLACE ({changes}) FROM {table} "
                f"WHERE conference_sid = '{old}'"
            )
            execute(f"DELETE FROM {table} WHERE conference_sid = '{new}'")
            execute(f"INSERT INTO {table} FROM temp.rows")
        for table in CHILDREN:
            if maybe(0.3):
                lost = f"hash(rowid, {package}) % 2 = 0"
                execute(f"DELETE FROM {table} WHERE conference_sid = '{new}' AND {lost}")
        got = f"SELECT '{new}' AS conference_sid, '{load_id}' AS _dlt_load_id, 'new {package}' AS"
        if maybe(0.3):
            execute(f"INSERT INTO {CHILDREN[0]} BY NAME {got} tag")
        if maybe(0.3):
            count = random.choice(["NULL", "0", "7"])
            execute(f"INSERT INTO {CHILDREN[2]} BY NAME {got} issue, {count} AS issue_count")
    if maybe():
        list_participants(connection, random, load_id, share=0.03)


@pytest.mark.thorough
@pytest.mark.parametrize("packages", [3, *slow(20)])
@pytest.mark.parametrize(
    ("zone", "personal"), [("UTC", PERSONAL), ("Asia/Kolkata", frozenset[str]())]
)
def test_a_renewed_copy_is_what_the_views_say(
    zone: str,
    personal: frozenset[str],
    packages: int,
    connection: duckdb.DuckDBPyConnection,
    tmp_path: Path,
) -> None:
    random = Random(zone)
    put_account(connection, "AC2", "Sales")
    renew(connection, tmp_path / "copies", zone, personal)
    for package in range(packages):
        load_something(connection, random, package)
        renew(connection, tmp_path / "copies", zone, personal)


@pytest.mark.thorough
def test_a_listing_without_participants_is_a_change(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Whether Twilio had none, or was not asked, is on the card, and in no row of a participant."""
    ((sid,),) = connection.execute(
        f"SELECT conference_sid FROM {SUMMARIES} WHERE processing_state = 'complete' AND "
        f"conference_sid NOT IN (SELECT parent_key FROM {RAW}_listings) LIMIT 1"
    ).fetchall()
    for number, status in enumerate([None, 200, 404]):
        if status:
            load_id = add_package(connection, number)
            listing = {"conference": sid, "last_status": status}
            put_participants(connection, [], [listing], load_id)
        renew(connection, tmp_path / "copies", "UTC", PERSONAL)


@pytest.mark.thorough
def test_a_participant_that_is_not_final_expires_though_its_conference_is(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    states = "SELECT DISTINCT participant_completeness FROM analytics.participants ORDER BY 1"
    connection.execute(f"UPDATE {SUMMARIES} SET processing_state = 'complete'")
    renew(connection, tmp_path / "copies", "UTC", PERSONAL)
    assert connection.execute(states).fetchall() == [("final",), ("pending",)]
    connection.execute(f"UPDATE {RAW}_runs SET loaded_to = loaded_to + to_days(31)")
    connection.execute(f"UPDATE {ACCOUNTS} SET listed_to = listed_to + to_days(31)")
    add_package(connection, 1)
    renew(connection, tmp_path / "copies", "UTC", PERSONAL)
    assert connection.execute(states).fetchall() == [("expired",), ("final",)]


@pytest.mark.thorough
def test_the_last_full_day_of_an_account_is_renewed_without_a_load(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    connection.execute(f"UPDATE {SUMMARIES} SET account_sid = 'AC2' WHERE hash(rowid) % 2 = 0")
    ago = NOW.replace(tzinfo=None) - timedelta(days=3)
    put_account(connection, "AC2", "Sales", error_class="RefusedError", listed_to=ago)
    renew(connection, tmp_path / "copies", "UTC", PERSONAL)
    put_account(connection, "AC2", "Sales")
    renew(connection, tmp_path / "copies", "UTC", PERSONAL, is_renamed=True)


@pytest.mark.thorough
def test_hours_before_all_that_changed_are_in_a_copy_that_had_none(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """A backfill before the first run loads, but nobody knows until when all is loaded."""

    def reached(moment: str) -> None:
        connection.execute(f"UPDATE {RAW}_runs SET loaded_to = {moment}")
        connection.execute(f"UPDATE {ACCOUNTS} SET listed_to = {moment}")
        renew(connection, tmp_path / "copies", "UTC", PERSONAL)

    now = f"TIMESTAMP '{NOW:%F %T}'"
    for moment in ("NULL", now, "NULL", "TIMESTAMP '2020-01-01'", now):
        reached(moment)


@pytest.mark.thorough
def test_the_first_hour_of_an_account_may_change_within_its_day(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    first = f"create_time = (SELECT min(create_time) FROM {SUMMARIES})"
    for number, moment in enumerate(("'day'", "'hour'")):
        renew(connection, tmp_path / "copies", "UTC", PERSONAL)
        connection.execute(
            f"UPDATE {SUMMARIES} SET _dlt_load_id = '{add_package(connection, number)}', "
            f"create_time = date_trunc({moment}, create_time + to_hours({7 * number})) "
            f"WHERE {first}"
        )
    renew(connection, tmp_path / "copies", "UTC", PERSONAL)


@pytest.mark.thorough
def test_a_name_is_renewed_in_rows_that_did_not_change(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    def publish(is_renamed: bool = False) -> None:
        renew(connection, tmp_path / "copies", "UTC", PERSONAL, is_renamed)

    publish()
    steps: list[tuple[str, str | None, bool]] = [
        (ACCOUNT_SID, "Sales", True),
        (ACCOUNT_SID, None, True),
    ]
    for sid, name, is_renamed in steps:
        put_account(connection, sid, name)
        publish(is_renamed)
    put_account(connection, "AC2", "One without conferences")
    put_account(connection, ACCOUNT_SID, None, last_error="Refused.", error_class="RefusedError")
    publish()


@pytest.mark.thorough
def test_a_renewal_that_lacks_memory_gets_more(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renew(connection, tmp_path / "copies", "UTC", PERSONAL)
    load_something(connection, Random(1), 1)
    limits = list[str]()

    def renew_later(*given: Any) -> bool:
        limits.extend(connection.execute("SELECT current_setting('memory_limit')").fetchall()[0])
        if len(limits) == 1:
            raise duckdb.OutOfMemoryException("Out of Memory Error: failed to pin block")
        return writer.renew(*given)

    monkeypatch.setattr("pipelines.warehouse.copy.publishing.renew", renew_later)
    renew(connection, tmp_path / "copies", "UTC", PERSONAL)
    assert limits == ["228.8 MiB", "381.4 MiB"]


def test_views_of_no_conference_are_taken_into_memory(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    apply_views(DuckDb(connection), DESCRIPTIONS, "UTC")
    taken = take_staging(connection)
    columns = DuckDb(connection).columns(ANALYTICS)
    staging = {name: of for name, of in columns.items() if name.startswith("analytics.stg_")}
    assert taken.names == {name for name, of in staging.items() if "conference_sid" not in of}
    for name in taken.names:
        rows, in_memory = (
            connection.execute(f"FROM {of}").fetchall() for of in (name, taken.of(name))
        )
        assert in_memory == rows


@pytest.mark.thorough
@pytest.mark.usefixtures("prepared")
def test_a_copy_that_lacks_very_much_is_built_anew(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changed would not fit into the memory of a run, as after the first participants."""
    loaded.account.put(summary(1, timedelta(hours=9)))
    loaded.run()
    for number in range(2, 6):
        loaded.account.put(summary(number, timedelta(hours=number)))
    monkeypatch.setattr("pipelines.warehouse.copy.changed.MOST_ROWS", 3)
    monkeypatch.setattr("pipelines.warehouse.copy.publishing.renew", None)  # it would fail
    loaded.run()
    copy = loaded.path.with_name("warehouse.published") / "current/insights.duckdb"
    with duckdb.connect(copy, read_only=True) as connection:
        (found,) = connection.execute("SELECT count(*) FROM analytics.conferences").fetchall()
    assert found == (5,)
