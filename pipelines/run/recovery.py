"""What a killed run left in dlt's working folder: finished first, or set aside with the reason."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.warehouse.database import PIPELINE
from pipelines.warehouse.error_texts import CORRUPT_FILE
from pipelines.warehouse.machine_errors import as_warehouse_error
from pipelines.warehouse.warehouse import Warehouse, WarehouseError

if TYPE_CHECKING:
    from pipelines.run.loading import Loader

log = logging.getLogger("conference_insights")

KEPT = 3
"""Packages set aside that are kept; a lasting fault must not fill the disk."""


def recover_package(warehouse: Warehouse, make: Callable[[], Loader]) -> str | None:
    """Load it, or set it aside; what became of it.

    One that can never load, or that does not continue what the warehouse holds (an older copy of
    the file was put back), is set aside with the whole working folder: nothing is lost by that,
    since all it stands for will be listed again.

    Raises:
        WarehouseError: the disk or the file cannot be used; the package stays.
    """
    folder = warehouse.working_folder / PIPELINE
    outcome: str | None = None
    packages = ("normalize/extracted/*", "load/normalized/*")
    try:
        if any(any(folder.glob(package)) for package in packages):
            outcome = make().finish()
        shutil.rmtree(folder, ignore_errors=True)  # what dlt remembers: the warehouse has it
        return outcome
    except Exception as error:  # damage shows in dlt as an error of any kind
        damaged = Path(warehouse.name) if CORRUPT_FILE in str(error) else None
        if fault := as_warehouse_error(error, damaged):
            raise fault from None
        if isinstance(true_cause(error), WarehouseError):
            raise
        outcome = f"set aside: {reason_of(true_cause(error))}"
        place = warehouse.working_folder / "set_aside" / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        place.parent.mkdir(exist_ok=True)
        folder.rename(place)
        (place / "reason.txt").write_text(f"{error}\n")
        for old in sorted(place.parent.iterdir())[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        log.warning("What a stopped run left was %s; it is in %s", outcome, place)
        return outcome


def reason_of(error: BaseException) -> str:
    """What went wrong in one line; where dlt gives a traceback as the message, its last error."""
    text = repr(error) if isinstance(error, LookupError) else str(error)
    last = text.rpartition("Traceback (most recent call last):")[2]
    return next((line for line in last.splitlines() if re.match(r"\w", line)), repr(error))


def true_cause(error: BaseException) -> BaseException:
    """What went wrong below dlt's own errors of steps and resources."""
    while type(error).__module__.startswith("dlt.") and error.__cause__:
        error = error.__cause__
    return error
