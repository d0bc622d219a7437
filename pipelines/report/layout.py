"""How a section is laid out: a question, its chart, and the table of its figures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pipelines.report.figures import Figures, Row
from pipelines.report.formatting import count, format_value, heading, pluralize
from pipelines.report.markup import Content, Markup, element

MAX_TABLE_ROWS, MAX_BARS = 400, 8
"""Most rows of a table; most bars of a chart."""
CONSOLE = "https://www.twilio.com/console/voice/conferences/logs/"
"""Twilio's console shows a conference at this address and its SID, to who is logged in there."""
Draw = Callable[[str, str], Content]
"""Draws a chart with a title and a description."""
TITLES = {"completeness": "What is not complete?", "freshness": "How fresh and sound is the data?"}


class Layout:
    """Makes sections from the figures; `contents` links to those made so far."""

    def __init__(self, figures: Figures) -> None:
        self._figures, self._period, self._state = figures, figures.period, figures.state
        self._now, before = figures["totals"]
        self._before = before if figures.can_compare else dict.fromkeys(before)
        self.contents: list[Markup] = []

    def _say(self, column: str, row: Row) -> str:
        return format_value(column, row[column], self._state["time_zone"])

    def _section(
        self,
        slug: str,
        name: str,
        lead: str,
        draw: Draw | Any,
        table: Content,
        wide: bool = False,
        key: Mapping[str, str] = MappingProxyType({}),
    ) -> Markup:
        """A question, its chart and its table; without `draw` there is no chart."""
        self.contents.append(element("li", element("a", name, href=f"#{slug}")))
        title = TITLES.get(slug) or self._figures.results[slug].question
        shown = [element("p", "Nothing in this period.", class_="nothing")]
        if draw:
            keys = [element("span", element("i", class_=of), text) for of, text in key.items()]
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
        """The figures behind a chart, as the SQL gave them."""
        columns = columns or tuple(rows[0] if rows else ())
        heads = [element("th", heading(column), scope="col") for column in columns]
        lines = []
        for row in rows[:MAX_TABLE_ROWS]:
            first, *others = (
                sid_link(row[column])
                if column == "conference_sid"
                else name_of(self._say(column, row))
                for column in columns
            )
            cells = (element("td", other) for other in others)
            lines.append(element("tr", element("th", first, scope="row"), *cells))
        is_cut = len(rows) > MAX_TABLE_ROWS
        caption = f"{name}, {MAX_TABLE_ROWS} of {count(len(rows))}" if is_cut else name
        head, body = element("thead", element("tr", *heads)), element("tbody", *lines)
        table = element("table", element("caption", caption), head, body)
        scroll = element("div", table, class_="scroll", tabindex=0, role="region", aria_label=name)
        return element("details", element("summary", f"Table: {name}"), scroll)

    def _trend(self, kind: str, name: str | None) -> list[float | None]:
        found = {
            row["day"]: row["percent"]
            for row in self._figures["problem_days"]
            if row["kind"].endswith(kind) and row["name"] == name
        }
        return [found.get(row["day"]) for row in self._figures["days"]]


def in_both_widths(chart: Callable[..., Markup]) -> Draw:
    """The chart of a wide section, drawn for a screen and for a phone, which shows one of them."""

    def draw(title: str, about: str) -> Iterator[Markup]:
        for size, width in (("wide", 1060), ("narrow", 340)):
            yield element("div", chart(title, about, width=width), class_=size)

    return draw


def conferences(row: Row) -> str:
    return pluralize(row["conferences"], "conference")


def facts_list(facts: Mapping[str, str], class_: str | None = None) -> Markup:
    pairs = (
        element("div", element("dt", name_of(name)), element("dd", fact))
        for name, fact in facts.items()
    )
    return element("dl", *pairs, class_=class_)


def sid_link(sid: str) -> Markup:
    """The SID of a conference, linked to Twilio's console if it is one."""
    if not re.fullmatch("CF[0-9a-f]{32}", sid):
        return name_of(sid)
    return element("a", sid, href=CONSOLE + sid, rel="noopener noreferrer")


def name_of(text: str) -> Markup:
    """Isolated, since it may be written from right to left."""
    return element("bdi", text)
