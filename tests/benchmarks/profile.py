"""One run of the program that tells where its time went: `python -m tests.benchmarks.profile run`.

Seconds of each part without the parts inside it; of `fetch` and `decode`, which threads share,
the sum over threads.
"""

from __future__ import annotations

import functools
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

START = time.perf_counter()
seconds: dict[str, float] = defaultdict(float)
_inside = threading.local()


def measured(owner: Any, name: str, part: str | Callable[..., str]) -> None:
    """Count the time that the owner's method or function takes as that part's."""
    real = getattr(owner, name)

    @functools.wraps(real)
    def timed(*args: Any, **kwargs: Any) -> Any:
        before, outer = time.perf_counter(), getattr(_inside, "taken", 0.0)
        _inside.taken = 0.0
        try:
            return real(*args, **kwargs)
        finally:
            whole = time.perf_counter() - before
            key = part if isinstance(part, str) else part(*args)
            seconds[key] += whole - _inside.taken
            _inside.taken = outer + whole

    setattr(owner, name, timed)


def measure() -> None:
    import dlt
    from dlt.common.data_writers.writers import ArrowToParquetWriter

    from pipelines.run import pipeline
    from pipelines.twilio_insights.api import decoding, transport
    from pipelines.twilio_insights.extract import acceptance, destination_state, flatten, records
    from pipelines.warehouse.file import one_transaction, warehouse_file

    measured(transport.Transport, "get", "fetch")
    measured(decoding.PageDecoder, "decode", "decode")
    measured(records, "digest", "digest")
    measured(flatten, "flatten", "flatten")
    measured(acceptance.Acceptor, "accept_window", "accept")
    measured(destination_state.DestinationState, "versions", "look up")
    measured(dlt.Pipeline, "extract", "extract")
    measured(ArrowToParquetWriter, "write_data", "write parquet")
    measured(dlt.Pipeline, "normalize", "normalize")
    measured(dlt.Pipeline, "load", "load, the rest")
    measured(one_transaction.PackageClient, "_merge", "merge")
    measured(warehouse_file.DuckDbWarehouse, "checkpoint", "checkpoint")
    measured(pipeline, "run_post_load", "views, checks, publish")
    measured(warehouse_file, "open_warehouse", "open warehouse")


if __name__ == "__main__":
    from pipelines.cli import command_line

    begin = time.perf_counter()
    measure()
    seconds["imports"] = time.perf_counter() - begin
    try:
        command_line.main()
    finally:
        whole = time.perf_counter() - START
        print(json.dumps({"whole": whole} | seconds), file=sys.stderr)
