"""The load packages of one run: read from the API, written where there is something to write."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import datetime
from functools import cached_property
from itertools import chain
from threading import Thread
from typing import TYPE_CHECKING

from pipelines.run.migrations import migrate_tables
from pipelines.run.recovery import recover_package
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.extract.accounts import Accounts
from pipelines.twilio_insights.extract.by_parent import readers
from pipelines.twilio_insights.extract.comparison import Comparison
from pipelines.twilio_insights.extract.destination_state import DestinationState
from pipelines.twilio_insights.extract.extraction import Extraction
from pipelines.twilio_insights.extract.scope import Scope
from pipelines.twilio_insights.progress import Progress
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.twilio_insights.tables import TABLES
from pipelines.warehouse.runs import RunRecord
from pipelines.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    from pipelines.run.loading import Loader
    from pipelines.twilio_insights.extract.flatten import Tables

log = logging.getLogger("conference_insights")

MAX_NAMED = 10
"""Accounts that could not be read have a line each in the log, up to so many."""
PACKAGE_ROWS = 120_000
"""Summaries of a load package, about, when a long catch-up advances package by package: a little
less than two row groups, or DuckDB would write what is left over, and its neighbours, once more."""


class Packages:
    """The load packages of one run. To create it migrates the tables, and loads or sets aside what
    a killed run left.

    Args:
        warehouse: held by this run.
        client: reads the API; its `progress` is kept up to date.
        record: is told of each step.
        comparison: is told of what is read; unless it repairs, nothing is loaded, not even what a
            killed run left.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        client: InsightsClient,
        record: RunRecord,
        comparison: Comparison | None = None,
    ) -> None:
        self.warehouse, self.client, self._record = warehouse, client, record
        self._comparison = comparison
        self._progress = client.progress
        self._progress.on_change = self._expecting_warehouse(self._progress.on_change)
        record.phase("prepare")
        with warehouse.alone():
            migrate_tables(warehouse)
            warehouse.prepare_indexes({table.name: table.key for table in TABLES})
        if comparison is None or comparison.repair:
            self._progress.left_package = recover_package(
                warehouse, lambda: self._make_loader(self._note_loading)
            )
        if self._progress.left_package:  # which a version without regions may have written
            warehouse.query("UPDATE {_watermarks} SET region = '' WHERE region IS NULL")
        self.stored = DestinationState(warehouse.query, CONFERENCES)
        self.accounts = Accounts(client, warehouse.query, CONFERENCES, warehouse.is_shared)
        self.extraction = Extraction(
            client, CONFERENCES, self.stored, self.accounts, PACKAGE_ROWS, comparison
        )
        self._progress.filters = client.settings.shown_filters
        self._progress.loaded_to = self.accounts.loaded_to

    def close(self) -> None:
        self.extraction.close()

    def _expecting_warehouse(self, show: Callable[[Progress], None]) -> Callable[[Progress], None]:
        """Read no more of the API once the warehouse is gone that it is to be loaded into."""

        def on_change(progress: Progress) -> None:
            self.warehouse.expect_connected()
            show(progress)

        return on_change

    def find_accounts(self) -> datetime:
        """Find out which accounts are to be loaded; the API's time.

        Raises:
            InsightsError: the API does not tell what time it is.
        """
        accounts = self.accounts
        now = accounts.read()
        self._progress.accounts = len(accounts.followed)
        self.warehouse.hold_accounts(accounts.followed)
        had = accounts.known_before
        if not had:  # all that is listed will be loaded
            Thread(target=_import_early, name="import").start()
        if accounts.is_own_alone and had and accounts.own not in had:
            others = ", ".join(sorted(had))
            log.warning("%s is a new account in this warehouse, which has %s", accounts.own, others)
        return now

    def note_failures(self) -> None:
        """Name the accounts that could not be read."""
        self._progress.accounts_failed = self.accounts.failed
        if not self.accounts.is_own_alone:
            described = self.accounts.describe_failures()
            self._progress.failures = [*described]
            for name in self._progress.failures[:MAX_NAMED]:
                log.warning("Not loaded: %s: %s", name, described[name])

    def load(self, scope: Scope) -> None:
        """Read the next package and load it as a whole."""
        self._load(self.extraction.package(scope, may_be_empty=True))

    def load_by_parent(self, only: Sequence[str] = ()) -> None:
        """Load the resources that are listed by the records of others; what cannot be had of an
        account is noted as its failure.

        Args:
            only: the records, if not all that are due.
        """
        of_warehouse = self.client, self.warehouse.query, self.accounts
        for reader in readers(*of_warehouse, PACKAGE_ROWS, only, self._comparison):
            with closing(reader):
                while not (reader.complete or self.client.stop.is_set()):
                    self._load(reader.package())
                reader.note_waiting()

    def _load(self, batches: Iterator[Tables]) -> None:
        self._record.phase("extract")
        with self._progress.package():
            if (first := next(batches, None)) is not None:
                self._loader.load(chain((first,), batches))
        if first is not None:
            self.warehouse.checkpoint()
            if self.extraction.complete:
                self.stored.forget()
            else:
                gc.collect()  # dlt's sources are cycles that hold the rows of their package
        self._progress.loaded_to = self.accounts.loaded_to

    @cached_property
    def _loader(self) -> Loader:
        return self._make_loader(self._prefetch_while_loading)

    def _make_loader(self, announce: Callable[[Sequence[str]], None]) -> Loader:
        return _loader_class()(self.warehouse, self._record.phase, announce)

    def _prefetch_while_loading(self, load_ids: Sequence[str]) -> None:
        self._note_loading(load_ids)
        self.extraction.prefetch_more()

    def _note_loading(self, load_ids: Sequence[str]) -> None:
        self._progress.load_ids += load_ids
        self._record.phase("load")


def _import_early() -> None:
    with suppress(Exception):  # it shows when the loader is needed
        _loader_class()


def _loader_class() -> type[Loader]:
    from pipelines.run.loading import Loader  # brings dlt, which takes half a second

    return Loader
