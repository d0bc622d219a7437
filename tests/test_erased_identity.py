"""`erase --identity` leaves nothing of somebody; conferences and measurements stay."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pipelines.run.erase import erase
from pipelines.run.erasures import Subject
from pipelines.simulator.participants import participant_row
from pipelines.simulator.server import InsightsServer
from pipelines.twilio_insights.codec import DEEPEST
from pipelines.twilio_insights.extract.erasures import Erasures, digest_of, holds, new_salt
from pipelines.twilio_insights.extract.flatten import flatten
from pipelines.twilio_insights.extract.personal import KEEP, PersonalData
from pipelines.twilio_insights.resources import CONFERENCES
from tests.conftest import NOW, Command, Loaded, sid, summary
from tests.given_to_erase import (
    GONE,
    HOUR,
    KEY,
    OTHER,
    OWN,
    RAW,
    WHO,
    backfill,
    counted,
    found_in,
)
from tests.given_to_erase import full as full
from tests.given_to_erase import odd as odd
from tests.given_to_erase import rows_only as rows_only
from tests.test_pages import deep


@pytest.mark.thorough
def test_why_something_is_rejected_does_not_quote_somebody(
    full: Loaded, rows_only: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError(f"could not convert {WHO}")

    erase(Subject(identity=WHO), threading.Event())
    monkeypatch.setattr("pipelines.twilio_insights.extract.flatten.flatten", broken)
    full.account.put(summary(7, HOUR, friendly_name=WHO))
    full.run()
    reasons = {reason for (reason,) in full.query(f"SELECT reason FROM {RAW}_rejected_rows")}
    assert "ValueError" in reasons
    assert not [reason for reason in reasons if WHO in reason]


@pytest.mark.parametrize("mode", [pytest.param("keep", marks=pytest.mark.thorough), "hash"])
def test_somebody_is_nobody_and_conferences_stay(
    full: Loaded, command: Command, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    personal = {"keep": KEEP, "hash": PersonalData("hash", KEY)}[mode]
    if mode == "hash":
        monkeypatch.setenv(f"{OWN}PERSONAL_DATA", "hash")
        monkeypatch.setenv(f"{OWN}HASH_KEY", KEY)
        with monkeypatch.context() as patch:
            patch.setattr("pipelines.run.pipeline.forget_former", lambda *_: None)
            full.run()
    stored = str(personal.value(WHO))
    folder = full.path.parent
    assert found_in(folder, stored)
    done = command("erase", "--identity", WHO, "--yes", CONFERENCE_INSIGHTS_LOG="json")
    assert done.returncode == 0, done.stderr
    assert found_in(folder, stored, WHO, said=done.stdout + done.stderr) == []
    assert counted(full) == 3
    assert counted(full, "friendly_name IS NULL") == 2
    people = f"SELECT calling_party, called_party, label FROM {RAW}conference_participants"
    assert full.query(people) == [(None, personal.value(OTHER), None)] * 2
    assert full.query(f"SELECT mos FROM {RAW}conference_participant_metrics") == [(4.4,)] * 2
    full.account.put(summary(2, 3 * HOUR, friendly_name=WHO, max_participants=9))
    full.account.put(summary(4, HOUR / 2, friendly_name=WHO, label={"a": {WHO: 1}}))
    person = participant_row("CP" + "4" * 32, sid(4), NOW) | {"from": WHO, "to": OTHER}
    full.account.put_participants(sid(4), [person | {"properties": {"deep": [{"er": WHO}]}}])
    backfill()
    full.run()
    assert counted(full) == 4
    assert counted(full, "max_participants = 9 AND friendly_name IS NULL") == 1
    assert found_in(folder, stored, WHO) == []


def test_hashes_of_another_key_are_told(
    full: Loaded, rows_only: None, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(f"{OWN}PERSONAL_DATA", "hash")
        patch.setenv(f"{OWN}HASH_KEY", KEY)
        patch.setattr("pipelines.run.pipeline.forget_former", lambda *_: None)
        full.run()
    unset, other = "no hash_key is set", "another hash_key than is set"
    for key, told in (("", unset), ("another-key-of-ours", other), (KEY, "")):
        given = {f"{OWN}HASH_KEY": key} if key else {}
        done = command("erase", "--identity", WHO, "--dry-run", **given)
        assert done.returncode == 0, done.stderr
        assert told in done.stderr
        assert ("Not compared: values that were hashed" in done.stdout) == bool(told)
        assert ("Nothing was found to erase" in done.stdout) == bool(told)
        assert "There is nothing to erase" not in done.stdout
        assert ("conference_summaries: " in done.stdout) == (not told)
    done = command("erase", "--identity", WHO, "--yes")
    assert unset in done.stderr
    assert "Not compared: " in done.stdout
    done = command("erase", "--conference", GONE, "--yes")
    assert "hash_key" not in done.stdout + done.stderr


def test_somebody_can_be_given_by_the_hash_that_is_stored(
    loaded: Loaded,
    tables_only: None,
    rows_only: None,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(f"{OWN}PERSONAL_DATA", "hash")
    monkeypatch.setenv(f"{OWN}HASH_KEY", KEY)
    loaded.account.put(summary(1, HOUR, friendly_name=WHO))
    loaded.run()
    stored = str(PersonalData("hash", KEY).value(WHO))
    done = command("erase", "--identity", stored, "--yes")
    assert (done.returncode, counted(loaded, "friendly_name IS NULL")) == (0, 1), done.stderr
    loaded.account.put(summary(2, HOUR / 2, friendly_name=WHO, tag_info={"high_jitter": WHO}))
    loaded.run()
    assert counted(loaded, "friendly_name IS NULL") == 2
    details = f"SELECT count(details) FROM {RAW}conference_tag_info WHERE details LIKE '%{stored}%'"
    assert loaded.query(details) == [(0,)]


@pytest.mark.parametrize(
    "name",
    ["Zoë\xa0Ünï", "fam\u200dily", "\u200e+15005550006", "tab\there", "two\nlines", "a\u3000b"],
)
def test_any_text_that_a_name_can_have_is_erased(
    loaded: Loaded, tables_only: None, rows_only: None, command: Command, name: str
) -> None:
    loaded.account.put(summary(1, HOUR, friendly_name=name, tag_info={"high_jitter": {"by": name}}))
    loaded.run()
    done = command("erase", "--identity", name, "--yes")
    assert (done.returncode, counted(loaded, "friendly_name IS NULL")) == (0, 1), done.stderr
    assert loaded.query(f"SELECT details FROM {RAW}conference_tag_info") == [(None,)]


def test_a_value_that_is_nested_deep_stops_no_run(
    loaded: Loaded, tables_only: None, rows_only: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also not one with a number that only Python reads, nor somebody's name below it."""
    erase(Subject(identity=WHO), threading.Event())
    long, name = b"1" * 25, WHO.encode()
    values = [deep(440), deep(DEEPEST - 3), b'{"a":%b,"b":%b}' % (long, deep(DEEPEST - 4))]
    values += [b"[" * 450 + b'"%b"' % name + b"]" * 450]
    for number in range(len(values)):
        loaded.account.put(summary(20 + number, HOUR / 2, new_field=f"value {number}"))
    real = InsightsServer.list_page

    def list_page(server: InsightsServer, query: dict[str, str]) -> bytes:
        body = real(server, query)
        for number, value in enumerate(values):
            body = body.replace(b'"value %d"' % number, value)
        return body

    monkeypatch.setattr(InsightsServer, "list_page", list_page)
    assert loaded.run().rows_new == len(values)
    assert counted(loaded, "extra_fields LIKE '%[[%'") == len(values) - 1


def test_a_text_is_found_in_what_no_reader_of_json_takes() -> None:
    deeper = "[" * 30_000 + r'{"a\u0062c": "\"quoted\""}' + "]" * 30_000
    assert holds(deeper, "abc".__eq__)
    assert holds(deeper, '"quoted"'.__eq__)
    assert not holds(deeper, "quoted".__eq__)
    assert holds(r'{"a": "\ud800x", "b": "\x"}', "\ufffdx".__eq__)
    assert not holds('{"a": 5}', "5".__eq__)


def test_somebody_whom_a_server_has_without_nul_does_not_come_back_with_it() -> None:
    salt = new_salt()
    erased = Erasures(lambda *_: [("identity", salt, digest_of("an\ufffdna", salt), None)])
    rows = [summary(number, HOUR, friendly_name=f"an{c}na") for number, c in enumerate("\0x")]
    tables = erased.tables(flatten(CONFERENCES, rows, [1, 1], [NOW, NOW]))
    assert tables["conference_summaries"]["friendly_name"].to_pylist() == [None, "anxna"]
