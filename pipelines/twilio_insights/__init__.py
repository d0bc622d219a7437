"""A dlt source for Twilio Conference Summaries (Insights API, `GET /v1/Conferences`).

import dlt
from pipelines.twilio_insights import twilio_insights

dlt.pipeline("conferences", destination="duckdb").run(twilio_insights())
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.twilio_insights.source import TwilioInsightsConfiguration, twilio_insights

__all__ = ["TwilioInsightsConfiguration", "twilio_insights"]


def __getattr__(name: str) -> Any:
    """dlt takes half a second to import, and a run with nothing to load does without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pipelines.twilio_insights import source

    return getattr(source, name)
