"""The official SDK as its documentation shows it: stream the list, store each as a JSON row."""

from __future__ import annotations

import json
import os
import re
import sys
from datetime import timedelta
from itertools import islice

import duckdb
import pyarrow as pa
from twilio.rest import Client

from tests.benchmarks.api import NOW
from tests.test_simulator import ToSimulator

PROPERTIES = re.findall(
    r"\w+",
    "conference_sid account_sid friendly_name create_time start_time end_time duration_seconds "
    "connect_duration_seconds status max_participants max_concurrent_participants "
    "unique_participants end_reason ended_by mixer_region mixer_region_requested "
    "recording_enabled detected_issues tags tag_info processing_state url links",
)


def load(path: str) -> None:
    http = ToSimulator(os.environ["SOURCES__TWILIO_INSIGHTS__BASE_URL"])
    login = os.environ["TWILIO_ACCOUNT_SID"], os.environ["TWILIO_AUTH_TOKEN"]
    listing = Client(*login, http_client=http).insights.v1.conferences.stream(
        created_after=(NOW - timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        created_before=NOW.strftime("%Y-%m-%dT%H:%M:%SZ"),
        page_size=1000,
    )
    with duckdb.connect(path) as db:
        db.execute("CREATE TABLE raw (conference_sid VARCHAR, summary JSON)")
        while batch := list(islice(listing, 10_000)):
            texts = [json.dumps({p: getattr(c, p) for p in PROPERTIES}, default=str) for c in batch]
            sids = [conference.conference_sid for conference in batch]
            arrived = pa.table({"conference_sid": sids, "summary": texts})
            assert arrived.num_rows
            db.execute("INSERT INTO raw SELECT * FROM arrived")


if __name__ == "__main__":
    load(sys.argv[1])
