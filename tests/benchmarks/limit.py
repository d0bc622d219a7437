"""The bare limit: fetch concurrently, decode, Arrow into DuckDB; no merge, no state, no mercy.

It takes the API at its word, would stop at any fault, and cannot be run twice. What it loads are
the same four tables.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import httpx
import orjson
import pyarrow as pa

ROOT = pa.schema(
    [
        *((name, pa.string()) for name in ("conference_sid", "account_sid", "friendly_name")),
        *((name, pa.timestamp("us", "UTC")) for name in ("create_time", "start_time", "end_time")),
        *((name, pa.int64()) for name in ("duration_seconds", "connect_duration_seconds")),
        ("status", pa.string()),
        ("max_participants", pa.int64()),
        ("max_concurrent_participants", pa.int64()),
        ("unique_participants", pa.int64()),
        *((name, pa.string()) for name in ("end_reason", "ended_by", "mixer_region")),
        ("mixer_region_requested", pa.string()),
        ("recording_enabled", pa.bool_()),
        *((name, pa.string()) for name in ("processing_state", "url", "links")),
    ]
)
BATCH = 10


def load(url: str, login: tuple[str, str], path: str, windows: int, concurrency: int) -> None:
    end = datetime(2026, 11, 20, 12, tzinfo=UTC)
    span = timedelta(days=30) / windows
    with httpx.Client(auth=login, timeout=30) as http, duckdb.connect(path) as db:

        def pages(number: int) -> list[dict[str, pa.Table]]:
            bounds = [end - span * (windows - n) for n in (number, number + 1)]
            after, before = (bound.strftime("%Y-%m-%dT%H:%M:%SZ") for bound in bounds)
            at = f"{url}/v1/Conferences?PageSize=1000&CreatedAfter={after}&CreatedBefore={before}"
            found = []
            while at:
                body = orjson.loads(http.get(at).content)
                found.append(flatten(body["conferences"]))
                at = body["meta"]["next_page_url"]
            return found

        loaded: set[str] = set()
        with ThreadPoolExecutor(concurrency) as pool:
            for batch in _batches(pool.map(pages, range(windows))):
                for name in batch[0]:
                    arrived = db.from_arrow(pa.concat_tables(part[name] for part in batch))
                    if name in loaded:
                        arrived.insert_into(name)
                    else:
                        arrived.create(name)
                        loaded.add(name)


def _batches(windows: Iterator[list[Any]]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for found in windows:
        batch += found
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def flatten(rows: list[dict[str, Any]]) -> dict[str, pa.Table]:
    for row in rows:
        row["links"] = orjson.dumps(row["links"]).decode()
    columns = [[row[name] for row in rows] for name in ROOT.names]
    arrays = [
        pa.array(values, pa.string()).cast(kind)
        if pa.types.is_timestamp(kind)
        else pa.array(values, kind)
        for values, kind in zip(columns, ROOT.types, strict=True)
    ]
    tags = [(row["conference_sid"], tag) for row in rows for tag in row["tags"] or ()]
    issues = [
        (row["conference_sid"], issue, count)
        for row in rows
        for issue, count in (row["detected_issues"] or {}).items()
    ]
    info = [
        (row["conference_sid"], tag, orjson.dumps(value).decode())
        for row in rows
        for tag, value in (row["tag_info"] or {}).items()
    ]
    return {
        "conference_summaries": pa.Table.from_arrays(arrays, schema=ROOT),
        "conference_tags": _table(tags, conference_sid=pa.string(), tag=pa.string()),
        "conference_tag_info": _table(
            info, conference_sid=pa.string(), tag=pa.string(), details=pa.string()
        ),
        "conference_detected_issues": _table(
            issues, conference_sid=pa.string(), issue=pa.string(), issue_count=pa.int64()
        ),
    }


def _table(rows: list[tuple[Any, ...]], **types: pa.DataType) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(types)
    schema = pa.schema(types.items())
    return pa.Table.from_arrays(
        [pa.array(values, kind) for values, kind in zip(columns, schema.types, strict=True)],
        schema=schema,
    )


if __name__ == "__main__":
    login = os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"]
    base = os.environ["SOURCES__TWILIO_INSIGHTS__BASE_URL"]
    load(base, login, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
