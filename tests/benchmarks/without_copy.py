"""A run of the program without what follows the load: views, checks, and the copy for readers."""

from __future__ import annotations

import sys
from typing import Any

from pipelines.run import pipeline as conference_insights


def nothing(*_: Any, **__: Any) -> None:
    """What peers make of it."""


if __name__ == "__main__":
    from pipelines.__main__ import main

    vars(conference_insights)["run_post_load"] = nothing
    sys.argv[1:] = ["run"]
    main()
