"""What the user has set: the only module that reads settings, and by their full names only.

They come from the environment, then `.dlt/secrets.toml`, then `.dlt/config.toml` of the working
folder; credentials and base URL at last from the variables that Twilio's own tools use. dlt would
look in outer sections, in the home folder and in the machine's temporary folder too, where other
programs and other users put theirs.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date, time
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipelines.errors import SettingsError
from pipelines.logs import VARIABLE
from pipelines.twilio_insights.settings import (
    EDGE,
    REGION,
    SECRETS,
    SECTION,
    TWILIO_NAMES,
    Settings,
    from_twilio,
)

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
_MOST_BYTES = 1_000_000
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
    found = find(*_WAREHOUSE)
    database = (found.value if found else DEFAULT_WAREHOUSE).removeprefix("duckdb:///")
    if not database or "://" in database or database.startswith((":", "md:", "{")):
        raise SettingsError(  # its text may hold a password
            "destination.duckdb.credentials: no path; write the path of a file"
        )
    path = _path(database, _WAREHOUSE)
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
    folder = warehouse.with_name("published")
    if directory:
        folder = _path(directory.value, _DIRECTORY)
    is_personal = personal.value if personal else True
    return DeliverySettings(timezone, folder, is_personal)


def _path(text: str, setting: tuple[str, ...]) -> Path:
    try:
        path = Path(text).expanduser().absolute()
    except RuntimeError:  # ~ of a user who is none, or has no home folder
        raise SettingsError(
            f"{'.'.join(setting)}: there is no home folder for {text!r}; write the whole path"
        ) from None
    # DuckDB would put the file's log somewhere else, and dlt makes templates of its folder's name.
    if found := re.search(r"[?\\%]" if setting == _WAREHOUSE else r"[?\\]", str(path)):
        raise SettingsError(
            f"{'.'.join(setting)}: a database cannot be in {path}, because of the {found[0]}"
        )
    return path


def slack_hook() -> str | None:
    """Where failures and recoveries are posted."""
    found = find(*_HOOK)
    return found.value if found else None


def find(*path: str) -> Found | None:
    """The value that is set for just this path, as its type; None if none is, or a blank one.

    Raises:
        SettingsError: it is of another type, or a file is no TOML or not to be trusted.
    """
    # dlt takes the path of the file from either.
    names = [(*path, "database"), path] if path == _WAREHOUSE else [path]
    for variable in ("__".join(name).upper() for name in names):
        if text := os.environ.get(variable, "").strip():
            return Found(_typed(path[-1], text, f"{'.'.join(path)} ({variable})"), variable)
    for file, name in product((SECRETS_FILE, CONFIG_FILE), names):
        value: Any = _content(file)
        for part in name:
            value = value.get(part) if isinstance(value, dict) else None
        value = value.strip() if isinstance(value, str) else value
        if value in (None, "") or isinstance(value, dict):
            continue
        if file == CONFIG_FILE and path[-1] in (*SECRETS, _HOOK[-1]):
            raise SettingsError(f"{'.'.join(path)} is a secret: move it to {SECRETS_FILE}")
        return Found(_typed(path[-1], value, f"{'.'.join(name)} in {file}"), str(file))
    text, variable = from_twilio(path[-1]) if path[:-1] == SECTION else ("", "")
    if text:
        return Found(_typed(path[-1], text, f"{'.'.join(path)} ({variable})"), variable)
    return None


def _typed(name: str, value: Any, origin: str) -> Any:
    kind = _KINDS.get(name, str)
    if isinstance(value, str) and ("\0" in value or not _is_encodable(value)):
        raise SettingsError(f"{origin}: write text that is UTF-8, without zero characters")
    if type(value) is kind:
        return value
    if kind is int and isinstance(value, str) and re.fullmatch(r"\s*\d{1,9}\s*", value):
        return int(value)
    if kind is bool and str(value).strip().lower() in ("true", "false"):
        return str(value).strip().lower() == "true"
    if kind is str and isinstance(value, int | float | date | time) and type(value) is not bool:
        return value.isoformat() if isinstance(value, date | time) else str(value)
    wanted = {int: "a whole number", bool: "true or false", str: "text"}[kind]
    raise SettingsError(f"{origin}: write {wanted}")  # the value may be a secret


def _is_encodable(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def _content(file: Path) -> dict[str, Any]:
    try:
        with open(file, "rb", opener=_open_at_once) as opened:
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SettingsError(f"{file.absolute()} is no ordinary file, so it is not read")
            _expect_own(file, status)
            text = opened.read(_MOST_BYTES + 1)
            if len(text) > _MOST_BYTES:
                raise SettingsError(f"{file.absolute()} has more than 1 MB, so it is not read")
            return tomllib.loads(text.decode())
    except (FileNotFoundError, NotADirectoryError):
        if file.is_symlink():
            raise SettingsError(
                f"{file.absolute()} is a link to {file.readlink()}, which is not there"
            ) from None
        return {}
    except SettingsError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        said = error.strerror if isinstance(error, OSError) else _place_of(error)
        raise SettingsError(f"Cannot read {file.absolute()}: {said}") from None


def _open_at_once(path: str, flags: int) -> int:
    """A named pipe would be waited for until somebody writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _place_of(error: Exception) -> str:
    """Where the text is wrong; what is there may be a secret."""
    place = re.search(r" \(at [a-z0-9 ,]+\)$", str(error))
    return f"it is no TOML{place[0] if place else ''}"


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
        if found or default is not None:
            value, origin = found or Found(default, "default")
            text = str(value).lower() if isinstance(value, bool) else str(value)  # as it is written
            yield Shown(".".join(path), _masked(path[-1], text), origin)


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
    known |= {
        *TWILIO_NAMES.values(),
        EDGE,
        REGION,
        VARIABLE,
        "__".join((*_WAREHOUSE, "database")).upper(),
    }
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
