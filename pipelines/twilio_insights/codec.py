"""JSON as the API sends it and as it is stored, without a number rounded or a text refused."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from hashlib import blake2b
from math import isfinite
from string import digits
from typing import Any

import httpx
import orjson

from pipelines.twilio_insights.errors import BadAnswerError

_SURROGATES = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F]..)"
)
_NUMBERS = bytes(
    ord("0") if chr(byte) in digits else ord(":") if chr(byte) in ":,[- \t\r\n" else ord("x")
    for byte in range(256)
)
_LONG_NUMBER = b":" + b"0" * 19
"""What an integer that may not fit into 64 bits looks like, once translated by `_NUMBERS`."""


def decode(headers: httpx.Headers, content: bytes) -> Any:
    """The JSON of an answer, None if it is none, with no number rounded.

    Lone surrogates, legal there, become U+FFFD; a number too large for Python stays text. What
    orjson, about three times as fast, does not read or would round is left to the standard library.
    """
    if "json" not in headers.get("content-type", ""):
        return None
    if _LONG_NUMBER not in content.translate(_NUMBERS):
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(content)
    text = content.decode(errors="replace")
    if r"\ud" in text or r"\uD" in text:
        text = _SURROGATES.sub(lambda m: r"\ufffd" if m[1] else m[0], text)
    try:
        return json.loads(
            text, parse_int=_integer, parse_float=_float, parse_constant=str, strict=False
        )
    except (ValueError, RecursionError):
        return None


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
    hashed = blake2b(to_json(row).encode(), digest_size=8)
    return int.from_bytes(hashed.digest(), "big", signed=True)


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < 4000 else digits


def _float(digits: str) -> float | str:
    return number if isfinite(number := float(digits)) else digits
