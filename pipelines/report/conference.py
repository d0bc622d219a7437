"""One conference with its participants: what the published copy has of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.exit_codes import USAGE
from pipelines.lifecycle import RETENTION
from pipelines.report.published_copy import read_copy
from pipelines.warehouse.database import Database
from pipelines.warehouse.warehouse import Place

FINDINGS = {
    "is_latency_high": "high latency",
    "is_jitter_high": "high jitter",
    "is_loss_high": "high loss",
    "is_mos_low": "low MOS",
    "is_silent_inbound": "silent",
    "is_silent_outbound": "silent",
}
"""In words, by the columns that tell."""
MEASURES = (
    *("packet_loss_percentage", "jitter_avg", "jitter_max"),
    *("latency_avg", "latency_max", "mos"),
)
LATENCY_MS, JITTER_AVG_MS, JITTER_MAX_MS, LOSS_PERCENT, MOS = 150, 5, 20, 5, 3.5
"""What Twilio documents as poor: these values and above, of the MOS and below."""
_ABSENCES = {
    "listed": "none: Twilio lists none",
    "unfinished": "none so far: Twilio lists fewer than it counts; they are asked for again",
    "not_found": "not loaded: Twilio answers 404; they are asked for again, later and later",
    "failed": "not loaded: Twilio gave no usable answer; they are asked for again",
    "pending": "not loaded yet: a run lists them once the conference is final",
}
"""By the state of the participants; see `conference_health_card`."""
_OF_ONE = "SELECT * FROM analytics.{} WHERE conference_sid = $sid ORDER BY {} NULLS LAST"


class Row(dict[str, Any]):
    """Values by column; None for a column that the copy lacks, as one that is personal."""

    def __missing__(self, _column: str) -> None:
        return None


class UnknownConferenceError(ValueError):
    """The copy does not have the conference."""

    exit_code = USAGE


class Moment(NamedTuple):
    """What happened, and to which participant, if to one."""

    at: datetime | None
    number: int | None
    what: str


@dataclass(frozen=True)
class Conference:
    """Rows of the views; `absence` says why there are no participants, where there are none."""

    data_as_of: Row
    card: Row
    tags: list[Row]
    participants: list[Row]
    events: list[Row]
    absence: str | None

    @property
    def zone(self) -> str:
        return str(self.data_as_of["report_timezone"])

    @property
    def numbered(self) -> list[tuple[int, Row]]:
        """Participants in the order in which they joined."""
        return list(enumerate(self.participants, 1))

    @property
    def moments(self) -> list[Moment]:
        """All that happened, in its order."""
        card, numbers = self.card, {row["participant_sid"]: n for n, row in self.numbered}
        happened = [
            Moment(card["create_time"], None, "created"),
            Moment(card["start_time"], None, "started"),
            *(Moment(row["join_time"], number, "joined") for number, row in self.numbered),
            *(
                Moment(row["occurred_at"], numbers.get(row["participant_sid"]), row["event"])
                for row in self.events
            ),
            *(Moment(row["leave_time"], number, "left") for number, row in self.numbered),
            Moment(card["end_time"], None, "ended"),
        ]
        return sorted((one for one in happened if one.at), key=lambda one: one.at or datetime.max)


def read_conference(copy: Path | Place, sid: str) -> Conference:
    """Read what the copy has of a conference.

    Raises:
        CopyError: there is no copy, or it cannot be read.
        UnknownConferenceError: it does not have the conference.
    """
    with read_copy(copy) as database:

        def of_one(view: str, *order: str) -> list[Row]:
            text = _OF_ONE.format(view, " NULLS LAST, ".join(order))
            return [Row(row) for row in database.records(text, {"sid": sid})]

        (data_as_of,) = map(Row, database.records("SELECT * FROM analytics.data_as_of"))
        card = Row()
        for row in of_one("conferences", "1") + of_one("conference_health_card", "1"):
            card |= row
        if not card:
            raise UnknownConferenceError(
                f"{sid} is not in {copy}; unless it was erased, "
                f"`conference-insights backfill --conference {sid}` loads it"
            )
        participants: list[Row] = []
        events: list[Row] = []
        if "participants" in card:
            participants = of_one("participants", "join_time", "participant_sid")
            events = of_one("participant_events", "occurred_at", "participant_sid", "event")
        return Conference(
            data_as_of,
            card,
            of_one("conference_tag_details", "tag", "item_index"),
            participants,
            events,
            None if participants else _absence(database, card, data_as_of["as_of"]),
        )


def findings(participant: Row) -> str:
    """What is wrong with the media of a participant, in words."""
    words = (words for name, words in FINDINGS.items() if participant[name])
    return ", ".join(dict.fromkeys(words))


def measures(participant: Row, direction: str) -> Iterator[tuple[str, str, bool]]:
    """The measures of one direction: name, text and whether it is poor. The text is empty if it was
    not measured, and ends with ` !` if it is poor. The last item has no name: its text is `silent`
    or empty."""
    loss, jitter, jitter_max, latency, latency_max, mos = (
        participant[f"{direction}_{name}"] for name in MEASURES
    )
    is_jitter_high = (jitter or 0) >= JITTER_AVG_MS and (jitter_max or 0) >= JITTER_MAX_MS
    for name, values, unit, is_poor in (
        ("loss", [loss], " %", (loss or 0) >= LOSS_PERCENT),
        ("jitter", [jitter, jitter_max], " ms", is_jitter_high),
        ("latency", [latency, latency_max], " ms", (latency or 0) >= LATENCY_MS),
        ("MOS", [mos], "", mos is not None and mos <= MOS),
    ):
        text = ""
        if any(value is not None for value in values):
            shown = ("-" if v is None else f"{v:,.2f}".rstrip("0").rstrip(".") for v in values)
            text = "/".join(shown) + unit + (" !" if is_poor else "")
        yield name, text, is_poor
    yield "", "silent" if participant[f"is_silent_{direction}"] else "", False


def _absence(database: Database, card: Row, as_of: datetime | None) -> str:
    """Why there are no participants, as far as the copy can tell."""
    if "participants_state" not in card:
        return (
            "unknown: an earlier version made this copy; the next `conference-insights run` "
            "makes a new one"
        )
    if known := _ABSENCES.get(card["participants_state"]):
        return known
    listed = (
        "SELECT 1 FROM analytics.conference_health_card "
        "WHERE participants_state IN ('listed', 'failed') LIMIT 1"
    )
    if not database.execute(listed):
        return (
            "not loaded: set SOURCES__TWILIO_INSIGHTS__PARTICIPANTS=true, then run "
            "`conference-insights run`"
        )
    if as_of and (card["create_time"] or as_of) < as_of - RETENTION:
        return f"not loaded: Twilio deletes them after {RETENTION.days} days"
    return (
        "not loaded yet: the next `conference-insights run` lists them, or a later one if many "
        "conferences wait"
    )
