"""What of a warehouse goes into a lake: its tables, by account and month where rows have both."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

import duckdb

from pipelines.warehouse.database import DATASET
from pipelines.warehouse.definitions import NOT_FINAL, OWNERS, TABLES
from pipelines.warehouse.lake.commits import WAREHOUSE
from pipelines.warehouse.sql import quoted
from pipelines.warehouse.views import read_views

ROOT = "conference_summaries"
ACCOUNT, MONTH = "account_sid", "created_month"
"""The second and the third column that a table is partitioned by: of the conference's creation."""
SHARED = ("_report", "_report_hours")
"""Tables that are the same in every warehouse, of which readers need one."""
AT_ONCE = 10_000
"""Rows that are read at once."""
_SID_COLUMNS = {"_listings": "parent_key"}
"""By table, the column with the conference's SID, if that is not `conference_sid`."""

Part = tuple[str | None, Any]
"""An account and the first day of a month; both None for a table without."""
WHOLE: Part = (None, None)


@cache
def lake_tables() -> tuple[str, ...]:
    """Those that views read, after those that their rows belong to."""
    named = (re.findall(rf"\b{DATASET}\.(\w+)", view.select) for view in read_views())
    return (*NOT_FINAL, *sorted({name for names in named for name in names} - {*NOT_FINAL}))


@cache
def personal_columns() -> dict[str, frozenset[str]]:
    """By table, those that may hold personal data."""
    return {
        name: frozenset(n for n, column in table["columns"].items() if column.get("personal"))
        for name, table in TABLES.items()
    }


@dataclass(frozen=True)
class LakeTable:
    """A table as the lake has it, with the SQL that gives its rows."""

    name: str
    columns: tuple[str, ...]

    @property
    def parents(self) -> tuple[str, ...]:
        """Tables that own these rows: where theirs are replaced or deleted, so are these."""
        if self.name in OWNERS:
            return (OWNERS[self.name][0],)
        of_its_own = self.name in (*NOT_FINAL, *_SID_COLUMNS) or not self.is_by_month
        return () if of_its_own else (ROOT,)

    @property
    def partitions(self) -> list[str]:
        return [WAREHOUSE, ACCOUNT, MONTH] if self.is_by_month else [WAREHOUSE]

    @property
    def stats(self) -> list[str]:
        """Columns whose least and largest values the log may have."""
        return [n for n in self.columns if n.endswith(("_sid", "_time", "_at"))] or ["_dlt_load_id"]

    def parts(self, where: str = "true") -> str:
        """The parts that rows are in, and how many."""
        account, month, source = self._source
        return (
            f"SELECT {account} AS a, {month} AS m, count(*) FROM {source} WHERE {where} "
            "GROUP BY 1, 2"
        )

    def rows(self, warehouse: str, parts: list[Part], but: frozenset[str]) -> str:
        """All rows of these parts, with NULL in the columns `but`."""
        account, month, source = self._source
        own = [
            f'NULL::VARCHAR AS "{name}"' if name in but else f't."{name}"'
            for name in self.columns
            if not (self.is_by_month and name == ACCOUNT)
        ]
        own.append(f"{quoted(warehouse)} AS {WAREHOUSE}")
        if not self.is_by_month:
            return f"SELECT {', '.join(own)} FROM {source}"
        own += [f"{account} AS {ACCOUNT}", f"{month} AS {MONTH}"]
        values = ", ".join(
            f"({_literal(a, 'VARCHAR')}, {_literal(m, 'DATE')})" for a, m in parts or [WHOLE]
        )
        return (
            f"SELECT {', '.join(own)} FROM {source} JOIN (VALUES {values}) AS w(a, m) "
            f"ON w.a IS NOT DISTINCT FROM {account} AND w.m IS NOT DISTINCT FROM {month}"
            + ("" if parts else " WHERE false")
        )

    def predicate(self, warehouse: str, parts: list[Part]) -> str:
        """What files of the lake hold these parts, in Delta's SQL."""
        own = f"{WAREHOUSE} = {quoted(warehouse)}"
        if not self.is_by_month:
            return own
        each = (f"({_equal(ACCOUNT, a)} AND {_equal(MONTH, m)})" for a, m in parts)
        return f"{own} AND ({' OR '.join(each)})"

    @property
    def is_by_month(self) -> bool:
        return self.name in (ROOT, *OWNERS, *_SID_COLUMNS) or "conference_sid" in self.columns

    @property
    def _source(self) -> tuple[str, str, str]:
        """How the rows' account and month are written, and what they are read from."""
        source = f"{DATASET}.{self.name} AS t"
        if not self.is_by_month:
            return "NULL", "NULL", source
        if self.name == ROOT:
            return _ACCOUNT.format("t"), _MONTH.format("t"), source
        key, account = f"t.{_SID_COLUMNS.get(self.name, 'conference_sid')}", "c"
        if self.name in OWNERS:
            owner, by = OWNERS[self.name]
            source += f" LEFT JOIN {DATASET}.{owner} AS o ON o.{by} = t.{by}"
            key, account = "o.conference_sid", "o"
        elif ACCOUNT in self.columns:
            account = "t"
        source += f" LEFT JOIN {DATASET}.{ROOT} AS c ON c.conference_sid = {key}"
        return _ACCOUNT.format(account), _MONTH.format("c"), source


_ACCOUNT = "CASE WHEN strlen({0}.account_sid) BETWEEN 1 AND 34 THEN {0}.account_sid END"
"""None where it is longer than a SID: a folder is named after it."""
_MONTH = "CAST(date_trunc('month', {}.create_time) AS DATE)"


def read_table(connection: duckdb.DuckDBPyConnection, name: str) -> LakeTable:
    found = connection.execute(f"SELECT * FROM {DATASET}.{name} LIMIT 0").description
    return LakeTable(name, tuple(n for n, *_ in found if n != "_tombstone"))


def schema_of(connection: duckdb.DuckDBPyConnection, table: LakeTable) -> Any:
    """The Arrow schema of the table as the lake has it."""
    return arrow_batches(connection, table.rows("", [], frozenset()) + " LIMIT 0").schema


def digest_of(connection: duckdb.DuckDBPyConnection, table: LakeTable) -> str:
    """A digest of all rows of a small table."""
    from pyarrow import BufferOutputStream
    from pyarrow.parquet import write_table

    sql = table.rows("", [], frozenset())
    order = ", ".join(f'"{name}"' for name in table.columns)
    rows = arrow_batches(connection, f"SELECT * FROM ({sql}) ORDER BY {order}").read_all()
    sink = BufferOutputStream()
    write_table(rows, sink)  # whose bytes, unlike Arrow's, have nothing at random where NULL is
    return sha256(sink.getvalue()).hexdigest()[:16]


def arrow_batches(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    """The rows of a statement as a stream of Arrow batches."""
    return connection.sql(sql).to_arrow_reader(AT_ONCE)


def _literal(value: Any, kind: str) -> str:
    return f"CAST({'NULL' if value is None else quoted(str(value))} AS {kind})"


def _equal(column: str, value: Any) -> str:
    if value is None:
        return f"{column} IS NULL"
    return f"{column} = {_literal(value, 'DATE') if column == MONTH else quoted(value)}"
