"""A dlt source for Twilio Conference Summaries (Insights API, `GET /v1/Conferences`).

import dlt
from pipelines.twilio_insights import twilio_insights

dlt.pipeline("conferences", destination="duckdb").run(twilio_insights())
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import dlt
from dlt.extract import DltResource

from pipelines.twilio_insights.client import InsightsClient
from pipelines.twilio_insights.pages import read_pages
from pipelines.twilio_insights.progress import Progress
from pipelines.twilio_insights.settings import TwilioInsightsConfiguration
from pipelines.twilio_insights.tables import (
    CHILDREN,
    CONFERENCE_SUMMARIES,
    REFETCHES,
    REJECTED_ROWS,
    Table,
)
from pipelines.twilio_insights.traffic import Window

if TYPE_CHECKING:
    from pipelines.twilio_insights.flatten import Tables

__all__ = ["InsightsClient", "Progress", "TwilioInsightsConfiguration", "Window", "twilio_insights"]


@dlt.source(name="twilio_insights", spec=TwilioInsightsConfiguration, max_table_nesting=0)
def twilio_insights(
    settings: TwilioInsightsConfiguration = None,  # type: ignore[assignment]  # dlt fills it in
    *,
    client: InsightsClient | None = None,
    progress: Progress | None = None,
    package_rows: int | None = None,
    only: Window | Collection[str] | None = None,
) -> Iterator[DltResource]:
    """Summaries created since the account's watermark, and those still pending, in four tables.

    `pages` lists and re-fetches; the tables take their part of what it found:

    table                       key                               written
    conference_summaries        conference_sid                    merge
    conference_tags             conference_sid, tag               merge, whole conference
    conference_tag_info         conference_sid, tag, item_index   merge, whole conference
    conference_detected_issues  conference_sid, issue             merge, whole conference
    _refetches                  conference_sid                    merge
    _rejected_rows              row_digest                        merge

    Args:
        settings: resolved from the section `sources.twilio_insights` when not given.
        client, progress: shared by the packages of one run; made here when not given.
        package_rows: end the load package at the first window edge after so many rows, or where
            listing fails after a finished window; call again until `progress.complete`.
            None: everything in one package, and a failure loads nothing.
        only: read just this window, or fetch just these SIDs; the watermark stays, and nothing
            else that is pending is asked for.

    Raises:
        ConfigurationValueError: a setting is missing or wrong.
        InsightsError: the API could not be read.
    """
    session = nullcontext(client) if client else InsightsClient(settings, progress)
    pages = dlt.resource(read_pages, name="pages", selected=False)(session, package_rows, only)

    yield _table(pages, CONFERENCE_SUMMARIES)
    for child in CHILDREN:
        # Rows of a conference that its latest copy no longer has are deleted with the others:
        # every conference written has a row here, be it a tombstone.
        yield _table(
            pages,
            child,
            destination_scope="conference_sid IN (SELECT conference_sid FROM {staging_table})",
        )
    yield _table(pages, REFETCHES)
    yield _table(pages, REJECTED_ROWS)


def _table(pages: DltResource, table: Table, **merge: str) -> DltResource:
    def take(tables: Tables) -> Any:
        if table.name in tables:
            yield tables[table.name]

    transformer: DltResource = dlt.transformer(
        take,
        data_from=pages,
        name=table.name,
        primary_key=table.key,
        columns={column.name: column.hints for column in table.columns},
        write_disposition={"disposition": "merge", "strategy": "delete-insert", **merge},  # type: ignore[call-overload]
    )
    return transformer
