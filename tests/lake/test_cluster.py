"""A Spark cluster reads the lake while others write it, and when one of its workers dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest

from pipelines.lake_spark import read
from pipelines.simulator.sample_data import busy_account, subaccount_sid
from pipelines.simulator.server import InsightsServer
from pipelines.warehouse.lake.rows import SHARED, lake_tables
from pipelines.warehouse.views import read_views
from tests.conftest import NOW, ROOT, command_at
from tests.lakes import DATASET, Publisher
from tests.spark_cluster import SparkCluster, driver, spark_cluster, told
from tests.test_dialects import assert_equal

pytestmark = pytest.mark.slow
VIEWS = [view.name for view in read_views()]
READS, ROUNDS = 4, 10
CHILDREN = ("tags", "tag_info", "detected_issues", "participants")
STATE = f"""
SELECT account_sid, count(*) AS conferences, sum(duration_seconds) AS seconds,
    {", ".join(f"sum({name}.n) AS {name}" for name in CHILDREN)},
    count(*) FILTER (WHERE processing_state = 'complete') AS complete
FROM {DATASET}_conference_summaries
""" + "\n".join(
    f"LEFT JOIN (SELECT conference_sid, count(*) AS n FROM {DATASET}_conference_{name} GROUP BY 1) "
    f"AS {name} USING (conference_sid)"
    for name in CHILDREN
)
BY_ACCOUNT = f"{STATE} GROUP BY account_sid"
"""By account, how much of everything there is."""
ORPHANS = " UNION ALL ".join(
    f"SELECT count(*) FROM {DATASET}_conference_{child} AS c "
    f"LEFT ANTI JOIN {DATASET}_conference_{parent} AS p USING ({key})"
    for child, parent, key in (
        *((name, "summaries", "conference_sid") for name in CHILDREN),
        ("participant_metrics", "participants", "participant_sid"),
        ("participant_events", "participants", "participant_sid"),
    )
)
"""Rows without the one that they belong to."""


class State(NamedTuple):
    """Of one account."""

    conferences: int
    seconds: int
    tags: int
    tag_info: int
    detected_issues: int
    participants: int
    complete: int


class Worker:
    """A pipeline of its own: another account, another folder, another file; the same lake."""

    def __init__(self, folder: Path, number: int, lake: Path) -> None:
        self.folder, self.lake, self.states = folder, lake, list[State]()
        self.path = folder / "warehouse.duckdb"
        folder.mkdir()
        yesterday, sid = NOW - timedelta(days=1), subaccount_sid(number)
        self.account = busy_account(yesterday, 3, 20 + 10 * number, seed=number, sid=sid)

    def work(self, seen: list[Any]) -> None:
        """Some runs, hours apart, in which conferences begin, end and become final, until others
        have seen enough."""
        with InsightsServer(self.account) as server:
            while len(self.states) < 3 or (len(self.states) < ROUNDS and len(seen) < READS):
                self._run(server)
                self.states.append(self._state())
                self.account.now += timedelta(hours=3)

    def _run(self, server: InsightsServer) -> None:
        settings = {
            "TWILIO_ACCOUNT_SID": self.account.sid,
            "TWILIO_AUTH_TOKEN": self.account.auth_token,
            "SOURCES__TWILIO_INSIGHTS__BASE_URL": server.url,
            "SOURCES__TWILIO_INSIGHTS__PARTICIPANTS": "true",
            "PUBLISH__LAKE": str(self.lake),
            "DLT_DATA_DIR": str(self.folder / "dlt"),
            "PYTHONPATH": str(ROOT),
        }
        done = subprocess.run(
            [*command_at(self.account.now), "run"],
            cwd=self.folder,
            env=os.environ | settings,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def _state(self) -> State:
        sql = BY_ACCOUNT.replace(f"{DATASET}_", f"{DATASET}.")
        with duckdb.connect(self.path, read_only=True) as connection:
            ((account_sid, *counts),) = connection.execute(sql).fetchall()
        assert account_sid == self.account.sid
        return State(*counts)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[SparkCluster]:
    with spark_cluster(tmp_path / "cluster") as started:
        yield started


def one_file(workers: list[Worker], path: Path) -> Path:
    """The rows of all their files in one, with views, as DuckDB has them; of runs those that were
    published, since a run publishes before it ends."""
    lake = read(str(workers[0].lake))
    last = lake.commits[-1].name
    with duckdb.connect(path) as connection:
        for number, worker in enumerate(workers):
            connection.execute(f"ATTACH '{worker.path}' AS w{number} (READ_ONLY)")
        connection.execute(f"CREATE SCHEMA {DATASET}; CREATE SCHEMA analytics")
        for table in lake_tables():
            of = [n for n, worker in enumerate(workers) if last.startswith(f"{worker.path} on ")]
            numbers = of if table in SHARED else range(len(workers))
            rows = " UNION ALL BY NAME ".join(f"FROM w{n}.{DATASET}.{table}" for n in numbers)
            connection.execute(f"CREATE TABLE {DATASET}.{table} AS {rows}")
        names = ", ".join(c for c, *_ in connection.table(f"{DATASET}._runs").description)
        connection.register("published", lake.dataset("_runs").to_table())
        connection.execute(
            f"DELETE FROM {DATASET}._runs; "
            f"INSERT INTO {DATASET}._runs BY NAME SELECT {names} FROM published"
        )
        for view in read_views():
            connection.execute(f"CREATE VIEW analytics.{view.name} AS {view.select}")
    return path


READ = """
from pipelines.warehouse.lake.store import LakeError
url, by_account, orphans, over = given
tell("ready")
while True:
    is_last = os.path.exists(over)
    try:
        lake = register(spark, url, "conferences")
    except LakeError:  # nothing is there yet
        assert not is_last
        tell([])
        time.sleep(0.2)
    else:
        states = {row[0]: row[1:] for row in spark.sql(by_account).collect()}
        lonely = [row[0] for row in spark.sql(orphans).collect()]
        in_view = spark.table("conferences").count()
        tell([[[c.number for c in lake.commits], states, lonely, in_view]])
    if is_last:
        tell(None)
        break
views = json.loads(sys.stdin.readline())
register(spark, url)
tell({view: rows(view) for view in views})
"""


def test_whoever_reads_while_four_write_sees_committed_states(
    cluster: SparkCluster, tmp_path: Path
) -> None:
    """Takes some minutes."""
    lake, over = tmp_path / "lake", tmp_path / "over"
    workers = [Worker(tmp_path / str(number), number, lake) for number in range(1, 5)]
    given = str(lake), BY_ACCOUNT, ORPHANS, str(over)
    with driver(READ, *given, **cluster.environment) as spark:
        assert told(spark) == "ready"
        seen = list[Any]()
        with ThreadPoolExecutor(len(workers)) as threads:
            working = [threads.submit(worker.work, seen) for worker in workers]
            while not all(future.done() for future in working):
                seen += told(spark)
        over.touch()
        for future in working:
            future.result()
        while (states := told(spark)) is not None:
            seen += states
        assert_committed(workers, seen)
        assert spark.stdin
        print(json.dumps(VIEWS), file=spark.stdin, flush=True)
        found = told(spark)
    assert_equal(one_file(workers, tmp_path / "whole.duckdb"), found)


def assert_committed(workers: list[Worker], seen: list[Any]) -> None:
    """Everything that was seen is what workers had committed, none went back, the last is whole."""
    for _, states, lonely, in_view in seen:
        assert {*lonely} == {0}
        assert in_view == sum(State(*state).conferences for state in states.values())
    for worker in workers:
        found = [
            State(*states[worker.account.sid])
            for _, states, *_ in seen
            if states.get(worker.account.sid)
        ]
        assert {*found} <= {*worker.states}
        at = [worker.states.index(state) for state in found]
        assert at == sorted(at)
        assert found[-1] == worker.states[-1]
        assert len({*worker.states}) > 1
    numbers = [max(commits) for commits, *_ in seen]
    assert numbers == sorted(numbers)
    assert len({*numbers}) >= 3


ROWS, TASKS = 6_000_000, 24
DYING = """
from threading import Thread
url, sql, tasks = given
register(spark, url, "conferences")
executors = lambda: len(spark.sparkContext._jsc.sc().statusTracker().getExecutorInfos()) - 1
found, tracker, before = [], spark.sparkContext.statusTracker(), executors()
asking = Thread(target=lambda: found.extend([*row] for row in spark.sql(sql).collect()))
def completed():
    stages = map(tracker.getStageInfo, tracker.getActiveStageIds())
    return sum(of.numCompletedTasks for of in stages if of and of.numTasks == tasks)
asking.start()
while asking.is_alive() and not completed():
    time.sleep(0.02)
tell([before, completed()])
asking.join()
tell([executors(), sorted(found)])
"""


def test_a_worker_that_dies_takes_no_rows_along(
    cluster: SparkCluster, one: Publisher, tmp_path: Path
) -> None:
    """It is killed, with its executor, when a query has done some of its tasks."""
    one.publish()
    select = "SELECT coalesce(account_sid, ''), count(*){0}, sum(coalesce(duration_seconds, 0)){0}"
    many = f"range(0, {ROWS}, 1, {TASKS})"
    sql = f"{select.format('')} + sum(id % 7) FROM conferences, {many} GROUP BY 1"
    with driver(DYING, one.lake, sql, TASKS, **cluster.environment) as spark:
        executors, completed = told(spark)
        os.killpg(cluster.workers[0], signal.SIGKILL)
        assert executors == 2
        assert 0 < completed < TASKS
        left, found = told(spark)
    assert left == 1
    sevens = sum(number % 7 for number in range(ROWS))
    ours = (
        f"{select.format(f' * {ROWS}')} + count(*) * {sevens} FROM analytics.conferences GROUP BY 1"
    )
    with duckdb.connect(one.path, read_only=True) as connection:
        assert found == sorted(map(list, connection.execute(ours).fetchall()))
