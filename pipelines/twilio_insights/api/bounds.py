"""How much an answer may hold: bounds that no account comes near, kept before anything is parsed.

Ten million elements, or ten million values in one of them, fit into the bytes that an answer may
have, and would take gigabytes and minutes once they are Python's objects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pipelines.twilio_insights.errors import BadAnswerError, TooLargeError

MANY = 250_000
"""Commas of an answer that is looked at closely; an ordinary page of 1,000 has some 40,000."""
MAX_ELEMENTS = 100_000
"""Elements of a page; 1,000 are the most that one can ask for."""
MAX_VALUES = 100_000
"""Values of a summary; one of 250 participants with every tag has some 15,000."""
MAX_PAGE_VALUES = 2_000_000
"""Without those of elements that have too many; a shorter list has fewer."""
COMMA = ord(",")
_MARKS = re.compile(rb'(?:[^"\[\]{},]++|"(?:[^"\\]|\\.)*+")*+[\[\]{},]', re.DOTALL)
"""Up to the next mark outside a string."""


class Oversized(NamedTuple):
    """An element with more values than a summary may have."""

    text: bytes
    reason: str


def split(array: bytes) -> Iterator[bytes | Oversized]:
    """The text of each element of a JSON array.

    Raises:
        ValueError: it is no array.
        BadAnswerError: it has more elements than any page has, or, TooLargeError, more values.
    """
    if not array.startswith(b"["):
        raise ValueError("no array")
    return _bounded(array)


def _bounded(array: bytes) -> Iterator[bytes | Oversized]:
    of_page = 0
    for number, (element, values) in enumerate(_elements(array)):
        if number == MAX_ELEMENTS:
            raise BadAnswerError(f"The API sent more than {MAX_ELEMENTS} elements in one page")
        if values > MAX_VALUES:
            yield Oversized(element, f"more than {MAX_VALUES} values")
        elif of_page + values > MAX_PAGE_VALUES:
            raise TooLargeError(f"The API sent more than {MAX_PAGE_VALUES} values in one page")
        else:
            of_page += values
            yield element


def _elements(array: bytes) -> Iterator[tuple[bytes, int]]:
    """The text of each, and about how many values it has."""
    depth, start, values = 0, 1, 0
    for found in _MARKS.finditer(array):
        end = found.end()
        mark = array[end - 1]
        if mark in b"[{":
            depth += 1
        elif mark in b"]}":
            depth -= 1
        if depth == 0 or (depth == 1 and mark == COMMA):
            if element := array[start : end - 1].strip():
                yield element, values
            start, values = end, 0
        elif mark == COMMA:
            values += 1


def has_too_many(text: bytes) -> bool:
    """Whether it has more values than a summary may have."""
    commas = (text[found.end() - 1] == COMMA for found in _MARKS.finditer(text))
    return sum(commas) > MAX_VALUES
