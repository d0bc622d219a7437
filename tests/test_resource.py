"""Another resource, listed by the records of its parent, loads from one entry: the notes of
`pipelines/how_to_change_it.md`."""

from __future__ import annotations

import json
import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from pipelines.simulator.server import InsightsHandler
from tests.conftest import ROOT, Command, Loaded, sid, summary
from tests.test_how_to_change_it import RECIPES, follow

HOUR = timedelta(hours=1)
EXPECTED = json.loads((ROOT / "tests/expected_notes.json").read_text())
DATASET = "conference_insights"
NOTES = (
    "SELECT note_sid, conference_sid, processing_state, text, extra_fields "
    f"FROM {DATASET}.conference_notes ORDER BY note_sid"
)
LABELS = f"SELECT note_sid, label FROM {DATASET}.conference_note_labels ORDER BY ALL"
COUNTS = f"SELECT resources FROM {DATASET}._runs ORDER BY started_at DESC LIMIT 1"


class Notes:
    """The API with notes: by the number of the conference, or None for a 404."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.notes: dict[int, list[dict[str, Any]] | None] = {}
        self.asked: list[int] = []
        answer = InsightsHandler.answer

        def answering(handler: InsightsHandler) -> tuple[int, bytes]:
            parts = urlsplit(handler.path).path.split("/")
            if parts[-1] != "Notes":
                return answer(handler)
            number = next(n for n in range(9) if sid(n) == parts[-2])
            self.asked.append(number)
            if (notes := self.notes.get(number, [])) is None:
                return 404, b'{"code": 20404, "message": "not found", "status": 404}'
            return 200, orjson.dumps({"meta": {"next_page_url": None}, "notes": notes})

        patch.setattr(InsightsHandler, "answer", answering)


def note(number: int, conference: int, labels: list[str], **values: Any) -> dict[str, Any]:
    more = {"create_time": "2026-11-20T10:00:00Z", "processing_state": "complete"} | values
    return {
        "note_sid": f"NT{number:032}",
        "conference_sid": sid(conference),
        "labels": labels,
    } | more


def short(rows: list[Any]) -> list[list[Any]]:
    """SIDs by their number, as the expected file has them."""
    names = {f"NT{n:032}": f"NT{n}" for n in range(9)} | {sid(n): f"CF{n}" for n in range(9)}
    return [[names.get(value, value) for value in row] for row in rows]


@pytest.fixture
def next_version(tmp_path: Path) -> dict[str, str]:
    """The program after the recipe was followed; the environment to run it."""
    for folder in ("pipelines", "sql"):
        shutil.copytree(ROOT / folder, tmp_path / "next" / folder)
    follow(RECIPES["A resource"], tmp_path / "next")
    return {"PYTHONPATH": str(tmp_path / "next")}


@pytest.mark.programs
def test_it_loads_and_follows_what_is_not_final(
    loaded: Loaded,
    process: Command,
    next_version: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = Notes(monkeypatch)
    loaded.account.put(summary(1, 9 * HOUR))
    loaded.account.put(summary(2, 5 * HOUR, "in_progress"))
    loaded.account.put(summary(3, 7 * HOUR))
    state = {"processing_state": "in_progress"}
    api.notes = {
        1: [
            note(1, 1, ["urgent", "open"], text="call back", **state),
            note(2, 1, [], text="done", mood="good"),
        ],
        3: None,
    }
    loaded.run()  # by the version before

    def run() -> dict[str, int]:
        api.asked.clear()
        done = process("run", **next_version)
        assert done.returncode == 0, done.stderr
        counts = dict(json.loads(loaded.query(COUNTS)[0][0]))["notes"]
        new, updated, pending = (counts[n] for n in ("rows_new", "rows_updated", "pending"))
        told = f"{new} new, {updated} updated, {pending} not final"
        assert told in done.stdout
        assert short(loaded.query(LABELS)) == expected["labels"]
        assert short(loaded.query(NOTES)) == expected["notes"]
        return dict(counts)

    expected = EXPECTED["first run"]
    assert run()["rows_new"] == 2
    assert sorted(api.asked) == [1, 3]

    loaded.account.put(summary(2, 5 * HOUR))
    api.notes[1] = [
        note(1, 1, ["closed"], text="called back"),
        note(2, 1, [], text="done", mood="good"),
    ]
    api.notes[2] = [note(3, 2, ["odd"], text=7)]
    expected = EXPECTED["second run"]
    assert run() | {"rows_listed": 0} == {
        "rows_listed": 0,
        "rows_refetched": 0,
        "rows_new": 1,
        "rows_updated": 1,
        "rows_unchanged": 1,
        "rows_rejected": 0,
        "listings": 2,
        "listings_due": 2,
        "waiting": 0,
        "lost_from": None,
        "pending": 0,
    }
    assert sorted(api.asked) == [1, 2]  # 3 answered 404: not before an hour is over

    run()
    assert api.asked == []  # all is final, and no conference has changed
    loaded.account.put(summary(3, 7 * HOUR, end_reason="corrected"))
    loaded.account.now += 2 * HOUR
    api.notes[3] = []
    run()
    assert api.asked == [3]
    run()
    assert api.asked == []


@pytest.mark.thorough
def test_listings_that_fail_stop_nothing_else(
    loaded: Loaded,
    process: Command,
    next_version: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api = Notes(monkeypatch)
    for number in range(3):
        loaded.account.put(summary(number, (number + 5) * HOUR))
        api.notes[number] = [note(number, number, ["a"])]
    api.notes[1] = [{"not": "a note"}, note(1, 1, [])]
    done = process("run", **next_version)
    assert done.returncode == 0, done.stderr
    assert loaded.query(f"SELECT count(*) FROM {DATASET}.conference_notes") == [(3,)]
    assert loaded.query(f"SELECT reason FROM {DATASET}._rejected_rows") == [("no note_sid",)]


@pytest.mark.thorough
def test_a_run_asks_each_once_however_many_packages_it_loads(
    loaded: Loaded,
    process: Command,
    next_version: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packages = Path(next_version["PYTHONPATH"], "pipelines/run/packages.py")
    text, changed = re.subn(r"PACKAGE_ROWS = [\d_]+", "PACKAGE_ROWS = 1", packages.read_text())
    assert changed == 1
    packages.write_text(text)
    api = Notes(monkeypatch)
    for number in range(3):
        loaded.account.put(summary(number, (number + 5) * HOUR))
        api.notes[number] = [note(number, number, [], processing_state="in_progress")]
    done = process("run", **next_version)
    assert done.returncode == 0, done.stderr
    assert sorted(api.asked) == [0, 1, 2]
    assert loaded.query(f"SELECT count(*) FROM {DATASET}.conference_notes") == [(3,)]
