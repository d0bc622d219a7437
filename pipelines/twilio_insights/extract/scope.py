"""What is to be read."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.twilio_insights.extract.volume import Window


@dataclass(frozen=True)
class Incremental:
    """From the watermark on, and everything that is pending."""


@dataclass(frozen=True)
class TimeRange:
    """What was created in a window; the watermark stays."""

    window: Window


@dataclass(frozen=True)
class Sids:
    """Single records; the watermark stays."""

    sids: tuple[str, ...]


Scope = Incremental | TimeRange | Sids
INCREMENTAL = Incremental()
