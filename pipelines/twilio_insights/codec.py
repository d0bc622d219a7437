"""JSON as the API sends it and as it is stored, without a number rounded or a text refused."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from hashlib import blake2b
from math import isfinite
from string import digits
from typing import TYPE_CHECKING, Any

import orjson

from pipelines.twilio_insights.errors import BadAnswerError

if TYPE_CHECKING:
    import httpx
    from msgspec import Raw

_SURROGATES = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F]..)"
)


def _kind(character: str) -> str:
    """`0` for a digit, `:` for what may stand before a number, `x` for all else."""
    if character in digits:
        return "0"
    return ":" if character in ":,[- \t\r\n" else "x"


_NUMBERS = bytes(ord(_kind(chr(byte))) for byte in range(256))
_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|([\[{])|([\]}])', re.DOTALL)
DEEPEST = 500
"""Levels of a value that everything here can read and write; Python's own readers recurse."""
_LONG_NUMBER = b":" + b"0" * 19
"""What an integer that may not fit into 64 bits looks like, once translated by `_NUMBERS`."""


def decode(headers: httpx.Headers, content: bytes) -> Any:
    """The JSON of an answer, None if it is none."""
    if is_json(headers):
        with suppress(ValueError, RecursionError):
            return parse(shallow(content))
    return None


def is_json(headers: httpx.Headers) -> bool:
    """Whether an answer says of itself that it is JSON."""
    return "json" in headers.get("content-type", "").partition(";")[0].lower()


def parse(content: bytes) -> Any:
    """The value of some JSON, with no number rounded.

    Lone surrogates, legal there, become U+FFFD; a number too large for Python stays text. What
    orjson, about three times as fast, does not read or would round is left to the standard library.

    Raises:
        ValueError, RecursionError: it is none, or nested too deep.
    """
    if _LONG_NUMBER not in content.translate(_NUMBERS):
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(content)
    return json.loads(
        mend(content), parse_int=_integer, parse_float=_float, parse_constant=str, strict=False
    )


def shallow(content: bytes, deepest: int = DEEPEST) -> bytes:
    """The JSON with what is nested deeper as text: one value must make no other unreadable."""
    if content.count(b"[") + content.count(b"{") <= deepest:
        return content
    parts: list[bytes] = []
    depth = start = done = 0
    for found in _BRACKETS.finditer(content):
        if found[1]:
            depth += 1
            if depth == deepest + 1:
                start = found.start()
        elif found[2]:
            depth -= 1
            if depth == deepest:
                text = content[start : found.end()].decode(errors="replace")
                parts += [content[done:start], orjson.dumps(text)]
                done = found.end()
    return b"".join([*parts, content[done:]])


def mend(content: bytes) -> str:
    """The text with U+FFFD for what no text can hold: lone surrogates, bytes that are no UTF-8."""
    text = content.decode(errors="replace")
    if r"\ud" in text or r"\uD" in text:
        text = _SURROGATES.sub(lambda m: r"\ufffd" if m[1] else m[0], text)
    return text


def parse_part(part: bytes | Raw) -> Any:
    """The value of a piece of JSON, as if it had been parsed with what it was cut out of.

    It is parsed inside brackets: a number on its own would not be seen to be a long one.
    """
    return parse(b"[%b]" % part)[0]


def to_json(value: Any) -> str:
    """Text with sorted keys.

    Raises:
        BadAnswerError: it is nested too deep.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # an integer beyond 64 bits
        pass
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    except RecursionError:
        raise BadAnswerError("The API sent JSON that is nested hundreds of levels deep") from None


def digest(row: Any) -> int:
    """64 bits over the element, whatever the order of its keys."""
    return digest_of(to_json(row).encode())


def digest_of(text: bytes) -> int:
    """64 bits over a text with sorted keys."""
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True)


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < 4000 else digits


def _float(digits: str) -> float | str:
    return number if isfinite(number := float(digits)) else digits
