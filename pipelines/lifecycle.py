"""What Twilio does with a summary in the course of time."""

from __future__ import annotations

from datetime import timedelta

RETENTION = timedelta(days=30)
"""Twilio deletes a summary 30 days after the call (docs: Voice Insights FAQ)."""
FINAL_STATES = ("timeout", "complete")
"""Values of `processing_state` that stay as they are, but that a timeout may become complete; any
other is pending."""
