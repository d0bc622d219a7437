"""The page: what is said about the figures, and where the pictures and the tables are."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from pipelines.report import charts
from pipelines.report.charts import Item
from pipelines.report.figures import Figures, Row
from pipelines.report.markup import Content, Markup, element, page, style_sheet
from pipelines.report.words import (
    NONE,
    SPACE,
    count,
    counted,
    cut,
    day,
    days,
    heading,
    moment,
    percent,
    plain,
    rounded,
    spelled,
)

HOURLY, SHOWN, LISTED = 2, 8, 400
"""Up to so many days are drawn by the hour; so many of a kind are drawn, so many are in a table."""
WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
CARDS = {
    "conferences": ("Conferences", 0),
    "participants": ("Participants", 0),
    "median_length_seconds": ("Half are shorter than", 0),
    "p90_length_seconds": ("Nine in ten are shorter than", 0),
    "pending": ("Still pending", 0),
    "percent_without_quality_problem": ("Without quality problem", 1),
    "percent_without_region_problem": ("Without region problem", 1),
    "percent_without_behavior_problem": ("Without behavior problem", 1),
    "not_started": ("Not started", -1),
    "timed_out": ("Timed out", -1),
}
"""By column: what the card says, and whether more is better (1) or worse (-1)."""
STATES = {"pending": "pending", "without_end": "timed out", "expired": "expired"}
ISSUES = ("call_quality", "participant_behavior", "region_configuration")
OF_WORST = (
    *("conference_sid", "create_time", "findings", *(f"{issue}_issue_count" for issue in ISSUES)),
    *("duration_seconds", "unique_participants", "status", "end_reason"),
)


def write_page(figures: Figures) -> str:
    """The whole document."""
    return _Page(figures).document()


class _Page:
    def __init__(self, figures: Figures) -> None:
        self._figures, self._period, self._state = figures, figures.period, figures.state
        self._now, before = figures["totals"]
        self._before = before if figures.can_compare else dict.fromkeys(before)
        self._contents: list[Markup] = []

    def document(self) -> Markup:
        style = Path(__file__).with_name("style.css").read_text("utf-8")
        digest = b64encode(sha256(style.encode()).digest()).decode()
        policy = f"default-src 'none'; style-src 'sha256-{digest}'"
        period = days(self._period.start, self._period.last)
        sections = (
            *(self._cards(), self._volume(), self._issues(), *self._rankings(), self._lengths()),
            *(
                self._week(),
                self._regions(),
                self._worst(),
                self._completeness(),
                self._freshness(),
            ),
        )
        head = (
            element("meta", charset="utf-8"),
            element(
                "meta",
                http_equiv="Content-Security-Policy",
                content=f"{policy}; base-uri 'none'; form-action 'none'",
            ),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("meta", name="referrer", content="no-referrer"),
            element("title", f"Conferences, {period}"),
            style_sheet(style),
        )
        body = (
            element("a", "Skip to the figures", href="#figures", class_="skip"),
            self._header(period),
            element("nav", element("ul", *self._contents), aria_label="Contents"),
            element("main", *sections, id="figures", tabindex=-1),
            element(
                "footer",
                f"Days and hours are in {self._state['time_zone']}. Made by "
                "conference-insights; this file loads nothing from elsewhere.",
            ),
        )
        return page(element("head", *head), element("body", *body), "en")

    def _header(self, period: str) -> Markup:
        now, before, state = self._now, self._before, self._state
        said = (
            f"{counted(now['conferences'], 'conference')} in {counted(self._period.length, 'day')}"
        )
        if self._figures.can_compare and before["conferences"]:
            change = 100 * (now["conferences"] / before["conferences"] - 1)
            said += f", {percent(abs(change))} {'more' if change >= 0 else 'fewer'} than before"
        if now["final"]:
            good = percent(now["percent_without_quality_problem"])
            said += f". Of those that are final, {good} had no quality problem"
        notes, known, prior = [], state["known_from"], self._period.prior
        as_of = moment(state["data_as_of"], state["time_zone"])
        if known is None:
            notes.append("No conference is loaded yet.")
        elif self._period.end > state["today"]:
            notes.append(
                f"The period is not over: the data goes to {as_of}. So nothing is compared."
            )
        elif not self._figures.can_compare:
            notes.append(
                f"The data begins on {days(known, known)}, so there is no whole period "
                "before to compare with."
            )
        if now["pending"]:
            notes.append(
                f"{counted(now['pending'], 'conference')} not final yet, so figures may "
                "still change."
            )
        if state["without_creation_time"]:
            missing = counted(state["without_creation_time"], "conference")
            notes.append(f"{missing} without a creation time, and so in no period.")
        return element(
            "header",
            element("p", "Twilio conferences", class_="over"),
            element("h1", period),
            element("p", f"{said}.", class_="headline"),
            element(
                "p",
                f"Data as of {as_of} ({state['time_zone']}).",
                f" Before: {days(prior.start, prior.last)}." if self._figures.can_compare else "",
                class_="soft",
            ),
            *(element("p", note, class_="note") for note in notes),
        )

    def _cards(self) -> Markup:
        cards, table, by_day = [], [], self._figures["days"]
        for column, (name, good) in CARDS.items():
            figure, trend = self._say(column, self._now), [row[column] for row in by_day]
            known = [value for value in trend if value is not None] or [None]
            about = " to ".join(self._say(column, {column: of(known)}) for of in (min, max))
            cards.append(
                element(
                    "li",
                    element("h3", name),
                    element("p", figure, class_="figure"),
                    element("p", self._change(column, good), class_="change"),
                    charts.spark(f"{name}, day by day", about, trend) if len(trend) > 1 else None,
                )
            )
            table.append({"figure": name, "now": figure, "before": self._say(column, self._before)})
        lead = "Shares are of the conferences that are final; the small lines are the days."
        tables = self._table("figures", table), self._table("figures by day", by_day, "day", *CARDS)
        return self._section(
            "totals", "In short", lead, element("ul", *cards, class_="cards"), tables, "full"
        )

    def _change(self, column: str, good: int) -> Content:
        """An arrow and words; better or worse is said, not only shown."""
        now, before = self._now[column], self._before[column]
        was = element("span", f"before: {self._say(column, self._before)}")
        if now is None or before is None:
            return was if self._figures.can_compare else None
        if now == before or ("percent" in column and abs(now - before) < 0.05):
            return element("span", "unchanged"), was
        size = "more" if now > before else "less"
        if "percent" in column:
            size = f"{abs(now - before):.1f}{SPACE}points"
        elif before:
            size = percent(100 * abs(now / before - 1))
        judged = ("", "better", "worse")[good if now > before else -good]
        arrow = "▲" if now > before else "▼"
        return element("span", f"{arrow}{SPACE}{size} {judged}".strip(), class_=judged or None), was

    def _volume(self) -> Markup:
        unit = "hour" if self._period.length <= HOURLY and self._figures["hours"] else "day"
        rows, title = self._figures[f"{unit}s"], self._figures.answers[f"{unit}s"].question
        clock = "%H:%M" if self._period.length == 1 else "%a %H:%M"
        items = [
            Item(
                day(row[unit]) if unit == "day" else f"{row[unit]:{clock}}",
                (("now", row["conferences"] - row["pending"]), ("pending", row["pending"])),
                before=row["conferences_before"],
                hint=f"{self._say(unit, row)}: {counted(row['conferences'], 'conference')}, "
                f"{count(row['pending'])} pending, {count(row['conferences_before'])} before",
            )
            for row in rows
        ]
        best = max(rows, key=lambda row: int(row["conferences"]))
        lead = f"The busiest {unit} was {self._say(unit, best)}, with {count(best['conferences'])}."
        picture = self._figure(
            any(item.value or item.before for item in items),
            element("div", charts.columns(title, lead, items, width=1060), class_="wide"),
            element("div", charts.columns(title, lead, items, width=340), class_="narrow"),
            key={"now": "this period", "pending": "of it pending", "before": "period before"},
        )
        columns = (unit, "conferences", "pending", "conferences_before")
        table = self._table(f"conferences by {unit}", rows, *columns)
        return self._section(f"{unit}s", "Volume", lead, picture, table, "full")

    def _issues(self) -> Markup:
        rows = self._figures["issues"]
        items = [
            Item(
                plain(r["issue"]),
                said=self._say("percent", r),
                trend=self._trend("detected_issue", r["issue"]),
            )
            for r in rows[:3]
        ]
        lead = "Share of the final conferences in which Twilio counted such an issue."
        labels = [day(row["day"]) for row in self._figures["days"]]
        title = self._figures.answers["issues"].question
        picture = self._figure(rows, charts.lines(title, lead, labels, items, rounded))
        return self._section("issues", "Issues", lead, picture, self._table("issues", rows))

    def _trend(self, kind: str, name: str | None) -> list[float | None]:
        found = {
            row["day"]: row["percent"]
            for row in self._figures["problem_days"]
            if (row["kind"], row["name"]) == (kind, name)
        }
        return [found.get(row["day"]) for row in self._figures["days"]]

    def _rankings(self) -> tuple[Content, ...]:
        mark = " The mark is the period before." if self._figures.can_compare else ""
        return (
            self._ranking("tags", "Tags", f"Share of the final conferences.{mark}", "tag"),
            self._ranking("end_reasons", "Ends", f"Share of all conferences.{mark}"),
            self._ranking("accounts", "Accounts", f"Conferences.{mark}")
            if len(self._figures["accounts"]) > 1
            else None,
        )

    def _ranking(self, slug: str, name: str, lead: str, kind: str = "") -> Markup:
        rows = self._figures[slug]
        unit = "percent" if rows and "percent" in rows[0] else "conferences"
        items = [
            Item(
                plain(first, "not ended, or never started"),
                (("now", row[unit] or 0),),
                self._say(unit, row),
                row[f"{unit}_before"],
                self._trend(kind, first) if kind and self._period.length > 1 else (),
            )
            for row in rows[:SHOWN]
            for first in (next(iter(row.values())),)
        ]
        title = self._figures.answers[slug].question
        picture = self._figure(rows, charts.rows(title, lead, items) if items else None)
        size = "full" if slug == "accounts" else "half"
        return self._section(slug, name, lead, picture, self._table(plain(slug), rows), size)

    def _lengths(self) -> Markup:
        rows = self._figures["lengths"]
        items = [
            Item(
                plain(row["length"]),
                (("now", row["percent"] or 0),),
                before=row["percent_before"],
                hint=f"{plain(row['length'])}: {counted(row['conferences'], 'conference')}",
            )
            for row in rows
            if row["length"]
        ]
        median, p90 = (self._say(f"{of}_length_seconds", self._now) for of in ("median", "p90"))
        lead = f"Half of the final ones were shorter than {median}, nine in ten shorter than {p90}."
        drawn = charts.columns(self._figures.answers["lengths"].question, lead, items, rounded)
        picture = self._figure(items, drawn)
        return self._section("lengths", "Lengths", lead, picture, self._table("lengths", rows))

    def _week(self) -> Markup:
        rows = self._figures["week"]
        hints = [
            f"{WEEK[row['weekday'] - 1]} at {row['hour_of_day']}:00, "
            f"{self._say('mean_conferences', row)}"
            for row in rows
        ]
        fields = {
            (r["weekday"] - 1, r["hour_of_day"]): Item(
                hint=hint, parts=(("", r["mean_conferences"]),)
            )
            for r, hint in zip(rows, hints, strict=True)
        }
        best = max(fields.values(), key=lambda item: item.value, default=Item())
        lead = f"Mean conferences an hour. The most: {best.hint}."
        heads = [f"{hour}:00" if hour % 6 == 0 else "" for hour in range(24)]
        drawn = charts.matrix(self._figures.answers["week"].question, lead, WEEK, heads, fields)
        table = self._table("hours of the week", rows)
        key = {"h1": "few", "h3": "some", "h5": "the most"}
        return self._section("week", "Week", lead, self._figure(best.value, drawn, key=key), table)

    def _regions(self) -> Markup:
        rows, columns = self._figures["regions"], ("asked_for", "mixed_in")
        asked, mixed = (list(dict.fromkeys(row[c] for row in rows))[:SHOWN] for c in columns)
        fields = {
            (asked.index(row["asked_for"]), mixed.index(row["mixed_in"])): Item(
                parts=(("", row["conferences"]),),
                said=count(row["conferences"])
                if row["conferences"] < 10**4
                else rounded(row["percent"]),
                hint=f"Asked for {plain(row['asked_for'])}, mixed in {plain(row['mixed_in'])}: "
                f"{counted(row['conferences'], 'conference')}",
                is_marked=row["is_elsewhere"],
            )
            for row in rows
            if row["asked_for"] in asked and row["mixed_in"] in mixed
        }
        away = [row for row in rows if row["is_elsewhere"]]
        lead = "Rows are what was asked for, columns where they were mixed. "
        lead += (
            f"Outlined: elsewhere, {percent(sum(row['percent'] for row in away))}."
            if away
            else "None was mixed elsewhere."
        )
        names = [cut(plain(name, "not asked"), 12) for name in asked]
        heads = [cut(plain(name, "unknown"), 34 // len(mixed)) for name in mixed]
        drawn = charts.matrix(self._figures.answers["regions"].question, lead, names, heads, fields)
        table = self._table("regions", rows)
        return self._section("regions", "Regions", lead, self._figure(rows, drawn), table)

    def _worst(self) -> Markup:
        rows = self._figures["worst"]
        lead = "A finding is a tag, a counted issue, another region than asked for, or a timeout."
        picture = self._figure(rows, element("ol", *map(self._card, rows), class_="worst"))
        table = self._table("worst conferences", rows, *OF_WORST)
        return self._section("worst", "Worst", lead, picture, table, "full")

    def _card(self, row: Row) -> Markup:
        found = [(plain(issue), row[f"{issue}_issue_count"] or 0) for issue in ISSUES]
        found.append(("tags and other", row["findings"] - sum(value for _, value in found)))
        said = ", ".join(f"{count(value)} {name}" for name, value in found if value > 0)
        parts = tuple((f"s{n}", value) for n, (_, value) in enumerate(found) if value > 0)
        asked = row["mixer_region_requested"]
        where = "as asked" if asked == row["mixer_region"] else f"asked for {asked}"
        facts = {
            "Created": self._say("create_time", row),
            "Length": self._say("duration_seconds", row),
            "Participants": self._say("unique_participants", row),
            "Region": f"{row['mixer_region'] or NONE}{f', {where}' if asked else ''}",
            "End": plain(row["end_reason"], NONE),
            "State": f"{plain(row['status'], NONE)}, {row['completeness']}",
        }
        more = {
            "severities": "Severity",
            "reasons": "Reason",
            "duplicate_identities": "Twice there",
        }
        tags = row["tags"].split(", ") if row["tags"] else ()
        return element(
            "li",
            element("h3", element("bdi", row.get("friendly_name") or "Without a name")),
            element("code", row["conference_sid"]),
            element("p", element("strong", counted(row["findings"], "finding")), f": {said}"),
            charts.pieces(f"Findings of {row['conference_sid']}", said, Item(parts=parts)),
            self._list(facts),
            element(
                "ul", *(element("li", element("bdi", plain(tag))) for tag in tags), class_="tags"
            ),
            *(
                element("p", f"{name}: ", element("bdi", plain(row[column])), class_="soft")
                for column, name in more.items()
                if row.get(column)
            ),
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
            f"{final} are final. Pending ones are asked for again; of timed out ones Twilio never "
            "heard the end; expired ones it no longer has."
        )
        title = "What is not complete?"
        drawn = charts.columns(title, lead, items)
        is_there = any(item.value for item in items)
        picture = self._figure(is_there, drawn, key=STATES)
        table = self._table("completeness by day", rows, "day", "conferences", "complete", *STATES)
        return self._section("completeness", "Completeness", lead, picture, table, title=title)

    def _freshness(self) -> Markup:
        checks, state = self._figures["checks"], self._state
        found = [
            element(
                "li",
                element("strong", f"{check['level']}, {count(check['violations'])}: "),
                check["sentence"],
            )
            for check in checks
            if check["violations"]
        ]
        facts = {heading(name): self._say(name, state) for name in state if name != "today"}
        lead = f"{len(found) or 'None'} of {counted(len(checks), 'check')} found something."
        picture = self._list(facts), element("ul", *found, class_="checks") if found else None
        title = "How fresh and sound is the data?"
        return self._section(
            "freshness", "Freshness", lead, picture, self._table("checks", checks), title=title
        )

    def _say(self, column: str, row: Row) -> str:
        return spelled(column, row[column], self._state["time_zone"])

    def _section(
        self,
        slug: str,
        name: str,
        lead: Content,
        picture: Content,
        table: Content,
        size: str = "half",
        title: str | None = None,
    ) -> Markup:
        """A part of the page, which says so if there is no picture."""
        nothing = element("p", "Nothing in this period.", class_="nothing")
        self._contents.append(element("li", element("a", name, href=f"#{slug}")))
        return element(
            "section",
            element("h2", title or self._figures.answers[slug].question, id=f"{slug}-title"),
            *([element("p", lead, class_="lead"), picture] if picture else [nothing]),
            table,
            id=slug,
            class_=size,
            aria_labelledby=f"{slug}-title",
        )

    @staticmethod
    def _figure(is_there: Any, *drawn: Content, key: dict[str, str] | None = None) -> Content:
        if not is_there:
            return None
        keys = [element("span", element("i", class_=of), name) for of, name in (key or {}).items()]
        return element(
            "figure", element("figcaption", *keys, class_="key") if key else None, *drawn
        )

    def _table(self, name: str, rows: Sequence[Row], *columns: str) -> Markup:
        """The figures behind a picture, as the SQL gave them."""
        columns = columns or tuple(rows[0] if rows else ())
        heads = [element("th", heading(column), scope="col") for column in columns]
        lines = []
        for row in rows[:LISTED]:
            first, *others = (element("bdi", self._say(column, row)) for column in columns)
            cells = (element("td", other) for other in others)
            lines.append(element("tr", element("th", first, scope="row"), *cells))
        caption = f"{name}, {LISTED} of {count(len(rows))}" if len(rows) > LISTED else name
        head, body = element("thead", element("tr", *heads)), element("tbody", *lines)
        table = element("table", element("caption", caption), head, body)
        scroll = element("div", table, class_="scroll", tabindex=0, role="region", aria_label=name)
        return element("details", element("summary", f"Table: {name}"), scroll)

    @staticmethod
    def _list(facts: dict[str, str]) -> Markup:
        pairs = (element("div", element("dt", k), element("dd", v)) for k, v in facts.items())
        return element("dl", *pairs)
