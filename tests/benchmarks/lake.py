"""How long views take on the DuckDB file, on the lake as DuckDB reads it, and on a Spark cluster.

    python -m tests.benchmarks.lake --rows 1000000

A run of the real command loads 20,000 conferences from the simulated API. DuckDB makes copies of
them, with SIDs of their own and some seconds later, and the whole is published into a lake as a run
does it. There are no participants. All engines have two cores; Spark, a worker for each.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import duckdb

from pipelines.lake_spark import Lake, read
from pipelines.warehouse.database import ANALYTICS, DATASET
from pipelines.warehouse.lake.publishing import publish_lake
from pipelines.warehouse.lake.store import LakeSettings, lake_of
from pipelines.warehouse.sql import quoted
from pipelines.warehouse.views import read_views
from tests.benchmarks.api import Traffic, served
from tests.benchmarks.measuring import RUN, measure, row
from tests.spark_cluster import driver, spark_cluster, told

BASE, CORES = 20_000, 2
TABLES = ("summaries", "tags", "tag_info", "detected_issues")
TIMES = ("create_time", "start_time", "end_time")
QUERIES = {
    name: f"SELECT * FROM {name}"
    for name in (
        "conference_kpis_daily",
        "conference_volume",
        "conference_quality",
        "conference_length",
        "conference_issue_trends",
        "hour_of_week_heatmap",
        "concurrency_by_hour",
    )
} | {"conference_tag_details": "SELECT tag, count(*) FROM conference_tag_details GROUP BY tag"}


class Answer(NamedTuple):
    """By the clock and of the processors, in the fastest round."""

    seconds: float
    cpu: float
    rows: list[list[str]]


def make(path: Path, rows: int) -> None:
    """A warehouse of so many conferences."""
    with served(Traffic(BASE)) as api:
        measure(api, path.parent, *RUN)
    with duckdb.connect(path, config={"threads": CORES}) as connection:
        connection.execute(f"USE {DATASET}")
        for table in (f"conference_{name}" for name in TABLES):
            columns = [name for name, *_ in connection.table(table).description]
            new = {"conference_sid": "concat('CF', md5(concat(conference_sid, n)))"} | {
                name: f"{name} + to_seconds(n)" for name in TIMES if name in columns
            }
            replaced = ", ".join(f"{of} AS {name}" for name, of in new.items() if name in columns)
            connection.execute(
                f"INSERT INTO {table} BY NAME SELECT * EXCLUDE (n) REPLACE ({replaced}) "
                f"FROM {table}, range(1, {rows // BASE}) AS copies(n)"
            )


def publish(path: Path, url: str) -> Lake:
    settings = lake_of(url, None)
    assert isinstance(settings, LakeSettings)
    with duckdb.connect(path, config={"preserve_insertion_order": False}) as connection:
        publish_lake(connection, path, settings, personal_data=True, erased="")
    return read(url)


def of_lake(lake: Lake) -> duckdb.DuckDBPyConnection:
    """Views of the files that the log names."""
    connection = duckdb.connect(config={"threads": CORES})
    connection.execute(f"CREATE SCHEMA {DATASET}; CREATE SCHEMA {ANALYTICS}")
    for table in lake.tables:
        if files := ", ".join(map(quoted, lake.files(table))):
            rows = f"read_parquet([{files}], hive_partitioning = true, union_by_name = true)"
            connection.execute(f"CREATE VIEW {DATASET}.{table} AS FROM {rows}")
        else:
            connection.register("empty", lake.dataset(table))
            connection.execute(f"CREATE TABLE {DATASET}.{table} AS FROM empty")
    for view in read_views():
        connection.execute(f"CREATE VIEW {ANALYTICS}.{view.name} AS {view.select}")
    return connection


def in_duckdb(connection: duckdb.DuckDBPyConnection, rounds: int) -> dict[str, Answer]:
    connection.execute(f"USE {ANALYTICS}")
    found = {}
    for name, sql in QUERIES.items():
        times = []
        for _ in range(rounds):
            begin, cpu = time.perf_counter(), time.process_time()
            rows = connection.execute(sql).fetchall()
            times.append((time.perf_counter() - begin, time.process_time() - cpu))
        found[name] = Answer(*min(times), [[*map(str, values)] for values in rows])
    return found


PROGRAM = """
from pathlib import Path
url, queries, rounds, groups = given
groups = {*groups, os.getpgid(0)}
def cpu():
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            values = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(values[2]) in groups:
            ticks += int(values[11]) + int(values[12])
    return ticks / os.sysconf("SC_CLK_TCK")
def timed(do):
    begin, before = time.perf_counter(), cpu()
    found = do()
    return time.perf_counter() - begin, cpu() - before, found
tell(timed(lambda: register(spark, url) and None))
for sql in queries:
    found = [timed(lambda: spark.sql(sql).collect()) for _ in range(rounds)]
    seconds, used, answer = min(found, key=lambda one: one[0])
    tell([seconds, used, [[*map(str, values)] for values in answer]])
"""
"""The processors' time is that of the driver, the workers and their executors."""


def in_spark(url: str, folder: Path, rounds: int, memory: str) -> Iterator[Answer]:
    """What `register` takes, then the answers."""
    with spark_cluster(folder, CORES, memory) as cluster:
        given = url, [*QUERIES.values()], rounds, cluster.workers
        with driver(PROGRAM, *given, **cluster.environment) as spark:
            for _ in range(1 + len(QUERIES)):
                yield Answer(*told(spark))


def equal(one: Answer, other: Answer) -> bool:
    return sorted(map(_plain, one.rows)) == sorted(map(_plain, other.rows))


def _plain(values: list[str]) -> list[str]:
    """Numbers to nine digits."""
    found = []
    for value in values:
        try:
            found.append(f"{float(value):.9g}")
        except ValueError:
            found.append(value)
    return found


def timed(what: str, do: Any, *arguments: Any) -> Any:
    begin = time.perf_counter()
    found = do(*arguments)
    print(f"{what}: {time.perf_counter() - begin:.1f} s", flush=True)
    return found


@click.command()
@click.option("--rows", default=1_000_000, show_default=True, help="Conferences.")
@click.option("--rounds", default=2, show_default=True, help="The fastest of these counts.")
@click.option("--memory", default="1g", show_default=True, help="Of each Spark worker.")
def main(rows: int, rounds: int, memory: str) -> None:
    """Time the same queries on all three, and compare their rows.

    \b
    Example:
      python -m tests.benchmarks.lake --rows 100000 --rounds 1
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path, url = folder / "warehouse.duckdb", str(folder / "lake")
        timed("make the warehouse", make, path, rows)
        lake = timed("publish it into an empty lake", publish, path, url)
        with duckdb.connect(path, True, {"threads": CORES}) as connection:
            file = in_duckdb(connection, rounds)
            (conferences,) = connection.execute(
                f"SELECT count(*) FROM {DATASET}.conference_summaries"
            ).fetchall()[0]
        with of_lake(lake) as connection:
            parquet = in_duckdb(connection, rounds)
        print(f"{conferences:,} conferences, {rounds} rounds\n", flush=True)
        row("view", "DuckDB, file", "DuckDB, lake", "Spark, lake", "rows", "equal")
        row(*["---"] * 6)
        answers = in_spark(url, folder / "cluster", rounds, memory)
        row("`register`", "", "", _time(next(answers)), "", "")
        for (name, answer), spark in zip(file.items(), answers, strict=True):
            others = parquet[name], spark
            same = "yes" if all(equal(answer, other) for other in others) else "NO"
            row(name, *map(_time, (answer, *others)), f"{len(answer.rows):,}", same)


def _time(answer: Answer) -> str:
    return f"{answer.seconds:.2f} s ({answer.cpu:.2f} s CPU)"


if __name__ == "__main__":
    main(prog_name="python -m tests.benchmarks.lake")
