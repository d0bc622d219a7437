"""Charts as SVG. Colours and sizes of letters are classes of `style.css`; nothing moves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log10

from pipelines.report.markup import NOTHING, Content, Markup, element
from pipelines.report.words import count, cut

LETTER = 7.6
"""Widest mean width of a character, in units of the narrow drawings."""
WIDTH = 440


@dataclass(frozen=True)
class Column:
    """`parts` are classes and values, the lowest first; `before` stands faintly behind."""

    label: str
    parts: tuple[tuple[str, float], ...]
    before: float | None = None
    hint: str = ""

    @property
    def height(self) -> float:
        return sum(value for _, value in self.parts)


@dataclass(frozen=True)
class Bar:
    label: str
    value: float
    said: str
    before: float | None = None
    trend: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Line:
    label: str
    said: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Field:
    """Of a matrix; `said` is written in it."""

    value: float
    hint: str
    said: str = ""
    is_marked: bool = False


Spell = Callable[[float], str]


def columns(
    title: str, about: str, bars: Sequence[Column], width: float = WIDTH, spell: Spell = count
) -> Markup:
    """Upright bars, one beside the other, with their values if there is room."""
    height = 230.0
    frame = _Frame(max((max(b.height, b.before or 0) for b in bars), default=0), width, spell)
    band = (width - frame.left) / max(1, len(bars))
    drawn: list[Content] = [frame.grid()]
    spoken = [spell(bar.height) for bar in bars]
    has_room = max(map(len, spoken), default=0) * LETTER < band
    step = _step(band, max((len(bar.label) for bar in bars), default=1))
    for number, bar in enumerate(bars):
        x = frame.left + number * band
        inside: list[Content] = [element("title", bar.hint or f"{bar.label}: {spoken[number]}")]
        if bar.before:
            inside.append(
                _rect(x + band * 0.06, frame.y(bar.before), band * 0.88, frame.bottom, "before")
            )
        low = 0.0
        for kind, value in bar.parts:
            if value:
                top, foot = frame.y(low + value), frame.y(low)
                inside.append(_rect(x + band * 0.2, top, band * 0.6, foot, kind))
            low += value
        middle = x + band / 2
        if has_room and bar.height:
            inside.append(_text(middle, frame.y(bar.height) - 5, spoken[number], "middle", "value"))
        if number % step == 0 and middle + len(bar.label) * LETTER / 2 <= width + LETTER:
            inside.append(_text(middle, frame.bottom + 20, bar.label, "middle"))
        drawn.append(element("g", *inside))
    return _svg(title, about, width, height, *drawn)


def lines(
    title: str, about: str, labels: Sequence[str], series: Sequence[Line], spell: Spell
) -> Markup:
    """Up to three lines, each named at its end."""
    frame = _Frame(max((v for s in series for v in s.values if v), default=0), WIDTH, spell)
    right = WIDTH - LETTER * max((max(len(s.label), len(s.said)) for s in series), default=0) - 12
    gap = (right - frame.left - 12) / max(1, len(labels) - 1)
    at = [frame.left + 6 + number * gap for number in range(len(labels))]
    step = _step(gap, max(map(len, labels), default=1))
    drawn: list[Content] = [frame.grid(right)]
    drawn += [_text(at[n], frame.bottom + 20, labels[n], "middle") for n in range(0, len(at), step)]
    taken, left_over = frame.bottom + 36, len(series)
    for number, line in sorted(enumerate(series), key=lambda s: s[1].values[-1] or 0):
        known = [(x, frame.y(v)) for x, v in zip(at, line.values, strict=True) if v is not None]
        if known:
            drawn.append(_path(known, f"line s{number}"))
            drawn.append(
                element("circle", cx=known[-1][0], cy=known[-1][1], r=4, class_=f"s{number} dot")
            )
        left_over -= 1
        end = known[-1][1] if known else frame.bottom
        taken = min(taken - 36, max(end, 24 + 36 * left_over))  # names stay apart, and inside
        drawn.append(_text(right + 10, taken, line.label, class_=f"s{number} name"))
        drawn.append(_text(right + 10, taken + 16, line.said))
    return _svg(title, about, WIDTH, 230, *drawn)


def rows(title: str, about: str, bars: Sequence[Bar]) -> Markup:
    """Bars that lie below their names; a mark on each is where it was before."""
    drawn: list[Content] = []
    has_trend = any(len(bar.trend) > 1 for bar in bars)
    length = WIDTH - 110.0 * has_trend
    most = max((max(bar.value, bar.before or 0) for bar in bars), default=0) or 1
    for number, bar in enumerate(bars):
        y = number * 46.0
        room = int((length - len(bar.said) * LETTER - 12) / LETTER)
        inside: list[Content] = [
            element("title", f"{bar.label}: {bar.said}"),
            _text(0, y + 16, cut(bar.label, room), class_="name"),
            _text(length, y + 16, bar.said, "end"),
            _rect(0, y + 24, length, y + 34, "track"),
            _rect(0, y + 24, length * bar.value / most, y + 34, "now"),
        ]
        if bar.before is not None:
            inside.append(_rect(length * bar.before / most - 1.5, y + 20, 3, y + 38, "mark"))
        if has_trend:
            inside.append(_trend(bar.trend, WIDTH - 90, y + 6, 84, 28))
        drawn.append(element("g", *inside))
    return _svg(title, about, WIDTH, max(46.0, 46.0 * len(bars) - 4), *drawn)


def matrix(
    title: str,
    about: str,
    row_names: Sequence[str],
    column_names: Sequence[str],
    fields: Mapping[tuple[int, int], Field],
) -> Markup:
    """Fields in five shades; where there is none, nothing is known."""
    left = LETTER * max(map(len, row_names), default=0) + 8
    width = (WIDTH - left) / max(1, len(column_names))
    height = 22.0 if width < 30 else 34.0
    most = max((field.value for field in fields.values()), default=0) or 1
    drawn: list[Content] = [
        _text(left + n * width + (width / 2 if name else 0), 14, name, "middle")
        for n, name in enumerate(column_names)
    ]
    drawn += [
        _text(left - 8, 22 + n * height + height / 2 + 5, name, "end")
        for n, name in enumerate(row_names)
    ]
    for (row, column), field in sorted(fields.items()):
        shade = ceil(5 * field.value / most)
        x, y = left + column * width, 22 + row * height
        drawn.append(
            element(
                "g",
                element("title", field.hint),
                _rect(x + 1, y + 1, width - 2, y + height - 1, f"h{shade}"),
                _rect(x + 2.5, y + 2.5, width - 5, y + height - 2.5, "odd")
                if field.is_marked
                else None,
                _text(x + width / 2, y + height / 2 + 5, field.said, "middle", f"on{shade // 4}")
                if field.said
                else None,
            )
        )
    return _svg(title, about, WIDTH, 24 + height * len(row_names), *drawn)


def spark(title: str, about: str, values: Sequence[float | None]) -> Markup:
    """A line without axes, for how it went."""
    return _svg(title, about, 120, 32, _trend(values, 4, 4, 112, 24))


def pieces(title: str, about: str, parts: Sequence[tuple[str, int]]) -> Markup:
    """One bar made of its parts."""
    whole, x = sum(value for _, value in parts) or 1, 0.0
    drawn = []
    for kind, value in parts:
        drawn.append(_rect(x, 0, max(0, WIDTH * value / whole - 2), 10, kind))
        x += WIDTH * value / whole
    return _svg(title, about, WIDTH, 10, *drawn)


class _Frame:
    """The axes of a drawing, with a top that reads well."""

    def __init__(self, most: float, width: float, spell: Spell) -> None:
        step = 10 ** ceil(log10(max(most, 1e-9) / 4)) if most else 1
        step = next(s for s in (step / 5, step / 2, step) if s * 4 >= most or s == step)
        if most == round(most) and spell is count:
            step = max(1, step)
        self.ticks = [step * n for n in range(ceil(most / step) + 1)] if most else [0, 1]
        self.bottom, self._top, self._width, self._spell = 196.0, 22.0, width, spell
        self.left = LETTER * max(len(spell(tick)) for tick in self.ticks) + 8

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - self._top) * value / self.ticks[-1]

    def grid(self, right: float | None = None) -> Markup:
        drawn: list[Content] = []
        for tick in self.ticks:
            y = self.y(tick)
            drawn.append(element("line", x1=self.left, x2=right or self._width, y1=y, y2=y))
            drawn.append(_text(self.left - 8, y + 4, self._spell(tick), "end"))
        return element("g", *drawn, class_="grid")


def _step(band: float, letters: int) -> int:
    """Every so many labels fit; sevens keep the weekday."""
    needed = ceil((letters + 1) * LETTER / max(band, 0.1))
    return next((step for step in (1, 2, 3, 7, 14, 28) if step >= needed), needed)


def _trend(
    values: Sequence[float | None], x: float, y: float, width: float, height: float
) -> Content:
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    low, size = min(known), (max(known) - min(known)) or 1
    gap = width / (len(values) - 1)
    points = [
        (x + number * gap, y + height - height * (value - low) / size)
        for number, value in enumerate(values)
        if value is not None
    ]
    end = element("circle", cx=points[-1][0], cy=points[-1][1], r=3, class_="s0 dot")
    return _path(points, "line s0"), end


def _path(points: Sequence[tuple[float, float]], class_: str) -> Markup:
    if len(points) < 2:
        return NOTHING
    moves = [f"{x:.1f} {y:.1f}" for x, y in points]
    return element("path", d=f"M{'L'.join(moves)}", class_=class_)


def _rect(x: float, top: float, width: float, bottom: float, class_: str) -> Markup:
    return element(
        "rect", x=x, y=top, width=max(0.0, width), height=max(0.0, bottom - top), class_=class_
    )


def _text(
    x: float, y: float, said: str, anchor: str | None = None, class_: str | None = None
) -> Markup:
    return element("text", said, x=x, y=y, text_anchor=anchor, class_=class_)


def _svg(title: str, about: str, width: float, height: float, *content: Content) -> Markup:
    return element(
        "svg",
        element("title", title),
        element("desc", about),
        *content,
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        role="img",
        class_="wide" if width > WIDTH else None,
    )
