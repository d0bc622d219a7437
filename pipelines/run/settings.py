"""What the user has set: the only module that reads settings, and by their full names only.

A secret may have been put into the wrong place, so messages do not repeat a wrong value.

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
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import fields
from datetime import date, time
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.errors import SettingsError
from pipelines.twilio_insights.extract.personal import PersonalData
from pipelines.twilio_insights.filters import FILTERS, filter_names
from pipelines.twilio_insights.resources import CONFERENCES
from pipelines.twilio_insights.settings import (
    SECRETS,
    SECTION,
    Settings,
    as_text,
    personal_data_problem,
)
from pipelines.twilio_insights.twilio_variables import from_twilio
from pipelines.warehouse.lake.store import DEFAULT_KEEP

log = logging.getLogger("conference_insights")

SECRETS_FILE, CONFIG_FILE = Path(".dlt/secrets.toml"), Path(".dlt/config.toml")
DEFAULT_WAREHOUSE = "warehouse.duckdb"
DESTINATION_TYPE = ("destination_type",)
WAREHOUSE_FILE = ("destination", "duckdb", "credentials")
SERVER = ("destination", "postgres", "credentials")
TIMEZONE = ("report_timezone",)
DIRECTORY, PERSONAL = ("publish", "directory"), ("publish", "personal_data")
RECONCILED = ("checks", "reconciled_within_35_days")
LAKE, LAKE_KEEP = ("publish", "lake"), ("publish", "lake_keep")
_HOOK = ("runtime", "slack_incoming_hook")
DEFAULTS: dict[tuple[str, ...], Any] = {
    **{(*SECTION, one.name): one.default for one in fields(Settings) if one.name != FILTERS[-1]},
    **{(*FILTERS, name): None for name in CONFERENCES.filters},
    DESTINATION_TYPE: "duckdb",
    WAREHOUSE_FILE: DEFAULT_WAREHOUSE,
    SERVER: None,
    TIMEZONE: "UTC",
    DIRECTORY: "<warehouse>.published, beside it",
    PERSONAL: True,
    LAKE: None,
    LAKE_KEEP: DEFAULT_KEEP,
    RECONCILED: False,
    _HOOK: None,
}
"""The program's settings by path, with what it assumes otherwise."""
_KINDS = {path: type(value) for path, value in DEFAULTS.items() if isinstance(value, int)}
"""Whole numbers, and true or false; all others are text."""
HIDDEN = {_HOOK, SERVER, *((*SECTION, name) for name in SECRETS)}
"""What is never shown."""
_TOKEN = re.compile("([A-Z]{2})?[0-9A-Za-z]{32}")
_MOST_BYTES = 1_000_000


class SettingValue(NamedTuple):
    """The value of a setting, and the variable or the file it is from."""

    value: Any
    origin: str


def source_settings() -> Settings:
    """The settings of the source.

    Raises:
        SettingsError: one is missing or wrong, or a file is not to be trusted.
    """
    paths = [path for path in DEFAULTS if path[:-1] == SECTION]
    settings = Settings(**_found(paths), filters=_found((*FILTERS, name) for name in _filters()))
    settings.check()
    for file in exposed_files():
        log.warning("Others can read %s; run: chmod 600 %s", file, file)
    return settings


def personal_data() -> PersonalData:
    """The same of personal data alone, for what needs no credentials.

    Raises:
        SettingsError: one is wrong.
    """
    names = ("personal_data", "hash_key")
    settings = Settings(**_found((*SECTION, name) for name in names))
    if problem := personal_data_problem(settings.personal_data, settings.hash_key):
        raise SettingsError(f"{'.'.join(SECTION)}.{problem}")
    return PersonalData.of(settings)


def _found(paths: Iterable[tuple[str, ...]]) -> dict[str, Any]:
    """By their last names, those that are set."""
    return {path[-1]: found.value for path in paths if (found := find(*path))}


def _filters() -> list[str]:
    """Names of filters, known or not."""
    files = [(_in_file(file, FILTERS), file) for file in (SECRETS_FILE, CONFIG_FILE)]
    return sorted(set[str]().union(*(filter_names(*file) for file in files)))


def slack_hook() -> str | None:
    """Where failures and recoveries are posted."""
    found = find(*_HOOK)
    return found.value if found else None


def find(*path: str) -> SettingValue | None:
    """The value that is set for just this path, as its type; None if none is, or a blank one.

    Raises:
        SettingsError: it is of another type, or a file is no TOML or not to be trusted.
    """
    # dlt takes the path of the file from either.
    names = [(*path, "database"), path] if path == WAREHOUSE_FILE else [path]
    for variable in ("__".join(name).upper() for name in names):
        if text := os.environ.get(variable, "").strip():
            return SettingValue(_typed(path, text, f"{'.'.join(path)} ({variable})"), variable)
    for file, name in product((SECRETS_FILE, CONFIG_FILE), names):
        value = _in_file(file, name)
        value = value.strip() if isinstance(value, str) else value
        if value in (None, "") or (isinstance(value, dict) and path == WAREHOUSE_FILE):
            continue
        if file == CONFIG_FILE and path in HIDDEN:
            raise SettingsError(f"{'.'.join(path)} is a secret: move it to {SECRETS_FILE}")
        return SettingValue(_typed(path, value, f"{'.'.join(name)} in {file}"), str(file))
    text, variable = from_twilio(path[-1]) if path[:-1] == SECTION else ("", "")
    if text:
        return SettingValue(_typed(path, text, f"{'.'.join(path)} ({variable})"), variable)
    return None


def _in_file(file: Path, path: tuple[str, ...]) -> Any:
    value: Any = content_of(file)
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _typed(path: tuple[str, ...], value: Any, origin: str) -> Any:
    name = path[-1]
    kind = _KINDS.get(path, str)
    if isinstance(value, str) and ("\0" in value or not _is_encodable(value)):
        raise SettingsError(f"{origin}: write text that is UTF-8, without zero characters")
    value = as_text(value) if name == "accounts" else value
    is_one = path in HIDDEN or name in ("account_sid", "api_key_sid")
    if isinstance(value, str) and not is_one and _is_secret(value, name):
        raise SettingsError(f"{origin}: that looks like a token or a key; write what belongs there")
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


def _is_secret(text: str, name: str) -> bool:
    """Whether it looks like a token or key of Twilio's, or holds one that is set: in a wrong place
    it would be shown."""
    for path in HIDDEN:
        with suppress(SettingsError):  # reported where it is needed
            if (known := find(*path)) and len(known.value) >= 16 and known.value in text:
                return True
    # A list may have one SID, and Twilio Flex names conferences by the SIDs of tasks.
    return name not in ("accounts", "friendly_name") and bool(_TOKEN.fullmatch(text))


def _is_encodable(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def content_of(file: Path) -> dict[str, Any]:
    """The TOML of a file; nothing if there is none.

    Raises:
        SettingsError: it cannot be read, or is not to be trusted.
    """
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
        reason = error.strerror if isinstance(error, OSError) else _place_of(error)
        raise SettingsError(f"Cannot read {file.absolute()}: {reason}") from None


def _open_at_once(path: str, flags: int) -> int:
    """A named pipe would be waited for until somebody writes to it."""
    return os.open(path, flags | os.O_NONBLOCK)


def _place_of(error: Exception) -> str:
    """Where the text is wrong; what is there may be a secret."""
    place = re.search(r" \(at [a-z0-9 ,]+\)$", str(error))
    return f"it is no TOML{place[0] if place else ''}"


def _expect_own(file: Path, status: os.stat_result) -> None:
    """Somebody else's file could send the credentials anywhere. Root may use a user's own, as one
    that a container is given, but none that anybody may have put there."""
    me = os.geteuid()
    if status.st_uid not in (me, 0) and (me != 0 or _is_open_to_all(file)):
        raise SettingsError(
            f"{file.absolute()} belongs to another user ({status.st_uid}), so it is not read: "
            "chown it, or run in a folder of your own"
        )
    if status.st_mode & stat.S_IWOTH:
        raise SettingsError(
            f"Every user can write {file.absolute()}, so it is not read: chmod o-w {file}"
        )


def _is_open_to_all(file: Path) -> bool:
    """Whether every user can make a settings file in this working folder."""
    return any(folder.stat().st_mode & stat.S_IWOTH for folder in (file.parent, Path()))


def exposed_files() -> list[Path]:
    """Files with secrets that other users can read."""
    file = SECRETS_FILE.absolute()
    return [file] if file.exists() and file.stat().st_mode & 0o077 else []
