"""Conferences and participants with something personal wherever that can be, and the search for it
in files."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.simulator.account import Account, Row
from pipelines.simulator.participants import participant_row
from pipelines.twilio_insights.extract.personal import PersonalData
from tests.conftest import NOW, sid, summary
from tests.file_contents import texts

OWN = "SOURCES__TWILIO_INSIGHTS__"
KEY = "a-key-that-nobody-guesses"
CANARY = "kanarie"
"""In every personal place of what the API sends."""
HASHED = {"PERSONAL_DATA": "hash", "HASH_KEY": KEY}
DROPPED = {"PERSONAL_DATA": "drop"}
MODES = {"hash": PersonalData("hash", KEY), "drop": PersonalData("drop")}
RAW = "conference_insights."


def canary(place: str) -> str:
    return f"{CANARY} {place}"


def put(account: Account) -> None:
    """A conference, a participant and an element that is none, with something personal wherever
    that can be."""
    details = {"reason": "poor", "participant_identity": canary("identity"), "who": canary("who")}
    tagged = {"high_jitter": {"severity": "low"} | details}
    unknown = {canary("field"): canary("value"), "duration_seconds": canary("misfit")}
    row = summary(1, timedelta(hours=2), friendly_name=canary("name"), tag_info=tagged) | unknown
    account.put(row)
    account.put(summary(2, timedelta(hours=3), friendly_name=canary("name")))
    person: Row = participant_row("CP" + "1" * 32, sid(1), NOW - timedelta(hours=2)) | {
        "label": canary("label"),
        "from": "+1555" + CANARY,
        "to": f"client:{CANARY}",
        "properties": {canary("property"): canary("value"), "beep_on_exit": canary("beep")},
        "metrics": {"inbound": {"mos": 4.4, canary("metric"): canary("measured")}},
        canary("field"): canary("value"),
        "processing_state": "complete",
    }
    account.put_participants(sid(1), [person])
    account.put_participants(sid(2), [])


def odd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listings have two elements more: one is no conference, and one cannot become rows."""
    from pipelines.simulator import server

    real = server.InsightsHandler.answer

    def answer(handler: Any) -> tuple[int, bytes]:
        status, body = real(handler)
        content = json.loads(body) if status == 200 else {}
        if content.get("conferences"):
            bad = {"conference_sid": canary("no SID"), "friendly_name": canary("rejected")}
            content["conferences"] += [bad]
            body = json.dumps(content).encode()
        return status, body

    monkeypatch.setattr(server.InsightsHandler, "answer", answer)


def settings_of(mode: str, **more: str) -> dict[str, str]:
    chosen = {"hash": HASHED, "drop": DROPPED, "keep": {}}[mode]
    return {OWN + name: value for name, value in chosen.items()} | more


def found_in(folder: Path, *said: str) -> list[str]:
    """Where the canary is, whether a space of it is one of JSON or of a URL."""
    all_texts = [*texts(folder), *(("output", text.encode()) for text in said)]
    return [name for name, text in all_texts if CANARY.encode() in text]
