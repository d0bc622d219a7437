"""Figures of what a warehouse holds, taken by each run so that nobody needs to open the file."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from pipelines.lifecycle import RETENTION
from pipelines.times import naive_utc
from pipelines.warehouse.database import DATASET, Database, StatementError
from pipelines.warehouse.definitions import PENDING, TABLES
from pipelines.warehouse.sql import identifier, quoted
from pipelines.warehouse.views import OUR_TABLES
from pipelines.warehouse.warehouse import WarehouseError

HOUR = timedelta(hours=1)
AGES = {
    "under 1 h": HOUR,
    "1 to 24 h": 24 * HOUR,
    "1 to 3 days": timedelta(days=3),
    "3 to 27 days": timedelta(days=27),
    f"27 to {RETENTION.days} days": RETENTION,
}
"""Twilio makes a summary final within 24 hours of the conference's end, if ever."""
EXPIRED = "expired"
REFUSED_ERROR = "RefusedError"
"""The error class of an account that Twilio refuses."""
MAX_FAILURES = 100
"""Accounts whose errors are kept in the status."""
DRIFT_SHOWN_FOR = timedelta(days=7)


def take_snapshot(database: Database, now: datetime) -> dict[str, Any]:
    """Rows by table, `rows`; what is not final by age, `unfinished`, with how many of them are
    `waiting` after a 404, and until when at least, `next_try`; `checks` that found something; the
    `drift` of the last week; `other_hash_key`, whether the last run that hashed personal data had
    another key than the one before; `watermarks` by account; `last_error`, the error class of the
    last run that finished, None if it succeeded. Empty if nothing was loaded yet.
    """
    tables = {name.partition(".")[2]: of for name, of in database.columns(DATASET).items()}
    tables = {name: of for name, of in tables.items() if not name.startswith("_dlt")}
    of_us = {name for name in TABLES if "_dlt_load_id" in tables.get(name, ())} | OUR_TABLES.keys()
    names = [name for name in tables if name in of_us]
    if not {"conference_summaries", "_refetches"}.issubset(names):
        return {}
    if "key" not in tables["_refetches"]:  # of an earlier version, as long as no run has mended it
        return {}
    counts = " UNION ALL ".join(
        f"SELECT {quoted(name)} AS name, count(*) FROM {DATASET}.{name}" for name in names
    )
    created = "coalesce(s.create_time, s.fetched_at)"
    by_age = " ".join(
        f"WHEN {created} > $now - INTERVAL '{age // HOUR}' HOUR THEN '{name}'"
        for name, age in AGES.items()
    )
    unfinished = database.records(
        f"SELECT CASE {by_age} ELSE '{EXPIRED}' END AS age, count(*) AS conferences, "
        "count(r.next_due_at) AS waiting, min(r.next_due_at) AS next_try "
        f"FROM {DATASET}.conference_summaries AS s "
        f"LEFT JOIN {DATASET}._refetches AS r ON r.key = s.conference_sid "
        f"AND r.resource = 'conferences' WHERE {PENDING} GROUP BY 1",
        {"now": naive_utc(now)},
    )
    order = [*AGES, EXPIRED]
    checks = (
        "SELECT check_name, level, sentence, violations, sample, failing_since "
        f"FROM {DATASET}._checks WHERE violations > 0 ORDER BY level, check_name"
    )
    drift = f"SELECT drift FROM {DATASET}._runs WHERE drift IS NOT NULL AND started_at > $since"
    drifts = database.execute(drift, {"since": naive_utc(now) - DRIFT_SHOWN_FOR})
    last_listed = f"""
        SELECT account_sid, loaded_to FROM {DATASET}._runs WHERE loaded_to IS NOT NULL
        QUALIFY row_number() OVER (PARTITION BY account_sid ORDER BY started_at DESC) = 1
    """
    has_accounts = "accounts" in names
    watermarks = database.records(_LISTED) if has_accounts else []
    ended = f"""
        SELECT error_class FROM {DATASET}._runs WHERE outcome IN ('ok', 'pending', 'failed')
        ORDER BY started_at DESC LIMIT 1
    """
    hashed = f"""
        SELECT hash_key_check FROM {DATASET}._runs
        WHERE personal_data = 'hash' ORDER BY started_at DESC LIMIT 2
    """
    keys = database.execute(hashed) if "hash_key_check" in tables.get("_runs", ()) else []
    return {
        "watermarks": watermarks or database.records(last_listed),
        "accounts": _accounts(database, now) if has_accounts else {},
        "last_error": next((error for (error,) in database.execute(ended)), None),
        "rows": dict(database.execute(f"{counts} ORDER BY name"))
        | _count_others(database, tables.keys() - {*names}),
        "unfinished": sorted(unfinished, key=lambda row: order.index(row["age"])),
        "checks": database.records(checks) if "_checks" in names else [],
        "other_hash_key": len({*keys}) > 1,
        "drift": {name: sid for (run,) in drifts for name, sid in json.loads(run).items()},
    }


def _count_others(database: Database, names: Collection[str]) -> dict[str, int]:
    """What users have put there, as far as this role may read it."""
    counts = {}
    for name in sorted(names):
        with suppress(StatementError, WarehouseError):
            counted = f"SELECT count(*) FROM {DATASET}.{identifier(name)}"
            counts[name] = database.execute(counted)[0][0]
    return counts


_LISTED = f"""
    SELECT account_sid, listed_to AS loaded_to FROM {DATASET}.accounts
    WHERE listed_to IS NOT NULL AND left_at IS NULL
    AND error_class IS DISTINCT FROM '{REFUSED_ERROR}'
"""


def _accounts(database: Database, now: datetime) -> dict[str, Any]:
    """How many are `followed`, and how many of these are `failing`; the `failures`; and the
    accounts that `left` more than a day ago, with how many of their conferences stay pending."""
    ((followed, failing),) = database.execute(
        f"SELECT count(*), count(last_error) FROM {DATASET}.accounts WHERE left_at IS NULL"
    )
    failures = (
        "SELECT account_sid, friendly_name, error_class, failing_since, asked_at, last_error "
        f"FROM {DATASET}.accounts WHERE left_at IS NULL AND last_error IS NOT NULL "
        f"ORDER BY failing_since, account_sid LIMIT {MAX_FAILURES}"
    )
    left = (
        "SELECT a.account_sid, a.friendly_name, a.left_at, count(*) AS pending "
        f"FROM {DATASET}.accounts AS a JOIN {DATASET}.conference_summaries AS s "
        "ON s.account_sid = a.account_sid WHERE a.left_at < $yesterday AND "
        f"{PENDING} AND coalesce(s.create_time, s.fetched_at) >= $oldest GROUP BY 1, 2, 3 "
        "ORDER BY 1"
    )
    moment = naive_utc(now)
    return {
        "followed": followed,
        "failing": failing,
        "failures": database.records(failures),
        "left": database.records(
            left, {"yesterday": moment - timedelta(days=1), "oldest": moment - RETENTION}
        ),
    }
