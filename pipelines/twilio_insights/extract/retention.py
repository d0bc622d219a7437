"""Listing from the first moment that Twilio lists at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from pipelines.lifecycle import RETENTION
from pipelines.times import iso_seconds
from pipelines.twilio_insights.api.client import InsightsClient
from pipelines.twilio_insights.api.page import Page
from pipelines.twilio_insights.errors import InvalidQueryError
from pipelines.twilio_insights.resources import Resource

log = logging.getLogger("conference_insights")

MARGIN = timedelta(hours=1)
"""How much later a listing begins that is refused: Twilio is about to delete what it leaves out."""


def list_pages(
    client: InsightsClient,
    resource: Resource,
    after: datetime,
    before: datetime,
    account: str,
    filters: Mapping[str, str],
) -> Iterator[Page]:
    """As the client's: but if Twilio refuses what begins before its retention, from a little later.
    What it answers there is not documented.

    Raises:
        InsightsError: as the client does.
    """
    try:
        yield from client.list_pages(resource, after, before, account, filters)
    except InvalidQueryError:
        oldest = client.now() - RETENTION
        later = min(oldest + MARGIN, before - timedelta(seconds=1))
        if not after < oldest <= later:
            raise
        yield from client.list_pages(resource, later, before, account, filters)
        log.warning(
            "Twilio refuses to list from %s, over 30 days ago (400), so that is listed from %s",
            *map(iso_seconds, (after, later)),
        )
