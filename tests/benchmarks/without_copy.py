"""A run of the program without what follows the load: views, checks, and the copy for readers."""

from __future__ import annotations

import sys
from typing import Any

from pipelines.run import pipeline


def nothing(*_: Any, **__: Any) -> None:
    """What peers make of it."""


if __name__ == "__main__":
    from pipelines.__main__ import main

    vars(pipeline)["run_post_load"] = nothing
    sys.argv[1:] = ["run"]
    main()
