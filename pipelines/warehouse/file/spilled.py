"""The folder beside a warehouse file where DuckDB writes what does not fit into the memory."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def spilled(path: Path) -> Path:
    return path.with_name(f"{path.name}.tmp")


def delete_spilled(path: Path) -> None:
    """Delete what a process that was killed left; what is not DuckDB's in there is the user's."""
    folder = spilled(path)
    with suppress(OSError):
        if not folder.is_symlink():
            for file in folder.glob("duckdb_temp_*"):
                file.unlink()
            folder.rmdir()
