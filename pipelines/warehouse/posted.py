"""Which failures of runs were posted and have not recovered since; only posting goes by it.

For a warehouse file that is a file beside it, so that runs that cannot open the warehouse have it
too; for a server it is a table.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pipelines.times import naive_utc
from pipelines.warehouse.database import DATASET, Database
from pipelines.warehouse.runs import RUNS_TABLE
from pipelines.warehouse.status_files import ALERTS, StatusFiles
from pipelines.warehouse.warehouse import Place

KEPT_FOR = timedelta(days=60)
"""A trouble that lasts longer is posted again, and what never ran again is forgotten."""
ALERTS_TABLE = f"{DATASET}._alerts"
COLUMNS = {
    "run": "VARCHAR NOT NULL",
    "error_class": "VARCHAR NOT NULL",
    "posted_at": "TIMESTAMP NOT NULL",
}
_COMMENTS = {
    f"TABLE {ALERTS_TABLE}": "One row per kind of run whose failure was posted.",
    f"COLUMN {ALERTS_TABLE}.run": "Its command, and a digest of its accounts, filters and range.",
    f"COLUMN {ALERTS_TABLE}.error_class": "Kind of the error that was posted.",
    f"COLUMN {ALERTS_TABLE}.posted_at": "When it was posted, UTC.",
}

Posted = dict[str, tuple[str, datetime]]
"""The class of the error, and when it was posted, by the kind of run."""


def posted_errors(place: Place) -> dict[str, str]:
    """The class of the error that was posted, by the kind of run; none before the first run.

    Raises:
        Exception: it cannot be read, or has another form.
    """
    posted: Posted = {}
    if place.path:
        posted = _of_file(StatusFiles(place.path))
    else:
        with place.read() as database:
            if ALERTS_TABLE in database.columns(DATASET):
                rows = database.execute(f"SELECT run, error_class, posted_at FROM {ALERTS_TABLE}")
                posted = {run: (error, at) for run, error, at in rows}
    return {run: error for run, (error, at) in posted.items() if at > _oldest()}


def note_posted(place: Place, run: str, error_class: str | None) -> None:
    """Note that an error was posted or, with None, that the recovery was. On a server without
    `_runs` nothing is noted.

    Raises:
        Exception: it cannot be written.
    """
    if not place.path:
        with place.read() as database:
            is_begun = RUNS_TABLE in database.columns(DATASET)
        if is_begun:  # else the schemas would seem to be of something else
            with place.open() as warehouse:
                _note_in(warehouse, run, error_class)
        return
    files = StatusFiles(place.path)
    try:
        posted = _of_file(files)
    except Exception:
        posted = {}  # it is made anew
    posted.pop(run, None)
    if error_class:
        posted[run] = (error_class, _now())
    kept = {
        name: {"error_class": error, "posted_at": at}
        for name, (error, at) in posted.items()
        if at > _oldest()
    }
    files.write(ALERTS, {"posted": kept})


def _of_file(files: StatusFiles) -> Posted:
    return {
        run: (str(one["error_class"]), datetime.fromisoformat(one["posted_at"]))
        for run, one in files.read(ALERTS).get("posted", {}).items()
    }


def _note_in(database: Database, run: str, error_class: str | None) -> None:
    if ALERTS_TABLE not in database.columns(DATASET):
        database.create_table(ALERTS_TABLE, COLUMNS)
        for of, about in _COMMENTS.items():
            database.execute(f"COMMENT ON {of} IS '{about}'")
    with database.transaction():
        database.execute(
            f"DELETE FROM {ALERTS_TABLE} WHERE run = ? OR posted_at < ?", [run, _oldest()]
        )
        if error_class:
            database.execute(
                f"INSERT INTO {ALERTS_TABLE} VALUES (?, ?, ?)", [run, error_class, _now()]
            )


def _now() -> datetime:
    return naive_utc(datetime.now(UTC))


def _oldest() -> datetime:
    return _now() - KEPT_FOR
