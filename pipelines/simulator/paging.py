"""Pages of a listing of the Insights API, with the links between them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple
from urllib.parse import urlencode

import orjson

from pipelines.simulator.parameters import page_size, parameter


class Paging(NamedTuple):
    """Which page of the listing at an absolute URL is asked for; `start` is its first position."""

    url: str
    query: dict[str, str]
    size: int
    number: int
    start: int

    @classmethod
    def of(cls, url: str, query: dict[str, str]) -> Paging:
        """Raises ValueError naming a parameter that is wrong."""
        size, number = page_size(query), parameter(query, "Page", int, 0)
        start = parameter(query, "PageToken", lambda token: int(token.removeprefix("PT")), 0)
        return cls(url, query, size, number, start)

    def page(self, key: str, found: Iterable[tuple[int, bytes]]) -> bytes:
        """The JSON body of one page.

        Args:
            key: of its list.
            found: positions and bodies of what the listing has from `start` on.
        """
        taken = list(islice(found, self.size + 1))
        rest = taken[self.size :]
        number, before = self.number, max(0, self.start - self.size)
        meta = {
            "page": number,
            "page_size": self.size,
            "first_page_url": self._link(0, 0),
            "previous_page_url": self._link(number - 1, before) if number else None,
            "url": self._link(number, self.start),
            "next_page_url": self._link(number + 1, rest[0][0]) if rest else None,
            "key": key,
        }
        bodies = b",".join(body for _, body in taken[: self.size])
        return b'{"meta":%s,"%s":[%s]}' % (orjson.dumps(meta), key.encode(), bodies)

    def _link(self, page: int, position: int) -> str:
        to = {"PageSize": str(self.size), "Page": str(page), "PageToken": f"PT{position}"}
        return f"{self.url}?{urlencode(self.query | to)}"
