"""Records as structs: ordinary ones are decoded straight from the bytes, value by value.

A record is ordinary if all its values have the documented types. Its struct keeps everything that
was received: fields are in alphabetical order, and missing ones stay missing. So it encodes to the
same JSON as a dict with sorted keys would, and has the same digest.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from operator import attrgetter
from typing import Annotated, Any, TypeVar, cast

import httpx
import msgspec
import orjson
from msgspec import UNSET, Meta, Raw, UnsetType
from msgspec.structs import astuple

from pipelines.twilio_insights import codec
from pipelines.twilio_insights.api import bounds
from pipelines.twilio_insights.api.bounds import Oversized
from pipelines.twilio_insights.api.children import FieldReader, ObjectReader, reader_of
from pipelines.twilio_insights.errors import BadAnswerError
from pipelines.twilio_insights.resources import Resource
from pipelines.twilio_insights.tables import LARGEST, ColumnType

T = TypeVar("T")

MAX_LEARNED = 50
"""Names of unknown fields that are learned; with more, a record is no ordinary one."""
_LEARNABLE = re.compile("[a-z][a-z0-9_]{0,62}")
_CACHE_SIZE, _LONGEST_CACHED = 2048, 1000
"""Texts of a kind that are cached for many records, and the most bytes of such a text."""
_ORDINARY: dict[ColumnType, Any] = {
    "text": str | None,
    "bigint": Annotated[int, Meta(ge=-LARGEST, le=LARGEST)] | None,
    "double": int | float | None,
    "bool": bool | None,
    "timestamp": str | None,
    "json": dict[str, str] | None,
}
_ODD = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding raises for what is not ordinary."""


class Record(msgspec.Struct):
    """One record; the fields are those of `RecordFormat.define`."""


class RecordFormat:
    """The records of a resource as structs."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.readers = tuple(map(reader_of, resource.children))
        self.objects = tuple(ObjectReader(*of) for of in resource.objects.items())
        self.nested: dict[str, FieldReader] = {reader.name: reader for reader in self.readers}
        self.nested |= {reader.name: reader for reader in self.objects}
        """Of the fields that are lists or objects, by name."""
        columns = [column.field for column in resource.columns]
        self.names = [*columns, *self.nested]
        self.known_names = frozenset(self.names)
        self.known = self.define()
        self._values = attrgetter(*self.names)
        self.cached = {name: _cached_reader(reader) for name, reader in self.nested.items()}

    def define(self, learned: frozenset[str] = frozenset()) -> type[Record]:
        """The struct of an ordinary record, with fields for the unknown ones that were learned."""
        key = self.resource.key
        fields: dict[str, Any] = {c.field: _ORDINARY[c.type] for c in self.resource.columns}
        fields |= dict.fromkeys([*learned, *self.nested], Raw)
        optional = [(n, kind | UnsetType, UNSET) for n, kind in fields.items() if n != key]
        sid = (key, Annotated[str, Meta(pattern=rf"^{self.resource.pattern.pattern}\Z")])
        struct = msgspec.defstruct(
            "Record",
            sorted([sid, *optional]),
            bases=(Record,),
            forbid_unknown_fields=True,
            kw_only=True,  # a required field may follow others
            gc=False,
        )
        return cast(type[Record], struct)

    def as_record(self, row: Record | dict[str, Any]) -> tuple[Record, dict[str, Any]]:
        """A record with any values, as a struct, and its unknown fields."""
        if type(row) is self.known:
            return row, {}
        if isinstance(row, dict):
            values = {column.field: row.get(column.field) for column in self.resource.columns}
            nested = {name: read(row.get(name), Raw()) for name, read in self.nested.items()}
            unknown = {k: row[k] for k in row.keys() - self.known_names}
            return self.known(**values, **nested), unknown
        unknown = {n: getattr(row, n) for n in row.__struct_fields__ if n not in self.known_names}
        return row, {k: codec.parse_part(v) for k, v in unknown.items() if v is not UNSET}

    def columns(self, structs: Sequence[Record]) -> dict[str, tuple[Any, ...]]:
        """By field, the values of these records, at least one."""
        if {*map(type, structs)} == {self.known}:  # mostly, and all fields at once are quicker
            names, values = self.known.__struct_fields__, map(astuple, structs)
        else:
            names, values = (*self.names,), map(self._values, structs)
        return dict(zip(names, zip(*values, strict=True), strict=True))


@cache
def format_of(resource: Resource) -> RecordFormat:
    return RecordFormat(resource)


_encode = msgspec.json.Encoder(order="deterministic", enc_hook=attrgetter("text")).encode
_body_decoder = msgspec.json.Decoder(dict[str, Raw])
_list_decoder = msgspec.json.Decoder(list[Raw])


def _cached(read: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """Read equal texts once, unless they are so long that they would take much memory."""
    cached = lru_cache(_CACHE_SIZE)(read)
    return lambda text: cached(text) if len(text) <= _LONGEST_CACHED else read(text)


def _canonical(value: Any) -> Raw:
    """The text of a value with sorted keys, the same as in the text of the whole record.

    Raises:
        ValueError: it is nested too deep, or has a number beyond 64 bits: in the text of a record
            with one everything is written in another way.
    """
    try:  # in brackets, so that it is as deep as in the record
        return Raw(orjson.dumps([value], option=orjson.OPT_SORT_KEYS)[1:-1])
    except TypeError as error:
        raise ValueError(str(error)) from None


@_cached
def _read_unknown(text: bytes) -> Raw:
    return _canonical(codec.parse_part(text))


def _cached_reader(reader: FieldReader) -> Callable[[bytes], Any]:
    def read(text: bytes) -> Any:
        value = codec.parse_part(text)
        return reader(value, _canonical(value))

    return _cached(read)


class PageDecoder:
    """Decodes the API's answers; threads may share it.

    It learns the names of unknown fields: one that Twilio adds is in every record.
    """

    def __init__(self, resource: Resource) -> None:
        self._format, self._envelope = format_of(resource), resource.envelope
        self._lock = threading.Lock()
        self._learned: frozenset[str] = frozenset()
        self._ordinary = _Ordinary(self._format, self._learned)

    def decode(self, headers: httpx.Headers, content: bytes) -> Any:
        """As `codec.decode`, but each ordinary element of the list becomes a `Record`; what a page
        has besides the list and `meta` may be left out."""
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
        listed = parts.pop(self._envelope, Raw(b"null"))
        elements = bounds.split(bytes(listed)) if is_large else _list_decoder.decode(listed)
        if is_large and any(map(bounds.has_too_many, map(bytes, parts.values()))):
            raise BadAnswerError(f"The API sent more than {bounds.MAX_VALUES} values about a page")
        rest = {k: codec.parse_part(v) for k, v in parts.items()}
        return rest | {self._envelope: [*map(self._element, elements)]}

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
        """Learn the names of its unknown fields, MAX_LEARNED in all; True if any was new."""
        with self._lock:
            unknown = filter(
                _LEARNABLE.fullmatch, element.keys() - self._format.known_names - self._learned
            )
            new = sorted(unknown)[: MAX_LEARNED - len(self._learned)]
            if new:
                self._learned |= {*new}
                self._ordinary = _Ordinary(self._format, self._learned)
        return bool(new)


class _Ordinary:
    """Decodes ordinary records; what is none raises one of _ODD."""

    def __init__(self, records: RecordFormat, learned: frozenset[str]) -> None:
        struct = records.define(learned) if learned else records.known
        self._envelope = records.resource.envelope
        fields: list[Any] = [(self._envelope, list[struct]), ("meta", Raw)]  # type: ignore[valid-type]
        body = msgspec.defstruct("Body", fields)
        self._one = msgspec.json.Decoder(struct)
        self._body: msgspec.json.Decoder[Any] = msgspec.json.Decoder(body)
        self._readers = {**records.cached, **dict.fromkeys(learned, _read_unknown)}

    def one(self, text: bytes | Raw) -> Record:
        return self._finish([self._one.decode(text)])[0]

    def body(self, content: bytes) -> dict[str, Any]:
        decoded = self._body.decode(content)
        records = self._finish(getattr(decoded, self._envelope))
        return {self._envelope: records, "meta": codec.parse_part(decoded.meta)}

    def _finish(self, records: list[Record]) -> list[Record]:
        for name, read in self._readers.items():
            for record in records:
                if (value := getattr(record, name)) is not UNSET:
                    setattr(record, name, read(bytes(value)))
        return records


def is_record(element: Any, resource: Resource, sid: str) -> bool:
    """Whether it is the record that was asked for, as far as it can be read."""
    key = resource.key
    found = element.get(key) if isinstance(element, dict) else getattr(element, key, None)
    return found == sid or isinstance(element, Oversized)


def digest(element: Any) -> int:
    """As `codec.digest`, of an ordinary record too, and of one that was not parsed."""
    if isinstance(element, Oversized):
        return codec.digest_of(element.text)
    if isinstance(element, Record):
        return codec.digest_of(_encode(element))
    return codec.digest(element)


def text_of(element: Any) -> str:
    """The JSON of what is rejected."""
    if isinstance(element, Record):
        return _encode(element).decode()
    return codec.mend(element.text) if isinstance(element, Oversized) else codec.to_json(element)
