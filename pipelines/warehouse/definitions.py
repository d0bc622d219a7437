"""Definitions that several SQL files share; `expand` puts them in where a file names them.

- A line with `each_tag`, `each_sorted_tag` or `each_final_state` is repeated for each value.
- `meaning_of_TAG` is the sentence that says what a documented tag means.
- `retention_days` is the number of days that Twilio keeps a summary.
- `weekday_of(t.day)` is 1 for Monday to 7 for Sunday, in SQL that all engines understand.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.lifecycle import RETENTION

SOURCE = Path(__file__).parents[1] / "twilio_insights"
_RESOURCES: dict[str, Any] = tomllib.loads((SOURCE / "resources.toml").read_text("utf-8"))
NOT_FINAL = {
    resource["table"]: "coalesce({}, '') NOT IN ('{}')".format(
        resource["state"], "', '".join(resource["final_states"])
    )
    for resource in _RESOURCES.values()
}
"""By table of a resource, the condition for a row that is not final."""
PENDING = NOT_FINAL["conference_summaries"]
"""The same of a conference."""
OWNERS = {
    child["table"]: (resource["table"], resource["key"])
    for resource in _RESOURCES.values()
    if "parent" in resource
    for child in resource.get("children", {}).values()
}
"""By table that has no conference's SID: the table whose records own its rows, and by what key."""
TABLES: dict[str, Any] = tomllib.loads((SOURCE / "tables.toml").read_text("utf-8"))
"""The tables that are loaded, with their columns; others in the dataset may be a user's."""
_WEEKDAY = r"CAST((date_diff('day', DATE '2024-01-01', \1) % 7 + 7) % 7 + 1 AS INTEGER)"


def expand(text: str, between: str = " ") -> str:
    """Put the definitions into a text; repeated lines are joined by `between`."""
    repeated: dict[str, Iterable[str]] = {
        "each_tag": documented_tags(),
        "each_sorted_tag": sorted(documented_tags()),
        "each_final_state": _RESOURCES["conferences"]["final_states"],
    }
    for name, values in repeated.items():
        if name not in text:
            continue
        text = "\n".join(
            between.join(line.replace(name, value) for value in values) if name in line else line
            for line in text.split("\n")
        )
    # Without \b in front: to look for it at each character would take longer than all the rest.
    text = re.sub(r"meaning_of_(\w+)", lambda tag: documented_tags()[tag[1]], text)
    text = text.replace("retention_days", str(RETENTION.days))
    return re.sub(r"weekday_of\(([\w.]+)\)", _WEEKDAY, text)


@cache
def documented_tags() -> dict[str, str]:
    """The tags that Twilio documents, and what they mean, as `tables.toml` of the source says."""
    return dict(TABLES["conference_tags"]["columns"]["tag"]["values"])
