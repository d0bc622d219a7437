"""A pool between a run and the PostgreSQL server must not take its locks away."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import psycopg2
import pytest

from pipelines.errors import SettingsError
from pipelines.warehouse.warehouse import BusyError
from tests.postgres_server import PostgresTestServer, free_port, held

ACCOUNT = f"AC{1:032x}"


@contextmanager
def pool(server: PostgresTestServer, database: str, mode: str) -> Iterator[str]:
    """The URL of the database by PgBouncer, which refuses to run as root too."""
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    assert Path(program).exists(), "this needs a pool: apt-get install pgbouncer"
    folder, port = server.folder / f"pool-{mode}", free_port()
    folder.mkdir()
    users = folder / "users.txt"
    users.write_text(f'"postgres" "{server.password}"\n')
    settings = folder / "pool.ini"
    settings.write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {users}\npool_mode = {mode}\n"
    )
    log = (folder / "log").open("wb")
    with log, subprocess.Popen([program, settings], user=server.user, stderr=log) as started:
        url = database.replace(f":{server.port}/", f":{port}/")
        deadline = time.monotonic() + 30
        try:
            while True:
                try:
                    psycopg2.connect(url).close()
                    break
                except psycopg2.OperationalError:
                    assert started.poll() is None, (folder / "log").read_text()
                    assert time.monotonic() < deadline, (folder / "log").read_text()
            yield url
        finally:
            started.terminate()


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_pool_that_shares_sessions_is_refused(
    postgres: PostgresTestServer, database: str, mode: str
) -> None:
    shares = mode == "transaction"
    with pool(postgres, database, mode) as url:
        refused = pytest.raises(SettingsError, match="lends a session for each transaction")
        with refused if shares else nullcontext(), held(url, ACCOUNT):
            with pytest.raises(BusyError), held(url, ACCOUNT):
                raise AssertionError
