"""The files beside a warehouse file that tell how its runs went, so that nobody need open it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.files import replace_file
from pipelines.warehouse.copy.folder import FILE, as_noted, owner_file
from pipelines.warehouse.copy.opened import open_copy
from pipelines.warehouse.database import DATASET, Database, StatementError
from pipelines.warehouse.snapshot import take_snapshot
from pipelines.warehouse.warehouse import WarehouseError

log = logging.getLogger("conference_insights")

STATUS, REFUSED, ALERTS = "status", "refused", "alerts"
"""Kinds of files: of the last run that held the warehouse, of one that never did, and of what was
posted of runs that failed."""
_FORMAT = 1
"""Of the files; those of another one are not read."""


@dataclass(frozen=True)
class StatusFiles:
    """`<warehouse>.status.json`, and the others."""

    warehouse: Path

    def path(self, kind: str) -> Path:
        return self.warehouse.with_name(f"{self.warehouse.name}.{kind}.json")

    def write(self, kind: str, content: Mapping[str, Any]) -> None:
        """Replace the file as a whole; if that fails, it is logged."""
        file = self.path(kind)
        try:
            text = json.dumps({"format": _FORMAT, **content}, default=datetime.isoformat, indent=1)
            replace_file(file, text)
        except OSError as error:
            if kind == STATUS:  # else the error of the run itself tells it
                log.warning("Cannot write %s: %s", file, error.strerror)

    def read(self, kind: str) -> dict[str, Any]:
        """Its content; empty if there is none, or it has another format.

        Raises:
            WarehouseError: it cannot be read.
        """
        file = self.path(kind)
        try:
            if file.exists() and not file.is_file():
                raise ValueError("it is no ordinary file")
            content = json.loads(file.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise WarehouseError(f"Cannot read {file}, the next run rewrites it: {error}") from None
        known = isinstance(content, dict) and content.get("format") == _FORMAT
        return content if known else {}

    def require_existing_warehouse(self, copies: Path) -> None:
        """Check that a warehouse that an earlier run has loaded still exists.

        Its status file shows that, or, if that is gone with the same disk, its published copy.

        Raises:
            WarehouseError: it is gone, and a new one would lack what Twilio has deleted since.
        """
        path = self.warehouse
        if path.exists() and path.stat().st_size:  # DuckDB would start a new one in an empty file
            return
        witness, held = self.path(STATUS), 0
        with suppress(OSError, ValueError, LookupError, TypeError, RecursionError):
            if witness.is_file():
                held = json.loads(witness.read_text())["holds"]["rows"]["conference_summaries"]
        if not held and copies.parent != path.parent and (owner := owner_file(copies, path)):
            witness = owner
            with suppress(StatementError), open_copy(copies / "current" / FILE) as copy:
                held = copy.execute("SELECT count(*) FROM analytics.conferences")[0][0]
        if held:
            raise WarehouseError(
                f"{path} is gone. It held {held:,} conferences: restore a backup; or mount "
                f"its disk; or, to start over with what Twilio still has, delete {witness}"
            )

    def renew(self, database: Database, published: Path | None) -> None:
        """Update what the warehouse holds in the status file, if a run has left one."""
        with suppress(WarehouseError, StatementError):
            if content := self.read(STATUS):
                content["holds"] = take_snapshot(database, datetime.now(UTC))
                if published:
                    content["settings"]["published"] = as_noted(published, self.warehouse)
                for run in filter(None, (content.get("run"), content.get("last_good"))):
                    told = f"SELECT drift, left_package FROM {DATASET}._runs WHERE run_id = ?"
                    for row in database.records(told, [run["run_id"]]):
                        run |= row
                self.write(STATUS, content)
