"""What Twilio has deleted, or will soon delete, before it was ever listed."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import UTC, datetime

from pipelines.lifecycle import RETENTION, RETENTION_WARNING
from pipelines.run.packages import MAX_NAMED, Packages
from pipelines.times import iso_seconds
from pipelines.twilio_insights.api.clock import FIRST
from pipelines.twilio_insights.errors import InsightsError, RefusedError

log = logging.getLogger("conference_insights")


def check_retention_gap(packages: Packages) -> datetime:
    """Find the accounts to load; return the API's time.

    Warns, also if that fails, of what Twilio has deleted, or soon will, before it was listed.
    """
    progress, now, is_sure = packages.client.progress, datetime.now(UTC), False
    try:
        now, is_sure = packages.find_accounts(), True
        return now
    except RefusedError:
        with suppress(InsightsError):
            now = packages.client.now()  # the refusal told it
        raise
    finally:
        accounts, oldest, lines = packages.accounts, now - RETENTION, list[str]()
        for account, until in accounts.at_risk(now).items():
            of = f" by {account}" if accounts.has_several else ""
            if until < FIRST:
                continue  # a wrong clock set it
            if until < oldest and is_sure:
                progress.gap_from = min(until, progress.gap_from or until)
                progress.gap_to = oldest
                lines.append(
                    f"LOST: what was created{of} from {iso_seconds(until)} to "
                    f"{iso_seconds(oldest)} was never listed, and Twilio keeps 30 days"
                )
            elif until < oldest + RETENTION_WARNING:
                lines.append(
                    f"Nothing created{of} since {iso_seconds(until)} is listed yet; Twilio begins "
                    f"to delete it on {iso_seconds(until + RETENTION)}"
                )
        for line in lines[:MAX_NAMED]:
            log.warning("%s", line)
        if (more := len(lines) - MAX_NAMED) > 0:
            log.warning("The same for %d more accounts, see the table accounts", more)
