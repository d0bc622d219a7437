"""The state of a warehouse: of a file by what runs leave beside it, of a server by its tables."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from pipelines.lifecycle import RETENTION
from pipelines.logs import say
from pipelines.monitor.health import diagnose, print_issue, worst
from pipelines.run.destination import warehouse_place
from pipelines.times import as_utc, format_duration, iso_seconds
from pipelines.warehouse.copy.folder import FILE, folder_of, made_at, other_owner
from pipelines.warehouse.file.warehouse_file import working_folder
from pipelines.warehouse.snapshot import EXPIRED
from pipelines.warehouse.warehouse import BusyError, Place

TIMES = ("_at", "window_from", "window_to", "gap_from", "gap_to", "loaded_to", "_since", "_try")
"""Endings of the names of fields that hold times, UTC without a zone."""
TREATED = {"hash": "hashed before it is written", "drop": "dropped before it is written"}
MAX_APART = timedelta(minutes=1)
"""By so much two machines' clocks may differ, of which nobody need be told."""
MAX_DRIFT = 10
"""How many undocumented fields and values are listed in the line of the drift."""


def read_status(place: Place, now: datetime) -> dict[str, Any]:
    """All that is known of the warehouse; a file is not opened. Described in operations.md.

    Raises:
        WarehouseError: a status file, or a server, cannot be read.
    """
    recorded = place.recorded(now)
    content, refused = _with_times(recorded.content), _with_times(recorded.refused)
    run, good, holds = content.get("run"), content.get("last_good"), content.get("holds", {})
    settings, unfinished = content.get("settings", {}), holds.get("unfinished", [])
    watermarks = holds.get("watermarks", ())
    watermark = min((row["loaded_to"] for row in watermarks), default=None)
    return {
        "warehouse": place.name,
        "at": now,
        "last_good": good and good | _age(good["ended_at"], now),
        "last_run": run and run | {"is_alive": recorded.is_alive},
        "last_error": _last_error(holds, refused),
        "refused": refused or None,
        "watermark": watermark,
        "furthest_behind": next(
            (row["account_sid"] for row in watermarks if row["loaded_to"] == watermark), None
        ),
        "lookback": settings.get("lookback"),
        "unlisted_deleted_from": watermark and watermark + RETENTION,
        "rows": holds.get("rows", {}),
        "accounts": holds.get("accounts", {}),
        "personal_data": (run or {}).get("personal_data") or (good or {}).get("personal_data"),
        "other_hash_key": holds.get("other_hash_key", False),
        "filters": json.loads((good or {}).get("filters") or "{}"),
        "resources": json.loads((good or {}).get("resources") or "{}"),
        "pending": [row for row in unfinished if row["age"] != EXPIRED],
        "expired": sum(row["conferences"] for row in unfinished if row["age"] == EXPIRED),
        "drift": holds.get("drift", {}),
        "checks": holds.get("checks", []),
        "bytes": {"warehouse": recorded.size},
        **(_copies(place.path, settings.get("published"), now) if place.path else {}),
    }


def _last_error(holds: dict[str, Any], refused: dict[str, Any]) -> str | None:
    """Of the last run, but for those that met another one at work."""
    if refused and refused["error_class"] != BusyError.__name__:
        return str(refused["error_class"])
    error: str | None = holds.get("last_error")
    return error


def _copies(path: Path, published: str | None, now: datetime) -> dict[str, Any]:
    """The published copies of a file, and the bytes of all that there is."""
    directory = path.parent / (published or folder_of(path))
    other = other_owner(directory, path)
    made = None if other else made_at(directory)
    free: dict[str, int] = {}
    with suppress(OSError):  # its disk may not be there
        free = {"free": shutil.disk_usage(path.parent).free}
    return {
        "published": made
        and {"file": str(directory / "current" / FILE), "made_at": made, **_age(made, now)},
        "copies_of_another": other and {"directory": str(directory), "warehouse": other},
        "bytes": {
            "warehouse": _size(path),
            "working_folder": _size(working_folder(path)),
            "published": _size(directory),
            **free,
        },
    }


def status_lines(status: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The lines that people see: title and text of each."""
    now, good, run = (status[k] for k in ("at", "last_good", "last_run"))
    sizes = {name: f"{size / 1e6:,.0f} MB" for name, size in status["bytes"].items()}
    free = f"; free: {sizes['free']}" if "free" in sizes else ""
    size = sizes["warehouse"] if status["bytes"]["warehouse"] else "not created yet"
    yield "Warehouse", f"{status['warehouse']}, {size}{free}"
    if good:
        yield "Last good run", f"{_ago(good['ended_at'], now)}: {_counts(good)}"
    if run and not (good and run["run_id"] == good["run_id"]):
        step = f" (step {run['phase']})" if run["phase"] and run["outcome"] != "ok" else ""
        text = f"{run['command']} {run['run_id']}, {run['outcome']}{step}"
        yield "Last run", f"started {_ago(run['started_at'], now)}: {text}"
    if watermark := status["watermark"]:
        lookback = status["lookback"]  # of a server it is not known
        behind = f"; each run lists again from {lookback} before" if lookback else ""
        yield "Watermark", f"{iso_seconds(watermark)}, {_ago(watermark, now)}{behind}"
        deleted = status["unlisted_deleted_from"]
        expiry = f"in {format_duration(deleted - now)}" if deleted > now else "now"
        yield "Retention", f"unlisted data starts to expire {expiry}, {deleted:%d %b}"
    accounts = status["accounts"]
    if accounts.get("followed", 0) > 1:
        failing = f", {accounts['failing']:,} of them not loaded" if accounts["failing"] else ""
        yield "Accounts", f"{accounts['followed']:,}{failing}"
    if status["filters"]:
        filters = " and ".join(f"{name} = {value}" for name, value in status["filters"].items())
        yield "Filtered", f"only conferences with {filters} are listed"
    if treated := TREATED.get(status["personal_data"]):
        yield "Personal data", treated
    for name, counts in status["resources"].items():
        text = f"{counts['pending']:,} not final"
        if counts["waiting"]:
            text += f"; those of {counts['waiting']:,} conferences wait for a run"
            if lost_from := counts["lost_from"]:
                text += f", Twilio deletes the first on {lost_from[:10]}"
        yield name.capitalize(), text
    yield from _contents(status, sizes)


def _contents(status: dict[str, Any], sizes: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The lines about what is in the warehouse, and the last copy of it."""
    if rows := status["rows"]:
        shown = (f"{rows[name]:,} {name}" for name in rows if not name.startswith("_"))
        yield "Rows", ", ".join(shown)
        yield "Pending", _pending(status["pending"])
        yield "Never final", f"{status['expired']:,}, older than {RETENTION.days} days"
        drift = [f"{name} (first {sid})" for name, sid in status["drift"].items()]
        if len(drift) > MAX_DRIFT:
            drift[MAX_DRIFT:] = [f"and {len(drift) - MAX_DRIFT:,} more, see _drift"]
        yield "Drift", ", ".join(drift) or "none"
        made = "passed" if rows.get("_checks") else "not run yet"
        count = len(status["checks"])
        found = f"{count} check{'' if count == 1 else 's'} found problems"
        yield "Checks", found if status["checks"] else made
    if published := status.get("published"):
        age = _ago(published["made_at"], status["at"])
        yield "Published", f"{published['file']}, {age}; all copies: {sizes['published']}"


def show_status(as_json: bool, max_age: timedelta | None) -> int:
    """Print the state of the configured warehouse; return the exit code of the most severe finding.

    Raises:
        SettingsError: the setting of the warehouse is wrong.
        WarehouseError: a status file cannot be read.
    """
    status = read_status(warehouse_place(), datetime.now(UTC))
    findings = list(diagnose(status, max_age))
    if as_json:
        status["findings"] = [asdict(finding) for finding in findings]
        click.echo(json.dumps(status, default=iso_seconds, indent=1))
    else:
        for title, text in status_lines(status):
            say(text, click.style(f"{title:<14} ", bold=True))
        for finding in findings:
            print_issue(finding)
    return worst(findings)


def _counts(run: dict[str, Any]) -> str:
    counts = (f"{run[f'rows_{kind}'] or 0:,} {kind}" for kind in ("new", "updated", "unchanged"))
    return f"{run['command']} {run['run_id']}, {', '.join(counts)}, {run['seconds']:.1f} s"


def _pending(by_age: list[dict[str, Any]]) -> str:
    """`36: 12 under 1 h, 24 1 to 24 h; the next run asks again, 2 not before 2026-…`."""
    if not by_age:
        return "none"
    total = sum(row["conferences"] for row in by_age)
    text = f"{total:,}: " + ", ".join(f"{row['conferences']:,} {row['age']}" for row in by_age)
    waiting = sum(row["waiting"] for row in by_age)
    first = min((row["next_try"] for row in by_age if row["next_try"]), default=None)
    later = f"; {waiting:,} answered 404, asked again from {iso_seconds(first)}" if first else ""
    return f"{text}; the next run asks again{later}"


def _with_times(value: Any, name: str = "") -> Any:
    """Parse all times; not in `drift`, whose keys are Twilio's."""
    if isinstance(value, dict) and name != "drift":
        return {key: _with_times(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_times(element) for element in value]
    if isinstance(value, str) and name.endswith(TIMES):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return as_utc(value)
    return value


def _age(moment: datetime, now: datetime) -> dict[str, int]:
    return {"age_seconds": int((now - moment).total_seconds())}


def _ago(moment: datetime, now: datetime) -> str:
    if moment - now > MAX_APART:
        return f"{format_duration(moment - now)} ahead of this machine's clock"
    return f"{format_duration(now - moment)} ago"


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; those that vanish meanwhile do not count."""
    files = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    total = 0
    for file in files or [path]:
        with suppress(OSError):
            total += file.lstat().st_size
    return total
