"""HTML and SVG made of elements; all text in them that is not `Markup` is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import TypeAlias

_VOID = {"meta"}
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Markup(str):
    """Text that is markup already; only this module makes any."""

    __slots__ = ()


Content: TypeAlias = "str | int | Iterable[Content] | None"


def element(name: str, /, *content: Content, **attributes: object) -> Markup:
    """An element; strings in it become text, whatever they hold. `class_` is `class`, `aria_label`
    is `aria-label`; an attribute that is None is left out, one that is True has no value."""
    attribute_text = "".join(
        f" {key.rstrip('_').replace('_', '-')}"
        + ("" if value is True else f'="{_text(_number(value))}"')
        for key, value in attributes.items()
        if value is not None
    )
    inside = _inside(content)
    return Markup(f"<{name}{attribute_text}>" + ("" if name in _VOID else f"{inside}</{name}>"))


def page(head: Content, body: Content) -> Markup:
    """A whole document."""
    return Markup(f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n")


def style_sheet(text: str) -> Markup:
    """CSS of the project itself, in which nothing is escaped."""
    if "<" in text:
        raise ValueError("a style sheet has no <")
    return Markup(f"<style>{text}</style>")


def _inside(content: Content) -> str:
    """Markup as it is and all else escaped, one after another."""
    if content is None:
        return ""
    if isinstance(content, Markup):
        return content
    if isinstance(content, str | int):
        return _text(str(content))
    return "".join(map(_inside, content))


def _text(text: str) -> str:
    """Escaped; invisible characters, such as marks of direction, are written as codes."""
    return escape(_UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def _number(value: object) -> str:
    """Coordinates with one decimal."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)
