"""The tables and their columns, each defined once: name, meaning, type, NULL, personal or not.

The Arrow schemas, dlt's column hints and the comments in the database all come from here.
Meanings follow the OpenAPI description of `insights.v1.conference`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

ColumnType = Literal["text", "bigint", "bool", "timestamp"]

ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "text": pa.string(),
    "bigint": pa.int64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us"),
}


@dataclass(frozen=True)
class Column:
    """Times are UTC without a zone, so that no reader's time zone changes a number."""

    name: str
    description: str
    type: ColumnType = "text"
    nullable: bool = True
    personal: bool = False

    @property
    def hints(self) -> dict[str, Any]:
        """dlt's hints for it."""
        hints = {
            "name": self.name,
            "data_type": self.type,
            "nullable": self.nullable,
            "description": self.description,
        }
        if self.type == "timestamp":
            hints |= {"timezone": False, "precision": 6}
        return hints | {"hard_delete": True} if self.name == "_tombstone" else hints


@dataclass(frozen=True)
class Table:
    """`grain` says what one row is, `key` what identifies it."""

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def arrow_schema(self) -> pa.Schema:
        fields = ((c.name, ARROW_TYPES[c.type], c.nullable) for c in self.columns)
        return pa.schema([pa.field(*field) for field in fields])


SID = Column("conference_sid", "SID of the conference (CF…).", nullable=False)
_LOAD_ID = Column("_dlt_load_id", "dlt load package that wrote the row.", nullable=False)
_DIGEST = Column("row_digest", "64-bit digest of what was received.", "bigint", nullable=False)
_TOMBSTONE = Column("_tombstone", "Always NULL here; carries deletions while loading.", "bool")

FROM_TWILIO = (
    SID,
    Column("account_sid", "SID of the account that owns the conference (AC…)."),
    Column("friendly_name", "Label given to the conference.", personal=True),
    Column("create_time", "When the conference was created, UTC.", "timestamp"),
    Column("start_time", "When it started, UTC; NULL if it never did.", "timestamp"),
    Column("end_time", "When it ended, UTC; NULL while it runs.", "timestamp"),
    Column("duration_seconds", "Duration of the conference in seconds.", "bigint"),
    Column("connect_duration_seconds", "Seconds from start event to end event.", "bigint"),
    Column("status", "in_progress, not_started, completed or summary_timeout."),
    Column("max_participants", "Most concurrent participants the settings allow.", "bigint"),
    Column("max_concurrent_participants", "Most participants at once in fact.", "bigint"),
    Column("unique_participants", "Distinct participants, told apart by caller ID.", "bigint"),
    Column("end_reason", "Why it ended, for example last_participant_left."),
    Column("ended_by", "SID of the call whose participant ended it (CA…)."),
    Column("mixer_region", "Region where the media was mixed."),
    Column("mixer_region_requested", "Region asked for; NULL if none was."),
    Column("recording_enabled", "Whether recording was enabled at the mixer.", "bool"),
    Column("processing_state", "complete and timeout are final; anything else is pending."),
    Column("url", "URL of the summary."),
    Column("links", "URLs of nested resources, JSON text."),
)
CONFERENCE_SUMMARIES = Table(
    "conference_summaries",
    "one row per conference",
    ("conference_sid",),
    (
        *FROM_TWILIO,
        Column("fetched_at", "When this copy arrived, UTC.", "timestamp", nullable=False),
        _DIGEST,
        Column("extra_fields", "Unknown fields and misfit values, JSON text.", personal=True),
        _LOAD_ID,
    ),
)
CONFERENCE_TAGS = Table(
    "conference_tags",
    "one row per conference and tag",
    ("conference_sid", "tag"),
    (SID, Column("tag", "Detected condition.", nullable=False), _LOAD_ID, _TOMBSTONE),
)
CONFERENCE_TAG_INFO = Table(
    "conference_tag_info",
    "one row per conference, tag and element of its details",
    ("conference_sid", "tag", "item_index"),
    (
        SID,
        Column("tag", "Tag that the details belong to.", nullable=False),
        Column("item_index", "Position in the list; 0 for one object.", "bigint", nullable=False),
        Column("severity", "Severity, where Twilio gives one."),
        Column("reason", "Reason, where Twilio gives one."),
        Column("participant_identity", "Identity of the participant.", personal=True),
        Column("details", "Everything else of the element, JSON text.", personal=True),
        _LOAD_ID,
        _TOMBSTONE,
    ),
)
CONFERENCE_DETECTED_ISSUES = Table(
    "conference_detected_issues",
    "one row per conference and kind of issue",
    ("conference_sid", "issue"),
    (
        SID,
        Column("issue", "Kind, for example call_quality.", nullable=False),
        Column("issue_count", "Instances detected; 0 is reported too.", "bigint"),
        _LOAD_ID,
        _TOMBSTONE,
    ),
)
REFETCHES = Table(
    "_refetches",
    "one row per conference that answered 404 when it was asked for again",
    ("conference_sid",),
    (
        SID,
        Column("attempts", "404 answers in a row.", "bigint", nullable=False),
        Column("last_status", "HTTP status of the last answer.", "bigint"),
        Column("last_asked_at", "When it was asked last, UTC.", "timestamp", nullable=False),
        Column("next_due_at", "Not asked again before, UTC; NULL: no waiting.", "timestamp"),
        Column("outcome", "gone: answers 404; expired: too old to ask; NULL: it is back."),
        _LOAD_ID,
    ),
)
REJECTED_ROWS = Table(
    "_rejected_rows",
    "one row per received element that could not become a conference",
    ("row_digest",),
    (
        _DIGEST,
        Column("reason", "Why it could not be loaded.", nullable=False),
        Column("row", "The element, whole, JSON text.", nullable=False, personal=True),
        Column("rejected_at", "When it arrived, UTC.", "timestamp", nullable=False),
        Column("run_id", "Run that met it first."),
        _LOAD_ID,
    ),
)
CHILDREN = (CONFERENCE_TAGS, CONFERENCE_TAG_INFO, CONFERENCE_DETECTED_ISSUES)
TABLES = (CONFERENCE_SUMMARIES, *CHILDREN, REFETCHES, REJECTED_ROWS)
