"""The demonstration: a simulated account on loopback, loaded twice while time passes there."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import duckdb
from rich.console import Console
from rich.table import Table

from pipelines.simulator.account import ACCOUNT_SID, AUTH_TOKEN
from pipelines.simulator.lively import lively_account
from pipelines.simulator.server import InsightsServer
from pipelines.terminal import run_shown
from pipelines.warehouse.file import WarehouseError, working_folder

WAREHOUSE = "demo.duckdb"
MEANWHILE = timedelta(minutes=45)
QUESTIONS = {
    "How many conferences a day, and how many are final?": """
        SELECT created_date, conferences, complete, timed_out, pending
        FROM analytics.completeness_by_day
        ORDER BY created_date""",
    "Why do conferences end?": """
        SELECT coalesce(end_reason, '(none)') AS end_reason, sum(conferences) AS conferences,
            round(sum(duration_seconds) / sum(conferences_with_duration) / 60, 1) AS mean_minutes
        FROM analytics.conference_end_reasons
        WHERE processing_state = 'complete'
        GROUP BY ALL
        ORDER BY conferences DESC""",
    "What does Twilio detect most?": """
        SELECT t.tag, sum(t.tagged_conferences) AS conferences,
            round(100.0 * sum(t.tagged_conferences) / max(total.conferences), 1) AS percent_of_all
        FROM analytics.conference_tag_trends AS t,
            (SELECT sum(conferences) AS conferences FROM analytics.completeness_by_day) AS total
        GROUP BY t.tag
        ORDER BY conferences DESC, t.tag
        LIMIT 5""",
}


def show(folder: Path, stop: threading.Event) -> None:
    """Load, let time pass, load again, and answer three questions from the warehouse.

    Raises:
        WarehouseError: the folder cannot be used.
    """
    path = _fresh(folder).absolute()
    account = lively_account(_last_afternoon())
    with InsightsServer(account) as server:
        os.environ |= {
            "SOURCES__TWILIO_INSIGHTS__ACCOUNT_SID": ACCOUNT_SID,
            "SOURCES__TWILIO_INSIGHTS__AUTH_TOKEN": AUTH_TOKEN,
            "SOURCES__TWILIO_INSIGHTS__BASE_URL": server.url,
            "DESTINATION__DUCKDB__CREDENTIALS": str(path),
        }
        click.echo(f"A simulated Twilio account answers on {server.url}.\n")
        click.echo("1. First run: everything it still has, a lively week.")
        first = run_shown("demo", stop)
        click.echo(f"\n2. {MEANWHILE.seconds // 60} minutes pass there. Second run: what is new or")
        click.echo("   late, and what was in progress.")
        account.now += MEANWHILE
        second = run_shown("demo", stop)
    if stop.is_set():
        return
    click.echo(
        f"\n   Of {first.pending_after} summaries in progress, {second.rows_updated} changed: "
        "complete now, with their tags and issues.\n"
    )
    _answer(path)
    click.echo(f"\nThe warehouse is {path}\n\nNext: query it with any DuckDB client, for example")
    query = (
        "SELECT started_at, rows_new, rows_updated, pending_after FROM conference_insights._runs"
    )
    click.echo(f"""  {sys.executable} -c \\
    "import duckdb; duckdb.connect('{path}').sql('{query}').show()\"""")
    click.echo("or load your own account:\n  export TWILIO_ACCOUNT_SID=AC... TWILIO_AUTH_TOKEN=...")
    click.echo(f"  {Path(sys.executable).with_name('conference-insights')} run")


def _fresh(folder: Path) -> Path:
    """Where the warehouse goes, without the demo that was there."""
    path = folder / WAREHOUSE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
    except OSError as error:
        raise WarehouseError(f"Cannot use {folder}: {error.strerror}") from None
    shutil.rmtree(working_folder(path), ignore_errors=True)
    return path


def _last_afternoon() -> datetime:
    """The last 14:30 UTC, when there is much going on."""
    now = datetime.now(UTC)
    afternoon = now.replace(hour=14, minute=30, second=0)
    return afternoon if afternoon <= now else afternoon - timedelta(days=1)


def _answer(path: Path) -> None:
    console = Console()
    with duckdb.connect(path, read_only=True) as connection:
        for question, sql in QUESTIONS.items():
            answer = connection.execute(sql)
            columns = [column[0] for column in answer.description]
            table = Table(*columns, title=question, title_justify="left")
            for row in answer.fetchall():
                table.add_row(*("" if value is None else str(value) for value in row))
            console.print(table)
