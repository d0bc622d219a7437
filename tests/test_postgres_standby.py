"""A hot standby that BI reads has what a run loaded into the primary."""

from __future__ import annotations

import shutil
import time

import pytest

from pipelines.run.migrations import migrate_tables
from pipelines.run.post_load import DESCRIPTIONS
from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.runs import prepare_runs
from pipelines.warehouse.views import apply_views, read_views
from pipelines.warehouse.warehouse import WarehouseError
from tests.conftest import NOW, summary
from tests.postgres_server import started
from tests.test_postgres_load import HOUR, load, rows_of


@pytest.mark.slow
def test_a_hot_standby_has_the_same_rows_and_takes_no_run() -> None:
    with started("wal_level=replica", "max_wal_senders=4") as primary:
        url = primary.new_database()
        place = PostgresServer(url)
        with started() as standby, place.open() as warehouse:
            prepare_runs(warehouse)
            running = "INSERT INTO conference_insights._runs (run_id, command, outcome, started_at)"
            warehouse.execute(f"{running} VALUES ('1', 'run', 'running', now())")
            migrate_tables(warehouse)
            load(warehouse, rows_of([summary(1, HOUR)]))
            apply_views(warehouse, DESCRIPTIONS, "UTC")

            standby.stop()
            shutil.rmtree(standby.data)
            standby.data.mkdir(0o700)
            if standby.user:
                shutil.chown(standby.data, standby.user)
            source = ("-D", str(standby.data), "-d", primary.url)
            standby.finish("pg_basebackup", "-R", "-c", "fast", "--no-sync", *source)
            standby.password = primary.password
            standby.start()

            load(warehouse, rows_of([summary(number, HOUR) for number in range(1, 500)]))
            copy = PostgresServer(url.replace(f":{primary.port}/", f":{standby.port}/"))
            deadline = time.monotonic() + 30
            with copy.read() as replica:
                while replica.query("SELECT count(*) FROM {conference_tags}") != [(499,)]:
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
                assert copy.recorded(NOW).is_alive is None, "locks are the primary's"
                for view in read_views():
                    sql = f"SELECT * FROM analytics.{view.name}"
                    assert sorted(map(str, replica.execute(sql))) == sorted(
                        map(str, warehouse.execute(sql))
                    ), view.name
            with copy.open() as replica:
                with pytest.raises(WarehouseError, match="give the address of the primary") as no:
                    prepare_runs(replica)
                    replica.execute("CREATE TABLE conference_insights.t (a BIGINT)")
                assert no.value.exit_code == 77
