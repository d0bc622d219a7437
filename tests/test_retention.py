"""What Twilio has deleted, is about to delete or refuses to list for its age is named, and the rest
is loaded."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from pipelines.simulator.server import InsightsServer
from pipelines.twilio_insights.errors import BadAnswerError, RefusedError
from tests.conftest import NOW, Loaded, summary

pytestmark = pytest.mark.usefixtures("tables_only")

DAY = timedelta(days=1)


def test_what_was_never_listed_and_is_deleted_is_named_with_its_dates(
    loaded: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    loaded.run()
    loaded.account.now = NOW + 25 * DAY
    assert loaded.run().gap_from is None
    assert "begins to delete it on 2026-12-20T14:30:00Z" in caplog.text
    loaded.account.now += 40 * DAY
    done = loaded.run()
    assert (done.gap_from, done.gap_to) == (NOW + 25 * DAY, NOW + 35 * DAY)
    assert "LOST: what was created from 2026-12-15T14:30:00Z to 2026-12-25" in caplog.text
    gap = "SELECT gap_from, gap_to FROM conference_insights._runs WHERE gap_from IS NOT NULL"
    assert loaded.query(gap) == [
        ((NOW + 25 * DAY).replace(tzinfo=None), (NOW + 35 * DAY).replace(tzinfo=None))
    ]


def test_the_retention_is_watched_while_the_api_is_down(
    loaded: Loaded, caplog: pytest.LogCaptureFixture
) -> None:
    loaded.run()
    loaded.account.now += 25 * DAY
    loaded.account.logins.clear()
    with pytest.raises(RefusedError):
        loaded.run()
    assert "begins to delete it on" in caplog.text


@pytest.mark.parametrize("page_size", ["1000", "1"], ids=["one page", "windows cut"])
def test_where_twilio_refuses_what_is_older_than_30_days_the_rest_is_loaded(
    loaded: Loaded,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    page_size: str,
) -> None:
    """What it answers there is not documented."""
    monkeypatch.setenv("SOURCES__TWILIO_INSIGHTS__PAGE_SIZE", page_size)
    refuse_before(monkeypatch, 30 * DAY)
    for number in range(1, 30):
        loaded.account.put(summary(number, number * DAY))
    done = loaded.run()
    loaded.assert_exact()
    assert done.loaded_to == NOW
    assert caplog.text.count("Twilio refuses to list from 2026-10-21T14:29:59Z") == 1
    loaded.account.now += 35 * DAY
    loaded.account.put(summary(40, -10 * DAY))
    assert loaded.run().rows_new == 1


def test_what_twilio_refuses_for_another_reason_is_no_question_of_age(
    loaded: Loaded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    refuse_before(monkeypatch, 7 * DAY)
    with pytest.raises(BadAnswerError, match="code 17400"):
        loaded.run()
    assert len(loaded.server.requests) < 10
    assert "Twilio refuses" not in caplog.text


def refuse_before(monkeypatch: pytest.MonkeyPatch, age: timedelta) -> None:
    """Have the API answer 400 to a listing from before that."""
    real = InsightsServer.list_page

    def refusing(server: InsightsServer, query: dict[str, str]) -> bytes:
        if datetime.fromisoformat(query["CreatedAfter"]) < server.account.now - age:
            raise ValueError("Invalid query parameter: CreatedAfter")
        return real(server, query)

    monkeypatch.setattr(InsightsServer, "list_page", refusing)
