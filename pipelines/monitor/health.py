"""What is wrong with a warehouse according to its status, and the next step for each problem."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import click

from pipelines.exit_codes import BUSY, DISK, REFUSED, STALE, UNAVAILABLE, UNSOUND, USAGE
from pipelines.lifecycle import EXPIRES_SOON, RETENTION_WARNING
from pipelines.logs import say
from pipelines.times import format_duration, iso_seconds
from pipelines.warehouse.copy.folder import next_step

SEE_SETTINGS = "see pipelines/settings.md"
SEE_PROBLEMS = "see pipelines/operations.md, When something goes wrong"
MAX_RUN = timedelta(hours=1)
"""How long before its end a run may have listed its first account."""
MAX_NAMED = 10
"""Accounts that are named one by one."""
WORST_FIRST = (USAGE, DISK, REFUSED, UNSOUND, UNAVAILABLE, BUSY, STALE)


@dataclass(frozen=True)
class HealthIssue:
    """One finding, with the next step if it is a problem; `code` is its exit code."""

    level: Literal["ok", "warn", "fail"]
    what: str
    next_step: str = ""
    code: int = 0


def diagnose(
    status: dict[str, Any], max_age: timedelta | None = None, asks_accounts: bool = False
) -> Iterator[HealthIssue]:
    """Problems in what `read_status` returns; `max_age` is the limit for the last good run. With
    `asks_accounts` the caller asks the accounts that failed, so they are left out."""
    if status["last_run"] and not status["bytes"]["warehouse"]:
        yield HealthIssue(
            "fail",
            f"{status['warehouse']} is gone",
            "restore a backup, see pipelines/operations.md, Backup and restore",
            DISK,
        )
    if max_age:
        yield from _staleness(status, max_age)
    yield from _runs(status)
    yield from _retention(status)
    yield from _waiting(status)
    if not asks_accounts:
        yield from _failures(status["accounts"])
    for account in status["accounts"].get("left", ()):
        yield HealthIssue(
            "warn",
            f"{account_name(account)} is no longer followed since "
            f"{iso_seconds(account['left_at'])}: {account['pending']:,} conferences stay pending",
            "add it to SOURCES__TWILIO_INSIGHTS__ACCOUNTS if they are to be completed",
        )
    for check in status["checks"]:
        yield HealthIssue(
            check["level"],
            f"{check['sentence']} ({check['check_name']}: {check['violations']:,}, first "
            f"{check['sample']}, since {iso_seconds(check['failing_since'])})",
            "see sql/README.md, Checks, for what it means and what to do",
            UNSOUND if check["level"] == "fail" else 0,
        )
    if status["other_hash_key"]:
        yield HealthIssue(
            "warn",
            "The last run hashed personal data with another hash_key than the one before, so the "
            "hashes of equal values differ",
            "put the former key back, if that is a mistake; see pipelines/privacy.md",
        )
    yield from _copies(status)


def _staleness(status: dict[str, Any], max_age: timedelta) -> Iterator[HealthIssue]:
    good, now = status["last_good"], status["at"]
    # Of one that far ahead, by a wrong clock, nobody knows when it ended.
    if good is None or abs(now - good["ended_at"]) > max_age:
        last = None
        if good:
            age = format_duration(abs(now - good["ended_at"]))
            when = "ago" if good["ended_at"] < now else "ahead of this machine's clock"
            last = f"the last good run ended {age} {when}"
        yield HealthIssue(
            "fail",
            f"Stale: {last or 'there was no good run'}; {format_duration(max_age)} is the limit",
            "check that `conference-insights run` is scheduled, and how it ended last",
            STALE,
        )
    elif (
        "published" not in status  # others may load other accounts into a server
        and status["watermark"]
        and now - status["watermark"] > max_age + MAX_RUN
    ):
        behind = format_duration(now - status["watermark"])
        yield HealthIssue(
            "fail",
            f"Stale: {status['furthest_behind']} was listed {behind} ago, and others since; "
            f"{format_duration(max_age)} is the limit",
            "check the run that loads this account, and that it is in a list or active",
            STALE,
        )


def _runs(status: dict[str, Any]) -> Iterator[HealthIssue]:
    run, refused = status["last_run"], status["refused"]
    if run is None:
        missing = "left its status here" if status["bytes"]["warehouse"] else "been made here"
        if not refused:
            yield HealthIssue("warn", f"No run has {missing} yet", "run `conference-insights run`")
    elif run["outcome"] == "running" and run["is_alive"] is False:
        yield HealthIssue(
            "warn",
            f"The last run{_process(run)} was killed{_step(run)}",
            "the next run finishes what it left",
        )
    elif run["outcome"] == "failed":
        yield HealthIssue(
            "warn",
            f"The last run failed{_step(run)}, {run['error_class']}: {run['error']}",
            SEE_PROBLEMS,
        )
    if refused:
        yield HealthIssue(
            "warn",
            f"The run of {iso_seconds(refused['started_at'])} could not start, "
            f"{refused['error_class']}: {refused['error']}",
            "see pipelines/operations.md, Exit codes",
        )


def _step(run: dict[str, Any]) -> str:
    """Only a status file has it."""
    return f" (step {run['phase']})" if run["phase"] else ""


def _process(run: dict[str, Any]) -> str:
    return f" (process {run['pid']})" if run["pid"] else ""


def _retention(status: dict[str, Any]) -> Iterator[HealthIssue]:
    deleted, now = status["unlisted_deleted_from"], status["at"]
    if deleted and deleted < now:
        yield HealthIssue(
            "fail",
            f"Since {iso_seconds(deleted)} Twilio has been deleting unlisted data",
            "run `conference-insights run` now",
            STALE,
        )
    elif deleted and deleted < now + RETENTION_WARNING:
        yield HealthIssue(
            "warn",
            f"Unlisted data starts to expire in {format_duration(deleted - now)}",
            "run `conference-insights run`",
        )


def _waiting(status: dict[str, Any]) -> Iterator[HealthIssue]:
    for name, counts in status["resources"].items():
        lost_from = counts["lost_from"] and datetime.fromisoformat(counts["lost_from"])
        if lost_from and lost_from < status["at"] + EXPIRES_SOON:
            yield HealthIssue(
                "warn",
                f"{name.capitalize()} of {counts['waiting']:,} conferences wait for a run; Twilio "
                f"deletes the first on {iso_seconds(lost_from)}",
                "run more often, or raise SOURCES__TWILIO_INSIGHTS__PARTICIPANT_REQUESTS",
            )


def _failures(accounts: dict[str, Any]) -> Iterator[HealthIssue]:
    """Of several accounts: those that could not be read."""
    failures = accounts.get("failures", ()) if accounts.get("followed", 0) > 1 else ()
    for account in failures[:MAX_NAMED]:
        yield HealthIssue(
            "warn",
            f"{account_name(account)} has not been loaded since "
            f"{iso_seconds(account['failing_since'])}, {account['error_class']}: "
            f"{account['last_error']}",
            "when that is done, `conference-insights backfill --from 29d` loads it at once",
        )
    if (more := accounts.get("failing", 0) - MAX_NAMED) > 0 and failures:
        yield HealthIssue(
            "warn", f"{more:,} more accounts are not loaded", "see analytics.accounts"
        )


def account_name(account: dict[str, Any]) -> str:
    name, sid = account["friendly_name"], account["account_sid"]
    return f"{name} ({sid})" if name else f"Account {sid}"


def _copies(status: dict[str, Any]) -> Iterator[HealthIssue]:
    if "published" not in status:
        return  # of a server there is none
    good, published = status["last_good"], status["published"]
    if other := status["copies_of_another"]:
        yield foreign_copies(Path(other["directory"]), other["warehouse"])
    elif good and published is None:
        yield HealthIssue(
            "fail", "There is no published copy", "run `conference-insights publish`", DISK
        )
    elif good and published["made_at"] < good["started_at"]:
        yield HealthIssue(
            "warn",
            "The published copy is older than the last good run",
            "run `conference-insights publish`, which says why",
        )


def worst(findings: Iterable[HealthIssue]) -> int:
    """The most severe exit code of the findings, 0 if none has one; every `fail` has one."""
    codes = {finding.code for finding in findings}
    return next((code for code in WORST_FIRST if code in codes), 0)


def foreign_copies(directory: Path, warehouse: str) -> HealthIssue:
    message = f"{directory} has the copies of {warehouse}"
    return HealthIssue("fail", message, next_step(directory, warehouse), DISK)


_COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}


def print_issue(finding: HealthIssue) -> None:
    """Print a finding with its level, and the next step on a line of its own."""
    level = click.style(f"{finding.level.upper():<4}", fg=_COLORS[finding.level], bold=True)
    say(finding.what, f"{level}  ")
    if finding.next_step:
        say(finding.next_step, "      Next: ")
