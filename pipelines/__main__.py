"""`python -m pipelines` is the command `conference-insights`."""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress


def main() -> None:
    """The command, without Python's clean-up at the end: freeing a million objects one by one would
    be a sixth of a run that finds nothing new, and all files are closed by then."""
    # If a standard stream is closed, the next file that is opened gets its number: the warehouse,
    # into which a library would then write its warnings.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for number in (signal.SIGINT, signal.SIGTERM):  # until a command has something to finish
        signal.signal(number, lambda received, _: os._exit(128 + received))
    from pipelines.cli import command_line
    from pipelines.exit_codes import DISK

    sys.stdout, sys.stderr = sys.stdout or os.fdopen(1, "w"), sys.stderr or os.fdopen(2, "w")
    if isinstance(sys.stdout, io.TextIOWrapper):  # as stderr does: a name may be in any script
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        command_line.main()
    except SystemExit as ended:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        if isinstance(ended.code, int):
            os._exit(ended.code)
        raise
    except OSError as error:  # what a command meets has its own message
        with suppress(OSError):
            sys.stderr.write(f"Error: the output cannot be written: {error.strerror}\n")
            sys.stderr.flush()
        os._exit(DISK)


if __name__ == "__main__":
    main()
