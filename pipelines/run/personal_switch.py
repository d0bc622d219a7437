"""The switch of `personal_data`: what earlier runs have kept, or hashed, is rewritten once.

If a run is killed meanwhile, no row in `_runs` has the new setting yet. So the next one begins
again, and finds only what is left to do.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pipelines.twilio_insights.extract.personal import COLUMNS, PersonalData, unmasked
from pipelines.twilio_insights.tables import DRIFT, REJECTED_ROWS, Column
from pipelines.warehouse.database import DATASET, Database
from pipelines.warehouse.runs import RUNS_TABLE
from pipelines.warehouse.warehouse import Warehouse

log = logging.getLogger("conference_insights")

REWRITTEN = {("keep", "hash"), ("keep", "drop"), ("hash", "drop")}
"""Changes of the mode, from and to, for which stored data is rewritten; any other change applies
only to what is loaded from now on."""
PAST = {"keep": "kept", "hash": "hashed", "drop": "dropped"}
SIZES = ((1_000, 50_000), (100_000, 500), (2**31 - 1, 5))
"""Texts up to how long, and how many of them are rewritten with one statement."""
_DRIFT, _REJECTED = (f"{DATASET}.{table.name}" for table in (DRIFT, REJECTED_ROWS))


class Treated(NamedTuple):
    """What the last run that noted it did to personal data, and with which key."""

    mode: str = "keep"
    key_check: str | None = None


def rewrite_personal_data(
    warehouse: Warehouse, personal: PersonalData, forget: Callable[[], None]
) -> bool:
    """Do to what is stored as the setting says, where it has changed, and say what cannot be done;
    whether something was to be rewritten.

    Args:
        warehouse: that is held, with the package loaded that a killed run left.
        personal: as it is set now.
        forget: leaves nothing of what was overwritten, wherever else it was kept.
    """
    if not warehouse.query("SELECT 1 FROM {_dlt_loads} LIMIT 1"):
        return False
    before, mode = last_treated(warehouse), personal.mode
    if is_rewritten := (before.mode, mode) in REWRITTEN:
        log.info("personal_data = %s: what is stored is rewritten, once", mode)
        with warehouse.alone():
            for _ in _steps(warehouse, personal):
                warehouse.checkpoint()
        forget()
        warehouse.execute(
            f"UPDATE {RUNS_TABLE} SET personal_data = ?, hash_key_check = ? "
            f"WHERE started_at = (SELECT max(started_at) FROM {RUNS_TABLE})",
            [mode, personal.key_check],
        )
        log.info(
            "Personal data is %s in the warehouse, and in the copies and the lake that are set",
            PAST[mode],
        )
    elif before.mode != mode:
        log.warning(
            "personal_data = %s from now on; what earlier runs have %s stays so",
            mode,
            PAST[before.mode],
        )
    elif before.key_check != personal.key_check:
        log.warning(
            "hash_key is another one than before: what is loaded from now on has other hashes than "
            "the same values that are stored. Put the former key back if that is a mistake"
        )
    return is_rewritten


def last_treated(database: Database) -> Treated:
    found = database.execute(
        f"SELECT personal_data, hash_key_check FROM {RUNS_TABLE} "
        "WHERE personal_data IS NOT NULL ORDER BY started_at DESC LIMIT 1"
    )
    return Treated(*found[0]) if found else Treated()


def _steps(database: Database, personal: PersonalData) -> Iterator[None]:
    """Rewrite step by step. After each step the tables are consistent and may be checkpointed."""
    for name, columns in COLUMNS.items():
        for column in columns:
            yield from _rewrite(database, f"{DATASET}.{name}", column, personal)
    _rewrite_reasons(database, personal)
    _rewrite_drift(database, personal)
    yield


def _rewrite(
    database: Database, table: str, column: Column, personal: PersonalData
) -> Iterator[None]:
    name, rest = f'"{column.name}"', unmasked(column, personal.mode)
    if personal.mode == "drop":
        dropped = "NULL" if column.nullable else "'null'"
        database.execute(f"UPDATE {table} SET {name} = {dropped} WHERE {rest}")
        yield
        return
    for longest, at_once in SIZES:
        found = f"SELECT DISTINCT {name} FROM {table} WHERE {rest} AND length({name}) <= {longest}"
        while rows := database.execute(f"{found} LIMIT {at_once}"):
            values = [text for (text,) in rows]
            database.execute(
                f"UPDATE {table} AS t SET {name} = n.masked FROM (SELECT unnest(?::VARCHAR[]) AS "
                f"former, unnest(?::VARCHAR[]) AS masked) AS n WHERE t.{name} = n.former",
                [values, [personal.of_column(column, text) for text in values]],
            )
            yield


def _rewrite_reasons(database: Database, personal: PersonalData) -> None:
    """Of why something could not be loaded, which may quote what it was."""
    for table, column in ((_REJECTED, "reason"), (RUNS_TABLE, "left_package")):
        for (text,) in database.execute(
            f"SELECT DISTINCT {column} FROM {table} WHERE strpos({column}, ':') > 0"
        ):
            database.execute(
                f"UPDATE {table} SET {column} = ? WHERE {column} = ?", [personal.reason(text), text]
            )


def _rewrite_drift(database: Database, personal: PersonalData) -> None:
    """The names of unknown fields, which may be anything."""
    with database.transaction():
        for account, name in database.execute(f"SELECT account_sid, name FROM {_DRIFT}"):
            if (masked := personal.drift(name)) != name:
                here = f"SELECT 1 FROM {_DRIFT} WHERE account_sid = ? AND name = ?"
                change = f"UPDATE {_DRIFT} SET name = ? WHERE account_sid = ? AND name = ?"
                if database.execute(here, [account, masked]):
                    database.execute(
                        f"DELETE FROM {_DRIFT} WHERE account_sid = ? AND name = ?", [account, name]
                    )
                else:
                    database.execute(change, [masked, account, name])
        for run, text in database.execute(
            f"SELECT run_id, drift FROM {RUNS_TABLE} WHERE drift IS NOT NULL"
        ):
            masked = json.dumps(
                {personal.drift(name): sid for name, sid in json.loads(text).items()}
            )
            if masked != text:
                database.execute(
                    f"UPDATE {RUNS_TABLE} SET drift = ? WHERE run_id = ?", [masked, run]
                )
