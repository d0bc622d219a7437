"""dlt's own `rest_api` source with Parquet files: one listing, merged by SID."""

from __future__ import annotations

import os
import sys
from datetime import timedelta

import dlt
from dlt.sources.rest_api import rest_api_source

from tests.benchmarks.api import NOW


def load(path: str) -> None:
    source = rest_api_source(
        {
            "client": {
                "base_url": os.environ["SOURCES__TWILIO_INSIGHTS__BASE_URL"] + "/v1/",
                "auth": {
                    "type": "http_basic",
                    "username": os.environ["TWILIO_ACCOUNT_SID"],
                    "password": os.environ["TWILIO_AUTH_TOKEN"],
                },
                "paginator": {"type": "json_link", "next_url_path": "meta.next_page_url"},
            },
            "resources": [
                {
                    "name": "conferences",
                    "primary_key": "conference_sid",
                    "write_disposition": "merge",
                    "endpoint": {
                        "path": "Conferences",
                        "data_selector": "conferences",
                        "params": {
                            "PageSize": 1000,
                            "CreatedAfter": f"{NOW - timedelta(days=30):%Y-%m-%dT%H:%M:%SZ}",
                            "CreatedBefore": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
                        },
                    },
                }
            ],
        }
    )
    pipeline = dlt.pipeline("rest_api", destination=dlt.destinations.duckdb(path), dataset_name="a")
    pipeline.run(source, loader_file_format="parquet")


if __name__ == "__main__":
    load(sys.argv[1])
