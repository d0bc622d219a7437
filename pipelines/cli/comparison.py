"""What a comparison with Twilio has found: a table for people, or JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date

import click

from pipelines.logs import say, visible
from pipelines.times import iso_seconds
from pipelines.twilio_insights.extract.comparison import Compared, Comparison

COLUMNS = {
    "at_twilio": "Twilio",
    "in_warehouse": "warehouse",
    "missing": "missing",
    "different": "different",
    "unconfirmed": "unconfirmed",
    "rejected": "rejected",
    "changed": "changed",
    "new": "new",
    "ahead": "ahead",
    "only_here": "only here",
    "erased": "erased",
}
USUAL = 4
"""So many columns are shown in any case, others where they say something."""
MEANINGS = {
    "missing": "Twilio has them, the warehouse has not",
    "different": "final here, and Twilio has another copy",
    "unconfirmed": "the list has another copy of what is final here, but a fetch by SID does not "
    "confirm it",
    "rejected": "Twilio has them, and they cannot be loaded, see _rejected_rows",
    "changed": "pending here, and Twilio has a later copy; a run fetches it",
    "new": "since the last run; a run loads them",
    "ahead": "more final here than Twilio shows",
    "only_here": "Twilio does not list them",
    "erased": "erased here, so no run loads them again",
}

WRITTEN = ("missing", "different", "changed", "new")
"""What a repair writes."""


def show_comparison(comparison: Comparison, as_json: bool) -> None:
    """Print it."""
    if as_json:
        click.echo(json.dumps(_fields(comparison), indent=1))
        return
    for line in _table(comparison):
        click.echo(line)
    click.echo("")
    for line in _notes(comparison):
        say(line)


def _table(comparison: Comparison) -> Iterator[str]:
    """The days on which something is not equal, and the totals."""
    total, found = comparison.total(), comparison.found
    shown = [name for i, name in enumerate(COLUMNS) if i < USUAL or getattr(total, name)]
    names = {account: comparison.names.get(account, account) for _, account, _ in found}
    resources = sorted({name for name, *_ in found}) or ["conferences"]

    def texts(day: str, account: str, resource: str) -> list[str]:
        """The cells before the counts; account and resource only where there are several."""
        cells = [day]
        if len(names) > 1:
            cells.append(visible(account))
        if len(resources) > 1:
            cells.append(resource)
        return cells

    def line(day: str, account: str, resource: str, counts: Compared) -> list[str]:
        return texts(day, account, resource) + [f"{getattr(counts, name):,}" for name in shown]

    head = texts("day (UTC)", "account", "resource")
    rows = [head + [COLUMNS[name] for name in shown]]
    rows += [
        line(str(day), names[account], resource, counts)
        for (resource, account, day), counts in _in_order(comparison)
        if not counts.is_equal
    ]
    rows += [line("total", "", name, comparison.total(name)) for name in resources]
    return _aligned(rows, len(head))


def _notes(comparison: Comparison) -> Iterator[str]:
    """What the counts mean, and what was not compared."""
    assert comparison.window
    total, (start, end) = comparison.total(), map(iso_seconds, comparison.window)
    for name, meaning in MEANINGS.items():
        if number := getattr(total, name):
            kept = comparison.sids[name]
            first = f", the first {kept[0]}" if kept else ""
            is_written = comparison.repair and name in WRITTEN
            said = ", written now" if is_written else f": {meaning}"
            yield f"{number:,} {COLUMNS[name]}{said}{first}"
    for reason, number in comparison.reasons.items():
        yield f"{number:,} of those only here: {reason}"
    for reason, number in comparison.not_compared.items():
        yield f"Participants of {number:,} conferences are not compared: {reason}"
    if why := visible(comparison.cut_by):
        yield f"Not everything from {start} to {end} could be compared: {why}"
    elif not comparison.faults:
        said = "Of what was compared" if comparison.not_compared else "Complete"
        yield f"{said} from {start} to {end}: nothing is missing or different"


def _fields(comparison: Comparison) -> dict[str, object]:
    assert comparison.window
    start, end = map(iso_seconds, comparison.window)
    resources = sorted({name for name, *_ in comparison.found})
    return {
        "from": start,
        "to": end,
        "is_complete": not comparison.cut_by,
        "repair": comparison.repair,
        "total": {name: asdict(comparison.total(name)) for name in resources},
        "days": [
            {"day": str(day), "account_sid": account, "resource": name} | asdict(found)
            for (name, account, day), found in _in_order(comparison)
        ],
        "first_sids": {name: sids for name, sids in comparison.sids.items() if sids},
        "only_here_because": dict(comparison.reasons),
        "participants_not_compared": comparison.not_compared,
    }


def _in_order(comparison: Comparison) -> list[tuple[tuple[str, str, date], Compared]]:
    """By day, account and resource."""
    return sorted(comparison.found.items(), key=lambda item: item[0][::-1])


def _aligned(rows: Sequence[list[str]], texts: int) -> Iterator[str]:
    """Texts to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.ljust(width) if position < texts else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()
