"""The sections about weeks: how the quality went, and at which hours of a week what happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from pipelines.report import charts
from pipelines.report.charts import Item
from pipelines.report.figures import Row
from pipelines.report.formatting import (
    WEEKDAYS,
    count,
    day,
    percent,
    whole_percent,
)
from pipelines.report.layout import Layout
from pipelines.report.markup import Markup, element
from pipelines.report.shares import Share

WEEKDAYS_SHORT = [name[:3] for name in WEEKDAYS]
WEEK_KEY = {"h1": "few", "h3": "some", "h5": "the most"}
MIN_JUDGED = 5
"""Fewest final conferences of an hour whose quality is drawn."""
WORSE = 0.05
"""The share of a bad week is larger than that of the others by at least so much."""


class WeekSections(Layout):
    """The section of the weeks, and that of the hours."""

    def _weeks(self) -> Markup:
        rows = self._figures["weeks"]
        bad = bad_week(rows)
        items = [
            Item(
                f"{row['first_day'].day} {row['first_day']:%b}",
                (("expired" if row is bad else "now", row["percent_with_quality_problem"] or 0),),
                hint=f"{_span(row)}: {count(row['final_with_quality_problem'])} of "
                f"{count(row['final'])}",
            )
            for row in rows
        ]
        lead = f"Share of final conferences with a quality problem. {say_weeks(rows)}"
        draw = partial(charts.column_chart, items=items, show=whole_percent)
        table = self._table("quality by week", rows)
        key = {"now": "seven days, from the date below"} | (
            {"expired": "the bad ones"} if bad else {}
        )
        return self._section("weeks", "Weeks", lead, items and draw, table, key=key)

    def _week(self) -> Markup:
        rows = self._figures["week"]
        busy = _fields(rows, "mean_conferences", lambda row: self._say("mean_conferences", row))
        judged = [row for row in rows if row["final"] >= MIN_JUDGED]
        share = "percent_with_quality_problem"
        bad = _fields(judged, share, lambda row: f"{percent(row[share])} of {count(row['final'])}")
        most, worst = (
            max(of.values(), key=lambda i: i.value, default=Item()) for of in (busy, bad)
        )
        lead = f"Mean conferences an hour; busiest: {most.hint}."
        if worst.value:
            lead += f" Share of final ones with a quality problem; worst: {worst.hint}."
        heads = [f"{hour}:00" if hour % 6 == 0 else "" for hour in range(24)]

        def draw(title: str, _: str) -> Iterator[Markup]:
            few = f", of hours with at least {MIN_JUDGED} final ones" if judged else ""
            for name, fields, best in (
                ("Conferences", busy, most),
                (f"Share with a quality problem{few}", bad, worst),
            ):
                yield element("h3", name)
                yield charts.heatmap(
                    f"{title} {name}", best.hint or "None.", WEEKDAYS_SHORT, heads, fields
                )

        table = self._table("hours of the week", rows)
        return self._section("week", "Hours", lead, most.value and draw, table, key=WEEK_KEY)


def _fields(
    rows: Sequence[Row], column: str, say: Callable[[Row], str]
) -> dict[tuple[int, int], Item]:
    return {
        (row["weekday"] - 1, row["hour_of_day"]): Item(
            parts=(("", row[column]),),
            hint=f"{WEEKDAYS[row['weekday'] - 1]} at {row['hour_of_day']}:00, {say(row)}",
        )
        for row in rows
    }


def bad_week(rows: Sequence[Row]) -> Row | None:
    """The week with the largest share, if it is clearly larger than that of all others."""
    judged = [row for row in rows if row["final"]]
    if len(judged) < 2:
        return None
    worst = max(judged, key=lambda row: float(row["percent_with_quality_problem"]))
    return worst if _is_worse(worst, [row for row in judged if row is not worst]) else None


def say_weeks(rows: Sequence[Row]) -> str:
    """A sentence about the bad week, if there is one, and whether it is over."""
    bad = bad_week(rows)
    if bad is None:
        if len(rows) < 2:
            return "The data has no two full weeks to compare."
        return f"No week of {count(len(rows))} stands out."
    of_bad = (
        f"{whole_percent(bad['percent_with_quality_problem'])} of conferences had a quality problem"
    )
    rest = [row for row in rows if row is not bad and row["final"]]
    other = f"in the other {len(rest)} weeks" if len(rest) > 1 else "in the other one"
    of_rest = whole_percent(100 * _share(rest).fraction)
    said = f"The week {_span(bad)} was bad: {of_bad}, {other} {of_rest}."
    last = rows[-1]
    if last is bad:
        return f"{said} It is the last one."
    if not last["final"]:
        return said
    share = whole_percent(last["percent_with_quality_problem"])
    has_recovered = _is_worse(bad, [last])
    return f"{said} {'It is over' if has_recovered else 'It goes on'}: in the last week {share}."


def _is_worse(row: Row, others: Sequence[Row]) -> bool:
    return _share([row]).exceeds(_share(others), by=WORSE)


def _share(rows: Sequence[Row]) -> Share:
    with_problem = sum(row["final_with_quality_problem"] for row in rows)
    return Share(with_problem, sum(row["final"] for row in rows))


def _span(row: Row) -> str:
    return f"from {day(row['first_day'])} to {day(row['last_day'])}"
