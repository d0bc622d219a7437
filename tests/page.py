"""An HTML page, read strictly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from pipelines.report.formatting import NONE


class Element:
    def __init__(self, tag: str, attributes: dict[str, str | None], within: Element | None) -> None:
        self.tag, self.attributes, self.within = tag, attributes, within
        self.children: list[Element | str] = []

    def __iter__(self) -> Iterator[Element]:
        """Itself and all in it, in order."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child

    def all(self, *tags: str) -> list[Element]:
        return [found for found in self if found.tag in tags]

    def has(self, **attributes: str) -> bool:
        return attributes.items() <= self.attributes.items()

    @property
    def text(self) -> str:
        return "".join(c if isinstance(c, str) else c.text for c in self.children)


class Page(HTMLParser):
    """A document read strictly: every element is closed, in order."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.source = path.read_text("utf-8")
        self.root = self._open = Element("", {}, None)
        self.feed(self.source)
        self.close()
        assert self._open is self.root

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        new = Element(tag, dict(attrs), self._open)
        self._open.children.append(new)
        if tag not in ("meta", "br"):
            self._open = new

    def handle_endtag(self, tag: str) -> None:
        assert self._open.tag == tag
        assert self._open.within is not None
        self._open = self._open.within

    def handle_data(self, data: str) -> None:
        self._open.children.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def section(self, slug: str) -> Element:
        (found,) = (s for s in self.root.all("section") if s.has(id=slug))
        return found

    def table(self, name: str) -> list[list[str]]:
        (found,) = (t for t in self.root.all("table") if t.all("caption")[0].text == name)
        lines = found.all("tbody")[0].all("tr")
        return [[cell.text for cell in line.all("th", "td")] for line in lines]

    @property
    def cards(self) -> dict[str, str]:
        cards = (li for li in self.section("totals").all("li"))
        return {li.all("h3")[0].text: li.all("p")[0].text for li in cards}

    @property
    def text(self) -> str:
        return self.root.all("body")[0].text


def number(cell: str) -> float | str | None:
    """What a cell says, without its unit."""
    said = re.fullmatch(r"(-?[\d,.]+)(?:\xa0(%|s|min|h))?", cell)
    if cell == NONE or said is None:
        return None if cell == NONE else cell
    return float(said[1].replace(",", "")) * {"min": 60, "h": 3600}.get(said[2] or "", 1)
