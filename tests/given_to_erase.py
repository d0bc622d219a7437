"""A warehouse that has a conference and somebody in every table, for `erase`, and the search for
what is left of them."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.run.pipeline import Backfill, run
from pipelines.simulator.account import Account
from pipelines.simulator.participants import participant_row
from pipelines.simulator.server import InsightsHandler
from pipelines.twilio_insights.progress import Progress
from tests.conftest import NOW, Loaded, loaded_once, sid, summary
from tests.file_contents import texts

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RAW = "conference_insights."
TIME = "pipelines.times.machine_time"
OWN = "SOURCES__TWILIO_INSIGHTS__"
WHO, OTHER = "client:anna.canary", "client:bob"
GONE, STAYS = sid(0xCA11AB1E), sid(2)
PERSON = "CP" + "ca11ab1e" * 4
TRACES = (GONE, PERSON)
KEY = "a-key-that-nobody-guesses"


def put(account: Account) -> None:
    """Two conferences with a participant each, of which one is somebody who is elsewhere too."""
    details = {"participant_identity": WHO, "severity": "low", "seen": [{"by": [WHO]}]}
    tagged = {"high_jitter": details}
    for number, age in ((0xCA11AB1E, 2), (2, 3)):
        unknown = {"voice_bots" + str(number): "new"}
        account.put(summary(number, age * HOUR, friendly_name=WHO, tag_info=tagged) | unknown)
        key = PERSON if number != 2 else "CP" + "2" * 32
        person = participant_row(key, sid(number), NOW - age * HOUR) | {
            "label": WHO,
            "from": WHO,
            "to": OTHER,
            "properties": {"x": WHO},
            "metrics": {"inbound": {"mos": 4.4, "who": {WHO: 1}}},
            "events": {"mute": [1732113000000]},
            "processing_state": "complete",
        }
        account.put_participants(sid(number), [person])
    account.put(summary(3, 40 * HOUR, friendly_name=OTHER))
    account.put_participants(sid(3), [])


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listings have an element that is no conference, and names one."""
    list_more(monkeypatch, [{"of": GONE, "named": WHO}])


def list_more(monkeypatch: pytest.MonkeyPatch, elements: list[Any]) -> None:
    """Have each page that is not empty end with these."""
    real = InsightsHandler.answer

    def answer(handler: Any) -> tuple[int, bytes]:
        status, body = real(handler)
        content = json.loads(body) if status == 200 else {}
        if content.get("conferences"):
            content["conferences"] += elements
            body = json.dumps(content).encode()
        return status, body

    monkeypatch.setattr(InsightsHandler, "answer", answer)


@pytest.fixture
def full(loaded: Loaded, with_participants: None, odd: None, tables_only: None) -> Loaded:
    """A warehouse that has all of it in every table."""
    put(loaded.account)
    loaded.run()
    fill(loaded)
    return loaded


def fill(loaded: Loaded) -> None:
    """What runs leave where something went wrong."""
    change(
        loaded,
        f"INSERT INTO {RAW}_refetches VALUES ('conferences', '{GONE}', 1, 404, '{NOW:%F}', NULL, "
        "'gone', 'x')",
        f'UPDATE {RAW}_runs SET final_changed = \'["{GONE}", "{STAYS}"]\', '
        f"unreadable = '[\"{PERSON}\"]', left_package = 'set aside: of {GONE}'",
        f"UPDATE {RAW}accounts SET last_error = 'No {GONE}'",
    )
    aside = Path(f"{loaded.path}.dlt/set_aside/1")
    aside.mkdir(parents=True)
    (aside / "reason.txt").write_text(f"{GONE} {WHO}")


@pytest.fixture
def rows_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are not made anew, which is most of it: for tests that look at rows."""
    monkeypatch.setattr("pipelines.run.erase.forget_former", lambda *_: None)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, empty_warehouse: Path) -> Path:
    """A warehouse that has all of it."""
    account = Account(NOW)
    put(account)
    with loaded_once(account, tmp_path_factory.mktemp("kept"), empty_warehouse) as loaded:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(f"{OWN}PARTICIPANTS", "true")
            loaded.load(views=True)
        return loaded.path


def change(loaded: Loaded, *statements: str) -> None:
    with closing(duckdb.connect(str(loaded.path))) as connection:
        for statement in statements:
            connection.execute(statement)


def found_in(folder: Path, *traces: str, said: str = "") -> list[str]:
    all_texts = [*texts(folder), ("output", said.encode())]
    return [f"{t} in {name}" for name, text in all_texts for t in traces if t.encode() in text]


def noted(loaded: Loaded) -> list[tuple[Any, ...]]:
    columns = "kind, digest IS NOT NULL, created_before, counts, finished_at IS NOT NULL"
    return loaded.query(f"SELECT {columns} FROM {RAW}_erasures ORDER BY erased_at")


def counted(loaded: Loaded, where: str = "true") -> int:
    return int(loaded.query(f"SELECT count(*) FROM {RAW}conference_summaries WHERE {where}")[0][0])


def backfill(*conferences: str) -> Progress:
    scope = Backfill(conferences=conferences) if conferences else Backfill("29d")
    return run(Progress("backfill"), backfill=scope)
