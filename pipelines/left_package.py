"""What a killed run left in dlt's working folder: finished first, or set aside with the reason."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.extract.exceptions import ResourceExtractionError
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.twilio_insights.pages import CONTINUES, HAS_TABLES
from pipelines.twilio_insights.stored import StoredSummaries
from pipelines.warehouse.file import Warehouse, WarehouseError, as_warehouse_error
from pipelines.warehouse.runs import begun_load_ids

log = logging.getLogger("conference_insights")

PIPELINE = "conference_insights"


def open_pipeline(
    make: Callable[[], dlt.Pipeline],
    warehouse: Warehouse,
    announce: Callable[[Sequence[str]], None],
) -> tuple[dlt.Pipeline, str | None]:
    """The pipeline with its state from the warehouse, and what became of a left package.

    `announce` is told the load ids before they are loaded, and has `_runs` remember them.

    One that can never load, or that does not continue what the warehouse holds (an older copy of
    the file was put back), is set aside with the whole working folder: nothing is lost by that,
    since all it stands for will be listed again.

    Raises:
        WarehouseError: the disk or the file cannot be used; the package stays.
    """
    said = None
    try:
        pipeline = make()
        said = _finish(pipeline, warehouse.connection, announce)
        pipeline.drop()  # forgets dlt's local state: the warehouse has it
    except Exception as error:  # damage shows in dlt as an error of any kind
        damaged = warehouse.path if "Corrupt database file" in str(error) else None
        if fault := as_warehouse_error(error, damaged):
            raise fault from None
        if isinstance(true_cause(error), WarehouseError | ConfigurationException):
            raise
        said = f"set aside: {str(true_cause(error)).splitlines()[0]}"
        place = warehouse.working_folder / "set_aside" / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        place.parent.mkdir(exist_ok=True)
        Path(warehouse.working_folder, PIPELINE).rename(place)
        (place / "reason.txt").write_text(f"{error}\n")
        log.warning("What a stopped run left was %s; it is in %s", said, place)
        pipeline = make()
    pipeline.sync_destination()
    return pipeline, said


def true_cause(error: BaseException) -> BaseException:
    """What went wrong below dlt's step and resource errors."""
    while isinstance(error, PipelineStepFailed | ResourceExtractionError) and error.__cause__:
        error = error.__cause__
    return error


def _finish(
    pipeline: dlt.Pipeline,
    connection: duckdb.DuckDBPyConnection,
    announce: Callable[[Sequence[str]], None],
) -> str | None:
    """Load what a killed run extracted.

    A package of which a part was loaded goes only into a file that knows of it: in an older copy
    that part would be missing.

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
        jobs = pipeline.get_load_package_info(load_id).jobs
        begun = jobs["started_jobs"] or jobs["completed_jobs"]
        present = {job.job_file_info.table_name for kind in jobs.values() for job in kind}
        if missing := {*state[HAS_TABLES]} - present:
            raise ValueError(f"package {load_id} has no file for {', '.join(missing)}")
        if last != state.get(CONTINUES) or (begun and load_id not in begun_load_ids(connection)):
            raise ValueError(
                f"package {load_id} continues another copy of the file: {state.get(CONTINUES)} "
                f"was completed in that, the warehouse is at {last}"
            )
    log.info("Finishing the load package that a stopped run left")
    announce(load_ids := pipeline.list_normalized_load_packages())
    pipeline.load(raise_on_failed_jobs=True)
    with pipeline.sql_client() as sql:
        return f"finished, {StoredSummaries(sql).count_written(load_ids)} summaries"
