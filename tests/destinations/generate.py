"""Print the SQL with which dlt makes our tables in an engine, and merges a load package into them.

No server is asked: dlt's own client for the engine writes it, and what it would execute is kept.
`python -m tests.destinations.generate snowflake` does it with the engine's drivers, which have to
be in PYTHONPATH; `python -m tests.reference` without, and writes the files.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
from dlt.common.configuration.specs import GcpServiceAccountCredentials
from dlt.common.schema import Schema

from pipelines.twilio_insights.source import begun_package
from pipelines.twilio_insights.tables import TABLES
from tests.destinations.stand_ins import stand_ins

ENGINES = "bigquery", "clickhouse", "databricks", "redshift", "snowflake"
PLACE = "loader:secret@host"
HAVE_TRANSACTIONS = {"snowflake", "redshift", "bigquery"}
"""dlt opens one only where it is told to, as the page about them says."""


def destination_of(engine: str) -> Any:
    """The destination; its credentials are made up."""
    told: dict[str, Any] = {"supports_transactions": True} if engine in HAVE_TRANSACTIONS else {}
    if engine == "databricks":
        where = {"server_hostname": "host", "http_path": "path", "access_token": "secret"}
        return dlt.destinations.databricks(where | {"catalog": "db"})
    if engine == "bigquery":
        account = GcpServiceAccountCredentials()
        account.project_id, account.client_email, account.private_key = "db", "loader", "secret"
        account.resolve()
        return dlt.destinations.bigquery(account, **told)
    return getattr(dlt.destinations, engine)(f"{engine}://{PLACE}:1/db", **told)


def statements(engine: str) -> Iterator[tuple[str, list[str]]]:
    """Groups of statements, each with what it does."""
    schema = Schema.from_dict(begun_package([], None).discover_schema().to_dict())  # type: ignore[arg-type]
    destination = destination_of(engine)
    where = destination.spec()
    where.dataset_name, where.default_schema_name = "calls", schema.name
    client = destination.client(schema, where)
    client.sql_client = recording = recording_client(client.sql_client)
    client.update_stored_schema(only_tables=[table.name for table in TABLES])
    yield "The tables", recording.kept
    parts = "one transaction" if client.capabilities.supports_transactions else "two transactions"
    for table in TABLES:
        (job,) = client.create_table_chain_completed_followup_jobs(
            [client.prepare_load_table(table.name)]
        )
        title = f"A package into {table.name}, in {parts}"
        yield title, Path(job.new_file_path()).read_text().splitlines()


def recording_client(client: Any) -> Any:
    """The same client without a connection: it keeps statements, and finds nothing there."""

    class Recording(type(client)):  # type: ignore[misc]
        def execute_many(self, statements: Iterable[str], *_: Any, **__: Any) -> None:
            self.kept = [*statements]

        def execute_sql(self, *_: Any, **__: Any) -> list[Any]:
            return []

        @contextmanager
        def execute_query(self, *_: Any, **__: Any) -> Iterator[Any]:
            yield Nothing()

        @contextmanager
        def begin_transaction(self) -> Iterator[Any]:
            yield self

    recording: Any = Recording.__new__(Recording)
    recording.__dict__.update(vars(client))
    return recording


class Nothing:
    """What a query finds."""

    def fetchone(self) -> None:
        return None


def text_of(engine: str) -> str:
    """The content of `tests/destinations/<engine>.sql`."""
    parts = list[str]()
    for title, group in statements(engine):
        parts.append(f"-- {title}\n")
        for statement in group:
            text = re.sub(r" *\n\s*", "\n", re.sub(r" +", " ", statement.strip(" ;\n")))
            parts.append(re.sub(r" (?=[,)])", "", text) + ";\n")
    return "\n".join(parts)


def files() -> dict[str, str]:
    """All of them, by name; no driver has to be installed."""
    with stand_ins():
        return {f"{engine}.sql": text_of(engine) for engine in ENGINES}


if __name__ == "__main__":
    sys.stdout.write(text_of(sys.argv[1]))
