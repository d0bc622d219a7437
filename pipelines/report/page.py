"""The page: what is said about the figures, and where the pictures and the tables are."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from pipelines.report import charts
from pipelines.report.charts import Bar, Column, Field, Line
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


class Section(NamedTuple):
    """A part of the page; `name` is in the contents."""

    slug: str
    name: str
    markup: Markup


def write_page(figures: Figures) -> str:
    """The whole document."""
    style = Path(__file__).with_name("style.css").read_text("utf-8")
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    period = days(figures.period.start, figures.period.last)
    sections = [section for make in SECTIONS if (section := make(figures))]
    links = (element("li", element("a", s.name, href=f"#{s.slug}")) for s in sections)
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"Conferences, {period}"),
        style_sheet(style),
    )
    body = element(
        "body",
        element("a", "Skip to the figures", href="#figures", class_="skip"),
        _header(figures, period),
        element("nav", element("ul", *links), aria_label="Contents"),
        element("main", *(section.markup for section in sections), id="figures"),
        element(
            "footer",
            f"Days and hours are in {figures.state['time_zone']}. Made by conference-insights from "
            "its published copy; this file loads nothing from elsewhere.",
        ),
    )
    return page(head, body, "en")


def _header(figures: Figures, period: str) -> Markup:
    state, (now, before), prior = figures.state, figures["totals"], figures.period.prior
    said = f"{counted(now['conferences'], 'conference')} in {counted(figures.period.length, 'day')}"
    if figures.can_compare and before["conferences"]:
        change = 100 * (now["conferences"] / before["conferences"] - 1)
        word = "more" if change >= 0 else "fewer"
        said += f", {percent(abs(change))} {word} than in the same time before"
    if now["final"]:
        good = percent(now["percent_without_quality_problem"])
        said += f". Of the final ones {good} had no quality problem"
    as_of, known = moment(state["data_as_of"], state["time_zone"]), state["known_from"]
    notes = {
        "No conference is loaded yet.": known is None,
        f"The period is not over: the data goes to {as_of}.": state["today"]
        and figures.period.end > state["today"],
        f"Loaded is what there is from {days(known, known) if known else NONE} on, so the period "
        "before is not whole, and nothing is compared with it.": known and not figures.can_compare,
        f"{counted(now['pending'], 'conference')} of the period not final yet: figures may still "
        "change.": now["pending"],
        f"{counted(state['without_creation_time'], 'conference')} without a creation time, in no "
        "period.": state["without_creation_time"],
    }
    return element(
        "header",
        element("p", "Twilio conferences", class_="over"),
        element("h1", period),
        element("p", f"{said}.", class_="headline"),
        element(
            "p",
            f"Data as of {as_of} ({state['time_zone']}) · period before: "
            f"{days(prior.start, prior.last)}",
            class_="soft",
        ),
        *(element("p", note, class_="note") for note, holds in notes.items() if holds),
    )


def _cards(figures: Figures) -> Section:
    (now, before), rows, zone = figures["totals"], figures["days"], figures.state["time_zone"]
    cards, table = [], []
    for column, (name, good) in CARDS.items():
        figure, was = spelled(column, now[column], zone), spelled(column, before[column], zone)
        change = _change(figures, column, good)
        trend = [row[column] for row in rows]
        lowest = min((value for value in trend if value is not None), default=None)
        highest = max((value for value in trend if value is not None), default=None)
        about = f"From {spelled(column, lowest, zone)} to {spelled(column, highest, zone)}."
        cards.append(
            element(
                "li",
                element("h3", name),
                element("p", figure, class_="figure"),
                element("p", change, class_="change"),
                charts.spark(f"{name}, day by day", about, trend),
            )
        )
        table.append(
            {"figure": name, "now": figure, "before": was if figures.can_compare else NONE}
        )
    tables = (
        _table(figures, "the figures", table),
        _table(figures, "the figures by day", rows, *_OF_DAYS),
    )
    lead = (
        "Shares are of the conferences that are final; the small lines are the days of the period."
    )
    return _section(
        figures, "totals", "In short", lead, element("ul", *cards, class_="cards"), tables, "full"
    )


_OF_DAYS = ("day", *CARDS)


def _change(figures: Figures, column: str, good: int) -> Content:
    """An arrow and words; better or worse is said, not only shown."""
    now, before = (row[column] for row in figures["totals"])
    if not figures.can_compare:
        return "nothing to compare with"
    was = f"was {spelled(column, before, figures.state['time_zone'])}"
    if now is None or before is None or now == before:
        return f"unchanged, {was}" if now == before else was
    size = ""
    if "percent" in column:
        size = f"{SPACE}{abs(now - before):.1f}{SPACE}points"
    elif before:
        size = f"{SPACE}{percent(100 * abs(now / before - 1))}"
    judged = ("", "better", "worse")[good if now > before else -good]
    moved = f"{'▲' if now > before else '▼'}{size} {judged}".strip()
    return element("span", moved, class_=judged or None), f" · {was}"


def _volume(figures: Figures) -> Section:
    unit = "hour" if figures.period.length <= HOURLY and figures["hours"] else "day"
    rows, zone = figures[f"{unit}s"], figures.state["time_zone"]
    bars = [
        Column(
            f"{row[unit]:%H:%M}" if unit == "hour" else day(row["day"]),
            (("now", row["conferences"] - row["pending"]), ("pending", row["pending"])),
            row["conferences_before"],
            f"{spelled(unit, row[unit], zone)}: {counted(row['conferences'], 'conference')}, "
            f"{count(row['pending'])} pending, {count(row['conferences_before'])} before",
        )
        for row in rows
    ]
    best = max(rows, key=lambda row: int(row["conferences"]))
    busiest = f"{spelled(unit, best[unit], zone)}, with {count(best['conferences'])}"
    lead = f"The busiest {unit} was {busiest}."
    question = figures.answers[f"{unit}s"].question
    picture = _figure(
        any(row["conferences"] or row["conferences_before"] for row in rows),
        element("div", charts.columns(question, lead, bars, 1040), class_="wide"),
        element("div", charts.columns(question, lead, bars, 380), class_="narrow"),
        key={"now": "this period", "pending": "pending", "before": "period before"},
    )
    table = _table(
        figures,
        f"conferences by {unit}",
        rows,
        unit,
        "conferences",
        "pending",
        "conferences_before",
    )
    return _section(figures, f"{unit}s", "Volume", lead, picture, table, "full")


def _issues(figures: Figures) -> Section:
    rows, lead = (
        figures["issues"],
        "Share of final conferences in which Twilio counted such an issue.",
    )
    names = [day(row["day"]) for row in figures["days"]]
    series = [
        Line(
            plain(row["issue"]),
            percent(row["percent"]),
            _trend(figures, "detected_issue", row["issue"]),
        )
        for row in rows[:3]
    ]
    drawn = charts.lines(figures.answers["issues"].question, lead, names, series, percent)
    return _section(
        figures, "issues", "Issues", lead, _figure(rows, drawn), _table(figures, "issues", rows)
    )


def _trend(figures: Figures, kind: str, name: str) -> tuple[float | None, ...]:
    found = {
        row["day"]: row["percent"]
        for row in figures["problem_days"]
        if (row["kind"], row["name"]) == (kind, name)
    }
    return tuple(found.get(row["day"]) for row in figures["days"])


def _tags(figures: Figures) -> Section:
    return _ranking(figures, "tags", "Tags", "tag", "Share of final conferences.", "tag")


def _end_reasons(figures: Figures) -> Section:
    return _ranking(figures, "end_reasons", "Ends", "end_reason", "Share of all conferences.")


def _accounts(figures: Figures) -> Section | None:
    if len(figures["accounts"]) < 2:
        return None
    return _ranking(figures, "accounts", "Accounts", "account_sid", "Conferences.")


def _ranking(
    figures: Figures, slug: str, name: str, column: str, lead: str, kind: str | None = None
) -> Section:
    rows = figures[slug]
    unit = "percent" if "percent" in rows[0] else "conferences"
    bars = [
        Bar(
            plain(row[column], "not ended, or never started"),
            row[unit] or 0,
            spelled(unit, row[unit], ""),
            row[f"{unit}_before"],
            _trend(figures, kind, row[column]) if kind else (),
        )
        for row in rows[:SHOWN]
    ]
    if figures.can_compare:
        lead += " The upright mark is the period before" + (", the line the days." if kind else ".")
    drawn = charts.rows(figures.answers[slug].question, lead, bars)
    return _section(
        figures, slug, name, lead, _figure(rows, drawn), _table(figures, plain(slug), rows)
    )


def _lengths(figures: Figures) -> Section:
    rows, now = figures["lengths"], figures["totals"][0]
    bars = [
        Column(
            plain(row["length"], "unknown"),
            (("now", row["percent"] or 0),),
            row["percent_before"],
            f"{plain(row['length'])}: {counted(row['conferences'], 'conference')}",
        )
        for row in rows
    ]
    median, p90 = (spelled(c, now[c], "") for c in ("median_length_seconds", "p90_length_seconds"))
    lead = f"Half of the final ones were shorter than {median}, nine in ten shorter than {p90}."
    drawn = charts.columns(figures.answers["lengths"].question, lead, bars, spell=rounded)
    table = _table(figures, "lengths", rows)
    return _section(figures, "lengths", "Lengths", lead, _figure(now["final"], drawn), table)


def _week(figures: Figures) -> Section:
    rows = figures["week"]
    fields = {
        (row["weekday"] - 1, row["hour_of_day"]): Field(row["mean_conferences"], _hour_of(row))
        for row in rows
    }
    lead = "The darker, the more conferences an hour."
    if rows:
        lead += f" Most: {_hour_of(max(rows, key=lambda row: float(row['mean_conferences'])))}."
    hours = [f"{hour}:00" if hour % 6 == 0 else "" for hour in range(24)]
    drawn = charts.matrix(figures.answers["week"].question, lead, WEEK, hours, fields)
    picture = _figure(any(field.value for field in fields.values()), drawn)
    return _section(
        figures, "week", "Week", lead, picture, _table(figures, "hours of the week", rows)
    )


def _hour_of(row: Row) -> str:
    return (
        f"{WEEK[row['weekday'] - 1]} {row['hour_of_day']:02}:00, {count(row['mean_conferences'])}"
    )


def _regions(figures: Figures) -> Section:
    rows = figures["regions"]
    asked, mixed = (
        list(dict.fromkeys(row[column] for row in rows))[:SHOWN]
        for column in ("asked_for", "mixed_in")
    )
    fields = {
        (asked.index(row["asked_for"]), mixed.index(row["mixed_in"])): Field(
            row["conferences"],
            f"asked for {plain(row['asked_for'])}, mixed in {plain(row['mixed_in'])}: "
            f"{counted(row['conferences'], 'conference')}",
            count(row["conferences"]) if row["conferences"] < 10**4 else rounded(row["percent"]),
            row["is_elsewhere"],
        )
        for row in rows
        if row["asked_for"] in asked and row["mixed_in"] in mixed
    }
    away = [row for row in rows if row["is_elsewhere"]]
    lead = (
        f"{counted(sum(row['conferences'] for row in away), 'conference')} "
        f"({percent(sum(row['percent'] for row in away))}) were mixed elsewhere (outlined). "
        "Rows: asked for; columns: mixed in."
    )
    drawn = charts.matrix(
        figures.answers["regions"].question,
        lead,
        [cut(plain(name, "not asked"), 12) for name in asked],
        [cut(plain(name, "unknown"), 7) for name in mixed],
        fields,
    )
    return _section(
        figures, "regions", "Regions", lead, _figure(rows, drawn), _table(figures, "regions", rows)
    )


def _worst(figures: Figures) -> Section:
    rows = figures["worst"]
    lead = "The more findings, the more was wrong: tags, counted issues, another region, a timeout."
    cards = element("ol", *(_card(row, figures.state["time_zone"]) for row in rows), class_="worst")
    table = _table(figures, "the worst conferences", rows, *_OF_CARDS)
    return _section(figures, "worst", "Worst", lead, _figure(rows, cards), table, "full")


_OF_CARDS = (
    *("conference_sid", "create_time", "findings", "call_quality_issue_count"),
    *("region_configuration_issue_count", "participant_behavior_issue_count", "duration_seconds"),
    *("unique_participants", "status", "end_reason"),
)


def _card(row: Row, zone: str) -> Markup:
    issues = ("call_quality", "participant_behavior", "region_configuration")
    parts = [
        (f"s{n}", plain(name), row[f"{name}_issue_count"] or 0) for n, name in enumerate(issues)
    ]
    parts.append(("s3", "tags and other", row["findings"] - sum(value for *_, value in parts)))
    parts = [part for part in parts if part[2] > 0]
    said = ", ".join(f"{count(value)} {name}" for _, name, value in parts)
    asked = row["mixer_region_requested"]
    facts = {
        "Created": moment(row["create_time"], zone),
        "Length": spelled("seconds", row["duration_seconds"], zone),
        "Participants": count(row["unique_participants"]),
        "Region": f"{row['mixer_region'] or NONE}" + (f", asked for {asked}" if asked else ""),
        "End": plain(row["end_reason"], NONE),
        "State": f"{plain(row['status'], NONE)}, {row['completeness']}",
    }
    more = {"severities": "Severity", "reasons": "Reason", "duplicate_identities": "Twice"}
    return element(
        "li",
        element("h3", element("bdi", row.get("friendly_name") or "Without a name")),
        element("p", element("code", row["conference_sid"])),
        element("p", element("strong", counted(row["findings"], "finding")), f": {said}"),
        charts.pieces(f"Findings of {row['conference_sid']}", said, [(c, v) for c, _, v in parts]),
        _list(facts),
        element("ul", *(element("li", plain(tag)) for tag in _split(row["tags"])), class_="tags"),
        *(
            element("p", f"{label}: ", element("bdi", plain(row[column])), class_="soft")
            for column, label in more.items()
            if row.get(column)
        ),
    )


def _split(tags: str | None) -> list[str]:
    return (tags or "").split(", ") if tags else []


def _completeness(figures: Figures) -> Section:
    rows, now = figures["days"], figures["totals"][0]
    kinds = {"pending": "pending", "without_end": "timed out", "expired": "expired"}
    bars = [
        Column(
            day(row["day"]),
            tuple((kind, row[kind]) for kind in kinds),
            hint=f"{day(row['day'])}: "
            + ", ".join(f"{count(row[kind])} {name}" for kind, name in kinds.items()),
        )
        for row in rows
    ]
    final = percent(100 * now["final"] / now["conferences"]) if now["conferences"] else NONE
    lead = (
        f"{final} are final. Pending ones are asked for again; Twilio never heard the end of "
        "timed out ones; expired ones it no longer has."
    )
    question = "What is not complete?"
    picture = _figure(
        any(bar.height for bar in bars),
        charts.columns(question, lead, bars),
        key=kinds,
        otherwise="Nothing: all are complete." if now["conferences"] else "The period has none.",
    )
    table = _table(figures, "completeness", rows, "day", "conferences", "complete", *kinds)
    return _section(
        figures, "completeness", "Completeness", lead, picture, table, question=question
    )


def _freshness(figures: Figures) -> Section:
    zone, checks = figures.state["time_zone"], figures["checks"]
    facts = {heading(c): spelled(c, v, zone) for c, v in figures.state.items() if c != "today"}
    found = [row for row in checks if row["violations"]]
    said = (
        element(
            "li",
            element("strong", f"{row['level']}, {count(row['violations'])}: "),
            row["sentence"],
        )
        for row in found
    )
    lead = f"{len(found) or 'None'} of {counted(len(checks), 'check')} found something."
    picture = _list(facts), element("ul", *said, class_="checks")
    table = _table(figures, "checks", checks)
    question = "How fresh and sound is the data?"
    return _section(figures, "freshness", "Freshness", lead, picture, table, question=question)


SECTIONS: tuple[Callable[[Figures], Section | None], ...] = (
    *(_cards, _volume, _issues, _tags, _end_reasons, _lengths, _week, _regions),
    *(_worst, _accounts, _completeness, _freshness),
)


def _section(
    figures: Figures,
    slug: str,
    name: str,
    lead: Content,
    picture: Content,
    table: Content,
    size: str = "half",
    question: str | None = None,
) -> Section:
    markup = element(
        "section",
        element("h2", question or figures.answers[slug].question, id=f"{slug}-title"),
        element("p", lead, class_="lead"),
        picture,
        table,
        id=slug,
        class_=size,
        aria_labelledby=f"{slug}-title",
    )
    return Section(slug, name, markup)


def _figure(
    is_there: object,
    *drawn: Content,
    key: dict[str, str] | None = None,
    otherwise: str = "The period has none.",
) -> Markup:
    if not is_there:
        return element("p", otherwise, class_="nothing")
    named = (element("span", element("i", class_=kind), name) for kind, name in (key or {}).items())
    return element("figure", element("figcaption", *named, class_="key") if key else None, *drawn)


def _table(figures: Figures, caption: str, rows: Sequence[Row], *columns: str) -> Markup:
    """The figures behind a picture, as the SQL gave them."""
    columns, zone = columns or tuple(rows[0] if rows else ()), figures.state["time_zone"]
    more = f", {LISTED} of {count(len(rows))}" if len(rows) > LISTED else ""
    lines = (
        element(
            "tr",
            *(
                element(
                    "td" if n else "th",
                    element("bdi", spelled(c, row[c], zone)),
                    scope=None if n else "row",
                )
                for n, c in enumerate(columns)
            ),
        )
        for row in rows[:LISTED]
    )
    heads = (element("th", heading(column), scope="col") for column in columns)
    return element(
        "details",
        element("summary", f"Table: {caption}"),
        element(
            "div",
            element(
                "table",
                element("caption", f"{caption}{more}"),
                element("thead", element("tr", *heads)),
                element("tbody", *lines),
            ),
            class_="scroll",
            tabindex=0,
            role="region",
            aria_label=caption,
        ),
    )


def _list(facts: dict[str, str]) -> Markup:
    return element(
        "dl", *(element("div", element("dt", k), element("dd", v)) for k, v in facts.items())
    )
