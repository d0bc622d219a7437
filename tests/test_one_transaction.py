"""A load package is in the warehouse as a whole or not at all, in whatever folder, and what of dlt
that stands on is as it was."""

from __future__ import annotations

import inspect
from datetime import timedelta
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.common.configuration import utils
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.configuration.specs.runtime_configuration import RuntimeConfiguration
from dlt.common.destination.client import RunnableLoadJob
from dlt.common.runtime.run_context import RunContext
from dlt.common.schema.utils import get_columns_names_with_prop
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.destinations.impl.duckdb.duck import DuckDbClient
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from dlt.destinations.impl.postgres.configuration import PostgresCredentials
from dlt.destinations.impl.postgres.postgres import PostgresClient
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from dlt.version import __version__ as dlt_version

from pipelines.run.loading import Loader
from pipelines.warehouse.file.one_transaction import OneTransactionDuckDb, PackageClient
from pipelines.warehouse.file.warehouse_file import open_warehouse
from pipelines.warehouse.one_transaction import OneTransaction
from pipelines.warehouse.postgres import one_transaction
from tests.conftest import Loaded, sid, slow, summary

pytestmark = pytest.mark.usefixtures("tables_only")

HOUR = timedelta(hours=1)

OF_A_CLIENT = {
    "should_load_data_to_staging_dataset": "table_name",
    "create_load_job": "table file_path load_id restore",
    "create_table_chain_completed_followup_jobs": "table_chain completed_table_chain_jobs",
    "complete_load": "load_id",
    "prepare_load_table": "table_name",
}
PARTS: list[tuple[Any, str, str]] = [
    *((DuckDbClient, *part) for part in OF_A_CLIENT.items()),
    *((PostgresClient, *part) for part in OF_A_CLIENT.items()),
    (DuckDbSqlClient, "make_qualified_table_name", "table_name quote casefold"),
    (DuckDbSqlClient, "begin_transaction", ""),
    (DuckDbSqlClient, "execute_sql", "sql args kwargs"),
    (RunnableLoadJob, "__init__", "file_path"),
    (RunnableLoadJob, "run", ""),
    (dlt.destinations.duckdb, "configuration", "initial_config accept_partial"),
    (dlt.destinations.postgres, "configuration", "initial_config accept_partial"),
    (dlt.destinations.postgres, "client", "schema initial_config"),
    (dlt.destinations.postgres, "adjust_capabilities", "config naming"),
    (PostgresClient, "is_storage_initialized", ""),
    (
        Psycopg2SqlClient,
        "__init__",
        "dataset_name staging_dataset_name credentials capabilities",
    ),
    (Psycopg2SqlClient, "open_connection", ""),
    (Psycopg2SqlClient, "close_connection", ""),
    (Psycopg2SqlClient, "execute_query", "query args kwargs"),
    (Psycopg2SqlClient, "begin_transaction", ""),
    (RunContext, "__init__", "run_dir"),
    (RunContext, "initial_providers", ""),
    (RunContext, "initialize_runtime", "runtime_config"),
    (PluggableRunContext, "__init__", "init_context"),
    (ConfigProvider, "get_value", "key hint pipeline_name sections"),
    (Container, "__setitem__", "spec value"),
    (dlt.Pipeline, "list_extracted_load_packages", ""),
    (dlt.Pipeline, "list_normalized_load_packages", ""),
    (dlt.Pipeline, "get_load_package_info", "load_id"),
    (dlt.Pipeline, "get_load_package_state", "load_id"),
    (dlt.Pipeline, "sync_schema", "schema_name"),
]


@pytest.mark.parametrize(("owner", "name", "names"), PARTS, ids=lambda value: str(value)[:60])
def test_the_parts_of_dlt_are_as_they_were(owner: Any, name: str, names: str) -> None:
    part = getattr(owner, name, None)
    assert part is not None, f"dlt {dlt_version} has no {owner.__name__}.{name}"
    found = " ".join([*inspect.signature(part).parameters][1:])
    assert found == names, f"dlt {dlt_version} changed {owner.__name__}.{name}: it takes {found}"


def test_what_else_is_taken_from_dlt_is_there(tmp_path: Path) -> None:
    pipeline = dlt.pipeline("theirs", pipelines_dir=str(tmp_path))
    taken = [
        (RunContext, "run_dir local_dir data_dir settings_dir global_dir runtime_config"),
        (RunContext("."), "_global_dir _runtime_config"),
        (utils.get_resolved_traces(), "logging_enabled"),
        (RuntimeConfiguration, "dlthub_telemetry"),
        (pipeline, "default_schema_name working_dir extract normalize load"),
        (OneTransactionDuckDb, "client_class"),
        (dlt.destinations.postgres, "client_class"),
        (Psycopg2SqlClient, "native_connection"),
        (PostgresCredentials, "host username password database resolve"),
        (ConfigProvider, "supports_secrets supports_sections name"),
    ]
    for owner, names in taken:
        for name in names.split():
            # What is only set would be set in silence, with no effect.
            assert hasattr(owner, name), f"dlt {dlt_version}: {owner} has no {name}"
    for ours, theirs in (
        (OneTransaction, DuckDbClient),
        (OneTransaction, PostgresClient),
        (one_transaction.PackageClient, PostgresClient),
    ):
        for name in (name for name in vars(ours) if not name.startswith("_")):
            assert hasattr(theirs, name), f"dlt {dlt_version} never calls {name}"


def test_a_connection_that_is_handed_in_is_used_and_not_closed() -> None:
    with duckdb.connect() as connection:
        credentials = DuckDbCredentials(connection)
        credentials.resolve()
        assert credentials.is_resolved(), f"dlt {dlt_version}"
        pool: Any = credentials.conn_pool
        borrowed = pool.borrow_conn()
        borrowed.execute("CREATE TABLE t AS SELECT 1 AS a")
        pool.return_conn(borrowed)
        assert connection.execute("FROM t").fetchall() == [(1,)]


def test_a_prepared_table_has_the_hints_that_a_merge_goes_by(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared: dict[str, Any] = {}
    merge = PackageClient._merge

    def note(client: PackageClient, name: str, paths: list[str]) -> None:
        prepared[name] = client.prepare_load_table(name)
        merge(client, name, paths)

    monkeypatch.setattr(PackageClient, "_merge", note)
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    assert {table["write_disposition"] for table in prepared.values()} == {"merge"}
    table = prepared["conference_tags"]
    hint = table.get("x-merge-destination-scope")
    assert "{staging_table}" in (hint or ""), f"dlt {dlt_version} names the scope otherwise"
    assert get_columns_names_with_prop(table, "primary_key") == ["conference_sid", "tag"]
    assert "x-merge-destination-scope" not in prepared["conference_summaries"]


TABLES = [
    "conference_summaries",
    "conference_tags",
    "conference_tag_info",
    "conference_detected_issues",
    "_watermarks",
]


def has_nothing_of(loaded: Loaded, former: set[str]) -> bool:
    """Whether every row is of the packages that were there before."""
    load_ids = set[Any]()
    for table in (*TABLES, "_dlt_loads"):
        column = "load_id" if table == "_dlt_loads" else "_dlt_load_id"
        load_ids |= {
            i for (i,) in loaded.query(f"SELECT {column} FROM conference_insights.{table}")
        }
    return load_ids <= former


@pytest.mark.parametrize(
    "table",
    [TABLES[0], *(pytest.param(t, marks=pytest.mark.thorough) for t in (TABLES[3], TABLES[4]))],
)
def test_if_one_table_cannot_be_loaded_nothing_is(
    loaded: Loaded, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.put(summary(1, 5 * HOUR))
    loaded.run()
    before = loaded.query("SELECT load_id FROM conference_insights._dlt_loads")
    with duckdb.connect(loaded.path) as connection:
        if table == "_watermarks":  # the package has but one row for it
            connection.execute("UPDATE conference_insights._watermarks SET resource = 'other'")
            column = "account_sid"
        else:  # several rows, of which all that are there now are written anew
            connection.execute(f"DELETE FROM conference_insights.{table}")
            column = "_dlt_load_id"
        connection.execute(f"CREATE UNIQUE INDEX i ON conference_insights.{table}({column})")
    loaded.account.put(summary(1, 5 * HOUR, friendly_name="changed"))
    for number in (2, 3):
        loaded.account.put(summary(number, HOUR))
    with pytest.raises(Exception, match=r"(?i)constraint|unique|duplicate"):
        loaded.run()
    assert has_nothing_of(loaded, {load_id for (load_id,) in before})
    with duckdb.connect(loaded.path) as connection:
        connection.execute("DROP INDEX conference_insights.i")
        connection.execute("DELETE FROM conference_insights._watermarks WHERE resource = 'other'")
    loaded.run()
    loaded.assert_exact()


class KilledError(BaseException):
    """As if the process ended here."""


def end(monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
    """Let the next run end before, or right after, its package is committed."""
    complete = PackageClient.complete_load

    def killed(client: PackageClient, load_id: str) -> None:
        if after:
            complete(client, load_id)
        raise KilledError

    monkeypatch.setattr(PackageClient, "complete_load", killed)


@pytest.mark.thorough
def test_a_package_that_the_warehouse_has_is_skipped(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    loaded.account.put(summary(2, HOUR))
    with monkeypatch.context() as patch:
        end(patch, after=True)
        with pytest.raises(KilledError):
            loaded.run()
    loads = "SELECT count(*) FROM conference_insights._dlt_loads"
    before = loaded.query(loads)
    with duckdb.connect(loaded.path) as connection:  # loading it again would put them back
        connection.execute("DELETE FROM conference_insights.conference_tags")
    merged: list[str] = []
    monkeypatch.setattr(PackageClient, "_merge", lambda client, name, paths: merged.append(name))
    with open_warehouse(loaded.path) as warehouse:
        loader = Loader(warehouse, lambda _: None, lambda _: None)
        left = loader._pipeline.list_normalized_load_packages()
        assert len(left) == 1
        loader._pipeline.load(raise_on_failed_jobs=True)
        assert loader._pipeline.list_normalized_load_packages() == []
    assert merged == []
    assert loaded.query(loads) == before
    assert loaded.query("FROM conference_insights.conference_tags") == []


@pytest.mark.thorough
def test_a_package_that_the_warehouse_lacks_is_loaded_whole_whatever_its_folder_says(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded.account.put(summary(1, HOUR))
    loaded.run()
    former = loaded.query("SELECT load_id FROM conference_insights._dlt_loads")
    loaded.account.put(summary(2, HOUR))
    with monkeypatch.context() as patch:
        end(patch, after=False)
        with pytest.raises(KilledError):
            loaded.run()
    assert has_nothing_of(loaded, {load_id for (load_id,) in former})
    work = loaded.path.with_name("warehouse.duckdb.dlt") / "conference_insights"
    (package,) = (work / "load/normalized").iterdir()
    files = {file.parent.name for file in package.rglob("*.parquet")}
    assert files - {".pending_transitions"} == {"completed_jobs"}
    done = loaded.run()
    assert done.left_package is not None
    assert done.left_package.startswith("finished")
    loaded.assert_exact()
    assert loaded.query(f"FROM conference_insights._dlt_loads WHERE load_id = '{package.name}'")


FOLDERS = ["o'brien [x]* ~$HOME #;", '{curly} [!a-z] "b" süß ☎ **']


@pytest.mark.thorough
@pytest.mark.fresh
@pytest.mark.parametrize("name", [FOLDERS[0], *slow(FOLDERS[1])])
def test_a_warehouse_may_be_in_a_folder_of_any_name(
    loaded: Loaded, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    loaded.path = folder / "calls [1].duckdb"
    monkeypatch.setenv("DESTINATION__DUCKDB__CREDENTIALS", str(loaded.path))
    # What the pattern would match as well, were it taken for one.
    (tmp_path / "o'brien x ~$HOME #;").mkdir()
    for number in (1, 2):
        loaded.account.put(summary(number, HOUR))
    loaded.run()
    loaded.assert_exact()
    loaded.account.put(summary(1, HOUR, friendly_name="it's changed"))
    loaded.account.put(summary(3, HOUR, "in_progress"))
    loaded.run()
    loaded.assert_exact()
    assert sid(1) in str(loaded.query("FROM conference_insights.conference_summaries"))
    copy = folder / "calls [1].published/current/insights.duckdb"
    with duckdb.connect(copy, read_only=True) as connection:
        (count,) = connection.execute("SELECT count(*) FROM analytics.conferences").fetchall()[0]
    assert count == 3
