"""The demonstration: simulated accounts on loopback, loaded twice while time passes there."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from contextlib import chdir
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from pipelines.cli.console import run_with_progress
from pipelines.report import expect_replaceable, write_report
from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN
from pipelines.simulator.sample_data import busy_tree
from pipelines.simulator.server import InsightsServer
from pipelines.warehouse.copy.folder import FILE, folder_of
from pipelines.warehouse.copy.opened import open_copy
from pipelines.warehouse.database import DATASET
from pipelines.warehouse.file.warehouse_file import inspect_warehouse, working_folder
from pipelines.warehouse.held_folder import held_folder
from pipelines.warehouse.warehouse import WarehouseError

DEMO_WAREHOUSE, REPORT = "demo.duckdb", "report.html"
USER_SETTINGS = (
    "SOURCES__",
    "TWILIO_",
    "DESTINATION_",
    "PUBLISH__",
    "REPORT_",
    "CHECKS__",
    "RUNTIME__",
)
DAYS, PER_DAY = 28, 60
TABLES = "SELECT table_name FROM duckdb_tables()"
QUESTIONS = {
    "How did the weeks go?": (
        """
        SELECT min(k.created_date) AS first_day, sum(k.conferences) AS conferences,
            sum(k.pending) AS in_progress,
            round(100.0 * sum(k.final_without_quality_problem) / nullif(sum(k.final), 0), 1)
                AS percent_without_quality_problem
        FROM analytics.conference_kpis_daily AS k, analytics.data_as_of AS d
        GROUP BY (date_diff('day', k.created_date, CAST(d.as_of AS DATE)) + 6) // 7
        ORDER BY first_day""",
        "Seven days each; the last row is today so far. One week was bad; the report finds it.",
    ),
    "What has each account?": (
        """
        SELECT account_name, conferences, final, pending AS in_progress
        FROM analytics.by_account
        ORDER BY conferences DESC""",
        "A summary is final when Twilio will not change it any more.",
    ),
    "Where are conferences mixed that were requested elsewhere?": (
        """
        SELECT mixer_region_requested AS requested, mixer_region AS mixed_in,
            sum(conferences) AS conferences
        FROM analytics.region_mismatch
        WHERE is_region_mismatch
        GROUP BY ALL
        ORDER BY conferences DESC""",
        "us1 is Twilio's region in the United States; the detour adds latency.",
    ),
    "What does Twilio detect most?": (
        """
        SELECT name AS tag, sum(conferences) AS conferences,
            round(100 * sum(conferences) / (
                SELECT sum(final) FROM analytics.conference_kpis_daily
            ), 1) AS percent_of_final
        FROM analytics.conference_issue_trends
        WHERE kind = 'tag' AND completeness = 'final'
        GROUP BY ALL
        ORDER BY conferences DESC
        LIMIT 5""",
        "Tags are what Twilio calls its findings; the report says what each means.",
    ),
    "In which region do participants have bad quality?": (
        """
        SELECT participant_region, sum(participants) AS participants, sum(poor) AS poor,
            round(100 * sum(poor) / nullif(sum(measured), 0), 1) AS percent_poor,
            CAST(sum(inbound_mos_total) / nullif(sum(inbound_mos_measured), 0) AS DECIMAL(3, 2))
                AS mean_inbound_mos
        FROM analytics.participant_quality
        GROUP BY participant_region
        ORDER BY percent_poor DESC""",
        "MOS estimates how a call sounds, from 1, bad, to 5. Here jp1 needs a look.",
    ),
}
"""By question: the SQL, and what helps to read the answer."""


def run_demo(folder: Path, stop: threading.Event) -> None:
    """Load, let time pass, load again, and answer questions from the warehouse.

    Raises:
        OSError: the folder cannot be used.
        BusyError: another demo is on, or a program holds the warehouse of an earlier one.
        OutputError: there is a file that is no report.
        WarehouseError: there is a warehouse that not only demos have written.
    """
    path = folder.absolute() / DEMO_WAREHOUSE
    expect_replaceable(path.with_name(REPORT))
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists():
        _expect_own(path)
    for old in (path, *(path.with_name(f"{path.name}.{kind}") for kind in ("wal", "status.json"))):
        old.unlink(missing_ok=True)
    shutil.rmtree(working_folder(path), ignore_errors=True)
    account = busy_tree(_last_afternoon(), days=DAYS, per_day=PER_DAY)
    refused = next(one for one in account.tree() if one.refusal())
    elsewhere = held_folder("conference-insights-demo-")
    with InsightsServer(account) as server, elsewhere as empty, chdir(empty):
        server.fetches_of_subaccounts = True  # else their participants answer 404
        # Nothing that is set for the user's own account: in variables, or in a .dlt of any folder.
        for name in [name for name in os.environ if name.startswith(USER_SETTINGS)]:
            del os.environ[name]
        os.environ |= {
            "SOURCES__TWILIO_INSIGHTS__ACCOUNT_SID": ACCOUNT_SID,
            "SOURCES__TWILIO_INSIGHTS__AUTH_TOKEN": AUTH_TOKEN,
            "SOURCES__TWILIO_INSIGHTS__BASE_URL": server.url,
            "SOURCES__TWILIO_INSIGHTS__ACCOUNTS": "all",
            "SOURCES__TWILIO_INSIGHTS__PARTICIPANTS": "true",
            "DESTINATION__DUCKDB__CREDENTIALS": str(path),
            "PUBLISH__DIRECTORY": str(copies := folder_of(path)),
        }
        names = ", ".join(one.friendly_name for one in account.tree())
        click.echo(f"Simulated Twilio accounts answer on {server.url}: {names}.")
        click.echo("They have made-up calls of four weeks, as Twilio would serve them.\n")
        click.echo("1. First run: everything they still have, with its participants.")
        first = run_with_progress("demo", stop)
        if stop.is_set():
            return
        click.echo(
            "\n   Every run ends with such a line: the time it listed, what it asked for, what was"
            "\n   new or had changed, and how many summaries are in progress, before -> after."
            f"\n   {refused.friendly_name} is refused on purpose: an account that cannot be loaded"
            "\n   is named, is asked again once a day, and all others are loaded."
        )
        click.echo("\n2. 45 minutes later. Second run: what is new, late, or was in progress.")
        account.now += timedelta(minutes=45)
        second = run_with_progress("demo", stop)
    if stop.is_set():
        return
    click.echo(
        f"\n   Of {first.pending_after} summaries in progress, {second.rows_updated} changed: "
        "complete now, with their tags and issues.\n"
    )
    console = Console()
    copy = copies / "current" / FILE
    with open_copy(copy) as database:
        for question, (sql, help_to_read) in QUESTIONS.items():
            columns, rows = database.run(sql)
            table = Table()
            for column, value in zip(columns, rows[0], strict=True):
                is_number = isinstance(value, int | float | Decimal)
                table.add_column(column, justify="right" if is_number else "left")
            for row in rows:
                table.add_row(*(f"{v:,}" if isinstance(v, int) else str(v) for v in row))
            console.print(question, table, f"{help_to_read}\n", highlight=False)
    python, opened = sys.executable, f"duckdb.connect('{copy}', read_only=True)"
    query = "SELECT tag, count(*) FROM analytics.conference_tags GROUP BY tag"
    report = write_report(copy, path.with_name(REPORT))
    click.echo(
        f"""The warehouse is {path}
The copy for BI tools is {copy}
The HTML report is {report}

Next: open the report in a browser, query the copy with any DuckDB client, for example
  {python} -c \\
    "import duckdb; {opened}.sql('{query}').show()"
or load your own account:
  export TWILIO_ACCOUNT_SID=AC... TWILIO_AUTH_TOKEN=...
  {Path(python).with_name("conference-insights")} run"""
    )


def _expect_own(path: Path) -> None:
    """What others have loaded is not deleted."""
    others = f"SELECT 1 FROM {DATASET}._runs WHERE command <> 'demo' LIMIT 1"
    with inspect_warehouse(path) as warehouse:
        is_of_runs = "_runs" in {name for (name,) in warehouse.execute(TABLES)}
        if warehouse.execute(others if is_of_runs else TABLES):
            raise WarehouseError(
                f"{path} has more than a demo has loaded: give another --folder, or delete it"
            )


def _last_afternoon() -> datetime:
    """The last 14:30 UTC, when there is much going on."""
    now = datetime.now(UTC)
    afternoon = now.replace(hour=14, minute=30, second=0)
    return afternoon if afternoon <= now else afternoon - timedelta(days=1)
