"""What the user has set: the only module that reads settings, and by their full names only.

They come from the environment, then `.dlt/secrets.toml`, then `.dlt/config.toml` of the working
folder; the credentials at last from the variables that Twilio's own tools use. dlt would look in
outer sections, in the home folder and in the machine's temporary folder too, where other programs
and other users put theirs.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipelines.errors import SettingsError
from pipelines.logs import VARIABLE
from pipelines.twilio_insights.settings import SECRETS, SECTION, TWILIO_NAMES, Settings

log = logging.getLogger("conference_insights")

SECRETS_FILE, CONFIG_FILE = Path(".dlt/secrets.toml"), Path(".dlt/config.toml")
DEFAULT_WAREHOUSE = "warehouse.duckdb"
_WAREHOUSE = ("destination", "duckdb", "credentials")
_TIMEZONE = ("report_timezone",)
_DIRECTORY, _PERSONAL = ("publish", "directory"), ("publish", "personal_data")
_HOOK = ("runtime", "slack_incoming_hook")
DEFAULTS: dict[tuple[str, ...], Any] = {
    **{(*SECTION, field.name): field.default for field in fields(Settings)},
    _WAREHOUSE: DEFAULT_WAREHOUSE,
    _TIMEZONE: "UTC",
    _DIRECTORY: "published, beside the warehouse",
    _PERSONAL: True,
    _HOOK: None,
}
"""The program's settings by path, with what it assumes otherwise."""
_KINDS: dict[str, type] = {"page_size": int, "max_concurrency": int, "personal_data": bool}
"""All others are text."""
_SCHEMAS = {"conference_insights", "conference_insights_staging", "analytics"}
_SCHEMAS |= {"main", "temp", "system"}


class Found(NamedTuple):
    """The value of a setting, and the variable or the file it is from."""

    value: Any
    origin: str


class Shown(NamedTuple):
    """A setting for people; `value` is masked if it is a secret, `origin` may be the default."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True)
class DeliverySettings:
    """`timezone` is the zone of days and hours; `directory` has the copies; without
    `personal_data` the copies lack the columns that are marked as personal."""

    timezone: str
    directory: Path
    personal_data: bool


def source_settings() -> Settings:
    """Credentials and knobs of the source.

    Raises:
        SettingsError: one is missing or wrong, or a file is not to be trusted.
    """
    found = {field.name: find(*SECTION, field.name) for field in fields(Settings)}
    for name, variable in TWILIO_NAMES.items():
        if found[name] is None and (value := os.environ.get(variable)):
            found[name] = Found(value, variable)
    settings = Settings(**{name: f.value for name, f in found.items() if f is not None})
    settings.check()
    for file in exposed_files():
        log.warning("Others can read %s; run: chmod 600 %s", file, file)
    return settings


def warehouse_path() -> Path:
    """Where the warehouse is, as an absolute path.

    Raises:
        SettingsError: it is not a file, or its name collides with a schema in it.
    """
    found = find(*_WAREHOUSE, "database") or find(*_WAREHOUSE)
    configured = found.value if found else DEFAULT_WAREHOUSE
    database = str(configured).removeprefix("duckdb:///")
    if "://" in database or database.startswith((":", "md:", "{")):
        raise SettingsError(
            f"destination.duckdb.credentials is {configured!r}; write the path of a file"
        )
    path = Path(database).expanduser().absolute()
    if path.name.split(".")[0].lower() in _SCHEMAS:  # DuckDB's catalog is named so
        raise SettingsError(
            f"The warehouse file cannot be named {path.name}: that is also the name of a "
            "schema, and queries could not tell them apart. Choose another name in "
            "DESTINATION__DUCKDB__CREDENTIALS"
        )
    return path


def delivery_settings(warehouse: Path) -> DeliverySettings:
    """What views and copies are made by.

    Raises:
        SettingsError: one is wrong.
    """
    zone, directory, personal = (find(*path) for path in (_TIMEZONE, _DIRECTORY, _PERSONAL))
    timezone = str(zone.value) if zone else "UTC"
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(
            f"report_timezone: {timezone!r} is no time zone; write an IANA name such as "
            "Europe/Berlin"
        ) from None
    folder = Path(directory.value) if directory else warehouse.with_name("published")
    is_personal = personal.value if personal else True
    return DeliverySettings(timezone, folder.expanduser().absolute(), is_personal)


def slack_hook() -> str | None:
    """Where failures and recoveries are posted."""
    found = find(*_HOOK)
    return found.value if found else None


def find(*path: str) -> Found | None:
    """The value that is set for just this path, as its type; None if none is, or an empty one.

    Raises:
        SettingsError: it is of another type, or a file is no TOML or not to be trusted.
    """
    variable = "__".join(path).upper()
    if text := os.environ.get(variable):
        return Found(_typed(path[-1], text, f"{'.'.join(path)} ({variable})"), variable)
    for file in (SECRETS_FILE, CONFIG_FILE):
        value: Any = _content(file)
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if value in (None, "") or isinstance(value, dict):
            continue
        if file == CONFIG_FILE and path[-1] in (*SECRETS, _HOOK[-1]):
            raise SettingsError(f"{'.'.join(path)} is a secret: move it to {SECRETS_FILE}")
        return Found(_typed(path[-1], value, f"{'.'.join(path)} in {file}"), str(file))
    return None


def _typed(name: str, value: Any, origin: str) -> Any:
    kind = _KINDS.get(name, str)
    if isinstance(value, str) and kind is str:
        return value.strip()
    if type(value) is kind:
        return value
    if kind is int and isinstance(value, str) and re.fullmatch(r"\s*\d{1,9}\s*", value):
        return int(value)
    if kind is bool and str(value).strip().lower() in ("true", "false"):
        return str(value).strip().lower() == "true"
    if kind is str and not isinstance(value, dict | list):
        return str(value)  # a date in TOML
    wanted = {int: "a whole number", bool: "true or false", str: "text"}[kind]
    raise SettingsError(f"{origin}: write {wanted}")  # the value may be a secret


def _content(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            _expect_own(file, os.fstat(opened.fileno()))
            return tomllib.loads(opened.read().decode())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        if isinstance(error, SettingsError):
            raise
        said = error.strerror if isinstance(error, OSError) else "it is no TOML"
        raise SettingsError(f"Cannot read {file.absolute()}: {said}") from None


def _expect_own(file: Path, status: os.stat_result) -> None:
    """Somebody else's file could send the credentials anywhere. Root may use a user's own."""
    me = os.geteuid()
    if status.st_uid not in (me, 0) and me != 0:
        raise SettingsError(
            f"{file.absolute()} belongs to another user ({status.st_uid}), so it is not read: "
            "chown it, or run in a folder of your own"
        )
    if status.st_mode & stat.S_IWOTH:
        raise SettingsError(
            f"Every user can write {file.absolute()}, so it is not read: chmod o-w {file}"
        )


def exposed_files() -> list[Path]:
    """Files with secrets that other users can read."""
    file = SECRETS_FILE.absolute()
    return [file] if file.exists() and file.stat().st_mode & 0o077 else []


def shown_settings() -> Iterator[Shown]:
    """Every setting of the program that has a value, without the secrets.

    Raises:
        SettingsError: as `find`.
    """
    for path, default in DEFAULTS.items():
        found = find(*path)
        if path == _WAREHOUSE:
            found = find(*path, "database") or found
        variable = TWILIO_NAMES.get(path[-1], "")
        if found is None and os.environ.get(variable):
            found = Found(os.environ[variable], variable)
        if found or default is not None:
            value, origin = found or Found(default, "default")
            yield Shown(".".join(path), _masked(path[-1], str(value)), origin)


def _masked(name: str, text: str) -> str:
    """Not what is a secret, or might be one that was put into the wrong place."""
    sid = "(AC|SK)[0-9a-fA-F]{32}"
    plain = {
        "base_url": r"https?://[\w.:\[\]-]+/?",
        "account_sid": sid,
        "api_key_sid": sid,
    }
    secret = name in (*SECRETS, _HOOK[-1])
    if secret or not re.fullmatch(plain.get(name, "[^@]*"), text):
        return f"({len(text)} characters)"
    return text


def find_unknown() -> Iterator[str]:
    """Names that look like settings of the program and are none: misspelt ones, mostly."""
    known = {"__".join(path).upper() for path in DEFAULTS}
    known |= {*TWILIO_NAMES.values(), VARIABLE, "__".join((*_WAREHOUSE, "database")).upper()}
    ours = ("SOURCES__TWILIO_INSIGHTS__", "PUBLISH__")
    for name in sorted(os.environ.keys() - known):
        if name.startswith(ours) or get_close_matches(name, known, 1, cutoff=0.93):
            yield name
    for file in (SECRETS_FILE, CONFIG_FILE):
        content = _content(file)
        sources = content.get("sources")
        for section, names in (
            (SECTION, sources.get(SECTION[-1]) if isinstance(sources, dict) else None),
            (("publish",), content.get("publish")),
        ):
            for name in names.keys() if isinstance(names, dict) else ():
                if (*section, name) not in DEFAULTS:
                    yield f"{'.'.join((*section, name))} in {file}"
