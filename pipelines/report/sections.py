"""The sections of the page below the summary: one question each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pipelines.report import charts
from pipelines.report.charts import Item
from pipelines.report.figures import Row
from pipelines.report.formatting import (
    NONE,
    count,
    day,
    heading,
    humanize,
    percent,
    pluralize,
    truncate,
    whole_percent,
)
from pipelines.report.layout import (
    MAX_BARS,
    conferences,
    facts_list,
    in_both_widths,
    name_of,
    sid_link,
)
from pipelines.report.markup import Content, Markup, element
from pipelines.report.participants import ParticipantSections
from pipelines.report.weeks import WeekSections
from pipelines.warehouse.definitions import documented_tags

MAX_HOURLY_DAYS = 2
"""Longest period that is drawn by the hour."""
NOT_DOCUMENTED = "Twilio does not document it."
NO_REASON = "not ended, or never started"
STATES = {"pending": "pending", "without_end": "timed out", "expired": "expired"}
VOLUME_KEY = {"now": "this period", "pending": "of which pending"}
LISTS = {"severities": "Severity", "reasons": "Reason", "duplicate_identities": "Joined twice"}
FINDINGS = ("quality", "behavior", "region", "other")
WORST_COLUMNS = (
    *("conference_sid", "create_time", "severity", "participants_touched", "findings"),
    *(f"{kind}_findings" for kind in FINDINGS),
    *("duration_seconds", "unique_participants", "status", "end_reason"),
)


class Sections(ParticipantSections, WeekSections):
    """Each method makes the section of one question: chart and table."""

    def sections(self) -> Iterator[Content]:
        yield from (self._volume(), self._tags(), self._issues(), self._end_reasons())
        yield from (self._lengths(), self._weeks(), self._week(), self._regions(), self._worst())
        yield from (*self._participants(), self._accounts(), self._completeness())
        yield self._freshness()

    def _volume(self) -> Markup:
        unit = (
            "hour" if self._period.length <= MAX_HOURLY_DAYS and self._figures["hours"] else "day"
        )
        clock = "%H:%M" if self._period.length == 1 else "%a %H:%M"
        rows = self._figures[f"{unit}s"]
        items = [
            Item(
                day(row[unit]) if unit == "day" else f"{row[unit]:{clock}}",
                (("now", row["conferences"] - row["pending"]), ("pending", row["pending"])),
                before=row["conferences_before"],
                hint=f"{self._say(unit, row)}: {conferences(row)}, {count(row['pending'])} "
                f"pending, {count(row['conferences_before'])} before",
            )
            for row in rows
        ]

        draw = in_both_widths(partial(charts.column_chart, items=items))
        best = max(rows, key=lambda row: int(row["conferences"]))
        lead = f"The busiest {unit} was {self._say(unit, best)} with {conferences(best)}."
        columns = (unit, "conferences", "pending", "conferences_before")
        table = self._table(f"conferences by {unit}", rows, *columns)
        key = VOLUME_KEY | ({"before": "period before"} if self._figures.can_compare else {})
        is_there = any(item.value or item.before for item in items)
        return self._section(
            f"{unit}s", "Volume", lead, is_there and draw, table, wide=True, key=key
        )

    def _issues(self) -> Markup:
        rows = self._figures["issues"]
        items = [
            Item(
                humanize(row["issue"]),
                text=self._say("percent", row),
                trend=self._trend("issue", row["issue"]),
            )
            for row in rows[:3]
        ]
        labels = [day(row["day"]) for row in self._figures["days"]]
        draw = partial(charts.line_chart, labels=labels, items=items, show=whole_percent)
        lead = "Share of final conferences with such an issue."
        return self._section("issues", "Issues", lead, items and draw, self._table("issues", rows))

    def _tags(self) -> Markup:
        lead = "Share of final conferences."
        if self._period.length > 1:
            last = day(self._period.last)
            lead += f" The small lines are the days up to {last}, with the least and the most."
        return self._ranking("tags", "Tags", lead, "tag", wide=True)

    def _end_reasons(self) -> Markup:
        return self._ranking("end_reasons", "Ends", "Share of all conferences.")

    def _accounts(self) -> Content:
        if len(self._figures["accounts"]) < 2:
            return None
        return self._ranking("accounts", "Accounts", "Conferences.", wide=True)

    def _ranking(
        self, slug: str, name: str, lead: str, kind: str = "", wide: bool = False
    ) -> Markup:
        rows = self._figures[slug]
        unit = "percent" if rows and "percent" in rows[0] else "conferences"

        def item(row: Row) -> Item:
            first = next(iter(row.values()))  # the first column of each of these queries is a name
            label = humanize(first, NO_REASON) if slug != "accounts" else first or "unknown"
            return Item(
                label,
                (("now", row[unit] or 0),),
                self._say(unit, row),
                row[f"{unit}_before"],
                self._trend(kind, first) if kind and self._period.length > 1 else (),
            )

        items = [item(row) for row in rows[:MAX_BARS]]
        if self._figures.can_compare:
            lead += " The mark is the period before."
        meanings = {
            humanize(row["tag"]): documented_tags().get(row["tag"], NOT_DOCUMENTED)
            for row in (rows[:MAX_BARS] if kind == "tag" else ())
        }

        bars = partial(charts.bar_chart, items=items)

        def explained(title: str, about: str) -> Markup:
            both = element("div", bars(title, about)), facts_list(meanings, "meanings")
            return element("div", *both, class_="groups half")

        draw = explained if meanings else in_both_widths(bars) if wide else bars
        table = self._table(humanize(slug), rows)
        return self._section(slug, name, lead, items and draw, table, wide=wide)

    def _lengths(self) -> Markup:
        rows = self._figures["lengths"]
        items = [
            Item(
                humanize(row["length"]),
                (("now", row["percent"] or 0),),
                before=row["percent_before"],
                hint=f"{humanize(row['length'])}: {conferences(row)}",
            )
            for row in rows
            if row["length"]
        ]
        median, p90 = (self._say(f"{of}_length_seconds", self._now) for of in ("median", "p90"))
        lead = f"Half of the final ones were shorter than {median}, nine in ten shorter than {p90}."
        draw = partial(charts.column_chart, items=items, show=whole_percent)
        return self._section(
            "lengths", "Lengths", lead, items and draw, self._table("lengths", rows)
        )

    def _regions(self) -> Markup:
        rows, columns = self._figures["regions"], ("requested", "mixed_in")
        requested, mixed = (
            list(dict.fromkeys(row[name] for row in rows))[:MAX_BARS] for name in columns
        )
        fields = {
            (requested.index(row["requested"]), mixed.index(row["mixed_in"])): Item(
                parts=(("", number := row["conferences"]),),
                text=count(number) if number < 10**4 else whole_percent(row["percent"]),
                hint=f"Requested {humanize(row['requested'])}, "
                f"mixed in {humanize(row['mixed_in'])}: {conferences(row)}",
                is_marked=row["is_elsewhere"],
            )
            for row in rows
            if row["requested"] in requested and row["mixed_in"] in mixed
        }
        away = sum(row["percent"] for row in rows if row["is_elsewhere"])
        outlined = f"not as requested, {percent(away)}" if away else "none, all were as requested"
        lead = f"Rows are requested regions, columns those that mixed. Outlined: {outlined}."
        names = [truncate(humanize(name, "none"), 12) for name in requested]
        heads = [truncate(humanize(name, "unknown"), 34 // len(mixed)) for name in mixed]
        draw = partial(charts.heatmap, names=names, heads=heads, fields=fields)
        return self._section(
            "regions", "Regions", lead, rows and draw, self._table("regions", rows)
        )

    def _worst(self) -> Markup:
        rows = self._figures["worst"]
        lead = (
            "By the severity that Twilio states, then by the participants concerned. Whatever it "
            "tells of the same thing, in tags and counts, is one finding."
        )
        picture = element("ol", *map(self._card, rows), class_="worst")
        table = self._table("worst conferences", rows, *WORST_COLUMNS)
        return self._section(
            "worst", "Worst", lead, rows and (lambda *_: picture), table, wide=True
        )

    def _card(self, row: Row) -> Markup:
        found = [(kind, row[f"{kind}_findings"]) for kind in FINDINGS]
        summary = ", ".join(f"{count(value)} {name}" for name, value in found if value > 0)
        parts = tuple((f"s{n}", value) for n, (_, value) in enumerate(found) if value > 0)
        requested, mixed = row["mixer_region_requested"], row["mixer_region"]
        where = ", as requested" if requested == mixed else f", requested {requested}"
        facts = {
            "Created": self._say("create_time", row),
            "Length": self._say("duration_seconds", row),
            "Severity": row["severity"],
            "Participants": f"{count(row['participants_touched'])} concerned of "
            f"{self._say('unique_participants', row)}",
            "Region": (mixed or NONE) + (where if requested else ""),
            "End": humanize(row["end_reason"], NONE),
            "State": f"{humanize(row['status'], NONE)}, {row['completeness']}",
        }
        if self._state["accounts"] > 1:
            facts["Account"] = row["account_name"] or NONE
        more = ((name, row.get(column)) for column, name in LISTS.items())
        tags = (row["tags"] or "").split(", ")
        return element(
            "li",
            element("h3", element("bdi", row.get("friendly_name") or "Without a name")),
            element("code", sid_link(row["conference_sid"])),
            element("p", element("strong", pluralize(row["findings"], "finding")), f": {summary}"),
            charts.stacked_bar(f"Findings of {row['conference_sid']}", summary, Item(parts=parts)),
            facts_list(facts),
            element(
                "ul",
                *(
                    element("li", name_of(humanize(t)), title=documented_tags().get(t))
                    for t in tags
                    if t
                ),
                class_="tags",
            ),
            *(element("p", f"{n}: ", name_of(humanize(v)), class_="soft") for n, v in more if v),
        )

    def _completeness(self) -> Markup:
        rows, now = self._figures["days"], self._now
        items = [
            Item(
                day(row["day"]),
                tuple((state, row[state]) for state in STATES),
                hint=f"{day(row['day'])}: "
                + ", ".join(f"{count(row[state])} {name}" for state, name in STATES.items()),
            )
            for row in rows
        ]
        final = percent(100 * now["final"] / now["conferences"]) if now["conferences"] else NONE
        lead = (
            f"{final} are final. Pending ones will be fetched again; of timed out ones Twilio "
            "never heard the end; expired ones were deleted by Twilio before they were final."
        )
        table = self._table("completeness by day", rows, "day", "conferences", "complete", *STATES)
        draw = any(item.value for item in items) and partial(charts.column_chart, items=items)
        return self._section("completeness", "Completeness", lead, draw, table, key=STATES)

    def _freshness(self) -> Markup:
        checks, state = self._figures["checks"], self._state
        found = []
        for check in (check for check in checks if check["violations"]):
            level = element("strong", f"{check['level']}, {count(check['violations'])}: ")
            found.append(element("li", level, check["sentence"]))
        lead = f"{len(found) or 'None'} of {pluralize(len(checks), 'check')} found problems."
        for row in self._figures["failing_accounts"]:
            name = name_of(row["account"]), f" since {self._say('failing_since', row)}: "
            found.append(element("li", element("strong", *name), row["last_error"]))
        unsaid = {"today", *(("account", "account_sid") if state["accounts"] > 1 else ())}
        facts = {heading(name): self._say(name, state) for name in state if name not in unsaid}
        picture = facts_list(facts), element("ul", *found, class_="checks") if found else None
        table = self._table("checks", checks)
        return self._section("freshness", "Freshness", lead, lambda *_: picture, table)
