"""The sections about participants, where they are loaded: poor ones by group, and the worst."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipelines.report import charts
from pipelines.report.charts import Item
from pipelines.report.figures import Row
from pipelines.report.formatting import (
    NONE,
    SPACE,
    count,
    humanize,
    pluralize,
    truncate,
    whole_percent,
)
from pipelines.report.layout import MAX_BARS, Layout, facts_list, name_of, sid_link
from pipelines.report.markup import Markup, element
from pipelines.report.shares import Share

KINDS = ("region", "country", "call_type", "direction")
MIN_MEASURED, MAX_CARDS = 20, 6
"""Fewest measured participants of a group that is drawn, so that no single call is on top; most
cards of the worst."""
POOR = (
    "Poor is a latency of 150 ms, a jitter of 5 ms with peaks of 20 ms or a loss of 5 % or more, "
    "or a MOS of 3.5 or less, in either direction."
)


class ParticipantSections(Layout):
    """Both sections, or none."""

    def _participants(self) -> Iterator[Markup]:
        rows = self._figures["participants"]
        if any(row["participants"] for row in rows):
            yield self._groups(rows)
            yield self._worst_participants()

    def _groups(self, rows: Sequence[Row]) -> Markup:
        groups = {kind: [row for row in rows if row["kind"] == kind] for kind in KINDS}
        lead = (
            f"{most_striking(rows)} {POOR} Bars are shares of the measured participants, worst "
            f"first, of groups with at least {MIN_MEASURED} of them; the tables have all groups."
        )
        if self._figures.can_compare:
            lead += " The mark is the period before."
        if missing := self._figures["listed_participants"][0]["not_listed"]:
            lead += f" Participants of {pluralize(missing, 'conference')} are not loaded."

        def draw(title: str, _: str) -> Markup:
            drawn = []
            for kind, of_kind in groups.items():
                chart: Markup = element("p", f"None has {MIN_MEASURED} measured.", class_="soft")
                if items := [self._item(row) for row in of_kind if row["measured"] >= MIN_MEASURED]:
                    name = f"{title} By {humanize(kind)}"
                    about = f"{items[0].label}: {items[0].text}"
                    chart = charts.bar_chart(name, about, items[:MAX_BARS])
                drawn.append(element("div", element("h3", f"By {humanize(kind)}"), chart))
            return element("div", *drawn, class_="groups half")

        tables = (
            self._table(
                f"participants by {humanize(kind)}",
                [{kind: row["name"]} | {k: row[k] for k in list(row)[2:]} for row in of_kind],
            )
            for kind, of_kind in groups.items()
        )
        return self._section("participants", "Participants", lead, draw, tables, wide=True)

    def _item(self, row: Row) -> Item:
        text = f"{self._say('percent', row)} of {count(row['measured'])}"
        name, share = humanize(row["name"], "unknown"), row["percent"]
        return Item(name, (("now", share),), text, row["percent_before"])

    def _worst_participants(self) -> Markup:
        rows = self._figures["worst_participants"]
        lead = (
            "Those that exceed most of the four thresholds, then those with the lowest MOS; each "
            "measure is that of the worse direction."
        )
        picture = element("ol", *map(self._participant, rows[:MAX_CARDS]), class_="worst")
        return self._section(
            "worst_participants",
            "Worst participants",
            lead,
            rows and (lambda *_: picture),
            self._table("worst participants", rows),
            wide=True,
        )

    def _participant(self, row: Row) -> Markup:
        who = (row["call_type"], row["country_code"], row["participant_region"])
        units = {"jitter_ms": "ms", "jitter_max_ms": "ms", "latency_ms": "ms"}
        said = {
            column: self._say(column, row)
            + (f"{SPACE}{units[column]}" if column in units and row[column] is not None else "")
            for column in row
        }
        facts = {
            "Loss": said["packet_loss_percent"],
            "Jitter": f"{said['jitter_ms']}, at most {said['jitter_max_ms']}",
            "Latency": said["latency_ms"],
            "MOS": said["mos"],
            "Call": humanize(row["call_direction"], NONE),
            "Joined": said["join_time"],
        }
        if self._state["accounts"] > 1:
            facts["Account"] = said["account"]
        return element(
            "li",
            element("h3", name_of(", ".join(humanize(part, "unknown") for part in who))),
            element("code", sid_link(row["conference_sid"])),
            element("code", row["participant_sid"]),
            element("p", element("strong", row["findings"])),
            facts_list(facts),
        )


def most_striking(rows: Sequence[Row]) -> str:
    """The group that is worst against all others, if one clearly is, and of about equal ones the
    largest; else the share of all."""
    of_all = [row for row in rows if row["kind"] == KINDS[0]]
    measured, poor = (sum(row[name] for row in of_all) for name in ("measured", "poor"))
    found: list[tuple[tuple[float, int], str]] = []
    for row in sorted(rows, key=lambda row: KINDS.index(row["kind"])):
        number, others = row["measured"], measured - row["measured"]
        if min(number, others) < MIN_MEASURED:
            continue
        of_group, of_rest = Share(row["poor"], number), Share(poor - row["poor"], others)
        own, rest = of_group.fraction, of_rest.fraction
        if own >= 2 * rest and of_group.exceeds(of_rest):
            name = truncate(f"{humanize(row['kind']).capitalize()} {row['name'] or 'unknown'}", 40)
            found.append(
                (
                    (round(own - rest, 1), number),
                    f"{name}: {whole_percent(100 * own)} of {count(number)} measured participants"
                    f" are poor; of all others {whole_percent(100 * rest)}.",
                )
            )
    if found:
        return max(found, key=lambda each: each[0])[1]
    share = whole_percent(100 * poor / measured) if measured else NONE
    return f"{share} of {count(measured)} measured participants are poor; no group stands out."
