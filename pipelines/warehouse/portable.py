"""One statement of ours in the SQL of another engine, with its parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlglot import ErrorLevel, exp, parse_one

from pipelines.warehouse.dialects import DIALECTS

_MARK = "parameter_of_ours_"


@cache
def to_dialect(sql: str, dialect: str) -> str:
    """The statement as a driver takes it together with parameters, even if there are none: `?` is
    `%s`, `$name` is `%(name)s`, and `%` is `%%`.

    Raises:
        sqlglot.errors.SqlglotError: it cannot be said in that dialect.
    """
    # sqlglot takes `?::` for one operator.
    statement = parse_one(sql.replace("?::", "? ::"), dialect="duckdb")
    for rewrite in (_mark, _type_list, *DIALECTS[dialect].rewrites):
        statement = statement.transform(rewrite)
    text = statement.sql(dialect, identify=True, unsupported_level=ErrorLevel.RAISE)
    text = text.replace("%", "%%").replace(f"{_MARK};", "%s")
    return re.sub(rf"{_MARK}(\w+);", r"%(\1)s", text)


def _mark(part: exp.Expr) -> exp.Expr:
    """A parameter as a word, since drivers have other marks than their engines."""
    if isinstance(part, exp.Placeholder | exp.Parameter):
        return exp.var(f"{_MARK}{part.name.removeprefix('?')};")
    return part


def _type_list(part: exp.Expr) -> exp.Expr:
    """A list is one of texts if nothing else is said; an empty one has no type of its own."""
    if isinstance(part, exp.Explode) and isinstance(part.this, exp.Var):
        part.set("this", exp.cast(part.this, "TEXT[]"))
    return part


def without_nul(value: Any) -> Any:
    """PostgreSQL has no NUL in a text."""
    if isinstance(value, Mapping):
        return {name: without_nul(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [*map(without_nul, value)]
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value
