"""Loading with dlt, which is imported only where there is something to load."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pipelines.run.pinned_dlt import make_pipeline
from pipelines.twilio_insights.extract.destination_state import loaded_packages
from pipelines.twilio_insights.extract.flatten import Tables
from pipelines.twilio_insights.settings import SECTION
from pipelines.twilio_insights.source import CONTINUES, HAS_TABLES, begun_package
from pipelines.warehouse.database import DATASET, PIPELINE
from pipelines.warehouse.warehouse import Warehouse

log = logging.getLogger("conference_insights")

SCHEMA = SECTION[-1]


class Loader:
    """dlt's pipeline of one run.

    Args:
        warehouse: that is held.
        begin: called with the name of each step.
        announce: called with the ids of the packages that are about to be loaded.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        begin: Callable[[str], None],
        announce: Callable[[Sequence[str]], None],
    ) -> None:
        self._begin, self._announce = begin, announce
        self._query, self._alone = warehouse.query, warehouse.alone
        self._pipeline = make_pipeline(
            PIPELINE, warehouse.destination(), DATASET, warehouse.working_folder
        )

    def load(self, batches: Iterable[Tables]) -> None:
        """Write what is handed out as one load package."""
        self._pipeline.extract(begun_package(batches, loaded_packages(self._query)))
        self._begin("normalize")
        self._pipeline.normalize()
        self._load()

    def finish(self) -> str | None:
        """Load what a killed run extracted, if it continues what the warehouse holds; what became
        of it, None if it was loaded already.

        Raises:
            Exception: whatever dlt meets in a package that is damaged or cannot be loaded.
        """
        pipeline: Any = self._pipeline
        for load_id in pipeline.list_extracted_load_packages():
            # dlt deletes what it extracted once it is normalized; a kill may leave half of it.
            if load_id in pipeline.list_normalized_load_packages():
                shutil.rmtree(Path(pipeline.working_dir, "normalize", "extracted", load_id))
        pipeline.default_schema_name = SCHEMA  # a kill may leave a package before dlt notes that
        pipeline.normalize()
        left = pipeline.list_normalized_load_packages()
        load_ids = [load_id for load_id in left if not self._has_package(load_id)]
        for load_id in load_ids:
            self._expect_whole(load_id)
        if not load_ids:
            return None
        log.info("Finishing the load package that a stopped run left")
        pipeline.sync_schema()  # the folder may say that it was done in a log that is lost
        self._load()
        marks = ", ".join(["%s"] * len(load_ids))
        written = f"SELECT count(*) FROM {{conference_summaries}} WHERE _dlt_load_id IN ({marks})"
        return f"finished, {self._query(written, *load_ids)[0][0]} summaries"

    def _load(self) -> None:
        self._announce(self._pipeline.list_normalized_load_packages())
        with self._alone():
            self._pipeline.load(raise_on_failed_jobs=True)

    def _has_package(self, load_id: str) -> bool:
        return bool(self._query("SELECT 1 FROM {_dlt_loads} WHERE load_id = %s", load_id))

    def _expect_whole(self, load_id: str) -> None:
        state: Any = self._pipeline.get_load_package_state(load_id)
        jobs = self._pipeline.get_load_package_info(load_id).jobs
        present = {job.job_file_info.table_name for kind in jobs.values() for job in kind}
        if missing := {*state[HAS_TABLES]} - present:
            raise ValueError(f"package {load_id} has no file for {', '.join(missing)}")
        loaded = loaded_packages(self._query)
        # Earlier versions noted the highest id alone.
        if state.get(CONTINUES) not in (loaded, loaded and loaded.rpartition(" ")[2]):
            raise ValueError(
                f"package {load_id} continues another copy of the file: {state.get(CONTINUES)} "
                f"was completed in that, the warehouse is at {loaded}"
            )
