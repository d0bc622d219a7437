"""Shows one conference: as tables on a terminal, elsewhere as lines, or as JSON."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from pipelines.logs import say, visible
from pipelines.report.conference import Conference, Row, findings, measures, read_conference
from pipelines.report.formatting import SPACE, as_local, duration, pluralize
from pipelines.warehouse.warehouse import Place

DIRECTIONS = ("inbound", "outbound")
PRIVACY = {"hash": "personal data is hashed", "drop": "personal data is not kept"}
ISSUES = ("call_quality", "region_configuration", "participant_behavior", "other")


def show_conference(copy: Path | Place, sid: str, as_json: bool) -> None:
    """Print what the copy has of a conference.

    Raises:
        CopyError: there is no copy, or it cannot be read.
        UnknownConferenceError: it does not have the conference.
    """
    found = read_conference(copy, sid)
    if as_json:
        click.echo(json.dumps(_fields(found), indent=1))
    elif sys.stdout.isatty():
        _print_tables(found)
    else:
        for title, text in _lines(found):
            say(text, f"{title:<14} ")


def _fields(found: Conference) -> dict[str, Any]:
    """The rows with the names of their columns; times are UTC, except the local hours."""

    def written(name: str, value: Any) -> Any:
        if not isinstance(value, date):  # a datetime is a date too
            return value
        is_utc = isinstance(value, datetime) and "_hour" not in name
        return value.isoformat() + ("Z" if is_utc else "")

    def plain(row: Row) -> dict[str, Any]:
        return {name: written(name, value) for name, value in row.items()}

    return {
        "data_as_of": plain(found.data_as_of),
        "conference": plain(found.card),
        "tags": [plain(row) for row in found.tags],
        "participants": [plain(row) for row in found.participants],
        "participant_events": [plain(row) for row in found.events],
        "absence": found.absence,
    }


def _lines(found: Conference) -> Iterator[tuple[str, str]]:
    """Title and text of lines, each of which says whose it is."""
    yield from _facts(found)
    names = {number: f"{number} | {row['participant_sid']}" for number, row in found.numbered}
    for number, row in found.numbered:
        times = [f"{verb} {_time(found, row[f'{verb}_time'])}" for verb in ("join", "leave")]
        parts = (*times, _length(row), _call(row), _place(row), *_person(row), findings(row))
        yield "Participant", _join(" | ", names[number], *parts)
        for direction in DIRECTIONS:
            measured = [(name, text) for name, text, _ in measures(row, direction) if text]
            if measured:
                values = (_join(" ", *each) for each in measured)
                yield "Media", _join(" | ", names[number], direction, *values)
    for at, whose, what in found.moments:
        of = names.get(whose or 0, "conference")
        yield "Event", _join(" | ", _time(found, at), of, _words(what))


def _facts(found: Conference) -> Iterator[tuple[str, str]]:
    """Title and text of each line about the conference."""
    card, people = found.card, found.numbered
    account = dict.fromkeys((card["account_name"], card["account_sid"]))
    by = card["ended_by"]
    ender = [f"participant {n}" for n, row in people if by and row["call_sid"] == by]
    region, requested = card["mixer_region"], card["mixer_region_requested"]
    wish = requested and ("as" if requested == region else requested) + " requested"
    sizes = {"unique": "unique_participants", "at once": "max_concurrent_participants"}
    sizes["allowed"] = "max_participants"
    size = (f"{card[name]:,} {what}" for what, name in sizes.items() if card[name] is not None)
    state = card["processing_state"]
    state = f"processing state {state}" if state else "no processing state"
    issues = ((card[f"{kind}_issue_count"], _words(kind)) for kind in ISSUES)
    coaches = (
        f"participant {n} coached {pluralize(row['coached_calls'] or 0, 'call')}"
        for n, row in people
        if row["is_coach"] or row["coached_calls"]
    )
    unfinished = sum(row["participant_completeness"] != "final" for _, row in people)
    poor = sum(row["is_poor"] or False for _, row in people)
    loaded = (
        str(len(people)),
        poor and f"{poor} of them poor",
        unfinished and f"{unfinished} of them not final",
    )
    facts: list[tuple[str, str | None]] = [
        ("Conference", card["conference_sid"]),
        ("Name", card["friendly_name"]),
        ("Account", _join(" ", *account)),
        ("Created", _time(found, card["create_time"])),
        ("Started", _time(found, card["start_time"])),
        ("Ended", _time(found, card["end_time"])),
        ("Length", _length(card)),
        ("Status", _words(card["status"])),
        ("Summary", f"{card['completeness']} ({state})"),
        ("End", _join(", ", _words(card["end_reason"]), by, *ender)),
        ("Region", _join(", ", region, wish)),
        ("Size", _join(", ", *size)),
        ("Recording", {True: "enabled", False: "not enabled"}.get(card["recording_enabled"])),
        *(("Tag", _tag(row)) for row in found.tags),
        ("Issues", _join(", ", *(f"{count:,} {kind}" for count, kind in issues if count))),
        ("Coaches", _join(", ", *coaches)),
        ("Participants", found.absence or _join(", ", *loaded)),
        ("Privacy", PRIVACY.get(found.data_as_of["personal_data"])),
        ("Data until", f"{_time(found, found.data_as_of['as_of'])}; all times are {found.zone}"),
    ]
    yield from ((title, text) for title, text in facts if text)


def _tag(row: Row) -> str:
    """`high jitter: severity high`, with the details that the copy has."""
    severity = row["severity"] and f"severity {row['severity']}"
    others = re.sub(r'[][{}"]', "", row["details"] or "").replace(",", ", ")
    details = _join(", ", severity, _words(row["reason"]), row["participant_identity"], others)
    return _join(": ", _words(row["tag"]), details)


def _call(row: Row) -> str:
    status = row["call_status"]
    return _join(" ", row["call_type"], row["call_direction"], status != "completed" and status)


def _place(row: Row) -> str:
    return _join(" ", row["country_code"], row["participant_region"])


def _person(row: Row) -> Iterator[str | None]:
    """What tells a participant from others, as far as the copy has it."""
    yield from (row["call_sid"], row["label"])
    yield _join(" to ", row["calling_party"], row["called_party"])
    yield from (role for role in ("moderator", "coach") if row[f"is_{role}"])


def _length(row: Row) -> str | None:
    seconds = row["duration_seconds"]
    return None if seconds is None else duration(seconds).replace(SPACE, " ")


def _words(name: str | None) -> str | None:
    return name and name.replace("_", " ")


def _join(between: str, *parts: str | None) -> str:
    return between.join(part for part in parts if part)


def _time(found: Conference, utc: datetime | None, style: str = "%Y-%m-%d %H:%M:%S") -> str:
    return f"{as_local(utc, found.zone):{style}}" if utc else "-"


def _print_tables(found: Conference) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def table(title: str, *headings: str) -> Table:
        style: dict[str, Any] = {"title_justify": "left", "title_style": "bold"}
        return Table(*headings, title=title, box=SIMPLE_HEAD, **style)

    def cell(text: str | None, style: str = "") -> Text:
        return Text(visible(text or ""), style, overflow="fold")

    def time(utc: datetime | None) -> Text:
        """With its day only if that is not the day of the creation."""
        times = (utc, found.card["create_time"])
        days = [as_local(at, found.zone).date() for at in times if at]
        is_same = len(days) == 2 and days[0] == days[1]
        return cell(_time(found, utc, "%H:%M:%S" if is_same else "%d %b %H:%M:%S"))

    head, who = Table.grid(padding=(0, 2)), Table.grid(padding=(0, 2))
    people = table(
        "Participants", "#", "Joined", "Left", "Length", "Call", "Region", "What was wrong"
    )
    media = table("Media, mean/largest", "#", "Direction", "Loss", "Jitter", "Latency", "MOS", "")
    timeline = table("Events", "Time", "#", "Event")
    for title, text in _facts(found):
        head.add_row(cell(title, "bold"), cell(text))
    for number, row in found.numbered:
        n, wrong = str(number), cell(findings(row), "bold red")
        times = time(row["join_time"]), time(row["leave_time"])
        about = (cell(text) for text in (_length(row), _call(row), _place(row)))
        people.add_row(n, *times, *about, wrong)
        who.add_row(n, cell(_join(" | ", row["participant_sid"], *_person(row))))
        for direction in DIRECTIONS:
            values = list(measures(row, direction))
            if any(value for _, value, _ in values):
                marked = (cell(text, "bold red" if poor else "") for _, text, poor in values)
                media.add_row(n, direction, *marked)
    for at, whose, what in found.moments:
        timeline.add_row(time(at), str(whose or ""), cell(_words(what)))
    shown = [head, *((people, who, media) if found.participants else ()), timeline]
    plain = os.environ.get("NO_COLOR")  # bold, too, which rich would leave
    console = Console(highlight=False, color_system=None if plain else "auto")
    for part in shown:
        console.print(part, "")
