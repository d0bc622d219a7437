"""The demonstration: simulated accounts on loopback, loaded twice while time passes there."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from pipelines.cli.console import run_with_progress
from pipelines.report import write_report
from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN
from pipelines.simulator.sample_data import busy_tree
from pipelines.simulator.server import InsightsServer
from pipelines.warehouse.file import open_warehouse, working_folder
from pipelines.warehouse.opened_copy import open_copy
from pipelines.warehouse.published import FILE
from pipelines.warehouse.warehouse import WarehouseError

WAREHOUSE = "demo.duckdb"
USER_SETTINGS = ("SOURCES__", "TWILIO_", "DESTINATION_", "PUBLISH__")
QUESTIONS = {
    "How many conferences a day, and how many are final?": """
        SELECT created_date, sum(conferences) AS conferences, sum(complete) AS complete,
            sum(timed_out) AS timed_out, sum(pending) AS pending
        FROM analytics.completeness_by_day
        GROUP BY created_date
        ORDER BY created_date""",
    "What has each account?": """
        SELECT account_name, conferences, final, pending
        FROM analytics.by_account
        ORDER BY conferences DESC""",
    "Why do conferences end?": """
        SELECT coalesce(end_reason, '(none)') AS end_reason, sum(conferences) AS conferences,
            round(sum(total_seconds) / nullif(sum(conferences_with_duration), 0) / 60, 1)
                AS mean_minutes
        FROM analytics.conference_end_reasons
        WHERE completeness = 'final'
        GROUP BY ALL
        ORDER BY conferences DESC""",
    "What does Twilio detect most?": """
        SELECT name AS tag, sum(conferences) AS conferences,
            round(100 * sum(conferences) / (
                SELECT sum(final) FROM analytics.conference_kpis_daily
            ), 1) AS percent_of_final
        FROM analytics.conference_issue_trends
        WHERE kind = 'tag' AND completeness = 'final'
        GROUP BY ALL
        ORDER BY conferences DESC
        LIMIT 5""",
    "In which region do participants have bad quality?": """
        SELECT participant_region, sum(participants) AS participants, sum(poor) AS poor,
            round(100 * sum(poor) / nullif(sum(measured), 0), 1) AS percent_of_measured,
            round(sum(inbound_mos_total) / nullif(sum(inbound_mos_measured), 0), 2) AS mean_mos
        FROM analytics.participant_quality
        GROUP BY participant_region
        ORDER BY percent_of_measured DESC""",
}


def run_demo(folder: Path, stop: threading.Event) -> None:
    """Load, let time pass, load again, and answer questions from the warehouse.

    Raises:
        OSError: the folder cannot be used.
        BusyError: another demo is on, or a program holds the warehouse of an earlier one.
    """
    path = folder.absolute() / WAREHOUSE
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists():
        with suppress(WarehouseError), open_warehouse(path):
            pass  # nobody holds the earlier one
    for old in (path, *(path.with_name(f"{path.name}.{kind}") for kind in ("wal", "status.json"))):
        old.unlink(missing_ok=True)
    shutil.rmtree(working_folder(path), ignore_errors=True)
    account = busy_tree(_last_afternoon(), per_day=400)
    with InsightsServer(account) as server:
        server.fetches_of_subaccounts = True  # else their participants answer 404
        # Nothing that is set for the user's own account, in variables or beside the folder.
        os.chdir(path.parent)
        for name in [name for name in os.environ if name.startswith(USER_SETTINGS)]:
            del os.environ[name]
        os.environ |= {
            "SOURCES__TWILIO_INSIGHTS__ACCOUNT_SID": ACCOUNT_SID,
            "SOURCES__TWILIO_INSIGHTS__AUTH_TOKEN": AUTH_TOKEN,
            "SOURCES__TWILIO_INSIGHTS__BASE_URL": server.url,
            "SOURCES__TWILIO_INSIGHTS__ACCOUNTS": "all",
            "SOURCES__TWILIO_INSIGHTS__PARTICIPANTS": "true",
            "DESTINATION__DUCKDB__CREDENTIALS": str(path),
            "PUBLISH__DIRECTORY": str(copies := path.with_name("published")),
        }
        names = ", ".join(one.friendly_name for one in account.tree())
        click.echo(f"Simulated Twilio accounts answer on {server.url}: {names}.")
        click.echo(
            "One of them lacks Advanced Features, so it is refused: a warning, and no more.\n"
        )
        click.echo(
            "1. First run: everything they still have, a lively week, with its participants."
        )
        first = run_with_progress("demo", stop)
        if stop.is_set():
            return
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
        for question, sql in QUESTIONS.items():
            columns, rows = database.run(sql)
            table = Table(*columns, title=question, title_justify="left")
            for row in rows:
                table.add_row(*map(str, row))
            console.print(table, "")
    python, opened = sys.executable, f"duckdb.connect('{copy}', read_only=True)"
    query = "SELECT tag, count(*) FROM analytics.conference_tags GROUP BY tag"
    report = write_report(copy, path.with_name("report.html"))
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


def _last_afternoon() -> datetime:
    """The last 14:30 UTC, when there is much going on."""
    now = datetime.now(UTC)
    afternoon = now.replace(hour=14, minute=30, second=0)
    return afternoon if afternoon <= now else afternoon - timedelta(days=1)
