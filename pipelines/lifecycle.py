"""What Twilio does with a summary in the course of time."""

from __future__ import annotations

from datetime import timedelta

RETENTION = timedelta(days=30)
"""Twilio deletes a summary 30 days after the call (docs: Voice Insights FAQ)."""
SHOWN_WITHIN = timedelta(minutes=30)
"""A summary appears at most this long after the end of its conference."""
FINAL_WITHIN = timedelta(hours=24)
"""Nearly all summaries are final this long after their conference; no run waits for others."""
EXPIRES_SOON = timedelta(days=3)
"""What Twilio deletes within this time takes turns with what is new, and is warned of."""
RETENTION_WARNING = timedelta(days=10)
"""Runs warn this long before Twilio deletes data that none has listed."""
