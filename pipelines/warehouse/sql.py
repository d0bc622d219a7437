"""Where the project's SQL files are, and how a text or a name is written in SQL."""

from __future__ import annotations

from pathlib import Path

from pipelines.warehouse.definitions import expand


def sql_folder() -> Path:
    """The folder `sql`: in an installed package beside the modules, else in the repository."""
    package = Path(__file__).parents[1]
    installed = package / "sql"
    return installed if installed.is_dir() else package.parent / "sql"


def sql_files(folder: str) -> list[tuple[Path, str]]:
    """Paths and texts of one folder in there, by name, with the definitions in the texts."""
    files = sorted((sql_folder() / folder).glob("*.sql"))
    return [(file, expand(file.read_text("utf-8"))) for file in files]


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
