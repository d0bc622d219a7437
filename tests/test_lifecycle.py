"""What Twilio does with a summary is the same for the source, the warehouse and its views."""

from __future__ import annotations

from pipelines.lifecycle import FINAL_STATES, RETENTION
from pipelines.twilio_insights import settings
from pipelines.twilio_insights.extract.records import FINAL, rank
from pipelines.twilio_insights.tables import CONFERENCE_SUMMARIES


def test_states_are_final_for_all_or_for_none() -> None:
    (state,) = (c for c in CONFERENCE_SUMMARIES.columns if c.name == "processing_state")
    assert {value for value in state.values if rank(value) >= FINAL} == set(FINAL_STATES)


def test_the_retention_is_the_same() -> None:
    assert settings.RETENTION == RETENTION
