"""What Twilio adds later is one entry in `tables.toml`: a property as a column, a tag as a line."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Command, Loaded, sid, summary

pytestmark = pytest.mark.usefixtures("tables_only")

HOUR = timedelta(hours=1)
DATASET = "conference_insights"
VALUES = "voice_bots, transcript_language, extra_fields"


def copied(folder: Path) -> Path:
    """The program in another folder; its `tables.toml`."""
    for name in ("pipelines", "sql"):
        shutil.copytree(ROOT / name, folder / name)
    return folder / "pipelines/twilio_insights/tables.toml"


@pytest.fixture
def next_version(tmp_path: Path) -> dict[str, str]:
    """The program with three more columns, one of them after ours; the environment to run it."""
    file = copied(tmp_path / "next")
    before, of_tags = file.read_text().split("[conference_tags]")
    language = 'transcript_language = { description = "Language." }\n\n'
    bots = 'voice_bots = { type = "bigint", description = "Bots." }\nurl = {'
    sids = 'participant_sids = { type = "json", description = "SIDs." }\nparticipant_identity = {'
    whole = f"{before.replace('url = {', bots).rstrip()}\n{language}[conference_tags]{of_tags}"
    file.write_text(whole.replace("participant_identity = {", sids))
    return {"PYTHONPATH": str(tmp_path / "next")}


@pytest.mark.thorough
def test_it_appears_with_all_values_that_were_kept_elsewhere(
    loaded: Loaded, process: Command, next_version: dict[str, str]
) -> None:
    sent: list[dict[str, Any]] = [
        {"voice_bots": 2, "transcript_language": "en"},
        {"voice_bots": "many", "colour": "red"},
        {"voice_bots": 3.0, "friendly_name": 5},
        {},
    ]
    element = {"participant_identity": "client:a", "participant_sids": ["CP1"], "depth": 1}
    odd = {"silent": "participant_sids", "high_jitter": [["participant_sids", 1]]}
    for number, values in enumerate(sent):
        tag_info = {"duplicate_identity": [element]} | odd
        loaded.account.put(summary(number, HOUR, tag_info=tag_info, **values))
    loaded.run()

    done = process("run", **next_version)  # with nothing new to load
    assert done.returncode == 0, done.stderr
    assert "4 unchanged" in done.stdout + done.stderr
    rows = f"SELECT {VALUES} FROM {DATASET}.conference_summaries ORDER BY conference_sid"
    expected = [
        (2, "en", None),
        (None, None, '{"colour":"red","voice_bots":"many"}'),
        (3, None, '{"friendly_name":5}'),
        (None, None, None),
    ]
    assert loaded.query(rows) == expected
    details = (
        "SELECT participant_identity, participant_sids, details "
        f"FROM {DATASET}.conference_tag_info ORDER BY tag"
    )
    assert set(loaded.query(details)) == {
        ("client:a", '["CP1"]', '{"depth":1}'),
        (None, None, '"participant_sids"'),
        (None, None, '["participant_sids",1]'),
    }
    comments = "SELECT comment FROM duckdb_columns() WHERE table_name = 'conference_summaries'"
    assert ("Bots.",) in loaded.query(comments)

    for number, values in enumerate(sent):  # what is loaded from now on is the same
        loaded.account.put(summary(number, HOUR, tag_info=tag_info, tags=["silent"], **values))
    done = process("run", **next_version)
    assert done.returncode == 0, done.stderr
    assert loaded.query(rows) == expected
    assert len(loaded.query(details)) == 3 * 4
    elements = {row for row in loaded.query(details) if row[0] is not None}
    assert elements == {("client:a", '["CP1"]', '{"depth":1}')}


@pytest.mark.thorough
def test_it_appears_where_a_kill_interrupted_that(
    loaded: Loaded, process: Command, next_version: dict[str, str]
) -> None:
    """All of it is one transaction: a column that is there has its values."""
    for number in range(3):
        loaded.account.put(summary(number, HOUR, voice_bots=number))
    loaded.run()
    program = Path(next_version["PYTHONPATH"], "pipelines/run/migrations.py")
    whole = program.read_text()
    program.write_text(whole.replace("database.execute(moved,", "__import__('os')._exit(9)#"))
    assert process("run", **next_version).returncode == 9
    program.write_text(whole)
    assert process("run", **next_version).returncode == 0
    assert loaded.query(
        f"SELECT conference_sid, voice_bots, extra_fields FROM {DATASET}.conference_summaries "
        "ORDER BY conference_sid"
    ) == [(sid(number), number, None) for number in range(3)]


@pytest.mark.thorough
def test_a_tag_is_one_line(loaded: Loaded, process: Command, tmp_path: Path) -> None:
    file = copied(tmp_path / "next")
    last = "tag.values.no_concurrent_participants"
    file.write_text(file.read_text().replace(last, f'tag.values.echo = "It echoed."\n{last}'))
    loaded.account.put(summary(1, HOUR, tags=["low_mos", "new", "echo"]))
    done = process("run", PYTHONPATH=str(tmp_path / "next"))
    assert done.returncode == 0, done.stderr
    assert "tag = new" in done.stdout
    assert "tag = echo" not in done.stdout
    flags = "SELECT tags, tag_count, has_echo, has_low_mos, has_high_jitter"
    found = loaded.query(f"{flags} FROM analytics.conferences")
    assert found == [("echo, low_mos, new", 3, True, True, False)]
    assert loaded.query("SELECT comment FROM duckdb_columns() WHERE column_name = 'has_echo'") == [
        ("Whether it has the tag echo: It echoed.",)
    ]
