"""Processes that are forked from one that has imported everything, which takes a new interpreter
longer than most commands: `python -m tests.forked SOCKET` is that one, and ends with its stdin."""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import traceback
from functools import cache
from pathlib import Path
from typing import Any

COMMAND = "from pipelines.__main__ import main; main()"
STUB = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as asked:
    asked.connect({path!r})
    request = COMMAND, sys.argv[1:], os.getcwd(), dict(os.environ)
    socket.send_fds(asked, [json.dumps(request).encode() + b"\\n"], [0, 1, 2])
    _, code = asked.makefile()
    sys.exit(int(code))
"""
"""`conference-insights` for shells."""


class Forked:
    """A program, with these arguments, in a process that is forked; its stderr is kept."""

    def __init__(self, program: str, *arguments: str, folder: Path | None = None) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        asked = socket.socket(socket.AF_UNIX)
        asked.connect(str(server() / "socket"))
        program = textwrap.dedent(program)
        request = program, arguments, str(folder or Path.cwd()), dict(os.environ)
        with Path(os.devnull).open("r+b") as nothing:
            streams = [nothing.fileno(), nothing.fileno(), self._said.fileno()]
            socket.send_fds(asked, [json.dumps(request).encode() + b"\n"], streams)
        self._answer = asked.makefile()
        self.pid = int(self._answer.readline())
        asked.close()

    def is_alive(self) -> bool:
        return not select.select([self._answer], [], [], 0)[0]

    def end(self) -> tuple[int, str]:
        """Wait for its end; the code, negative for a signal, and what it has written to stderr."""
        with self._answer, self._said:
            code = int(self._answer.readline())
            self._said.seek(0)
            return code, self._said.read().decode()


@cache
def server() -> Path:
    """Start it once; the folder of its socket and of the stub."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder)
    stub = folder / "conference-insights"
    text = STUB.replace("COMMAND", repr(COMMAND))
    stub.write_text(text.format(python=sys.executable, path=str(folder / "socket")))
    stub.chmod(0o755)
    started = subprocess.Popen(
        [sys.executable, "-m", "tests.forked", folder / "socket"],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == b"ready\n"
    atexit.register(started.communicate)
    return folder


def _serve(path: str) -> None:

    import pipelines.cli.console
    import pipelines.cli.demo
    import pipelines.cli.show
    import pipelines.monitor.doctor
    import pipelines.monitor.status
    import pipelines.run.loading  # noqa: F401

    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        os.write(1, b"ready\n")
        while listening.fileno() in select.select([listening.fileno(), 0], [], [])[0]:
            asked, _ = listening.accept()
            if not os.fork():
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listening.close()
                _answer(asked)
                os._exit(0)
            asked.close()
    os._exit(0)  # without DuckDB's words about what is left in memory


def _answer(asked: socket.socket) -> None:
    """Fork the program; tell its number, and at last its end."""
    text, streams, *_ = socket.recv_fds(asked, 1 << 20, 3)
    while not text.endswith(b"\n"):
        text += asked.recv(1 << 20)
    if not (pid := os.fork()):
        asked.close()
        _run(streams, *json.loads(text))
    for stream in streams:
        os.close(stream)
    asked.sendall(f"{pid}\n".encode())
    asked.sendall(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n".encode())


def _run(
    streams: list[int], program: str, arguments: list[str], folder: str, env: dict[str, Any]
) -> None:
    code: Any = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        sys.stdout, sys.stderr = open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(env)
        sys.argv[1:] = arguments
        exec(program, {"__name__": "__main__"})
        code = 0
    except SystemExit as ended:
        code = ended.code
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code or 0 if isinstance(code, int | None) else 1)


if __name__ == "__main__":
    _serve(sys.argv[1])
