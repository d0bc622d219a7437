"""A warehouse in a PostgreSQL database, which many runs may load at once, each its own accounts.

Its URL alone says where it is and what is sent there. The driver would also ask variables and files
of the home folder that other programs use, and these would decide who gets the password.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from json import dumps
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from urllib.parse import parse_qsl, unquote

from pipelines.errors import SettingsError
from pipelines.warehouse.held_folder import held_folder
from pipelines.warehouse.machine_errors import as_warehouse_error
from pipelines.warehouse.postgres.errors import explain
from pipelines.warehouse.runs import read_record
from pipelines.warehouse.warehouse import Place, Recorded, WarehouseError

try:
    import psycopg2
    from psycopg2 import extensions

    from pipelines.warehouse.postgres.warehouse import APPLICATION, PostgresWarehouse
except ModuleNotFoundError:
    raise SettingsError(
        "A warehouse in PostgreSQL needs psycopg2: pip install 'conference-insights[postgres]'"
    ) from None


_NO_FILE = f"{os.devnull}/none"
"""A path where nothing can be."""
_OF_HOME = ("passfile", "sslcert", "sslkey", "sslrootcert", "sslcrl")
"""Options that are files of the home folder, unless the URL names others."""
_SETTINGS: dict[str, Any] = {
    **dict.fromkeys(_OF_HOME, _NO_FILE),
    "application_name": APPLICATION,
    "connect_timeout": 15,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 6,
}

_SESSION = {
    "TimeZone": "UTC",
    "statement_timeout": "0",
    "transaction_timeout": "0",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "default_transaction_isolation": "read committed",
    "standard_conforming_strings": "on",
    "extra_float_digits": "1",
    # The server looks too: it holds the locks of a client whose machine is gone, else for hours.
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "6",
}
"""What a role or a database may have otherwise, and a run must not go by."""


def _as_number(text: str | None, _: Any) -> int | float | None:
    """A sum of integers is a NUMERIC there."""
    if text is None:
        return None
    return float(text) if "." in text or not text.lstrip("-").isdigit() else int(text)


def _without_zone(text: str | None, cursor: Any) -> Any:
    """The session's time zone is UTC."""
    moment = extensions.PYDATETIMETZ(text, cursor)
    return moment and moment.replace(tzinfo=None)


_TYPES = (
    extensions.new_type((1700,), "number", _as_number),
    extensions.new_type((1184,), "moment", _without_zone),
)

_PLACE = r"(?:\[[^\]@]*\]|[^@/?#:,\[\]]+)(?::\d*)?"
_URL = re.compile(
    r"(?P<scheme>postgres(?:ql)?)://"
    r"(?:(?P<user>[^:]*)(?::(?P<password>.*))?@)?"  # the last @: a password may have one too
    rf"(?P<places>(?:{_PLACE}(?:,{_PLACE})*)?)/(?P<database>[^@/?#]+)(?:\?(?P<options>[^@]*))?",
    re.DOTALL,
)


class PostgresServer(Place):
    """A database.

    Args:
        url: `postgresql://user:password@host:port/database[?sslmode=…]`.

    Raises:
        SettingsError: it is no such URL.
    """

    def __init__(self, url: str) -> None:
        # It is taken apart here: libpq would repeat a part of a wrong one, as of a password.
        matched = _URL.fullmatch(url)
        # Without a user, what looks like a host and its port may be a user and the password.
        if not matched or (matched["user"] is None and re.search(r"[^\[:]:\d", matched["places"])):
            raise SettingsError(
                "The credentials of the warehouse must be one URL, "
                "postgresql://user:password@host:port/database, in which %40 stands for @ and %2F "
                "for / wherever they are part of a user, a password or an option"
            )
        self._parts = {name: part or "" for name, part in matched.groupdict().items()}
        if {"service", "servicefile"} & dict(parse_qsl(self._parts["options"])).keys():
            raise SettingsError(
                f"{self.name} has the option service, which would take its host from a file of "
                "other programs: write host, port and all other options into the URL"
            )

    @property
    def name(self) -> str:
        """For messages: without the role and its password."""
        return "{scheme}://{places}/{database}".format(**self._parts)

    @property
    def path(self) -> None:
        return None

    @property
    def _arguments(self) -> dict[str, Any]:
        parts = self._parts
        places = re.findall(r"(\[.*?\]|[^:,]+)(?::(\d*))?", parts["places"])
        ports = [port for _, port in places]
        given = {name: unquote(parts[name]) for name in ("user", "password")} | {
            "host": ",".join(host.strip("[]") for host, _ in places),
            "port": ",".join(ports) if any(ports) else "",
            "dbname": unquote(parts["database"]),
        }
        given = {name: value for name, value in given.items() if value}
        as_rows_are_sent = {"client_encoding": "UTF8"}
        return _SETTINGS | given | dict(parse_qsl(parts["options"])) | as_rows_are_sent

    def explain(self, error: BaseException) -> WarehouseError | None:
        """The error for what the server, the network, the role or this machine, where load packages
        are made, has caused; None for others."""
        return explain(error, self.name) or as_warehouse_error(error, disk=gettempdir())

    @contextmanager
    def open(self) -> Iterator[PostgresWarehouse]:
        """Have the dataset open, made if there is none, while the block lasts; several may.

        Raises:
            SettingsError: a pool answers that would not keep locks.
            WarehouseError: the server is not available or refuses, or the dataset is of others.
        """
        connection = self._connect()
        try:
            with held_folder(f"{APPLICATION}-") as folder:
                warehouse = PostgresWarehouse(connection, self.name, folder)
                self._expect_own_session(connection)
                warehouse.prepare_schemas()
                yield warehouse
        finally:
            connection.close()

    def _expect_own_session(self, connection: Any) -> None:
        """Refuse a pool that lends a session for each transaction: it would lend our idle session,
        and with it our locks, to another client. It shows if a second connection gets the same."""
        if (session := self._session(connection)) == connection.info.backend_pid:
            return
        other = self._connect()
        try:
            if self._session(other) == session:
                raise SettingsError(
                    f"{self.name} is a pool that lends a session for each transaction, so that no "
                    "lock would hold: give the address of the server itself, or of a pool that "
                    "lends one for each connection (PgBouncer's pool_mode = session)"
                )
        finally:
            other.close()

    def _session(self, connection: Any) -> int:
        """The process of the server that answers."""
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                return int(cursor.fetchone()[0])
        except psycopg2.Error as error:
            raise explain(error, self.name) or error from None

    @contextmanager
    def read(self) -> Iterator[PostgresWarehouse]:
        """A session that writes nothing, on a standby too."""
        connection = self._connect()
        try:
            connection.set_session(readonly=True)
            yield PostgresWarehouse(connection, self.name, Path())
        finally:
            connection.close()

    def expect_usable(self) -> None:
        with self.read() as warehouse:
            warehouse.expect_usable()

    def recorded(self, now: datetime) -> Recorded:
        with self.read() as warehouse:
            content = read_record(warehouse, now)
            run = content.get("run") or {}
            is_alive: bool | None = False
            if run.get("outcome") == "running":
                # A standby does not know the locks of the primary.
                on_standby = warehouse.execute("SELECT pg_is_in_recovery()")[0][0]
                is_alive = None if on_standby else warehouse.is_at_work(run["run_id"])
            return Recorded(content, {}, is_alive, warehouse.size)

    def _connect(self) -> Any:
        for name in [name for name in os.environ if name.startswith("PG")]:
            del os.environ[name]  # the driver reads them, and PGHOSTADDR goes before a host
        try:
            connection = psycopg2.connect(**self._arguments)
            connection.autocommit = True
            with connection.cursor() as cursor:  # those that this version of PostgreSQL has
                cursor.execute(
                    "SELECT set_config(name, %s::json ->> name, false) FROM pg_settings "
                    "WHERE name = ANY(%s)",
                    [dumps(_SESSION), [*_SESSION]],
                )
        except psycopg2.ProgrammingError:
            raise SettingsError(
                f"{self.name} has an option that PostgreSQL does not have"
            ) from None
        except psycopg2.Error as error:
            raise explain(error, self.name) or error from None
        for kind in _TYPES:
            extensions.register_type(kind, connection)
        return connection
