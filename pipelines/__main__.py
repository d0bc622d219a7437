"""`python -m pipelines` is the command `conference-insights`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from pipelines import command_line


def main() -> None:
    """The command, without Python's clean-up at the end: to take a million objects apart one by one
    would be a sixth of a run that finds nothing new, and all files are closed by then."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started it
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    try:
        command_line.main()
    except SystemExit as ended:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        if isinstance(ended.code, int):
            os._exit(ended.code)
        raise


if __name__ == "__main__":
    main()
