"""Where the settings put the warehouse and its copies."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipelines.errors import SettingsError
from pipelines.run.settings import (
    DEFAULT_WAREHOUSE,
    DESTINATION_TYPE,
    DIRECTORY,
    LAKE,
    LAKE_KEEP,
    PERSONAL,
    RECONCILED,
    SECRETS_FILE,
    SERVER,
    TIMEZONE,
    WAREHOUSE_FILE,
    find,
    personal_data,
)
from pipelines.twilio_insights.extract.personal import KEEP, PersonalData
from pipelines.warehouse.copy.folder import as_noted, folder_of
from pipelines.warehouse.database import ANALYTICS, DATASET
from pipelines.warehouse.file.warehouse_file import DuckDbFile
from pipelines.warehouse.lake.store import LakeSettings, lake_of
from pipelines.warehouse.warehouse import Place, WarehouseError

_TAKEN = {DATASET, f"{DATASET}_staging", ANALYTICS}
_TAKEN |= {"main", "temp", "system", "information_schema"}
"""Names of schemas, and of DuckDB's own databases."""


log = logging.getLogger("conference_insights")


@dataclass(frozen=True)
class PublishSettings:
    """What views, checks and copies are made by.

    Attributes:
        timezone: IANA name of the zone of days and hours.
        directory: of the published copies; None for a server, which has none.
        personal_data: whether copies and lake have the columns that are marked as personal.
        lake: None if there is none.
        checks: names of the optional checks that are made.
        stored: what is done to personal data in the warehouse itself.
    """

    timezone: str
    directory: Path | None
    personal_data: bool
    lake: LakeSettings | None = None
    checks: frozenset[str] = frozenset()
    stored: PersonalData = KEEP

    def noted(self, place: Place) -> dict[str, str]:
        """What the status file has of them."""
        if self.directory is None or place.path is None:
            return {}
        return {"published": as_noted(self.directory, place.path)}


def warehouse_path() -> Path:
    """Where the warehouse is, as an absolute path.

    Raises:
        SettingsError: it is not a file, or its name collides with a schema in it.
    """
    found = find(*WAREHOUSE_FILE)
    database = (found.value if found else DEFAULT_WAREHOUSE).removeprefix("duckdb:///")
    if not database or "://" in database or database.startswith((":", "md:", "{")):
        raise SettingsError(  # its text may hold a password
            "destination.duckdb.credentials: no path; write the path of a file"
        )
    path = _path(database, WAREHOUSE_FILE)
    if not path.name:
        raise SettingsError(f"destination.duckdb.credentials: {path} is a folder; name a file")
    if path.name.split(".")[0].lower() in _TAKEN:  # DuckDB's catalog is named so
        raise SettingsError(
            f"The warehouse file cannot be named {path.name}: that is also the name of a "
            "schema, and queries could not tell them apart. Choose another name in "
            "DESTINATION__DUCKDB__CREDENTIALS"
        )
    return path


def warehouse_place() -> Place:
    """Where the warehouse is: a file or a server.

    Raises:
        SettingsError: what is set is neither, or a package for it is missing.
    """
    found = find(*DESTINATION_TYPE)
    kind = str(found.value) if found else "duckdb"
    if kind == "duckdb":
        if found is None and find(*SERVER):
            log.warning(
                "destination.postgres.credentials is set, but not destination_type: the warehouse "
                "is a file"
            )
        return DuckDbFile(warehouse_path())
    if kind != "postgres":
        raise SettingsError(
            "destination_type: this command loads into duckdb or postgres; write one of them. For "
            "other engines put the source into a dlt pipeline of your own, see "
            "pipelines/beyond_one_machine.md"
        )
    if (credentials := find(*SERVER)) is None:
        raise SettingsError(
            "destination.postgres.credentials is missing: write postgresql://user:password@host:"
            f"5432/database into DESTINATION__POSTGRES__CREDENTIALS or {SECRETS_FILE}"
        )
    from pipelines.warehouse.postgres import PostgresServer  # its driver is an extra

    return PostgresServer(credentials.value)


def expect_existing(place: Place) -> None:
    """Raise where there is no file; a server shows only when it is opened."""
    if place.path and not place.path.exists():
        raise nothing_in(place)


def nothing_in(place: Place) -> WarehouseError:
    return WarehouseError(f"Nothing is loaded in {place} yet: run `conference-insights run`")


def publish_settings(place: Place) -> PublishSettings:
    """What views and copies are made by.

    Raises:
        SettingsError: one is wrong.
    """
    zone, directory, personal = (find(*path) for path in (TIMEZONE, DIRECTORY, PERSONAL))
    timezone = str(zone.value) if zone else "UTC"
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(
            "report_timezone (REPORT_TIMEZONE): that is no time zone; write an IANA name such as "
            "Europe/Berlin"
        ) from None
    url, keep = (found.value if (found := find(*path)) else None for path in (LAKE, LAKE_KEEP))
    if url and not re.match(r"[\w.+-]+://", url):  # also a URL in quotes, which is refused
        url = str(_path(url, LAKE))
    lake = lake_of(url, keep)
    folder: Path | None = None
    if place.path:
        folder = _path(directory.value, DIRECTORY) if directory else folder_of(place.path)
    elif directory or lake:
        raise SettingsError(
            f"publish.{'directory' if directory else 'lake'}: copies and lakes are made of a "
            "warehouse file; a server has none, so unset it"
        )
    elif personal and not personal.value:
        raise SettingsError(
            "publish.personal_data: readers of a server see what they are granted, so this has no "
            "effect; unset it, and see Roles in pipelines/beyond_one_machine.md"
        )
    reconciled = find(*RECONCILED)
    checks = frozenset({RECONCILED[-1]} if reconciled and reconciled.value else ())
    kept = personal.value if personal else True
    return PublishSettings(timezone, folder, kept, lake, checks, personal_data())


def _path(text: str, setting: tuple[str, ...]) -> Path:
    """The absolute path. What is likely no path is refused: a new, empty file would hide that."""
    if re.fullmatch(r"(['\"]).*\1", text, re.DOTALL):  # an env file of Docker keeps them
        raise SettingsError(f"{'.'.join(setting)}: write the path without the quotes around it")
    if re.match(r"[A-Za-z][\w.+-]+:", text):  # of one letter it is a drive
        raise SettingsError(
            f"{'.'.join(setting)}: what begins with a word and a colon is no path; write the path, "
            "with ./ before it if it does begin so"
        )
    try:
        if text.startswith("~") and os.environ.get("HOME") == "":
            raise RuntimeError  # Python would take /
        path = Path(text).expanduser().absolute()
    except RuntimeError:  # ~ of a user who is none, or has no home folder
        raise SettingsError(
            f"{'.'.join(setting)}: there is no home folder for that; write the whole path"
        ) from None
    # DuckDB would put the file, or its log, somewhere else; and it knows names in UTF-8 alone.
    if found := re.search(r"[?\\\ud800-\udfff]", str(path)):
        character = ascii(found[0])[1:-1]
        raise SettingsError(  # after a ? there may be a password
            f"{'.'.join(setting)}: a database cannot be there, because of the {character} in the "
            "whole path"
        )
    return path
