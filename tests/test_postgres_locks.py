"""In a PostgreSQL server an account has one run at a time, and steps of several runs wait for each
other."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack

import pytest

from pipelines.warehouse.postgres import PostgresServer
from pipelines.warehouse.warehouse import BusyError, WarehouseError
from tests.conftest import ROOT, python
from tests.postgres_server import held, started

ACCOUNT, OTHER = f"AC{1:032x}", f"AC{2:032x}"


def test_an_account_has_one_run_at_a_time(database: str) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(held(database, ACCOUNT))
        second = stack.enter_context(held(database, OTHER))
        for account in (ACCOUNT, OTHER):
            with pytest.raises(BusyError, match=r"held by another run \(process \d+ of") as busy:
                with held(database, account):
                    raise AssertionError
            assert busy.value.exit_code == 75
        third, fourth = (f"AC{number:032x}" for number in (3, 4))
        first.hold_accounts([third, fourth])
        with pytest.raises(BusyError, match=f"{third}|{fourth}"):
            second.hold_accounts([f"AC{5:032x}", third, fourth])
        first.hold_accounts([f"AC{5:032x}"])  # of which nothing was kept
    with held(database, ACCOUNT) as again:
        again.hold_accounts([OTHER, third, fourth])


def test_too_many_accounts_for_the_server_are_a_sentence() -> None:
    with started("max_locks_per_transaction=10", "max_connections=5") as few:
        with PostgresServer(few.url).open() as warehouse:
            with pytest.raises(WarehouseError, match="raise max_locks_per_transaction") as said:
                warehouse.hold_accounts([f"AC{number:032x}" for number in range(20_000)])
            assert said.value.exit_code == 74


HOLD = f"""
import sys, time
from tests.postgres_server import held
with held(sys.argv[1], {ACCOUNT!r}):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_killed_client_releases_its_lock_at_once(database: str) -> None:
    with python(HOLD, database, PYTHONPATH=str(ROOT)) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError), held(database, ACCOUNT):
            raise AssertionError
        holder.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 5
    while True:
        try:
            with held(database, ACCOUNT):
                return
        except BusyError:
            assert time.monotonic() < deadline


def test_steps_of_several_runs_wait_for_each_other(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.warehouse.postgres.warehouse.LOCK_WAIT", 0.05)
    server = PostgresServer(database)
    with server.open() as one, server.open() as other:
        with one.alone(), one.alone():
            with pytest.raises(BusyError, match=r"Other runs write to .* run again later") as said:
                with other.alone():
                    raise AssertionError
            assert said.value.exit_code == 75
        with other.alone():
            pass
