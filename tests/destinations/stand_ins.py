"""Stand-ins for the drivers of engines, which dlt imports, but which write none of its SQL.

So the SQL can be made anew without them. Where a driver is installed, it is taken.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

DRIVERS = {"clickhouse_connect", "clickhouse_driver", "databricks", "google", "snowflake", "thrift"}
"""Top packages."""


class _Named(type):
    """Has any name."""

    def __getattr__(cls, name: str) -> Any:
        return _thing(name)


def _thing(name: str) -> Any:
    """A class that can be a base, be raised, be called, and be looked into."""
    if name.startswith("__"):
        raise AttributeError(name)
    return _Named(name, (Exception,), {"__init__": lambda *_, **__: None})


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return self.__dict__.setdefault(name, _thing(name))


class _Finder(MetaPathFinder, Loader):
    def find_spec(
        self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        is_driver = name.partition(".")[0] in DRIVERS
        return ModuleSpec(name, self, is_package=True) if is_driver else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing in it."""


@contextmanager
def stand_ins() -> Iterator[None]:
    """Meanwhile every driver that is missing can be imported."""
    finder = _Finder()
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, one in sys.modules.items() if isinstance(one, _StandIn)]:
            del sys.modules[name]
