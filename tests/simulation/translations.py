"""What statements are in PostgreSQL's SQL, remembered for all processes forked off this one."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from contextlib import suppress

from pipelines.warehouse import postgres_warehouse
from pipelines.warehouse.portable import to_dialect

_file = tempfile.TemporaryFile(mode="ab+", buffering=0)  # noqa: SIM115 - as long as this process
"""Lines of JSON: dialect, statement and its translation."""


class Translations:
    """Those that were known when this process began, and its own."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str] = {}
        self._new: list[tuple[str, str, str]] = []
        for line in os.pread(_file.fileno(), os.fstat(_file.fileno()).st_size, 0).splitlines():
            with suppress(ValueError):  # a process was killed while it wrote
                dialect, sql, text = json.loads(line)
                self._known[dialect, sql] = text
        vars(postgres_warehouse)["to_dialect"] = self._of

    def _of(self, sql: str, dialect: str) -> str:
        if (text := self._known.get((dialect, sql))) is None:
            text = self._known[dialect, sql] = to_dialect(sql, dialect)
            self._new.append((dialect, sql, text))
        return text

    def keep(self) -> None:
        """Let processes know that are forked off later."""
        if self._new:
            lines = "".join(f"\n{json.dumps(one)}\n" for one in self._new)
            fcntl.flock(_file, fcntl.LOCK_EX)
            try:
                _file.write(lines.encode())
            finally:
                fcntl.flock(_file, fcntl.LOCK_UN)
            self._new.clear()
