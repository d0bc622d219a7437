"""Whether Twilio tells the accounts that are to be loaded, and answers for each that failed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pipelines.monitor.health import HealthIssue, account_name
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.errors import InsightsError, RefusedError
from pipelines.twilio_insights.resources import CONFERENCES

MAX_ASKED = 100
"""Accounts that are asked, each with a request."""


def look_at_accounts(
    client: InsightsClient, failures: list[dict[str, Any]]
) -> Iterator[HealthIssue]:
    """Ask the accounts that failed in the last run, or all, where the setting lists them."""
    settings = client.settings
    names = {row["account_sid"]: account_name(row) for row in failures}
    if settings.accounts == "all":
        try:
            found = client.accounts()
        except InsightsError as error:
            next_step = "see pipelines/several_accounts.md"
            yield HealthIssue("fail", str(error), next_step, error.exit_code)
            return
        yield HealthIssue("ok", f"Twilio lists {len(found):,} active accounts")
        asked = [one.sid for one in found if one.sid in names]
    else:
        asked = [sid for sid in settings.listed_accounts if sid != settings.account_sid]
    now, answered = client.now(), 0
    for sid in asked[:MAX_ASKED]:
        try:
            next(client.list_pages(CONFERENCES, now - timedelta(seconds=1), now, sid))
        except InsightsError as error:
            is_warning = isinstance(error, RefusedError) and settings.accounts == "all"
            yield HealthIssue(
                "warn" if is_warning else "fail",
                f"{names.get(sid, sid)}: {error}",
                "when that is done, `conference-insights backfill --from 29d` loads it at once",
                0 if is_warning else error.exit_code,
            )
        else:
            answered += 1
            if sid in names:
                text = f"{names[sid]} answers again: `conference-insights backfill --from 29d`"
                yield HealthIssue("ok", text)
    if len(asked) > 1 and answered == len(asked):
        yield HealthIssue("ok", f"All {answered:,} accounts that were asked answer")
