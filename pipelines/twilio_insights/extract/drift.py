"""What Twilio's documentation does not know: it is loaded as it is, and named when it is new."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator

import pyarrow.compute as pc

from pipelines.twilio_insights.extract.flatten import Tables
from pipelines.twilio_insights.extract.personal import PersonalData
from pipelines.twilio_insights.resources import Resource

MAX_NAMED = 500
"""More are loaded all the same, but no longer named."""


def find_drift(
    resource: Resource,
    batch: Tables,
    accounts: Collection[str],
    named: set[str],
    personal: PersonalData,
) -> dict[str, str]:
    """Add to `named` what is new in the batch; give what was added, with the SID of the first
    conference, or other record without a parent, that has it.

    Keys read `tag = very_new` for a value that its column's documentation does not list, and
    `extra_fields = voice_bots` for a field that is unknown, or whose value does not fit its type;
    those of a resource with a parent begin with its name. What is `personal` is not in them.
    """
    new: dict[str, str] = {}
    of = f"{resource.name}: " if resource.parent else ""
    for kind, value, sid in _undocumented(resource, batch, accounts):
        name = personal.drift(f"{of}{kind} = {value[:80]}")
        if name not in named and len(named) < MAX_NAMED:
            named.add(name)
            new[name] = _parent_of(resource, batch, sid)
    return new


def _parent_of(resource: Resource, batch: Tables, key: str) -> str:
    if resource.parent is None:
        return key
    root = batch[resource.table.name]
    found = root[resource.parent.key][pc.index(root[resource.key], key).as_py()]
    return str(found.as_py() or key)


def _undocumented(
    resource: Resource, batch: Tables, accounts: Collection[str]
) -> Iterator[tuple[str, str, str]]:
    """Kind, value and first SID."""
    key = resource.key
    for table in resource.tables:
        for column in table.columns if table.name in batch else ():
            known = set(accounts) if column.name == "account_sid" else set(column.values)
            if not known:
                continue
            received = batch[table.name][column.name]
            for value in set(pc.unique(received).to_pylist()) - known - {None, ""}:
                first = pc.index(received, value).as_py()
                yield column.name, value, batch[table.name][key][first].as_py()
    if (root := batch.get(resource.table.name)) is None:
        return
    for rest in (c.name for c in resource.table.columns if c.rest or c.name in resource.objects):
        if root[rest].null_count < len(root):
            for row in root.select([key, rest]).to_pylist():
                fields = json.loads(row[rest] or "{}")
                for field in fields if isinstance(fields, dict) else ["(no object)"]:
                    yield rest, field, row[key]
