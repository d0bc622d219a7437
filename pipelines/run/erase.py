"""The command that erases: everything of a conference, of somebody, or older than an age."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from pipelines.run.destination import (
    expect_existing,
    nothing_in,
    publish_settings,
    warehouse_place,
)
from pipelines.run.erasures import Subject, erase_rows, finish_erasures
from pipelines.run.migrations import migrate_tables
from pipelines.run.personal_switch import last_treated
from pipelines.run.pipeline import unwrap_errors
from pipelines.run.post_load import forget_former, is_loaded
from pipelines.run.recovery import recover_package
from pipelines.run.settings import personal_data
from pipelines.twilio_insights.extract.personal import PersonalData
from pipelines.twilio_insights.progress import Progress
from pipelines.twilio_insights.tables import ERASURES, TABLES
from pipelines.warehouse.database import DATASET, Database
from pipelines.warehouse.runs import RUNS_TABLE, RunRecord
from pipelines.warehouse.status_files import STATUS, StatusFiles
from pipelines.warehouse.warehouse import BusyError, Warehouse, WarehouseError

log = logging.getLogger("conference_insights")


class Found(NamedTuple):
    """How many rows or values of a subject there were, by table, and whether all could be compared:
    of values that were hashed with a key that is not set now, nobody can tell."""

    counts: Counter[str]
    is_all: bool


def count_erasable(subject: Subject) -> Found:
    """What would go; nothing is written.

    Raises:
        WarehouseError: nothing is loaded yet, or an earlier version has loaded it.
        BusyError: a run holds the warehouse.
        SettingsError: one is wrong.
    """
    place, personal = warehouse_place(), personal_data()
    expect_existing(place)
    with place.read() as database:
        present = database.columns(DATASET)
        if not is_loaded(database):
            raise nothing_in(place)
        needed = {f"{DATASET}.{table.name}" for table in TABLES if table != ERASURES}
        if needed - present.keys():
            raise WarehouseError(
                f"{place} is of an earlier version: `conference-insights publish` brings it up to "
                "date"
            )
        is_all = _can_compare_all(database, subject, personal)
        subject = subject.with_age_resolved(database)
        return Found(subject.count(database, personal), is_all)


def erase(subject: Subject, stop: threading.Event) -> Found:
    """Erase it from warehouse, copies, lake and working folder; return what was erased.

    Raises:
        WarehouseError: nothing is loaded yet, or it cannot be used.
        BusyError: a run holds the warehouse, or loads into it.
        SettingsError, ViewError, PublishError, LakeError: as in a run; the next command goes on.
    """
    place, progress = warehouse_place(), Progress("erase")
    expect_existing(place)
    files = StatusFiles(place.path) if place.path else None
    with RunRecord(files, progress, stop) as record, unwrap_errors(place, stop):
        delivery, personal = publish_settings(place), personal_data()
        with suppress(WarehouseError):  # one that cannot be read is written anew
            record.settings = files.read(STATUS).get("settings", {}) if files else {}
        record.settings |= delivery.noted(place)
        with place.open() as warehouse:
            if not is_loaded(warehouse):
                raise nothing_in(place)
            with record.kept_in(warehouse), unwrap_errors(place, stop):
                _prepare(warehouse, record, progress)
                subject = subject.with_age_resolved(warehouse)
                record.phase("erase")
                is_all = _can_compare_all(warehouse, subject, personal)
                with warehouse.alone():
                    counts = erase_rows(warehouse, subject, personal, progress.run_id)
                record.look(warehouse)  # what it has told of runs may name the same
                record.phase("forget")
                finish_erasures(warehouse, partial(forget_former, warehouse, delivery))
    return Found(counts, is_all)


def _prepare(warehouse: Warehouse, record: RunRecord, progress: Progress) -> None:
    """Bring the tables up to date, and load what a killed run left, which may have the same."""
    from pipelines.run.loading import Loader  # brings dlt

    with warehouse.alone():
        migrate_tables(warehouse)
        warehouse.prepare_indexes({table.name: table.key for table in TABLES})
    accounts = warehouse.query(
        "SELECT account_sid FROM {accounts} UNION SELECT account_sid FROM {conference_summaries}"
    )
    warehouse.hold_accounts([account for (account,) in accounts if account])
    running = f"SELECT run_id, account_sid FROM {RUNS_TABLE} WHERE outcome = 'running'"
    for run, account in warehouse.execute(running):  # an account's first one is of none of these
        if run != progress.run_id and warehouse.is_at_work(run):
            raise BusyError(
                f"A run of {account or 'an account'} is at work in {warehouse.name} and may have "
                "read what is to be erased: erase again later"
            )
    progress.left_package = recover_package(
        warehouse, lambda: Loader(warehouse, record.phase, progress.load_ids.extend)
    )


def _can_compare_all(database: Database, subject: Subject, personal: PersonalData) -> bool:
    """Whether no values were hashed with a key that is not set, which hides whom they are of; a
    warning says so."""
    is_known = "hash_key_check" in database.columns(DATASET).get(RUNS_TABLE, ())
    if subject.identity is None or not is_known or last_treated(database).mode == "drop":
        return True
    keys = f"SELECT DISTINCT hash_key_check FROM {RUNS_TABLE} WHERE hash_key_check IS NOT NULL"
    own = PersonalData("hash", personal.hash_key).key_check if personal.hash_key else None
    if not {key for (key,) in database.execute(keys)} - {own}:
        return True
    how = "with another hash_key than is set now" if own else "and no hash_key is set"
    log.warning(
        "Values were hashed %s: whether they are of this identity cannot be seen. Set hash_key as "
        "it was, and erase again",
        how,
    )
    return False
