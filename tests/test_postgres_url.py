"""Only the URL of a PostgreSQL database says where a connection and its password go, and no message
repeats the password."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from pipelines.errors import SettingsError
from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.postgres.errors import ServerUnavailableError
from pipelines.warehouse.warehouse import WarehouseError
from tests.postgres_server import PostgresTestServer


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://u:p4ss@host:5433/db?sslmode=require", "postgresql://host:5433/db"),
        ("postgresql://u:p4/s@s#s@host/db", "postgresql://host/db"),
        ("postgres://u%40tenant:p4ss@[::1]:5433/d%20b", "postgres://[::1]:5433/d%20b"),
        ("postgresql://u:p4ss@one:1,two:2/db", "postgresql://one:1,two:2/db"),
        ("postgresql://u:p4ss@/db?host=/run/postgresql", "postgresql:///db"),
    ],
)
def test_a_name_has_no_credentials(url: str, name: str) -> None:
    server = PostgresServer(url)
    assert server.name == name
    assert "p4" not in repr(server)
    assert "p4" in server._arguments["password"]


@pytest.mark.parametrize(
    "url",
    [
        "p4ss",
        "mysql://u:p4ss@host/db",
        "postgresql://u:p4ss@host",
        "postgresql://u:p4ss@host/",
        "postgresql://u:p4ss@host:p4ss/db",
        "postgresql://u:p4ss@host/db?p4ss=p4ss",
        "postgresql://u:p4ss@host:99999999/db",
        "postgresql://u@host/db?password=p@4ss",
        "postgresql://u:4554554ss/db",
        "postgresql://u:45544551/db",
        "postgresql://u:1,v:4554/db",
        "",
    ],
)
def test_a_wrong_url_is_a_wrong_setting_and_not_repeated(url: str) -> None:
    with pytest.raises((SettingsError, WarehouseError)) as said, PostgresServer(url).open():
        raise AssertionError
    assert "4ss" not in str(said.value)
    assert "4554" not in str(said.value)


def test_only_the_url_says_where_the_password_goes(
    postgres: PostgresTestServer, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".pg_service.conf").write_text("[other]\nhostaddr=127.0.0.1\nport=1\n")
    for name, value in {
        "PGHOSTADDR": "127.0.0.1",
        "PGSERVICE": "other",
        "PGOPTIONS": "-c work_mem=77kB",
        "PGSSLMODE": "verify-full",
        "PGCONNECT_TIMEOUT": "nonsense",
    }.items():
        monkeypatch.setenv(name, value)
    elsewhere = database.replace("127.0.0.1", "db.invalid")
    with pytest.raises(ServerUnavailableError, match="could not translate host name"):
        with PostgresServer(elsewhere).open():
            raise AssertionError
    with PostgresServer(database).open() as warehouse:
        assert warehouse.execute("SHOW work_mem") != [("77kB",)]
    with pytest.raises(SettingsError, match="service"):
        PostgresServer(f"{database}?service=other")


@pytest.mark.parametrize("place", ["PGPASSWORD", ".pgpass", "PGPASSFILE"])
def test_a_password_is_taken_from_the_url_alone(
    place: str,
    postgres: PostgresTestServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    url = postgres.url.replace(f":{postgres.password}@", "@")
    file = tmp_path / ("home/.pgpass" if place == ".pgpass" else "passwords")
    file.write_text(f"*:*:*:*:{postgres.password}\n")
    file.chmod(0o600)
    if place != ".pgpass":
        monkeypatch.setenv(place, postgres.password if place == "PGPASSWORD" else str(file))
    with pytest.raises(WarehouseError, match="no password supplied"):
        with PostgresServer(url).open():
            raise AssertionError
    assert capfd.readouterr() == ("", "")
    with PostgresServer(f"{url}?passfile={file}").open() as warehouse:
        assert warehouse.execute("SELECT 1") == [(1,)]


@pytest.fixture
def behind_tls(tmp_path: Path) -> Iterator[str]:
    """The URL of a listener with a certificate, which ends each connection after the greeting."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    refusal = b"SFATAL\0C28000\0Mseen by the server\0\0"

    def answer() -> None:
        for _ in range(2):
            plain, _ = listener.accept()
            plain.recv(8)
            plain.sendall(b"S")
            try:
                with context.wrap_socket(plain, server_side=True) as wrapped:
                    wrapped.recv(1000)
                    wrapped.sendall(b"E" + (len(refusal) + 4).to_bytes(4) + refusal)
                    wrapped.recv(1)
            except OSError:
                plain.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, daemon=True).start()
        port = listener.getsockname()[1]
        yield f"postgresql://u:p4ss@127.0.0.1:{port}/db?gssencmode=disable"


def test_only_the_url_says_which_certificates_count(behind_tls: str, tmp_path: Path) -> None:
    theirs = tmp_path / "home/.postgresql"
    theirs.mkdir()
    for name in ("root.crt", "root.crl", "postgresql.crt", "postgresql.key"):
        (theirs / name).write_text("of another program")
    verified = f"sslmode=verify-full&sslrootcert={tmp_path}/ca.pem"
    for options in ("sslmode=require", verified):
        with pytest.raises(WarehouseError, match="seen by the server"):
            with PostgresServer(f"{behind_tls}&{options}").open():
                raise AssertionError
