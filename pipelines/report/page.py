"""The page: head, title, notes, summary and all sections."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path

from pipelines.report import charts
from pipelines.report.figures import INCOMPLETE, Figures
from pipelines.report.formatting import (
    SPACE,
    day,
    days,
    format_value,
    list_some,
    percent,
    pluralize,
    truncate,
)
from pipelines.report.layout import conferences
from pipelines.report.markup import Content, Markup, element, page, style_sheet
from pipelines.report.sections import Sections
from pipelines.report.weeks import bad_week, say_weeks

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
"""By column: title of the card, and whether more is better (1) or worse (-1)."""

TITLE = "Conferences, "
"""Without the period; by this a file is known to be a report."""
TREATED = {
    "hash": "hashed: a name is a code, the same wherever it is the same",
    "drop": "not kept: there are no names",
}
"""What the report says of the setting `personal_data`."""


NAMES_SHOWN = 6
"""Most names of accounts in the header."""


def write_page(figures: Figures) -> str:
    """The whole document."""
    return _Page(figures).document()


class _Page(Sections):
    def document(self) -> Markup:
        style = Path(__file__).with_name("style.css").read_text("utf-8")
        digest = b64encode(sha256(style.encode()).digest()).decode()
        policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'"
        period = days(self._period.start, self._period.last)
        sections = [self._cards(), *self.sections()]
        meta = {"viewport": "width=device-width, initial-scale=1", "color-scheme": "light dark"}
        head = (
            element("meta", charset="utf-8"),
            element(
                "meta",
                http_equiv="Content-Security-Policy",
                content=f"{policy}; form-action 'none'",
            ),
            *(element("meta", name=name, content=text) for name, text in meta.items()),
            element("meta", name="referrer", content="no-referrer"),
            element("title", f"{TITLE}{period}"),
            style_sheet(style),
        )
        made = "Made by conference-insights; this file makes no network requests."
        body = (
            element("a", "Skip to the figures", href="#figures", class_="skip"),
            self._header(period),
            element("nav", element("ul", *self.contents), aria_label="Contents"),
            element("main", *sections, id="figures", tabindex=-1),
            element("footer", f"Days and hours are in {self._state['time_zone']}. {made}"),
        )
        return page(element("head", *head), element("body", *body))

    def _header(self, period: str) -> Markup:
        now, before, state = self._now, self._before, self._state
        headline = f"{conferences(now)} in {pluralize(self._period.length, 'day')}"
        if before["conferences"]:
            change = 100 * (now["conferences"] / before["conferences"] - 1)
            headline += f", {percent(abs(change))} {'more' if change >= 0 else 'fewer'} than before"
        if now["final"]:
            good = percent(now["percent_without_quality_problem"])
            headline += f". Of those that are final, {good} had no quality problem"
        prior, account, sid = self._period.prior, state["account"], state["account_sid"]
        names = [row["account"] for row in self._figures["account_names"]]
        whose = ""
        if (number := state["accounts"]) > 1:
            whose = f" of {pluralize(number, 'account')}: {_some(names, number)}"
        if account:
            whose = f" of {truncate(account, 60)}" + (f" ({sid})" if account != sid else "")
        said = say_weeks(weeks := self._figures["weeks"])
        as_of = f"Data as of {self._say('data_as_of', state)} ({state['time_zone']})."
        compared = f" Before: {days(prior.start, prior.last)}." if self._figures.can_compare else ""
        return element(
            "header",
            element("p", f"Twilio conferences{whose}", class_="over"),
            element("h1", period),
            element("p", f"{headline}.", class_="headline"),
            element("p", said, class_="headline") if bad_week(weeks) else None,
            element("p", as_of, compared, class_="soft"),
            *(element("p", note, class_="note") for note in self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        """What a reader must know before the figures."""
        state = self._state
        if filters := state["filters"]:
            fits = ", ".join(f"{name} = {value}" for name, value in json.loads(filters).items())
            yield f"Filtered: runs list only {fits}"
        if treated := TREATED.get(state["personal_data"]):
            yield f"Personal data is {treated}."
        if failing := [row["account"] for row in self._figures["failing_accounts"]]:
            yield f"Not up to date, since they could not be read: {', '.join(failing)}."
        if not self._figures.can_compare:
            yield self._why_not_compared()
        elif new := self._figures["new_accounts"]:
            whose = _some([row["account"] or "an unknown account" for row in new], len(new))
            yield f"A change counts all conferences of what is new in these periods: {whose}."
        if self._period != self._figures.requested:
            left_out = self._figures.requested.start, self._period.start - timedelta(days=1)
            yield f"Left out, since they are before the first conference: {days(*left_out)}."
        if pending := self._now["pending"]:
            yield f"Not final yet: {pluralize(pending, 'conference')}. Figures may still change."
        if missing := state["without_creation_time"]:
            yield f"In no period, without a creation time: {pluralize(missing, 'conference')}."

    def _why_not_compared(self) -> str:
        first = self._state["first_day"]
        if first is None:
            return "No conference is loaded yet."
        if self._period.end > self._state["today"]:
            as_of = self._say("data_as_of", self._state)
            return f"The period is not over: there is data up to {as_of}, so nothing is compared."
        if first >= self._period.prior.start:
            return (
                f"The data begins on {days(first, first)}: there is no complete period before this "
                "one, so nothing is compared."
            )
        names = [row["account"] or "an unknown account" for row in self._figures[INCOMPLETE]]
        whose = _some(names, len(names))
        return f"Nothing is compared, since not all of both periods is loaded of {whose}."

    def _cards(self) -> Markup:
        cards, table, by_day = [], [], self._figures["days"]
        last_day = day(self._period.last)
        for column, (name, good) in CARDS.items():
            figure, trend = self._say(column, self._now), [row[column] for row in by_day]
            scale = partial(format_value, column, zone="")
            known = [value for value in trend if value is not None] or [None]
            about = " to ".join(self._say(column, {column: of(known)}) for of in (min, max))
            cards.append(
                element(
                    "li",
                    element("h3", name),
                    element("p", figure, class_="figure"),
                    element("p", self._change(column, good), class_="change"),
                    charts.sparkline(f"{name}, day by day", about, trend, last_day, scale)
                    if len(trend) > 1
                    else None,
                )
            )
            table.append({"figure": name, "now": figure, "before": self._say(column, self._before)})
        lead = "Shares are of final conferences; the small lines show the days, from least to most."
        if not self._figures.can_compare:
            lead += " Nothing is compared with a period before."
        tables = self._table("figures", table), self._table("figures by day", by_day, "day", *CARDS)
        picture = element("ul", *cards, class_="cards")
        return self._section("totals", "Summary", lead, lambda *_: picture, tables, wide=True)

    def _change(self, column: str, good: int) -> Content:
        """An arrow and words: better or worse is in the text, not in the colour alone."""
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


def _some(names: Sequence[str], number: int) -> str:
    return list_some([truncate(name, 40) for name in names], NAMES_SHOWN, number)
