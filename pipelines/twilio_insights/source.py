"""The dlt source: what is loaded, into which tables, by which keys."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, cast

import dlt
from dlt.common.configuration import configspec
from dlt.common.configuration.exceptions import ConfigValueCannotBeCoercedException
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.configuration.specs.base_configuration import NotResolved
from dlt.common.typing import TSecretStrValue
from dlt.destinations.exceptions import DatabaseException, DatabaseUndefinedRelation
from dlt.destinations.sql_client import SqlClientBase
from dlt.extract import DltResource

from pipelines.errors import SettingsError
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.extract.accounts import Accounts
from pipelines.twilio_insights.extract.by_parent import readers
from pipelines.twilio_insights.extract.destination_state import DestinationState, loaded_packages
from pipelines.twilio_insights.extract.extraction import Extraction, FormerState
from pipelines.twilio_insights.filters import FILTERS, filter_names
from pipelines.twilio_insights.resources import CONFERENCES, RESOURCES
from pipelines.twilio_insights.settings import SECRETS, SECTION, Settings, as_text
from pipelines.twilio_insights.tables import LISTINGS, REFETCHES, TABLES, WATERMARKS, Table
from pipelines.twilio_insights.twilio_variables import from_twilio

if TYPE_CHECKING:
    from pipelines.twilio_insights.extract.flatten import Tables

log = logging.getLogger("conference_insights")

Batches = Iterable["Tables"]
CONTINUES, HAS_TABLES = "continues", "has_tables"
"""Keys in the load package's state: the packages completed before it in the destination, and the
tables that it has rows for."""
_SCOPES = {
    child.table: f"{resource.key} IN (SELECT {resource.key} FROM {{staging_table}})"
    for resource in RESOURCES.values()
    for child in resource.children
}
"""Child rows of a record that its latest version no longer has are deleted with the others: every
record written has a row in each child table, be it a tombstone."""


@configspec
class TwilioInsightsConfiguration(Settings, BaseConfiguration):
    """The settings as dlt fills them in: `SOURCES__TWILIO_INSIGHTS__<NAME>`, `.dlt/secrets.toml`
    or `.dlt/config.toml`; credentials and base URL also from the variables that Twilio's own tools
    use. One that is made with an `account_sid` counts as it is."""

    auth_token: TSecretStrValue | None = None
    api_key_secret: TSecretStrValue | None = None
    hash_key: TSecretStrValue | None = None

    def __post_init__(self) -> None:
        self.__is_resolved__ = self.account_sid is not None

    @classmethod
    def get_resolvable_fields(cls) -> dict[str, type]:
        """None that dlt looks up: it also takes what outer sections have, and a `base_url` that is
        meant for another source would get the credentials."""
        found = super().get_resolvable_fields()
        return {name: Annotated[hint, NotResolved()] for name, hint in found.items()}  # type: ignore[misc]

    def on_resolved(self) -> None:
        for field in fields(Settings):
            if (path := (*SECTION, field.name)) == FILTERS:
                self.filters = _filters()
                continue
            value = _in_own_section(path, str if field.default is None else type(field.default))
            if value in (None, ""):
                value, _ = from_twilio(field.name)
            setattr(self, field.name, field.default if value == "" else value)


def _filters() -> dict[str, str]:
    names = set[str]()
    for provider in dlt.config.config_providers:
        table, _ = provider.get_value(FILTERS[-1], dict, None, *FILTERS[:-1])
        names |= filter_names(table, provider.name)
    found = {name: _in_own_section((*FILTERS, name), str) for name in sorted(names)}
    return {name: value for name, value in found.items() if value}


def _in_own_section(names: tuple[str, ...], kind: type) -> Any:
    path = ".".join(names)
    if names[-1] in SECRETS:
        secret: Any = dlt.secrets.get(path)
        return None if secret is None else str(secret).strip()
    value: Any = dlt.config.get(path)
    if names[-1] == "accounts":
        value = as_text(value)
    try:
        if isinstance(value, list | dict) or (isinstance(value, bool) and kind is not bool):
            # dlt would write JSON
            raise ConfigValueCannotBeCoercedException(path, type(value), kind)
        value = value if type(value) is kind else dlt.config.get(path, kind)
    except ConfigValueCannotBeCoercedException:
        wanted = {int: "a whole number", bool: "true or false"}.get(kind, "text")
        raise SettingsError(f"{path}: write {wanted}") from None
    return value.strip() if isinstance(value, str) else value


@dlt.source(
    name=SECTION[-1], section=SECTION[-1], spec=TwilioInsightsConfiguration, max_table_nesting=0
)
def twilio_insights(
    settings: TwilioInsightsConfiguration = None,  # type: ignore[assignment]  # dlt fills it in
) -> Iterator[DltResource]:
    """Conferences created since the watermark of each account, and those still pending; where
    `participants` is set, the participants of final ones that an earlier load wrote.

    resource      listed by       lookback  final              asked again
    conferences   create_time     48h       timeout, complete  until final, for 30 days
    participants  conference_sid  none      timeout, complete  until final, for 30 days

    `pages` lists and re-fetches; the tables take their part of what it found:

    table                           key                                 written
    conference_summaries            conference_sid                      merge
    conference_tags                 conference_sid, tag                 merge, whole record
    conference_tag_info             conference_sid, tag, item_index     merge, whole record
    conference_detected_issues      conference_sid, issue               merge, whole record
    conference_participants         participant_sid                     merge
    conference_participant_metrics  participant_sid, direction          merge, whole record
    conference_participant_events   participant_sid, event, event_index  merge, whole record
    conference_participant_coaching  participant_sid, coached_call_sid  merge, whole record
    accounts                        account_sid                         merge
    _refetches                      resource, key                       merge
    _rejected_rows                  row_digest                          merge
    _watermarks                     resource, account_sid, filters, region  merge
    _drift                          account_sid, name                   merge
    _listings                       resource, parent_key                merge
    _erasures                       erasure_id                          merge

    Args:
        settings: resolved from the section `sources.twilio_insights` when not given.

    Raises:
        SettingsError: a setting is missing or wrong.
        InsightsError: the API could not be read; nothing is loaded then.
    """
    settings.check()
    return _resources(lambda: _read(settings))


@dlt.source(name=SECTION[-1], section=SECTION[-1], max_table_nesting=0)
def begun_package(batches: Batches, continues: str | None) -> Iterator[DltResource]:
    """The same resources, for batches that the caller has begun to read; `continues` tells the load
    packages that were completed before."""
    return _resources(lambda: _remembered(batches, continues))


def _resources(read: Callable[[], Batches]) -> Iterator[DltResource]:
    pages = dlt.resource(read, name="pages", selected=False)
    for table in TABLES:
        merge = {"destination_scope": _SCOPES[table]} if table in _SCOPES else {}
        yield _table(pages, table, **merge)


def _table(pages: DltResource, table: Table, **merge: str) -> DltResource:
    def take(tables: Tables) -> Any:
        if table.name in tables:
            from pipelines.twilio_insights.extract.flatten import with_load_id

            yield with_load_id(table, tables[table.name], _package()["load_id"])

    transformer: DltResource = dlt.transformer(
        take,
        data_from=pages,
        name=table.name,
        primary_key=table.key,
        columns={column.name: column.hints for column in table.columns},
        write_disposition={"disposition": "merge", "strategy": "delete-insert", **merge},  # type: ignore[call-overload]
    )
    return transformer


def _read(settings: Settings) -> Iterator[Tables]:
    """List and re-fetch for a pipeline that knows nothing but dlt."""
    with InsightsClient(settings) as client, dlt.current.pipeline().sql_client() as sql:
        query = _query(sql)
        _migrate_tables(sql)
        loaded = loaded_packages(query)
        if missing := [table for table in TABLES if not _exists(sql, table)]:
            # All tables exist from the first load on, however little there is to load; those that
            # came later, from the first load of this version on.
            from pipelines.twilio_insights.extract.flatten import to_arrow

            yield {t.name: to_arrow(t, [[] for _ in t.columns[1:]]) for t in missing}
        state = dlt.current.source_state()
        accounts = Accounts(client, query, CONFERENCES)
        accounts.read()
        stored = DestinationState(query, CONFERENCES)

        def batches() -> Iterator[Tables]:
            with closing(Extraction(client, CONFERENCES, stored, accounts)) as extraction:
                yield from extraction.package(former=cast(FormerState, state))
                for reader in readers(client, query, accounts):
                    with closing(reader):
                        yield from reader.package()

        yield from _remembered(batches(), loaded)
        described = (f"{name}: {why}" for name, why in accounts.describe_failures().items())
        for line in (*filter(None, [accounts.fault]), *described):
            log.warning("Not loaded: %s", line)
        state.clear()  # an earlier version kept there what the tables have now


def _exists(sql: SqlClientBase[Any], table: Table) -> bool:
    name = sql.make_qualified_table_name(table.name)
    try:
        sql.execute_sql(f"SELECT 1 FROM {name} WHERE 1 = 0")
    except DatabaseUndefinedRelation:
        return False
    return True


def _migrate_tables(sql: SqlClientBase[Any]) -> None:
    """Bring the bookkeeping tables of earlier versions up to date.

    `_refetches` once had `conference_sid` instead of `resource` and `key`, `_watermarks` had no
    `region`, and `_listings` had no `asked_by`.
    """
    for later, column in ((WATERMARKS, "region"), (LISTINGS, "asked_by")):
        name = sql.make_qualified_table_name(later.name)
        with suppress(DatabaseException):  # it is of this version, or there is none
            sql.execute_sql(f"ALTER TABLE {name} ADD COLUMN {column} VARCHAR DEFAULT ''")
    table = sql.make_qualified_table_name(REFETCHES.name)
    with suppress(DatabaseException):  # it is of this version, or there is none
        sql.execute_sql(f"SELECT conference_sid FROM {table} WHERE 1 = 0")
        with suppress(DatabaseException):  # a killed run has added it
            sql.execute_sql(f"ALTER TABLE {table} ADD COLUMN resource VARCHAR")
        sql.execute_sql(f"UPDATE {table} SET resource = '{CONFERENCES.name}'")
        sql.execute_sql(f"ALTER TABLE {table} RENAME COLUMN conference_sid TO key")
    known = dlt.current.source_schema().tables.get(REFETCHES.name, {})
    known.get("columns", {}).pop("conference_sid", None)


def _remembered(batches: Batches, continues: str | None) -> Iterator[Tables]:
    """Yield the batches, and note in the load package's state by what a later run can tell whether
    the package is complete and continues what the destination holds."""
    state, present = _package()["state"], set[str]()
    state[CONTINUES] = continues
    for batch in batches:
        present |= batch.keys()
        yield batch
    state[HAS_TABLES] = sorted(present)


def _package() -> dict[str, Any]:
    return cast(dict[str, Any], dlt.current.load_package_state())


def _query(client: SqlClientBase[Any]) -> Callable[..., list[tuple[Any, ...]]]:
    takes_lists = client.capabilities.sqlglot_dialect in ("duckdb", "postgres")

    def query(sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        text = re.sub(r"\{(\w+)\}", lambda t: client.make_qualified_table_name(t[1]), sql)
        if not takes_lists:
            text, arguments = without_lists(text, arguments)
        try:
            rows = client.execute_sql(text, *arguments)
        except DatabaseUndefinedRelation:  # nothing was loaded yet
            return []
        return cast(list[tuple[Any, ...]], rows or [])

    return query


def without_lists(sql: str, arguments: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """The same with a mark for each element of a list: most engines take no list, or have another
    word for `unnest`."""
    rest, parts, values = list(arguments), [], list[Any]()
    for part in re.split(r"(SELECT unnest\(%s\)|%s)", sql):
        if "%s" not in part:
            parts.append(part)
            continue
        value = rest.pop(0)
        elements = [value] if part == "%s" else [*value]
        parts.append(", ".join(["%s"] * len(elements)) or "NULL")
        values += elements
    return "".join(parts), tuple(values)
