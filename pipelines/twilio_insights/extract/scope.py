"""What is to be read."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.twilio_insights.extract.volume import Window


@dataclass(frozen=True)
class Incremental:
    """From the watermark on, and everything that is pending."""


@dataclass(frozen=True)
class TimeRange:
    """What was created in a window, all of it or what filters of its own let through; the watermark
    stays."""

    window: Window
    is_filtered: bool = False


@dataclass(frozen=True)
class Sids:
    """Single records; the watermark stays."""

    sids: tuple[str, ...]


Scope = Incremental | TimeRange | Sids
INCREMENTAL = Incremental()
