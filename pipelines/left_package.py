"""What a killed run left in dlt's working folder: finished first, or set aside with the reason."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlt

from pipelines.twilio_insights.pages import CONTINUES
from pipelines.twilio_insights.stored import StoredSummaries
from pipelines.warehouse.file import Warehouse, WarehouseError, as_disk_fault

log = logging.getLogger("conference_insights")

PIPELINE = "conference_insights"


def open_pipeline(
    make: Callable[[], dlt.Pipeline], warehouse: Warehouse
) -> tuple[dlt.Pipeline, str | None]:
    """The pipeline with its state from the warehouse, and what became of a left package.

    One that can never load, or that does not continue what the warehouse holds (an older copy of
    the file was put back), is set aside with the whole working folder: nothing is lost by that,
    since all it stands for will be listed again.

    Raises:
        WarehouseError: the disk or the file cannot be used; the package stays.
    """
    said = None
    try:
        pipeline = make()
        said = _finish(pipeline)
        pipeline.drop()  # forgets dlt's local state: the warehouse has it
    except Exception as error:
        if isinstance(error, WarehouseError) or (fault := as_disk_fault(error)):
            raise fault or error from None
        said = f"set aside: {error}"
        place = warehouse.working_folder / "set_aside" / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        place.parent.mkdir(exist_ok=True)
        Path(warehouse.working_folder, PIPELINE).rename(place)
        (place / "reason.txt").write_text(f"{error}\n")
        log.warning("What a stopped run left was set aside in %s: %s", place, error)
        pipeline = make()
    pipeline.sync_destination()
    return pipeline, said


def _finish(pipeline: dlt.Pipeline) -> str | None:
    """Load what a killed run extracted.

    Raises:
        Exception: whatever dlt meets in a package that is damaged or cannot be loaded.
    """
    for load_id in pipeline.list_extracted_load_packages():
        # dlt deletes what it extracted once it is normalized; a kill may leave half of it.
        if load_id in pipeline.list_normalized_load_packages():
            shutil.rmtree(Path(pipeline.working_dir, "normalize", "extracted", load_id))
    if not pipeline.has_pending_data:
        return None
    pipeline.normalize()
    with pipeline.sql_client() as sql:
        last = StoredSummaries(sql).last_load_id()
    for load_id in pipeline.list_normalized_load_packages():
        state: Any = pipeline.get_load_package_state(load_id)
        if last == load_id:  # it is loaded, only not tidied away
            return None
        if last != state.get(CONTINUES):
            raise ValueError(
                f"it continues package {state.get(CONTINUES)}, the warehouse is at {last}"
            )
    log.info("Finishing the load package that a stopped run left")
    pipeline.load(raise_on_failed_jobs=True)
    return "finished"
