"""The page: what is said about the figures, and where the pictures and the tables are."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
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
    percent,
    plain,
    rounded,
    spelled,
)

HOURLY, SHOWN, LISTED = 2, 8, 400
"""Up to so many days are drawn by the hour; so many of a kind are drawn, so many are in a table."""
Draw = Callable[[str, str], Content]
"""Draws under a title, with a description."""
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
OF_VOLUME = {"now": "this period", "pending": "of it pending", "before": "period before"}
OF_WEEK = {"h1": "few", "h3": "some", "h5": "the most"}
OF_CARD = {"severities": "Severity", "reasons": "Reason", "duplicate_identities": "Twice there"}
QUESTIONS = {
    "completeness": "What is not complete?",
    "freshness": "How fresh and sound is the data?",
}
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
        policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'"
        period = days(self._period.start, self._period.last)
        answers: list[Content] = [self._cards(), self._volume(), self._issues(), *self._rankings()]
        answers += [self._lengths(), self._week(), self._regions(), self._worst()]
        answers += [self._accounts(), self._completeness(), self._freshness()]
        meta = {"viewport": "width=device-width, initial-scale=1", "color-scheme": "light dark"}
        head = (
            element("meta", charset="utf-8"),
            element(
                "meta",
                http_equiv="Content-Security-Policy",
                content=f"{policy}; form-action 'none'",
            ),
            *(element("meta", name=name, content=said) for name, said in meta.items()),
            element("meta", name="referrer", content="no-referrer"),
            element("title", f"Conferences, {period}"),
            style_sheet(style),
        )
        made = "Made by conference-insights; this file loads nothing from elsewhere."
        body = (
            element("a", "Skip to the figures", href="#figures", class_="skip"),
            self._header(period),
            element("nav", element("ul", *self._contents), aria_label="Contents"),
            element("main", *answers, id="figures", tabindex=-1),
            element("footer", f"Days and hours are in {self._state['time_zone']}. {made}"),
        )
        return page(element("head", *head), element("body", *body), "en")

    def _header(self, period: str) -> Markup:
        now, before, state = self._now, self._before, self._state
        said = f"{_conferences(now)} in {counted(self._period.length, 'day')}"
        if before["conferences"]:
            change = 100 * (now["conferences"] / before["conferences"] - 1)
            said += f", {percent(abs(change))} {'more' if change >= 0 else 'fewer'} than before"
        if now["final"]:
            good = percent(now["percent_without_quality_problem"])
            said += f". Of those that are final, {good} had no quality problem"
        prior = self._period.prior
        as_of = f"Data as of {self._say('data_as_of', state)} ({state['time_zone']})."
        compared = f" Before: {days(prior.start, prior.last)}." if self._figures.can_compare else ""
        return element(
            "header",
            element("p", "Twilio conferences", class_="over"),
            element("h1", period),
            element("p", f"{said}.", class_="headline"),
            element("p", as_of, compared, class_="soft"),
            *(element("p", note, class_="note") for note in self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        """What one must know before one reads the figures."""
        state, known = self._state, self._state["known_from"]
        if known is None:
            yield "No conference is loaded yet."
        elif self._period.end > state["today"]:
            as_of = self._say("data_as_of", state)
            yield f"The period is not over: the data goes to {as_of}. So nothing is compared."
        elif not self._figures.can_compare:
            yield f"The data begins on {days(known, known)}, so there is no whole period before."
        if pending := self._now["pending"]:
            yield f"{counted(pending, 'conference')} not final yet, so figures may still change."
        if missing := state["without_creation_time"]:
            yield f"{counted(missing, 'conference')} without a creation time, and so in no period."

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
        picture = element("ul", *cards, class_="cards")
        return self._answer("totals", "In short", lead, lambda *_: picture, tables, wide=True)

    def _change(self, column: str, good: int) -> Content:
        """An arrow and words; better or worse is said, not only shown."""
        now, before = self._now[column], self._before[column]
        was = element("span", f"before: {self._say(column, self._before)}")
        if now is None or before is None:
            return was if self._figures.can_compare else None
        if now == before or ("percent" in column and abs(now - before) < 0.05):
            return element("span", "unchanged"), was
        arrow, size = ("▲", "more") if now > before else ("▼", "less")
        if "percent" in column:
            size = f"{abs(now - before):.1f}{SPACE}points"
        elif before:
            size = percent(100 * abs(now / before - 1))
        judged = ("", "better", "worse")[good if now > before else -good]
        return element("span", f"{arrow}{SPACE}{size} {judged}".strip(), class_=judged or None), was

    def _volume(self) -> Markup:
        unit = "hour" if self._period.length <= HOURLY and self._figures["hours"] else "day"
        clock = "%H:%M" if self._period.length == 1 else "%a %H:%M"
        rows = self._figures[f"{unit}s"]
        items = [
            Item(
                day(row[unit]) if unit == "day" else f"{row[unit]:{clock}}",
                (("now", row["conferences"] - row["pending"]), ("pending", row["pending"])),
                before=row["conferences_before"],
                hint=f"{self._say(unit, row)}: {_conferences(row)}, {count(row['pending'])} "
                f"pending, {count(row['conferences_before'])} before",
            )
            for row in rows
        ]

        def draw(title: str, about: str) -> Iterator[Markup]:
            for size, width in (("wide", 1060), ("narrow", 340)):
                drawn = charts.columns(title, about, items, width=width)
                yield element("div", drawn, class_=size)

        best = max(rows, key=lambda row: int(row["conferences"]))
        lead = f"The busiest {unit} was {self._say(unit, best)}, with {count(best['conferences'])}."
        columns = (unit, "conferences", "pending", "conferences_before")
        table = self._table(f"conferences by {unit}", rows, *columns)
        is_there = any(item.value or item.before for item in items)
        return self._answer(
            f"{unit}s", "Volume", lead, is_there and draw, table, wide=True, key=OF_VOLUME
        )

    def _issues(self) -> Markup:
        rows = self._figures["issues"]
        items = [
            Item(plain(name), said=self._say("percent", row), trend=self._trend("issue", name))
            for row in rows[:3]
            for name in (row["issue"],)
        ]
        labels = [day(row["day"]) for row in self._figures["days"]]
        draw = partial(charts.lines, labels=labels, items=items, spell=rounded)
        lead = "Share of the final conferences in which Twilio counted such an issue."
        return self._answer("issues", "Issues", lead, items and draw, self._table("issues", rows))

    def _trend(self, kind: str, name: str | None) -> list[float | None]:
        found = {
            row["day"]: row["percent"]
            for row in self._figures["problem_days"]
            if row["kind"].endswith(kind) and row["name"] == name
        }
        return [found.get(row["day"]) for row in self._figures["days"]]

    def _rankings(self) -> Iterator[Markup]:
        yield self._ranking("tags", "Tags", "Share of the final conferences.", "tag")
        yield self._ranking("end_reasons", "Ends", "Share of all conferences.")

    def _accounts(self) -> Content:
        if len(self._figures["accounts"]) < 2:
            return None
        return self._ranking("accounts", "Accounts", "Conferences.", wide=True)

    def _ranking(
        self, slug: str, name: str, lead: str, kind: str = "", wide: bool = False
    ) -> Markup:
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
        if self._figures.can_compare:
            lead += " The mark is the period before."
        draw, table = partial(charts.rows, items=items), self._table(plain(slug), rows)
        return self._answer(slug, name, lead, items and draw, table, wide=wide)

    def _lengths(self) -> Markup:
        rows = self._figures["lengths"]
        items = [
            Item(
                plain(row["length"]),
                (("now", row["percent"] or 0),),
                before=row["percent_before"],
                hint=f"{plain(row['length'])}: {_conferences(row)}",
            )
            for row in rows
            if row["length"]
        ]
        median, p90 = (self._say(f"{of}_length_seconds", self._now) for of in ("median", "p90"))
        lead = f"Half of the final ones were shorter than {median}, nine in ten shorter than {p90}."
        draw = partial(charts.columns, items=items, spell=rounded)
        return self._answer(
            "lengths", "Lengths", lead, items and draw, self._table("lengths", rows)
        )

    def _week(self) -> Markup:
        rows = self._figures["week"]
        fields = {
            (row["weekday"] - 1, row["hour_of_day"]): Item(
                parts=(("", row["mean_conferences"]),),
                hint=f"{WEEK[row['weekday'] - 1]} at {row['hour_of_day']}:00, "
                f"{self._say('mean_conferences', row)}",
            )
            for row in rows
        }
        best = max(fields.values(), key=lambda item: item.value, default=Item())
        lead = f"Mean conferences an hour. The most: {best.hint}."
        heads = [f"{hour}:00" if hour % 6 == 0 else "" for hour in range(24)]
        draw = partial(charts.matrix, names=WEEK, heads=heads, fields=fields)
        table, key = self._table("hours of the week", rows), OF_WEEK
        return self._answer("week", "Week", lead, best.value and draw, table, key=key)

    def _regions(self) -> Markup:
        rows, columns = self._figures["regions"], ("asked_for", "mixed_in")
        asked, mixed = (list(dict.fromkeys(row[c] for row in rows))[:SHOWN] for c in columns)
        fields = {
            (asked.index(row["asked_for"]), mixed.index(row["mixed_in"])): Item(
                parts=(("", number := row["conferences"]),),
                said=count(number) if number < 10**4 else rounded(row["percent"]),
                hint=f"Asked for {plain(row['asked_for'])}, mixed in {plain(row['mixed_in'])}: "
                f"{_conferences(row)}",
                is_marked=row["is_elsewhere"],
            )
            for row in rows
            if row["asked_for"] in asked and row["mixed_in"] in mixed
        }
        away = sum(row["percent"] for row in rows if row["is_elsewhere"])
        lead = "Rows are what was asked for, columns where they were mixed. "
        lead += f"Outlined: elsewhere, {percent(away)}." if away else "None was mixed elsewhere."
        names = [cut(plain(name, "not asked"), 12) for name in asked]
        heads = [cut(plain(name, "unknown"), 34 // len(mixed)) for name in mixed]
        draw = partial(charts.matrix, names=names, heads=heads, fields=fields)
        return self._answer("regions", "Regions", lead, rows and draw, self._table("regions", rows))

    def _worst(self) -> Markup:
        rows = self._figures["worst"]
        lead = "A finding is a tag, a counted issue, another region than asked for, or a timeout."
        picture = element("ol", *map(self._card, rows), class_="worst")
        table = self._table("worst conferences", rows, *OF_WORST)
        return self._answer("worst", "Worst", lead, rows and (lambda *_: picture), table, wide=True)

    def _card(self, row: Row) -> Markup:
        found = [(plain(issue), row[f"{issue}_issue_count"] or 0) for issue in ISSUES]
        found.append(("tags and other", row["findings"] - sum(value for _, value in found)))
        said = ", ".join(f"{count(value)} {name}" for name, value in found if value > 0)
        parts = tuple((f"s{n}", value) for n, (_, value) in enumerate(found) if value > 0)
        asked, mixed = row["mixer_region_requested"], row["mixer_region"]
        where = ", as asked" if asked == mixed else f", asked for {asked}"
        facts = {
            "Created": self._say("create_time", row),
            "Length": self._say("duration_seconds", row),
            "Participants": self._say("unique_participants", row),
            "Region": (mixed or NONE) + (where if asked else ""),
            "End": plain(row["end_reason"], NONE),
            "State": f"{plain(row['status'], NONE)}, {row['completeness']}",
        }
        more = ((name, row.get(column)) for column, name in OF_CARD.items())
        tags = (row["tags"] or "").split(", ")
        return element(
            "li",
            element("h3", element("bdi", row.get("friendly_name") or "Without a name")),
            element("code", row["conference_sid"]),
            element("p", element("strong", counted(row["findings"], "finding")), f": {said}"),
            charts.pieces(f"Findings of {row['conference_sid']}", said, Item(parts=parts)),
            _facts(facts),
            element("ul", *(element("li", _name(plain(t))) for t in tags if t), class_="tags"),
            *(element("p", f"{n}: ", _name(plain(v)), class_="soft") for n, v in more if v),
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
        table = self._table("completeness by day", rows, "day", "conferences", "complete", *STATES)
        draw = any(item.value for item in items) and partial(charts.columns, items=items)
        return self._answer("completeness", "Completeness", lead, draw, table, key=STATES)

    def _freshness(self) -> Markup:
        checks, state = self._figures["checks"], self._state
        found = [
            element(
                "li", element("strong", f"{c['level']}, {count(c['violations'])}: "), c["sentence"]
            )
            for c in checks
            if c["violations"]
        ]
        facts = {heading(name): self._say(name, state) for name in state if name != "today"}
        lead = f"{len(found) or 'None'} of {counted(len(checks), 'check')} found something."
        picture = _facts(facts), element("ul", *found, class_="checks") if found else None
        table = self._table("checks", checks)
        return self._answer("freshness", "Freshness", lead, lambda *_: picture, table)

    def _say(self, column: str, row: Row) -> str:
        return spelled(column, row[column], self._state["time_zone"])

    def _answer(
        self,
        slug: str,
        name: str,
        lead: str,
        draw: Draw | Any,
        table: Content,
        wide: bool = False,
        key: Mapping[str, str] = MappingProxyType({}),
    ) -> Markup:
        """A question, its picture and its table; without `draw` there is nothing to see."""
        self._contents.append(element("li", element("a", name, href=f"#{slug}")))
        title = QUESTIONS.get(slug) or self._figures.answers[slug].question
        shown = [element("p", "Nothing in this period.", class_="nothing")]
        if draw:
            keys = [element("span", element("i", class_=of), said) for of, said in key.items()]
            drawn = element("figcaption", *keys, class_="key") if key else None, draw(title, lead)
            shown = [element("p", lead, class_="lead"), element("figure", *drawn)]
        return element(
            "section",
            element("h2", title, id=f"{slug}-title"),
            *shown,
            table,
            id=slug,
            class_="full" if wide else "half",
            aria_labelledby=f"{slug}-title",
        )

    def _table(self, name: str, rows: Sequence[Row], *columns: str) -> Markup:
        """The figures behind a picture, as the SQL gave them."""
        columns = columns or tuple(rows[0] if rows else ())
        heads = [element("th", heading(column), scope="col") for column in columns]
        lines = []
        for row in rows[:LISTED]:
            first, *others = (_name(self._say(column, row)) for column in columns)
            cells = (element("td", other) for other in others)
            lines.append(element("tr", element("th", first, scope="row"), *cells))
        caption = f"{name}, {LISTED} of {count(len(rows))}" if len(rows) > LISTED else name
        head, body = element("thead", element("tr", *heads)), element("tbody", *lines)
        table = element("table", element("caption", caption), head, body)
        scroll = element("div", table, class_="scroll", tabindex=0, role="region", aria_label=name)
        return element("details", element("summary", f"Table: {name}"), scroll)


def _conferences(row: Row) -> str:
    return counted(row["conferences"], "conference")


def _facts(facts: Mapping[str, str]) -> Markup:
    pairs = (element("div", element("dt", k), element("dd", v)) for k, v in facts.items())
    return element("dl", *pairs)


def _name(text: str) -> Markup:
    """It may be written from right to left, and turns nothing around it."""
    return element("bdi", text)
