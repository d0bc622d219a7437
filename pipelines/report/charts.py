"""Charts as SVG, in units of a narrow column; colours and fonts are classes of `style.css`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log10

from pipelines.report.formatting import count, truncate, whole_percent
from pipelines.report.markup import Content, Markup, element

WIDTH, HEIGHT, LETTER = 400.0, 230.0, 7.5
"""Default size of a chart and mean width of a character, in SVG units."""
Format = Callable[[float], str]
Values = Sequence[float | None]


@dataclass(frozen=True)
class Item:
    """What is drawn: `parts` are classes and values, `text` is the value as text, `before` that of
    the period before, `trend` those of the days; `hint` is the tooltip."""

    label: str = ""
    parts: tuple[tuple[str, float], ...] = ()
    text: str = ""
    before: float | None = None
    trend: Values = ()
    hint: str = ""
    is_marked: bool = False

    @property
    def value(self) -> float:
        return sum(value for _, value in self.parts)


def column_chart(
    title: str, about: str, items: Sequence[Item], show: Format = count, width: float = WIDTH
) -> Markup:
    """Upright bars, with the period before faintly behind; values where there is room."""
    grid, y, left = _axis([max(i.value, i.before or 0) for i in items], show, width, HEIGHT)
    band, values = (width - left) / max(1, len(items)), [show(item.value) for item in items]
    has_room = max(map(len, values), default=0) * LETTER < band
    middles = [left + (n + 0.5) * band for n in range(len(items))]
    names = _names([item.label for item in items], middles, HEIGHT - 14, width + 9)
    drawn: list[Content] = [grid, names]
    for n, (item, value) in enumerate(zip(items, values, strict=True)):
        x, middle, low = left + n * band, middles[n], 0.0
        bars = [_rect(x + band * 0.1, y(item.before or 0), band * 0.8, y(0), "before")]
        for kind, part in item.parts:
            bars.append(_rect(x + band * 0.25, y(low + part), band * 0.5, y(low), kind))
            low += part
        if has_room and low:
            top = y(item.before or 0) if 0 < y(low) - y(item.before or 0) < 22 else y(low)
            bars.append(_text(middle, top - 6, value, "middle", "name"))
        drawn.append(element("g", element("title", item.hint), *bars))
    return _svg(title, about, width, HEIGHT, *drawn)


def line_chart(
    title: str, about: str, labels: Sequence[str], items: Sequence[Item], show: Format
) -> Markup:
    """A line for each trend, named at its end."""
    height, gap = HEIGHT + 90, 54.0
    names = [
        [truncate(word, 13) for word in (*item.label.split()[:2], item.text)] for item in items
    ]
    right = WIDTH - 16 - LETTER * max((len(word) for words in names for word in words), default=0)
    known = [value for item in items for value in item.trend if value is not None]
    grid, y, left = _axis(known, show, right, height)
    size = (right - left - 12) / max(1, len(labels) - 1)
    at = [right - 6 - n * size for n in reversed(range(len(labels)))]
    drawn: list[Content] = [grid, _names(labels, at, height - 14, WIDTH)]
    free, left_over = height - 66 + gap, len(items)  # names stay apart, and inside
    for n, item in sorted(enumerate(items), key=lambda of: of[1].trend[-1] or 0):
        left_over -= 1
        drawn.append(
            _line([(x, y(v)) for x, v in zip(at, item.trend, strict=True) if v is not None], n)
        )
        free = min(free - gap, max(y(item.trend[-1] or 0), 24 + gap * left_over))
        for line, word in enumerate(names[n]):
            drawn.append(_text(right + 10, free + 16 * line, word, class_=f"s{n}"))
    return _svg(title, about, WIDTH, height, *drawn)


def bar_chart(title: str, about: str, items: Sequence[Item], width: float = WIDTH) -> Markup:
    """Bars below their names, with a mark where each was before, and the trend beside."""
    has_trend = any(item.trend for item in items)
    most = max(max(item.value, item.before or 0) for item in items) or 1
    length, size, drawn = width - 90 * has_trend, 46.0 + 14 * has_trend, list[Content]()
    for n, item in enumerate(items):
        y, room = n * size, int(length / LETTER) - len(item.text) - 2
        drawn += [
            _text(0, y + 16, truncate(item.label, room), class_="name"),
            _text(length, y + 16, item.text, "end"),
            _rect(0, y + 24, length, y + 33, "track"),
            _rect(0, y + 24, length * item.value / most, y + 33, "now"),
        ]
        if item.before is not None:
            drawn.append(_rect(length * item.before / most - 1.5, y + 20, 3, y + 37, "mark"))
        if known := [value for value in item.trend if value is not None]:
            drawn.append(_trend(item.trend, width - 72, y + 4, 68, 26))
            scale = [whole_percent(of(known)).rstrip("%").strip() for of in (min, max)]
            drawn.append(_text(width, y + 48, f"{scale[0]} to {scale[1]} %", "end"))
    return _svg(title, about, width, size * len(items), *drawn)


def heatmap(
    title: str,
    about: str,
    names: Sequence[str],
    heads: Sequence[str],
    fields: Mapping[tuple[int, int], Item],
) -> Markup:
    """Fields in five shades by row and column; none where nothing is known."""
    left, top = LETTER * max(map(len, names), default=0) + 8, 24.0
    width, height = (WIDTH - left) / max(1, len(heads)), 36.0 if len(heads) < 24 else 28.0
    most = max((item.value for item in fields.values()), default=0) or 1
    drawn = [_text(left + (n + 0.5) * width, 14, head, "middle") for n, head in enumerate(heads)]
    for n, name in enumerate(names):
        drawn.append(_text(left - 8, top + (n + 0.5) * height + 5, name, "end"))
    for (row, column), item in sorted(fields.items()):
        x, y, shade = left + column * width, top + row * height, ceil(5 * item.value / most)
        field = [_rect(x + 1, y + 1, width - 2, y + height - 1, f"h{shade}")]
        if item.is_marked:
            field.append(_rect(x + 3, y + 3, width - 6, y + height - 3, "odd"))
        if item.text:
            word = _text(x + width / 2, y + height / 2 + 5, item.text, "middle", f"on{shade // 4}")
            field.append(word)
        drawn.append(element("g", element("title", item.hint), *field))
    return _svg(title, about, WIDTH, top + height * len(names), *drawn)


def sparkline(title: str, about: str, trend: Values, last: str, show: Format) -> Markup:
    """A line between its least and most, with the value at its end."""
    known = [value for value in trend if value is not None]
    low, high = (show(of(known)) if known else "" for of in (min, max))
    left, width = LETTER * max(len(low), len(high)) + 10, 210.0
    end = f"{last}: {show(trend[-1]) if trend[-1] is not None else 'none'}"
    return _svg(
        title,
        about,
        width,
        66,
        _text(left - 8, 16, high, "end") if high != low else None,
        _text(left - 8, 40, low, "end"),
        _trend(trend, left, 8, width - left - 6, 28),
        _text(width, 62, end, "end", "name"),
    )


def stacked_bar(title: str, about: str, item: Item) -> Markup:
    """One bar of its parts."""
    x, drawn = 0.0, []
    for kind, value in item.parts:
        drawn.append(_rect(x, 0, WIDTH * value / item.value - 2, 10, kind))
        x += WIDTH * value / item.value
    return _svg(title, about, WIDTH, 10, *drawn)


def _axis(
    values: Sequence[float], show: Format, right: float, height: float
) -> tuple[Markup, Callable[[float], float], float]:
    """Grid lines at round numbers; the y coordinate of a value; the x where the lines begin."""
    most = max(values, default=0) or 1
    ten = 10.0 ** ceil(log10(most / 4))
    step = next(size for size in (ten / 5, ten / 2, ten) if size * 4 >= most)
    ticks = [
        step * n for n in range(ceil(most / step) + 1) if show is not count or step * n % 1 == 0
    ]
    left = LETTER * max(len(show(tick)) for tick in ticks) + 8

    def y(value: float) -> float:
        return height - 34 - (height - 58) * value / (step * ceil(most / step))

    drawn = [
        (
            element("line", x1=left, x2=right, y1=y(n), y2=y(n)),
            _text(left - 8, y(n) + 4, show(n), "end"),
        )
        for n in ticks
    ]
    return element("g", *drawn, class_="grid"), y, left


def _names(labels: Sequence[str], at: Sequence[float], y: float, right: float) -> Markup:
    """As many as have room, hours from the first on and days back from the last."""
    step = _step(at[1] - at[0] if len(at) > 1 else right, labels)
    first = 0 if ":" in "".join(labels[:1]) else (len(labels) - 1) % step
    drawn, free = [], right
    for n in reversed(range(first, len(labels), step)):
        half = _width(labels[n]) / 2
        x = max(min(at[n], right - half), half)
        if x + half <= free:
            drawn.append(_text(x, y, labels[n], "middle"))
            free = x - half
    return element("g", *reversed(drawn))


def _step(band: float, labels: Sequence[str]) -> int:
    """Show every n-th label, as they have room: hours in parts of a day, days in weeks."""
    needed = ceil(max(map(_width, labels), default=0) / max(band, 0.1))
    steps = (1, 2, 3, 6, 12, 24) if ":" in "".join(labels[:1]) else (1, 2, 3, 7, 14, 28)
    return next((step for step in steps if step >= needed), needed)


def _width(label: str) -> float:
    """About as wide as it is drawn, with a gap; capitals are wide."""
    return LETTER * (len(label) + 0.5 + 0.75 * sum(letter.isupper() for letter in label))


def _trend(values: Values, x: float, y: float, width: float, height: float) -> Content:
    known = [(n, value) for n, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return None
    low = min(value for _, value in known)
    size, gap = max(value for _, value in known) - low or 1, width / (len(values) - 1)
    return _line([(x + n * gap, y + height - height * (v - low) / size) for n, v in known], 0)


def _line(points: Sequence[tuple[float, float]], number: int) -> Content:
    if not points:
        return None
    moves = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    end = element("circle", cx=points[-1][0], cy=points[-1][1], r=3.5, class_=f"s{number}")
    return element("path", d=f"M{moves}", class_=f"line s{number}"), end


def _rect(x: float, top: float, width: float, bottom: float, class_: str) -> Content:
    if bottom <= top or width <= 0:
        return None
    return element("rect", x=x, y=top, width=width, height=bottom - top, class_=class_)


def _text(
    x: float, y: float, text: str, anchor: str | None = None, class_: str | None = None
) -> Content:
    return element("text", text, x=x, y=y, text_anchor=anchor, class_=class_)


def _svg(title: str, about: str, width: float, height: float, *drawn: Content) -> Markup:
    names = element("title", title), element("desc", about)
    return element("svg", *names, *drawn, viewBox=f"0 0 {width:.0f} {height:.0f}", role="img")
