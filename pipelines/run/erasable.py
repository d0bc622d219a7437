"""What a warehouse has of conferences, or of somebody, as changes that leave nothing of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from pipelines.times import naive_utc
from pipelines.twilio_insights.api.bounds import Oversized
from pipelines.twilio_insights.codec import parse, to_json
from pipelines.twilio_insights.extract.erasures import SIDS, empty_of, holds
from pipelines.twilio_insights.extract.personal import COLUMNS, PersonalData
from pipelines.twilio_insights.extract.records import created_of
from pipelines.twilio_insights.resources import CONFERENCES, RESOURCES
from pipelines.twilio_insights.tables import REJECTED_ROWS, Column
from pipelines.warehouse.database import DATASET, Database

AT_ONCE = 1000
"""Rejected rows that are read at once."""
PARSED = 1_000_000
"""Bytes of a rejected row from which on it would take much memory as Python's objects."""
_KEPT_BY_RUNS = ("final_changed", "unreadable", "drift", "left_package")
"""Columns of `_runs` that name records: two lists, names with the first SID of each, and a text."""


class Change(NamedTuple):
    """A change to the rows of a table for which `where` holds, whose marks stand for `values`.

    They are deleted, or, if `assigned` is given, updated by it; its marks stand for `new`.
    """

    table: str
    where: str
    values: Sequence[Any]
    assigned: str = ""
    new: Sequence[Any] = ()

    def count(self, database: Database) -> int:
        counted = f"SELECT count(*) FROM {DATASET}.{self.table} WHERE {self.where}"
        return int(database.execute(counted, [*self.values])[0][0])

    def make(self, database: Database) -> None:
        table = f"{DATASET}.{self.table}"
        do = f"UPDATE {table} SET {self.assigned}" if self.assigned else f"DELETE FROM {table}"
        database.execute(f"{do} WHERE {self.where}", [*self.new, *self.values])


class Chosen(NamedTuple):
    """Conferences, by SQL that gives their SIDs; all that were created before a time, or one."""

    select: str
    values: Sequence[Any]
    created_before: datetime | None = None

    @classmethod
    def one(cls, sid: str) -> Chosen:
        return cls("SELECT unnest(?)", [[sid]])

    @classmethod
    def older(cls, moment: datetime) -> Chosen:
        created = f"coalesce({CONFERENCES.created}, fetched_at)"
        table = f"{DATASET}.{CONFERENCES.table.name}"
        select = f"SELECT {CONFERENCES.key} FROM {table} WHERE {created} < ?"
        return cls(select, [naive_utc(moment)], moment)


def of_conferences(database: Database, chosen: Chosen) -> Iterator[Change]:
    """What is about them: a conference's own row at last, since the others are found by it."""
    values, keys = chosen.values, {CONFERENCES.name: chosen.select}
    for resource in RESOURCES.values():
        if resource.parent:
            of = f"{resource.parent.key} IN ({keys[resource.parent.name]})"
            select = f"SELECT {resource.key} FROM {DATASET}.{resource.table.name} WHERE {of}"
            keys[resource.name] = select
    yield from _naming(database, chosen, keys)
    for resource in reversed(RESOURCES.values()):
        of_resource = f"IN ({keys[resource.name]})"
        where = f"resource = '{resource.name}' AND key {of_resource}"
        yield Change("_refetches", where, values)
        yield Change("_listings", f"parent_key {of_resource}", values)
        drift = f"conference_sid {of_resource}"
        yield Change("_drift", drift, values, "conference_sid = NULL")
        for child in resource.children:
            yield Change(child.table.name, f"{resource.key} {of_resource}", values)
        owner = resource.parent or resource
        yield Change(resource.table.name, f"{owner.key} IN ({keys[owner.name]})", values)


def _naming(database: Database, chosen: Chosen, keys: dict[str, str]) -> Iterator[Change]:
    """Where texts have their SIDs, or those of what belongs to them."""

    def among(texts: Sequence[Any]) -> set[str]:
        found = [*{sid for text in texts for sid in SIDS.findall(text or "")}]
        if not found:
            return set()
        asked = " OR ".join(f"k.sid IN ({select})" for select in keys.values())
        return {
            sid
            for (sid,) in database.execute(
                f"SELECT k.sid FROM (SELECT unnest(?) AS sid) AS k WHERE {asked}",
                [found, *[*chosen.values] * len(keys)],
            )
        }

    before = chosen.created_before and naive_utc(chosen.created_before)
    if before:  # a row that was rejected before that time is of a record created before it
        yield Change("_rejected_rows", "rejected_at < ?", [before])
    for rows in _rejected(database, before or datetime.min):
        sids = among([text for _, *texts in rows for text in texts])
        named = [d for d, *texts in rows if sids & {*SIDS.findall(" ".join(texts))}]
        if chosen.created_before:
            named += _created_before(chosen.created_before, rows)
        yield from _rows_of([*{*named}])
    found = _texts_of_runs(database)
    sids = among([text for _, *texts in found for text in texts])
    for run, *texts in found:
        yield from _of_run(run, texts, lambda name, sid: sid in sids or name in sids)
    errors = database.execute(
        f"SELECT account_sid, last_error FROM {DATASET}.accounts WHERE last_error IS NOT NULL"
    )
    sids = among([error for _, error in errors])
    for account, error in errors:
        if sids & {*SIDS.findall(error)}:
            told = SIDS.sub(lambda sid: "(erased)" if sid[0] in sids else sid[0], error)
            yield Change("accounts", "account_sid = ?", [account], "last_error = ?", [told])


def of_identity(database: Database, personal: PersonalData, text: str) -> Iterator[Change]:
    """Changes that erase a text: values equal to it or to its hash, and JSON that contains it."""
    hashes = PersonalData("hash" if personal.hash_key else "keep", personal.hash_key)

    def forms(value: str) -> set[str]:
        return {value, hashes.value(value) or value}

    by_column = [(t, c) for t, cs in COLUMNS.items() if t != REJECTED_ROWS.name for c in cs]
    for table, column in by_column:
        found = [*forms(text)]
        if column.is_json:
            found = _with_text(database, table, column, text)
            # A JSON value is hashed as a whole; its hash is stored as a JSON string.
            hashed = forms(to_json(text)) - {to_json(text)}
            found += [to_json(one) for one in hashed]
        where, new = f'"{column.name}" IN (SELECT unnest(?))', empty_of(column)
        if found:
            yield Change(table, where, [found], f'"{column.name}" = ?', [new])
    for rows in _rejected(database, datetime.min):
        having = [digest for digest, _, row in rows if _has(row, text)]
        yield from _rows_of(having, "row = 'null'")
        quoting = [digest for digest, reason, _ in rows if text in reason.partition(":")[2]]
        yield from _rows_of(quoting, "reason = split_part(reason, ':', 1)")
    shown = forms(text[:80])  # as much as a name of drift has
    for account, name in database.execute(f"SELECT account_sid, name FROM {DATASET}._drift"):
        if name.partition(" = ")[2] in shown:
            yield Change("_drift", "account_sid = ? AND name = ?", [account, name])
    for run, *texts in _texts_of_runs(database):
        yield from _of_run(run, texts, lambda name, _: name.partition(" = ")[2] in shown, text)


def _with_text(database: Database, table: str, column: Column, text: str) -> list[str]:
    """The JSON of a column that has it, as `to_json` has written it."""
    found = database.execute(
        f'SELECT DISTINCT "{column.name}" FROM {DATASET}.{table} '
        f'WHERE strpos("{column.name}", ?) > 0',
        [to_json(text)],
    )
    return [one for (one,) in found if _has(one, text)]


def _has(json_text: str, text: str) -> bool:
    if holds(json_text, text.__eq__):
        return True
    try:
        parse(json_text.encode())
    except (ValueError, RecursionError):  # what is rejected may be no JSON
        return text in json_text
    return False


def _rejected(database: Database, since: datetime) -> Iterator[list[tuple[Any, ...]]]:
    """Digest, reason and text of what was rejected, some rows at a time."""
    last = -(2**63) - 1
    while rows := database.execute(
        f"SELECT row_digest, reason, row FROM {DATASET}._rejected_rows "
        f"WHERE row_digest > ? AND rejected_at >= ? ORDER BY row_digest LIMIT {AT_ONCE}",
        [last, since],
    ):
        last = rows[-1][0]
        yield rows


def _created_before(moment: datetime, rejected: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    """Digests of what was rejected and says itself that it was created before a time."""
    for digest, _, row in rejected:
        with suppress(ValueError, RecursionError):
            text = row.encode()
            element = parse(text) if len(text) < PARSED else Oversized(text, "")
            found = (created_of(resource, element) for resource in RESOURCES.values())
            if any(created and created < moment for created in found):
                yield digest


def _rows_of(digests: list[int], assigned: str = "") -> Iterator[Change]:
    if digests:
        yield Change("_rejected_rows", "row_digest IN (SELECT unnest(?))", [digests], assigned)


def _texts_of_runs(database: Database) -> list[tuple[Any, ...]]:
    some = f"coalesce({', '.join(_KEPT_BY_RUNS)}) IS NOT NULL"
    names = ", ".join(_KEPT_BY_RUNS)
    return database.execute(f"SELECT run_id, {names} FROM {DATASET}._runs WHERE {some}")


def _of_run(
    run: str, texts: Sequence[str | None], is_erased: Callable[[str, str], bool], quoted: str = ""
) -> Iterator[Change]:
    """Remove from a run's texts, in the order of `_KEPT_BY_RUNS`, each name and SID that
    `is_erased` tells; and the reason in `left_package`, if it has such a SID or `quoted`."""
    *lists, drift, left = texts
    kept: list[str | None] = []
    for text in lists:
        sids = [sid for sid in json.loads(text or "[]") if not is_erased("", sid)]
        kept.append(json.dumps(sids) if sids else None)
    named = json.loads(drift or "{}").items()
    rest = {name: sid for name, sid in named if not is_erased(name, sid)}
    kept.append(json.dumps(rest) if rest else None)
    told = left or ""
    is_named = any(is_erased("", sid) for sid in SIDS.findall(told)) or (quoted and quoted in told)
    kept.append(told.partition(":")[0] if is_named else left)
    if kept != [*texts]:
        assigned = ", ".join(f"{name} = ?" for name in _KEPT_BY_RUNS)
        yield Change("_runs", "run_id = ?", [run], assigned, kept)
