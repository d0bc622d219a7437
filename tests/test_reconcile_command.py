"""What the command `reconcile` says, as a table and as JSON, how it ends, and its row in
`_runs`."""

from __future__ import annotations

import json
import re

import duckdb
import pytest

from pipelines.simulator.account import ACCOUNT_SID
from pipelines.twilio_insights.extract.comparison import Compared
from tests.comparisons import DATASET, delete
from tests.comparisons import month as month
from tests.conftest import Command, Loaded, sid

pytestmark = pytest.mark.usefixtures("tables_only")


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
