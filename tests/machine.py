"""A container with a systemd of its own: this machine's files, below a layer of new ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

PATH = {"PATH": "/opt/python/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
# The mounts are seen by this shell and what it becomes alone, and are gone with it.
BOOT = """
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
exec systemd-nspawn --quiet --directory=root --machine="conferences-$$" --boot \
    --bind-ro="$1:/opt/python" --bind-ro="$2:/opt/setup" \
    --register=no --keep-unit --link-journal=no --resolv-conf=off --timezone=off --console=pipe \
    systemd.unit=basic.target
"""


@dataclass
class Machine:
    """It shares the network of the machine it runs on, and so its simulated API."""

    root: Path
    """What was written in it, as seen from outside."""
    leader: int
    """Its first process."""

    def call(self, *command: str, said: str = "", **env: str) -> str:
        """Run a command in it; what it prints.

        Raises:
            AssertionError: it failed.
        """
        done = self.run(*command, said=said, **env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def run(self, *command: str, said: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["nsenter", "--target", str(self.leader), "--all", *command],
            input=said,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env=PATH | env,
        )

    def write(self, path: str, text: str) -> None:
        self.call("install", "-D", "-m", "644", "/dev/stdin", path, said=text)

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.call("systemctl", "show", "--value", "--property", name, unit)


@contextmanager
def booted(folder: Path, setup: Path) -> Iterator[Machine]:
    """Boot one in a folder; in it, `setup` is /opt/setup, and this Python is in /opt/python."""
    if os.geteuid() or not shutil.which("systemd-nspawn"):
        pytest.skip("needs root and Debian's package systemd-container")
    for name in ("upper", "work", "root"):
        (folder / name).mkdir()
    own = ["unshare", "--mount", "--propagation", "private"]
    nspawn = subprocess.Popen(
        [*own, "sh", "-euc", BOOT, "sh", sys.base_prefix, setup],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: nspawn.poll() is not None or bool(_first_process(nspawn.pid)))
        machine = Machine(folder / "upper", _first_process(nspawn.pid))
        wait_for(lambda: machine.run("systemctl", "is-active", "basic.target").returncode == 0)
        yield machine
    finally:
        nspawn.terminate()
        with suppress(subprocess.TimeoutExpired):
            nspawn.wait(60)
        nspawn.kill()  # and with it whatever keeps the machine from going down
        nspawn.wait()
        shutil.rmtree(folder)


def _first_process(nspawn: int) -> int:
    for pid in Path(f"/proc/{nspawn}/task/{nspawn}/children").read_text().split():
        if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
            return int(pid)
    return 0


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)
