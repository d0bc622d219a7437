"""`erase --older-than`, as a schedule has it, erases what is old, and that does not come back."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from pipelines.run.erase import erase
from pipelines.run.erasures import Subject
from pipelines.simulator.account import iso
from pipelines.twilio_insights.api.bounds import Oversized
from pipelines.twilio_insights.extract.records import created_of
from pipelines.twilio_insights.resources import CONFERENCES
from tests.conftest import NOW, ROOT, Command, Loaded, summary
from tests.given_to_erase import DAY, RAW, TIME, backfill, counted, list_more, noted
from tests.given_to_erase import full as full
from tests.given_to_erase import odd as odd
from tests.given_to_erase import rows_only as rows_only
from tests.test_readme import blocks


def test_a_schedule_erases_what_is_old(
    rows_only: None, full: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TIME, lambda: NOW)
    quiet = command("erase", "--older-than", "400d", "--yes")
    assert (quiet.returncode, quiet.stdout, noted(full)) == (0, "", [])
    first = command("erase", "--older-than", "1d", "--yes")
    assert "conference_summaries: 1 row erased" in first.stdout, first.stderr
    assert counted(full) == 2
    assert noted(full)[0][:3] == ("older_than", False, datetime(2026, 11, 19, 14, 30))
    monkeypatch.setattr("pipelines.run.erase.forget_former", lambda *_: pytest.fail("rebuilt"))
    again = command("erase", "--older-than", "1d", "--yes")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    backfill()
    assert counted(full) == 2


def test_what_is_old_and_was_rejected_does_not_come_back(
    rows_only: None, loaded: Loaded, tables_only: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it says when it was created, whenever it arrived."""
    times = {"old": iso(NOW - 25 * DAY), "young": iso(NOW - DAY), "odd": "25 days ago"}
    listed = [{"conference_sid": name, "create_time": at} for name, at in times.items()]
    list_more(monkeypatch, [*listed, {"nothing": 1}, ["no object"]])
    loaded.account.put(summary(1, DAY))
    backfill()
    erase(Subject(created_before=NOW - 20 * DAY), threading.Event())
    for load in (lambda: None, backfill):
        load()
        rows = loaded.query(f"SELECT row FROM {RAW}_rejected_rows")
        assert len(rows) == 4
        assert '"old"' not in str(rows)


def test_what_was_not_parsed_says_when_it_was_created_too() -> None:
    text = b'{"create_time": "2026-11-01T00:00:00Z", "tags": []}'
    at = datetime(2026, 11, 1, tzinfo=UTC)
    assert created_of(CONFERENCES, Oversized(text, "")) == at
    assert created_of(CONFERENCES, Oversized(text.replace(b"01T", b"99T"), "")) is None


def test_an_age_counts_from_the_last_listing_at_the_latest(
    full: Loaded, rows_only: None, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TIME, lambda: NOW + 395 * DAY)
    for arguments in (["--dry-run"], ["--yes"]):
        done = command("erase", "--older-than", "396d", *arguments)
        assert (done.returncode, counted(full)) == (0, 3)
        assert "Nothing was listed for 395 days, by this machine's clock" in done.stderr
    assert "1 row erased" in command("erase", "--older-than", "1d", "--yes").stdout


def test_the_line_for_a_scheduler_is_right(command: Command) -> None:
    (line,) = blocks("crontab", (ROOT / "pipelines/scheduling.md").read_text())
    words = line.partition("bin/conference-insights ")[2].partition(" >>")[0]
    done = command(*words.split())
    assert (words, done.returncode) == ("erase --older-than 400d --yes", 74), done.stderr
