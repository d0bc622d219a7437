"""A Spark cluster of processes on loopback, and programs that are its drivers.

It takes Java, as of Debian's `openjdk-17-jre-headless`. All processes end with the one that
started them, however that ends.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.beside import install_beside

ROOT = Path(__file__).parents[1]
WITH_US = ("setpriv", "--pdeathsig", "KILL")
BEGIN = """
import json, os, sys, time
from pyspark.sql import SparkSession
from pipelines.lake_spark import read, register
builder = SparkSession.builder.master(os.environ.get("MASTER", "local[2]"))
for name, value in {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.session.timeZone": "Asia/Tokyo",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    **json.loads(os.environ.get("SPARK_SETTINGS", "{}")),
}.items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
given = json.loads(sys.stdin.readline())
def rows(view):
    shown = lambda value: value if value is None else str(value)
    return [[*map(shown, row)] for row in spark.table(view).collect()]
def tell(found):
    print(json.dumps(found), flush=True)
"""
"""Of every driver: a session, in whose time zone no views are made."""


def pyspark_folder() -> Path:
    return install_beside("pyspark-4.3.0", "pyspark==4.3.0", "py4j==0.10.9.9")


@contextmanager
def driver(program: str, *given: Any, **env: str) -> Iterator[subprocess.Popen[str]]:
    """A driver, which is told `given` and tells JSON, a line each."""
    own = {"PYTHONPATH": f"{pyspark_folder()}:{ROOT}", "TZ": "UTC", "SPARK_LOCAL_IP": "127.0.0.1"}
    started = subprocess.Popen(
        [*WITH_US, sys.executable, "-c", BEGIN + program],
        env=os.environ | own | env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with started, _ended(started):
        assert started.stdin
        print(json.dumps(given), file=started.stdin, flush=True)
        yield started


def told(started: subprocess.Popen[str]) -> Any:
    """What a driver tells next."""
    assert started.stdout
    line = started.stdout.readline()
    assert line, f"it ended with {started.wait()}"
    return json.loads(line)


class SparkCluster:
    """A master and workers with a core each.

    A worker and its executor are a group of processes, whose number is in `workers`.
    """

    def __init__(self, master: str, workers: list[int], memory: str) -> None:
        self.workers = workers
        settings = {
            "spark.executor.memory": memory,
            "spark.cores.max": str(len(workers)),
            "spark.scheduler.minRegisteredResourcesRatio": "1",
            "spark.scheduler.maxRegisteredResourcesWaitingTime": "120s",
        }
        self.environment = {"MASTER": master, "SPARK_SETTINGS": json.dumps(settings)}
        """Of its drivers, which begin when all workers are there."""


@contextmanager
def spark_cluster(folder: Path, workers: int = 2, memory: str = "600m") -> Iterator[SparkCluster]:
    """Start one, with its files in the folder; all its processes end with the block."""
    processes = list[subprocess.Popen[bytes]]()
    with _all_ended(processes):
        processes.append(_start(folder / "master", "master.Master"))
        said = r"Starting Spark master at (spark://\S+)"
        master = _wait_for(folder / "master", said, processes[0])
        for number in range(workers):
            own = folder / f"worker{number}"
            resources = ["--cores", "1", "--memory", memory, "--work-dir", str(own)]
            processes.append(_start(own, "worker.Worker", *resources, master))
        for number, worker in enumerate(processes[1:]):
            _wait_for(folder / f"worker{number}", "Successfully registered", worker)
        yield SparkCluster(master, [worker.pid for worker in processes[1:]], memory)


def _start(folder: Path, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    folder.mkdir(parents=True)
    spark = pyspark_folder() / "pyspark"
    own = {
        "SPARK_HOME": str(spark),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(folder),
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_WORKER_OPTS": "-Dspark.worker.cleanup.enabled=true",
    }
    port = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
    with (folder / "log").open("w") as log:
        return subprocess.Popen(
            [
                *WITH_US,
                spark / "bin/spark-class",
                f"org.apache.spark.deploy.{name}",
                *port,
                *arguments,
            ],
            env=os.environ | own,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _wait_for(folder: Path, text: str, process: subprocess.Popen[bytes]) -> str:
    """What a process writes into its log."""
    deadline = time.monotonic() + 120
    while not (found := re.search(text, log := (folder / "log").read_text())):
        assert process.poll() is None, log
        assert time.monotonic() < deadline, log
        time.sleep(0.1)
    return found[found.re.groups]


@contextmanager
def _all_ended(processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    try:
        yield
    finally:
        for process in reversed(processes):
            with _ended(process):
                pass


@contextmanager
def _ended(process: subprocess.Popen[Any]) -> Iterator[None]:
    """The whole group of a process ends with the block, also if its leader is gone."""
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
