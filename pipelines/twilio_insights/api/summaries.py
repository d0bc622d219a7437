"""Summaries as structs: ordinary ones are decoded straight from the bytes, value by value.

Ordinary is a summary whose values all have the documented types. A struct of one keeps everything
that was received: its fields are in alphabetical order, those that were missing stay missing, and
so it encodes to the text that the digest of the same summary as a dict is taken of.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, TypeVar, cast

import httpx
import msgspec
import orjson
from msgspec import UNSET, Meta, Raw, UnsetType

from pipelines.twilio_insights import codec
from pipelines.twilio_insights.api import bounds
from pipelines.twilio_insights.api.bounds import Oversized
from pipelines.twilio_insights.api.children import CHILD_FIELDS, ChildField, Children
from pipelines.twilio_insights.errors import BadAnswerError
from pipelines.twilio_insights.tables import FROM_TWILIO, LARGEST, ColumnType

T = TypeVar("T")

SID = re.compile("CF[0-9a-fA-F]{32}")
MAX_LEARNED = 50
"""Names of unknown fields that are learned; with more, a summary is no ordinary one."""
_LEARNABLE = re.compile("[a-z][a-z0-9_]{0,62}")
_CACHED, _LONGEST_CACHED = 2048, 1000
"""So many texts of a kind, none of more bytes than this, are read once for many summaries."""
_ORDINARY: dict[ColumnType, Any] = {
    "text": str | None,
    "bigint": Annotated[int, Meta(ge=-LARGEST, le=LARGEST)] | None,
    "bool": bool | None,
    "timestamp": str | None,
    "json": dict[str, str] | None,
}
_ODD = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding raises for what is not ordinary."""


class Summary(msgspec.Struct):
    """One conference; the fields are those of `define`."""


def define(learned: frozenset[str] = frozenset()) -> type[Summary]:
    """The struct of an ordinary summary, with fields for the unknown ones that were learned."""
    fields: dict[str, Any] = {column.name: _ORDINARY[column.type] for column in FROM_TWILIO}
    fields |= dict.fromkeys([*learned, *(field.name for field in CHILD_FIELDS)], Raw)
    optional = [(name, kind | UnsetType, UNSET) for name, kind in fields.items()]
    sid = ("conference_sid", Annotated[str, Meta(pattern=rf"^{SID.pattern}\Z")])
    struct = msgspec.defstruct(
        "Summary",
        sorted([sid, *(field for field in optional if field[0] != sid[0])]),
        bases=(Summary,),
        forbid_unknown_fields=True,
        kw_only=True,  # a required field may follow others
        gc=False,
    )
    return cast(type[Summary], struct)


_Known = define()
_KNOWN = frozenset(_Known.__struct_fields__)
_encode = msgspec.json.Encoder(order="deterministic", enc_hook=attrgetter("text")).encode
_body_decoder = msgspec.json.Decoder(dict[str, Raw])
_list_decoder = msgspec.json.Decoder(list[Raw])


def _cached(read: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """Read equal texts once, unless they are so long that they would take much memory."""
    cached = lru_cache(_CACHED)(read)
    return lambda text: cached(text) if len(text) <= _LONGEST_CACHED else read(text)


def _canonical(value: Any) -> Raw:
    """The text of a value with sorted keys, the same as in the text of the whole summary.

    Raises:
        ValueError: it is nested too deep, or has a number beyond 64 bits: in the text of a summary
            with one everything is written in another way.
    """
    try:  # in brackets, so that it is as deep as in the summary
        return Raw(orjson.dumps([value], option=orjson.OPT_SORT_KEYS)[1:-1])
    except TypeError as error:
        raise ValueError(str(error)) from None


@_cached
def _read_unknown(text: bytes) -> Raw:
    return _canonical(codec.parse_part(text))


def _children_reader(field: ChildField) -> Callable[[bytes], Children]:
    def read(text: bytes) -> Children:
        value = codec.parse_part(text)
        return Children(field, value, _canonical(value))

    return _cached(read)


_CHILDREN = {field.name: _children_reader(field) for field in CHILD_FIELDS}


class PageDecoder:
    """Decodes the API's answers; threads may share it.

    It learns the names of unknown fields: one that Twilio adds is in every summary.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._learned: frozenset[str] = frozenset()
        self._ordinary = _Ordinary(self._learned)

    def decode(self, headers: httpx.Headers, content: bytes) -> Any:
        """As `codec.decode`, but with a `Summary` for each ordinary element of `conferences`; of
        a page there may be nothing but that and `meta`."""
        if codec.is_json(headers):
            with suppress(*_ODD):
                return self._body(content)
            with suppress(*_ODD):  # one lone surrogate is to make no page slow
                content = codec.shallow(content, codec.DEEPEST + 2)  # of an element, as elsewhere
                return self._body(codec.mend(content).encode())
            if content.count(b",") > bounds.MANY and bounds.has_too_many(content):
                return Oversized(content, f"more than {bounds.MAX_VALUES} values")
        return codec.decode(headers, content)

    def _body(self, content: bytes) -> dict[str, Any]:
        is_large = content.count(b",") > bounds.MANY
        if not is_large:
            with suppress(*_ODD):  # all at once is a third quicker
                return self._ordinary.body(content)
        parts = _body_decoder.decode(content)
        listed = parts.pop("conferences", Raw(b"null"))
        elements = bounds.split(bytes(listed)) if is_large else _list_decoder.decode(listed)
        if is_large and any(map(bounds.has_too_many, map(bytes, parts.values()))):
            raise BadAnswerError(f"The API sent more than {bounds.MAX_VALUES} values about a page")
        rest = {k: codec.parse_part(v) for k, v in parts.items()}
        return rest | {"conferences": [*map(self._element, elements)]}

    def _element(self, text: bytes | Raw | Oversized) -> Any:
        if isinstance(text, Oversized):
            return text
        with suppress(*_ODD):
            return self._ordinary.one(text)
        text = Raw(codec.shallow(bytes(text)))
        element = codec.parse_part(text)
        if isinstance(element, dict) and self._learn(element):
            with suppress(*_ODD):
                return self._ordinary.one(text)
        return element

    def _learn(self, element: dict[str, Any]) -> bool:
        """Whether it has unknown fields whose names were not learned before, but now."""
        with self._lock:
            unknown = filter(_LEARNABLE.fullmatch, element.keys() - _KNOWN - self._learned)
            new = sorted(unknown)[: MAX_LEARNED - len(self._learned)]
            if new:
                self._learned |= {*new}
                self._ordinary = _Ordinary(self._learned)
        return bool(new)


class _Ordinary:
    """Decodes ordinary summaries; what is none raises one of _ODD."""

    def __init__(self, learned: frozenset[str]) -> None:
        struct = define(learned) if learned else _Known
        body = msgspec.defstruct("Body", [("conferences", list[struct]), ("meta", Raw)])  # type: ignore[valid-type]
        self._one = msgspec.json.Decoder(struct)
        self._body: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)
        self._readers = {**_CHILDREN, **dict.fromkeys(learned, _read_unknown)}

    def one(self, text: bytes | Raw) -> Summary:
        return self._finish([self._one.decode(text)])[0]

    def body(self, content: bytes) -> dict[str, Any]:
        decoded = self._body.decode(content)
        summaries = self._finish(decoded.conferences)
        return {"conferences": summaries, "meta": codec.parse_part(decoded.meta)}

    def _finish(self, summaries: list[Summary]) -> list[Summary]:
        for name, read in self._readers.items():
            for summary in summaries:
                if (value := getattr(summary, name)) is not UNSET:
                    setattr(summary, name, read(bytes(value)))
        return summaries


def digest(element: Any) -> int:
    """As `codec.digest`, of an ordinary summary too, and of one that was not parsed."""
    if isinstance(element, Oversized):
        return codec.digest_of(element.text)
    if isinstance(element, Summary):
        return codec.digest_of(_encode(element))
    return codec.digest(element)


def text_of(element: Any) -> str:
    """The JSON of what is rejected."""
    if isinstance(element, Summary):
        return _encode(element).decode()
    return codec.mend(element.text) if isinstance(element, Oversized) else codec.to_json(element)


def as_summary(row: Summary | dict[str, Any]) -> tuple[Summary, dict[str, Any]]:
    """A summary with any values, as a struct, and its unknown fields."""
    if type(row) is _Known:
        return row, {}
    if isinstance(row, dict):
        values = {column.name: row.get(column.name) for column in FROM_TWILIO}
        children = {f.name: Children(f, row.get(f.name), Raw()) for f in CHILD_FIELDS}
        return _Known(**values, **children), {k: row[k] for k in row.keys() - _KNOWN}
    unknown = {name: getattr(row, name) for name in row.__struct_fields__ if name not in _KNOWN}
    return row, {k: codec.parse_part(v) for k, v in unknown.items() if v is not UNSET}
