-- The tables

CREATE TABLE "CALLS"."CONFERENCE_SUMMARIES" (
"CONFERENCE_SID" VARCHAR NOT NULL COMMENT 'SID of the conference (CF…).',
"ACCOUNT_SID" VARCHAR COMMENT 'SID of the account that owns the conference (AC…).',
"FRIENDLY_NAME" VARCHAR COMMENT 'Label given to the conference.',
"CREATE_TIME" TIMESTAMP_NTZ(6) COMMENT 'When the conference was created, UTC.',
"START_TIME" TIMESTAMP_NTZ(6) COMMENT 'When it started, UTC; NULL if it never did.',
"END_TIME" TIMESTAMP_NTZ(6) COMMENT 'When it ended, UTC; NULL while it runs.',
"DURATION_SECONDS" NUMBER(19,0) COMMENT 'Duration of the conference in seconds.',
"CONNECT_DURATION_SECONDS" NUMBER(19,0) COMMENT 'Seconds from start event to end event.',
"STATUS" VARCHAR COMMENT 'What became of it.',
"MAX_PARTICIPANTS" NUMBER(19,0) COMMENT 'Most concurrent participants the settings allow.',
"MAX_CONCURRENT_PARTICIPANTS" NUMBER(19,0) COMMENT 'Most participants at once in fact.',
"UNIQUE_PARTICIPANTS" NUMBER(19,0) COMMENT 'Distinct participants, told apart by caller ID.',
"END_REASON" VARCHAR COMMENT 'Why it ended; NULL while it runs, or if it never started.',
"ENDED_BY" VARCHAR COMMENT 'SID of the call whose participant ended it (CA…).',
"MIXER_REGION" VARCHAR COMMENT 'Region where the media was mixed.',
"MIXER_REGION_REQUESTED" VARCHAR COMMENT 'Requested region; NULL if none was.',
"RECORDING_ENABLED" BOOLEAN COMMENT 'Whether recording was enabled at the mixer.',
"PROCESSING_STATE" VARCHAR COMMENT 'complete and timeout are final; anything else is pending.',
"URL" VARCHAR COMMENT 'URL of the summary.',
"LINKS" VARCHAR COMMENT 'URLs of nested resources, JSON text.',
"FETCHED_AT" TIMESTAMP_NTZ(6) NOT NULL COMMENT 'When this copy arrived, UTC.',
"ROW_DIGEST" NUMBER(19,0) NOT NULL COMMENT '64-bit digest of what was received.',
"EXTRA_FIELDS" VARCHAR COMMENT 'Unknown fields and misfit values, JSON text.',
"_DLT_LOAD_ID" VARCHAR NOT NULL COMMENT 'dlt load package that wrote the row.');

CREATE TABLE "CALLS"."CONFERENCE_TAGS" (
"CONFERENCE_SID" VARCHAR NOT NULL COMMENT 'SID of the conference (CF…).',
"TAG" VARCHAR NOT NULL COMMENT 'Detected condition.',
"_DLT_LOAD_ID" VARCHAR NOT NULL COMMENT 'dlt load package that wrote the row.',
"_TOMBSTONE" BOOLEAN COMMENT 'Always NULL here; carries deletions while loading.');

CREATE TABLE "CALLS"."CONFERENCE_TAG_INFO" (
"CONFERENCE_SID" VARCHAR NOT NULL COMMENT 'SID of the conference (CF…).',
"TAG" VARCHAR NOT NULL COMMENT 'Tag that the details belong to.',
"ITEM_INDEX" NUMBER(19,0) NOT NULL COMMENT 'Position in the list; 0 for one object.',
"SEVERITY" VARCHAR COMMENT 'Severity, where Twilio gives one.',
"REASON" VARCHAR COMMENT 'Reason, where Twilio gives one.',
"PARTICIPANT_IDENTITY" VARCHAR COMMENT 'Identity of the participant.',
"DETAILS" VARCHAR COMMENT 'Everything else of the element, JSON text.',
"_DLT_LOAD_ID" VARCHAR NOT NULL COMMENT 'dlt load package that wrote the row.',
"_TOMBSTONE" BOOLEAN COMMENT 'Always NULL here; carries deletions while loading.');

CREATE TABLE "CALLS"."CONFERENCE_DETECTED_ISSUES" (
"CONFERENCE_SID" VARCHAR NOT NULL COMMENT 'SID of the conference (CF…).',
"ISSUE" VARCHAR NOT NULL COMMENT 'Kind of issue.',
"ISSUE_COUNT" NUMBER(19,0) COMMENT 'Instances counted; 0 is in the table too, not in the view.',
"_DLT_LOAD_ID" VARCHAR NOT NULL COMMENT 'dlt load package that wrote the row.',
"_TOMBSTONE" BOOLEAN COMMENT 'Always NULL here; carries deletions while loading.');

CREATE TABLE "CALLS"."CONFERENCE_PARTICIPANTS" (
"PARTICIPANT_SID" VARCHAR NOT NULL COMMENT 'SID of the participant (CP…).',
"CONFERENCE_SID" VARCHAR COMMENT 'SID of the conference (CF…).',
"ACCOUNT_SID" VARCHAR COMMENT 'SID of the account that owns the conference (AC…).',
"CALL_SID" VARCHAR COMMENT 'SID of the call that the participant joined by (CA…).',
"LABEL" VARCHAR COMMENT 'Label given to the participant.',
"CALLING_PARTY" VARCHAR COMMENT 'Caller ID of the calling party; Twilio''s `from`.',
"CALLED_PARTY" VARCHAR COMMENT 'Called party; Twilio''s `to`.',
"CALL_DIRECTION" VARCHAR COMMENT 'Direction of the call.',
"CALL_TYPE" VARCHAR COMMENT 'What the participant called with.',
"CALL_STATUS" VARCHAR COMMENT 'What became of the call.',
"COUNTRY_CODE" VARCHAR COMMENT 'ISO alpha-2 code of the country, by caller ID or called number.',
"PARTICIPANT_REGION" VARCHAR COMMENT 'Region where the participant''s media entered Twilio.',
"CONFERENCE_REGION" VARCHAR COMMENT 'Region where the conference was mixed, by the participant''s summary.',
"IS_MODERATOR" BOOLEAN COMMENT 'Whether the conference started or ended with the participant.',
"IS_COACH" BOOLEAN COMMENT 'Whether the participant was a coach.',
"JOIN_TIME" TIMESTAMP_NTZ(6) COMMENT 'When the participant joined, UTC.',
"LEAVE_TIME" TIMESTAMP_NTZ(6) COMMENT 'When the participant left, UTC.',
"DURATION_SECONDS" NUMBER(19,0) COMMENT 'How long the participant was there, in seconds.',
"OUTBOUND_QUEUE_LENGTH" NUMBER(19,0) COMMENT 'Add Participant API only: estimated length of the queue at the creation of the call.',
"OUTBOUND_TIME_IN_QUEUE" NUMBER(19,0) COMMENT 'Add Participant API only: time in the queue; documented in seconds, samples look like milliseconds.',
"JITTER_BUFFER_SIZE" VARCHAR COMMENT 'Size of the jitter buffer.',
"PROCESSING_STATE" VARCHAR COMMENT 'complete and timeout are final; anything else is asked for again.',
"START_CONFERENCE_ON_ENTER" BOOLEAN COMMENT 'Whether the conference starts when the participant enters.',
"END_CONFERENCE_ON_EXIT" BOOLEAN COMMENT 'Whether it ends when the participant leaves.',
"PLAY_EARLY_MEDIA" BOOLEAN COMMENT 'The same as early_media, in the summaries that have it by this name.',
"EARLY_MEDIA" BOOLEAN COMMENT 'Whether others hear the call before it is answered.',
"ENTER_MUTED" BOOLEAN COMMENT 'Whether the participant enters muted.',
"BEEP_ON_ENTER" BOOLEAN COMMENT 'Whether there is a beep when the participant enters.',
"BEEP_ON_EXIT" BOOLEAN COMMENT 'Whether there is one when the participant leaves.',
"PROPERTIES" VARCHAR COMMENT 'Other properties, JSON text.',
"URL" VARCHAR COMMENT 'URL of the participant''s summary.',
"FETCHED_AT" TIMESTAMP_NTZ(6) NOT NULL COMMENT 'When this copy arrived, UTC.',
"ROW_DIGEST" NUMBER(19,0) NOT NULL COMMENT '64-bit digest of what was received.',
"EXTRA_FIELDS" VARCHAR COMMENT 'Unknown fields and misfit values, JSON text.',
"_DLT_LOAD_ID" VARCHAR NOT NULL COMMENT 'dlt load package that wrote the row.');

CREATE TABLE "CALLS"."CONFERENCE_PARTICIPANT_METRICS" (
"PARTICIPANT_SID" VARCHAR NOT NULL COMMENT 'SID of the participant (CP…).',
"DIRECTION" VARCHAR NOT NULL COMMENT 'inbound: from the participant to Twilio; outbound: from Twilio to the participant.',
"TOTAL_PACKETS_LOST" NUMBER(19,0) COMMENT 'Packets lost.',
"TOTAL_PACKETS_RECEIVED" NUMBER(19,0) COMMENT 'Packets received.',
"PACKET_LOSS_PERCENTAGE" FLOAT COMMENT 'Packets lost, in percent.',
"JITTER_AVG" FLOAT COMMENT 'Mean jitter in milliseconds.',
"JITTER_MAX" FLOAT COMMENT 'Largest jitter in milliseconds.',
"LATENCY_AVG" FLOAT COMMENT 'Mean latency in milliseconds.',
"LATENCY_MAX" FLOAT COMMENT 'Largest latency in milliseconds.',
"MOS" FLOAT COMMENT 'Mean opinion score, 1 (bad) to 5.',
"IS_SILENT" BOOLEAN COMMENT 'Whether the tag silent is there; NULL without metrics.',
"TAGS" VARCHAR COMMENT 'All tags, JSON text; NULL if there are none.',
"DETAILS" VARCHAR COMMENT 'Everything else of the metrics, JSON text.',
"_DLT_LOAD_ID" VARCHAR NOT NULL COMMENT 'dlt load package that wrote the row.',
"_TOMBSTONE" BOOLEAN COMMENT 'Always NULL here; carries deletions while loading.');

CREATE TABLE "CALLS"."CONFERENCE_PARTICIPANT_EVENTS" (
"PARTICIPANT_SID" VARCHAR NOT NULL COMMENT 'SID of the participant (CP…).',
"EVENT" VARCHAR NOT NULL COMMENT 'What happened, such as mute, hold or coaching.',
"EVENT_INDEX" NUMBER(19,0) NOT NULL COMMENT 'Position among the participant''s events of this kind, from 0.',
"OCCURRED_AT" TIMESTAMP_NTZ(6) COMMENT 'When it happened, UTC, to the millisecond.',
"_DLT_LOAD_ID" VARCHAR NOT NULL COMMENT 'dlt load package that wrote the row.',
"_TOMBSTONE" BOOLEAN COMMENT 'Always NULL here; carries deletions while loading.');

CREATE TABLE "CALLS"."CONFERENCE_PARTICIPANT_COACHING" (
"PARTICIPANT_SID" VARCHAR NOT NULL COMMENT 'SID of the participant who coached (CP…).',
"COACHED_CALL_SID" VARCHAR NOT NULL COMMENT 'SID of the call that was coached (CA…).',
"_DLT_LOAD_ID" VARCHAR NOT NULL COMMENT 'dlt load package that wrote the row.',
"_TOMBSTONE" BOOLEAN COMMENT 'Always NULL here; carries deletions while loading.');

CREATE TABLE "CALLS"."ACCOUNTS" (
"ACCOUNT_SID" VARCHAR NOT NULL COMMENT 'SID of the account (AC…).',
"FRIENDLY_NAME" VARCHAR COMMENT 'Its name; NULL where accounts are not read from Twilio.',
"STATUS" VARCHAR COMMENT '`active` when Twilio listed it last, see `left_at`; NULL where accounts are not read from there.',
"FIRST_SEEN_AT" TIMESTAMP_NTZ(6) NOT NULL COMMENT 'When a run met it first, UTC.',
"LISTED_FROM" TIMESTAMP_NTZ(6) COMMENT 'All that was created from then to `listed_to` was listed completely, UTC; NULL: never, or a version that did not note it.',
"LISTED_TO" TIMESTAMP_NTZ(6) COMMENT 'All that was created before was listed completely, UTC; NULL: never.',
"LAST_ERROR" VARCHAR COMMENT 'Why it could not be read when it was asked last; NULL: it could.',
"ERROR_CLASS" VARCHAR COMMENT 'The class of that error.',
"FAILING_SINCE" TIMESTAMP_NTZ(6) COMMENT 'When it failed first in a row, UTC.',
"ASKED_AT" TIMESTAMP_NTZ(6) COMMENT 'When it was asked last while it fails, UTC.',
"FOLLOWED_BY" VARCHAR NOT NULL COMMENT 'Account of the credentials that it was loaded with last (AC…).',
"LEFT_AT" TIMESTAMP_NTZ(6) COMMENT 'When those were no longer to load it, UTC; NULL: they are.',
"_DLT_LOAD_ID" VARCHAR COMMENT 'dlt load package that wrote the row; NULL: a run that loaded nothing.');

CREATE TABLE "CALLS"."_REFETCHES" (
"RESOURCE" VARCHAR NOT NULL COMMENT 'Kind of record: conferences.',
"KEY" VARCHAR NOT NULL COMMENT 'What identifies it: the SID of the conference (CF…).',
"ATTEMPTS" NUMBER(19,0) NOT NULL COMMENT '404 answers in a row.',
"LAST_STATUS" NUMBER(19,0) COMMENT 'HTTP status of the last answer.',
"LAST_ASKED_AT" TIMESTAMP_NTZ(6) NOT NULL COMMENT 'When it was asked last, UTC.',
"NEXT_DUE_AT" TIMESTAMP_NTZ(6) COMMENT 'Not asked again before, UTC; NULL: no waiting.',
"OUTCOME" VARCHAR COMMENT 'gone: 404; expired: too old to ask; unconfirmed: a listing differs; NULL: back.',
"_DLT_LOAD_ID" VARCHAR NOT NULL COMMENT 'dlt load package that wrote the row.');

CREATE TABLE "CALLS"."_REJECTED_ROWS" (
"ROW_DIGEST" NUMBER(19,0) NOT NULL COMMENT '64-bit digest of what was received.',
"REASON" VARCHAR NOT NULL COMMENT 'Why it could not be loaded.',
"ROW" VARCHAR NOT NULL COMMENT 'The element, whole, JSON text.',
"REJECTED_AT" TIMESTAMP_NTZ(6) NOT NULL COMMENT 'When it arrived, UTC.',
"RUN_ID" VARCHAR COMMENT 'Run that met it first.',
"_DLT_LOAD_ID" VARCHAR NOT NULL COMMENT 'dlt load package that wrote the row.');

CREATE TABLE "CALLS"."_WATERMARKS" (
"RESOURCE" VARCHAR NOT NULL COMMENT 'What was listed: conferences.',
"ACCOUNT_SID" VARCHAR NOT NULL COMMENT 'SID of the account that was listed (AC…).',
"FILTERS" VARCHAR NOT NULL COMMENT 'Filters of the listing, JSON text; empty for none.',
"REGION" VARCHAR NOT NULL COMMENT 'Region whose API was asked; empty for US1.',
"LISTED_TO" TIMESTAMP_NTZ(6) NOT NULL COMMENT 'All that was created before was listed completely, UTC.',
"_DLT_LOAD_ID" VARCHAR NOT NULL COMMENT 'dlt load package that wrote the row.');

CREATE TABLE "CALLS"."_DRIFT" (
"ACCOUNT_SID" VARCHAR NOT NULL COMMENT 'SID of the account that was loaded (AC…).',
"NAME" VARCHAR NOT NULL COMMENT 'Column and value, or extra_fields and the field''s name.',
"CONFERENCE_SID" VARCHAR COMMENT 'SID of the first conference that had it (CF…).',
"_DLT_LOAD_ID" VARCHAR NOT NULL COMMENT 'dlt load package that wrote the row.');

CREATE TABLE "CALLS"."_LISTINGS" (
"RESOURCE" VARCHAR NOT NULL COMMENT 'What was listed: participants.',
"PARENT_KEY" VARCHAR NOT NULL COMMENT 'What identifies the record that they belong to: the SID of the conference (CF…).',
"PARENT_DIGEST" NUMBER(19,0) NOT NULL COMMENT 'The row_digest of that record then.',
"LISTED_AT" TIMESTAMP_NTZ(6) NOT NULL COMMENT 'When it was listed last, UTC.',
"UNFINISHED" NUMBER(19,0) NOT NULL COMMENT 'How many of them were not final, or missing.',
"ATTEMPTS" NUMBER(19,0) NOT NULL COMMENT 'How often in a row it was asked in vain: 404, no usable answer, or some were missing.',
"LAST_STATUS" NUMBER(19,0) COMMENT 'HTTP status of the last answer; 0: none that could be used.',
"NEXT_DUE_AT" TIMESTAMP_NTZ(6) COMMENT 'Not asked again before, UTC; NULL: no need to wait.',
"ASKED_BY" VARCHAR COMMENT 'Account of the credentials that asked last; with others, what they had none of is asked for at once.',
"_DLT_LOAD_ID" VARCHAR NOT NULL COMMENT 'dlt load package that wrote the row.');

CREATE TABLE "CALLS"."_ERASURES" (
"ERASURE_ID" VARCHAR NOT NULL COMMENT 'Random; the salt of the digest.',
"ERASED_AT" TIMESTAMP_NTZ(6) NOT NULL COMMENT 'When it was deleted, UTC.',
"KIND" VARCHAR NOT NULL COMMENT 'What was to be erased.',
"DIGEST" VARCHAR COMMENT 'Salted digest of the SID or identity, so that it does not come back; NULL after 31 days.',
"CREATED_BEFORE" TIMESTAMP_NTZ(6) COMMENT 'Of older_than: what was created before does not come back, UTC.',
"COUNTS" VARCHAR COMMENT 'How many rows, or values of an identity, by table, JSON text.',
"RUN_ID" VARCHAR COMMENT 'Run that did it.',
"FINISHED_AT" TIMESTAMP_NTZ(6) COMMENT 'When nothing was left in the warehouse, nor in the copies and the lake that were set, UTC; NULL: the next command goes on.',
"_DLT_LOAD_ID" VARCHAR COMMENT 'Always NULL: no load package writes it.');

-- A package into conference_summaries, in one transaction

DELETE FROM "CALLS"."CONFERENCE_SUMMARIES" AS d WHERE EXISTS (SELECT 1 FROM "CALLS_STAGING"."CONFERENCE_SUMMARIES" AS s WHERE d."CONFERENCE_SID" = s."CONFERENCE_SID");

INSERT INTO "CALLS"."CONFERENCE_SUMMARIES"("CONFERENCE_SID", "ACCOUNT_SID", "FRIENDLY_NAME", "CREATE_TIME", "START_TIME", "END_TIME", "DURATION_SECONDS", "CONNECT_DURATION_SECONDS", "STATUS", "MAX_PARTICIPANTS", "MAX_CONCURRENT_PARTICIPANTS", "UNIQUE_PARTICIPANTS", "END_REASON", "ENDED_BY", "MIXER_REGION", "MIXER_REGION_REQUESTED", "RECORDING_ENABLED", "PROCESSING_STATE", "URL", "LINKS", "FETCHED_AT", "ROW_DIGEST", "EXTRA_FIELDS", "_DLT_LOAD_ID") SELECT "CONFERENCE_SID", "ACCOUNT_SID", "FRIENDLY_NAME", "CREATE_TIME", "START_TIME", "END_TIME", "DURATION_SECONDS", "CONNECT_DURATION_SECONDS", "STATUS", "MAX_PARTICIPANTS", "MAX_CONCURRENT_PARTICIPANTS", "UNIQUE_PARTICIPANTS", "END_REASON", "ENDED_BY", "MIXER_REGION", "MIXER_REGION_REQUESTED", "RECORDING_ENABLED", "PROCESSING_STATE", "URL", "LINKS", "FETCHED_AT", "ROW_DIGEST", "EXTRA_FIELDS", "_DLT_LOAD_ID" FROM ( SELECT ROW_NUMBER() OVER (partition BY "CONFERENCE_SID" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "CONFERENCE_SID", "ACCOUNT_SID", "FRIENDLY_NAME", "CREATE_TIME", "START_TIME", "END_TIME", "DURATION_SECONDS", "CONNECT_DURATION_SECONDS", "STATUS", "MAX_PARTICIPANTS", "MAX_CONCURRENT_PARTICIPANTS", "UNIQUE_PARTICIPANTS", "END_REASON", "ENDED_BY", "MIXER_REGION", "MIXER_REGION_REQUESTED", "RECORDING_ENABLED", "PROCESSING_STATE", "URL", "LINKS", "FETCHED_AT", "ROW_DIGEST", "EXTRA_FIELDS", "_DLT_LOAD_ID" FROM "CALLS_STAGING"."CONFERENCE_SUMMARIES") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into conference_tags, in one transaction

DELETE FROM "CALLS"."CONFERENCE_TAGS" WHERE conference_sid IN (SELECT conference_sid FROM "CALLS_STAGING"."CONFERENCE_TAGS");

INSERT INTO "CALLS"."CONFERENCE_TAGS"("CONFERENCE_SID", "TAG", "_DLT_LOAD_ID", "_TOMBSTONE") SELECT "CONFERENCE_SID", "TAG", "_DLT_LOAD_ID", "_TOMBSTONE" FROM ( SELECT ROW_NUMBER() OVER (partition BY "CONFERENCE_SID", "TAG" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "CONFERENCE_SID", "TAG", "_DLT_LOAD_ID", "_TOMBSTONE" FROM "CALLS_STAGING"."CONFERENCE_TAGS") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (("_TOMBSTONE" IS NULL OR "_TOMBSTONE" = False));

-- A package into conference_tag_info, in one transaction

DELETE FROM "CALLS"."CONFERENCE_TAG_INFO" WHERE conference_sid IN (SELECT conference_sid FROM "CALLS_STAGING"."CONFERENCE_TAG_INFO");

INSERT INTO "CALLS"."CONFERENCE_TAG_INFO"("CONFERENCE_SID", "TAG", "ITEM_INDEX", "SEVERITY", "REASON", "PARTICIPANT_IDENTITY", "DETAILS", "_DLT_LOAD_ID", "_TOMBSTONE") SELECT "CONFERENCE_SID", "TAG", "ITEM_INDEX", "SEVERITY", "REASON", "PARTICIPANT_IDENTITY", "DETAILS", "_DLT_LOAD_ID", "_TOMBSTONE" FROM ( SELECT ROW_NUMBER() OVER (partition BY "CONFERENCE_SID", "TAG", "ITEM_INDEX" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "CONFERENCE_SID", "TAG", "ITEM_INDEX", "SEVERITY", "REASON", "PARTICIPANT_IDENTITY", "DETAILS", "_DLT_LOAD_ID", "_TOMBSTONE" FROM "CALLS_STAGING"."CONFERENCE_TAG_INFO") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (("_TOMBSTONE" IS NULL OR "_TOMBSTONE" = False));

-- A package into conference_detected_issues, in one transaction

DELETE FROM "CALLS"."CONFERENCE_DETECTED_ISSUES" WHERE conference_sid IN (SELECT conference_sid FROM "CALLS_STAGING"."CONFERENCE_DETECTED_ISSUES");

INSERT INTO "CALLS"."CONFERENCE_DETECTED_ISSUES"("CONFERENCE_SID", "ISSUE", "ISSUE_COUNT", "_DLT_LOAD_ID", "_TOMBSTONE") SELECT "CONFERENCE_SID", "ISSUE", "ISSUE_COUNT", "_DLT_LOAD_ID", "_TOMBSTONE" FROM ( SELECT ROW_NUMBER() OVER (partition BY "CONFERENCE_SID", "ISSUE" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "CONFERENCE_SID", "ISSUE", "ISSUE_COUNT", "_DLT_LOAD_ID", "_TOMBSTONE" FROM "CALLS_STAGING"."CONFERENCE_DETECTED_ISSUES") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (("_TOMBSTONE" IS NULL OR "_TOMBSTONE" = False));

-- A package into conference_participants, in one transaction

DELETE FROM "CALLS"."CONFERENCE_PARTICIPANTS" AS d WHERE EXISTS (SELECT 1 FROM "CALLS_STAGING"."CONFERENCE_PARTICIPANTS" AS s WHERE d."PARTICIPANT_SID" = s."PARTICIPANT_SID");

INSERT INTO "CALLS"."CONFERENCE_PARTICIPANTS"("PARTICIPANT_SID", "CONFERENCE_SID", "ACCOUNT_SID", "CALL_SID", "LABEL", "CALLING_PARTY", "CALLED_PARTY", "CALL_DIRECTION", "CALL_TYPE", "CALL_STATUS", "COUNTRY_CODE", "PARTICIPANT_REGION", "CONFERENCE_REGION", "IS_MODERATOR", "IS_COACH", "JOIN_TIME", "LEAVE_TIME", "DURATION_SECONDS", "OUTBOUND_QUEUE_LENGTH", "OUTBOUND_TIME_IN_QUEUE", "JITTER_BUFFER_SIZE", "PROCESSING_STATE", "START_CONFERENCE_ON_ENTER", "END_CONFERENCE_ON_EXIT", "PLAY_EARLY_MEDIA", "EARLY_MEDIA", "ENTER_MUTED", "BEEP_ON_ENTER", "BEEP_ON_EXIT", "PROPERTIES", "URL", "FETCHED_AT", "ROW_DIGEST", "EXTRA_FIELDS", "_DLT_LOAD_ID") SELECT "PARTICIPANT_SID", "CONFERENCE_SID", "ACCOUNT_SID", "CALL_SID", "LABEL", "CALLING_PARTY", "CALLED_PARTY", "CALL_DIRECTION", "CALL_TYPE", "CALL_STATUS", "COUNTRY_CODE", "PARTICIPANT_REGION", "CONFERENCE_REGION", "IS_MODERATOR", "IS_COACH", "JOIN_TIME", "LEAVE_TIME", "DURATION_SECONDS", "OUTBOUND_QUEUE_LENGTH", "OUTBOUND_TIME_IN_QUEUE", "JITTER_BUFFER_SIZE", "PROCESSING_STATE", "START_CONFERENCE_ON_ENTER", "END_CONFERENCE_ON_EXIT", "PLAY_EARLY_MEDIA", "EARLY_MEDIA", "ENTER_MUTED", "BEEP_ON_ENTER", "BEEP_ON_EXIT", "PROPERTIES", "URL", "FETCHED_AT", "ROW_DIGEST", "EXTRA_FIELDS", "_DLT_LOAD_ID" FROM ( SELECT ROW_NUMBER() OVER (partition BY "PARTICIPANT_SID" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "PARTICIPANT_SID", "CONFERENCE_SID", "ACCOUNT_SID", "CALL_SID", "LABEL", "CALLING_PARTY", "CALLED_PARTY", "CALL_DIRECTION", "CALL_TYPE", "CALL_STATUS", "COUNTRY_CODE", "PARTICIPANT_REGION", "CONFERENCE_REGION", "IS_MODERATOR", "IS_COACH", "JOIN_TIME", "LEAVE_TIME", "DURATION_SECONDS", "OUTBOUND_QUEUE_LENGTH", "OUTBOUND_TIME_IN_QUEUE", "JITTER_BUFFER_SIZE", "PROCESSING_STATE", "START_CONFERENCE_ON_ENTER", "END_CONFERENCE_ON_EXIT", "PLAY_EARLY_MEDIA", "EARLY_MEDIA", "ENTER_MUTED", "BEEP_ON_ENTER", "BEEP_ON_EXIT", "PROPERTIES", "URL", "FETCHED_AT", "ROW_DIGEST", "EXTRA_FIELDS", "_DLT_LOAD_ID" FROM "CALLS_STAGING"."CONFERENCE_PARTICIPANTS") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into conference_participant_metrics, in one transaction

DELETE FROM "CALLS"."CONFERENCE_PARTICIPANT_METRICS" WHERE participant_sid IN (SELECT participant_sid FROM "CALLS_STAGING"."CONFERENCE_PARTICIPANT_METRICS");

INSERT INTO "CALLS"."CONFERENCE_PARTICIPANT_METRICS"("PARTICIPANT_SID", "DIRECTION", "TOTAL_PACKETS_LOST", "TOTAL_PACKETS_RECEIVED", "PACKET_LOSS_PERCENTAGE", "JITTER_AVG", "JITTER_MAX", "LATENCY_AVG", "LATENCY_MAX", "MOS", "IS_SILENT", "TAGS", "DETAILS", "_DLT_LOAD_ID", "_TOMBSTONE") SELECT "PARTICIPANT_SID", "DIRECTION", "TOTAL_PACKETS_LOST", "TOTAL_PACKETS_RECEIVED", "PACKET_LOSS_PERCENTAGE", "JITTER_AVG", "JITTER_MAX", "LATENCY_AVG", "LATENCY_MAX", "MOS", "IS_SILENT", "TAGS", "DETAILS", "_DLT_LOAD_ID", "_TOMBSTONE" FROM ( SELECT ROW_NUMBER() OVER (partition BY "PARTICIPANT_SID", "DIRECTION" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "PARTICIPANT_SID", "DIRECTION", "TOTAL_PACKETS_LOST", "TOTAL_PACKETS_RECEIVED", "PACKET_LOSS_PERCENTAGE", "JITTER_AVG", "JITTER_MAX", "LATENCY_AVG", "LATENCY_MAX", "MOS", "IS_SILENT", "TAGS", "DETAILS", "_DLT_LOAD_ID", "_TOMBSTONE" FROM "CALLS_STAGING"."CONFERENCE_PARTICIPANT_METRICS") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (("_TOMBSTONE" IS NULL OR "_TOMBSTONE" = False));

-- A package into conference_participant_events, in one transaction

DELETE FROM "CALLS"."CONFERENCE_PARTICIPANT_EVENTS" WHERE participant_sid IN (SELECT participant_sid FROM "CALLS_STAGING"."CONFERENCE_PARTICIPANT_EVENTS");

INSERT INTO "CALLS"."CONFERENCE_PARTICIPANT_EVENTS"("PARTICIPANT_SID", "EVENT", "EVENT_INDEX", "OCCURRED_AT", "_DLT_LOAD_ID", "_TOMBSTONE") SELECT "PARTICIPANT_SID", "EVENT", "EVENT_INDEX", "OCCURRED_AT", "_DLT_LOAD_ID", "_TOMBSTONE" FROM ( SELECT ROW_NUMBER() OVER (partition BY "PARTICIPANT_SID", "EVENT", "EVENT_INDEX" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "PARTICIPANT_SID", "EVENT", "EVENT_INDEX", "OCCURRED_AT", "_DLT_LOAD_ID", "_TOMBSTONE" FROM "CALLS_STAGING"."CONFERENCE_PARTICIPANT_EVENTS") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (("_TOMBSTONE" IS NULL OR "_TOMBSTONE" = False));

-- A package into conference_participant_coaching, in one transaction

DELETE FROM "CALLS"."CONFERENCE_PARTICIPANT_COACHING" WHERE participant_sid IN (SELECT participant_sid FROM "CALLS_STAGING"."CONFERENCE_PARTICIPANT_COACHING");

INSERT INTO "CALLS"."CONFERENCE_PARTICIPANT_COACHING"("PARTICIPANT_SID", "COACHED_CALL_SID", "_DLT_LOAD_ID", "_TOMBSTONE") SELECT "PARTICIPANT_SID", "COACHED_CALL_SID", "_DLT_LOAD_ID", "_TOMBSTONE" FROM ( SELECT ROW_NUMBER() OVER (partition BY "PARTICIPANT_SID", "COACHED_CALL_SID" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "PARTICIPANT_SID", "COACHED_CALL_SID", "_DLT_LOAD_ID", "_TOMBSTONE" FROM "CALLS_STAGING"."CONFERENCE_PARTICIPANT_COACHING") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (("_TOMBSTONE" IS NULL OR "_TOMBSTONE" = False));

-- A package into accounts, in one transaction

DELETE FROM "CALLS"."ACCOUNTS" AS d WHERE EXISTS (SELECT 1 FROM "CALLS_STAGING"."ACCOUNTS" AS s WHERE d."ACCOUNT_SID" = s."ACCOUNT_SID");

INSERT INTO "CALLS"."ACCOUNTS"("ACCOUNT_SID", "FRIENDLY_NAME", "STATUS", "FIRST_SEEN_AT", "LISTED_FROM", "LISTED_TO", "LAST_ERROR", "ERROR_CLASS", "FAILING_SINCE", "ASKED_AT", "FOLLOWED_BY", "LEFT_AT", "_DLT_LOAD_ID") SELECT "ACCOUNT_SID", "FRIENDLY_NAME", "STATUS", "FIRST_SEEN_AT", "LISTED_FROM", "LISTED_TO", "LAST_ERROR", "ERROR_CLASS", "FAILING_SINCE", "ASKED_AT", "FOLLOWED_BY", "LEFT_AT", "_DLT_LOAD_ID" FROM ( SELECT ROW_NUMBER() OVER (partition BY "ACCOUNT_SID" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "ACCOUNT_SID", "FRIENDLY_NAME", "STATUS", "FIRST_SEEN_AT", "LISTED_FROM", "LISTED_TO", "LAST_ERROR", "ERROR_CLASS", "FAILING_SINCE", "ASKED_AT", "FOLLOWED_BY", "LEFT_AT", "_DLT_LOAD_ID" FROM "CALLS_STAGING"."ACCOUNTS") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _refetches, in one transaction

DELETE FROM "CALLS"."_REFETCHES" AS d WHERE EXISTS (SELECT 1 FROM "CALLS_STAGING"."_REFETCHES" AS s WHERE d."RESOURCE" = s."RESOURCE" AND d."KEY" = s."KEY");

INSERT INTO "CALLS"."_REFETCHES"("RESOURCE", "KEY", "ATTEMPTS", "LAST_STATUS", "LAST_ASKED_AT", "NEXT_DUE_AT", "OUTCOME", "_DLT_LOAD_ID") SELECT "RESOURCE", "KEY", "ATTEMPTS", "LAST_STATUS", "LAST_ASKED_AT", "NEXT_DUE_AT", "OUTCOME", "_DLT_LOAD_ID" FROM ( SELECT ROW_NUMBER() OVER (partition BY "RESOURCE", "KEY" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "RESOURCE", "KEY", "ATTEMPTS", "LAST_STATUS", "LAST_ASKED_AT", "NEXT_DUE_AT", "OUTCOME", "_DLT_LOAD_ID" FROM "CALLS_STAGING"."_REFETCHES") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _rejected_rows, in one transaction

DELETE FROM "CALLS"."_REJECTED_ROWS" AS d WHERE EXISTS (SELECT 1 FROM "CALLS_STAGING"."_REJECTED_ROWS" AS s WHERE d."ROW_DIGEST" = s."ROW_DIGEST");

INSERT INTO "CALLS"."_REJECTED_ROWS"("ROW_DIGEST", "REASON", "ROW", "REJECTED_AT", "RUN_ID", "_DLT_LOAD_ID") SELECT "ROW_DIGEST", "REASON", "ROW", "REJECTED_AT", "RUN_ID", "_DLT_LOAD_ID" FROM ( SELECT ROW_NUMBER() OVER (partition BY "ROW_DIGEST" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "ROW_DIGEST", "REASON", "ROW", "REJECTED_AT", "RUN_ID", "_DLT_LOAD_ID" FROM "CALLS_STAGING"."_REJECTED_ROWS") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _watermarks, in one transaction

DELETE FROM "CALLS"."_WATERMARKS" AS d WHERE EXISTS (SELECT 1 FROM "CALLS_STAGING"."_WATERMARKS" AS s WHERE d."RESOURCE" = s."RESOURCE" AND d."ACCOUNT_SID" = s."ACCOUNT_SID" AND d."FILTERS" = s."FILTERS" AND d."REGION" = s."REGION");

INSERT INTO "CALLS"."_WATERMARKS"("RESOURCE", "ACCOUNT_SID", "FILTERS", "REGION", "LISTED_TO", "_DLT_LOAD_ID") SELECT "RESOURCE", "ACCOUNT_SID", "FILTERS", "REGION", "LISTED_TO", "_DLT_LOAD_ID" FROM ( SELECT ROW_NUMBER() OVER (partition BY "RESOURCE", "ACCOUNT_SID", "FILTERS", "REGION" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "RESOURCE", "ACCOUNT_SID", "FILTERS", "REGION", "LISTED_TO", "_DLT_LOAD_ID" FROM "CALLS_STAGING"."_WATERMARKS") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _drift, in one transaction

DELETE FROM "CALLS"."_DRIFT" AS d WHERE EXISTS (SELECT 1 FROM "CALLS_STAGING"."_DRIFT" AS s WHERE d."ACCOUNT_SID" = s."ACCOUNT_SID" AND d."NAME" = s."NAME");

INSERT INTO "CALLS"."_DRIFT"("ACCOUNT_SID", "NAME", "CONFERENCE_SID", "_DLT_LOAD_ID") SELECT "ACCOUNT_SID", "NAME", "CONFERENCE_SID", "_DLT_LOAD_ID" FROM ( SELECT ROW_NUMBER() OVER (partition BY "ACCOUNT_SID", "NAME" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "ACCOUNT_SID", "NAME", "CONFERENCE_SID", "_DLT_LOAD_ID" FROM "CALLS_STAGING"."_DRIFT") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _listings, in one transaction

DELETE FROM "CALLS"."_LISTINGS" AS d WHERE EXISTS (SELECT 1 FROM "CALLS_STAGING"."_LISTINGS" AS s WHERE d."RESOURCE" = s."RESOURCE" AND d."PARENT_KEY" = s."PARENT_KEY");

INSERT INTO "CALLS"."_LISTINGS"("RESOURCE", "PARENT_KEY", "PARENT_DIGEST", "LISTED_AT", "UNFINISHED", "ATTEMPTS", "LAST_STATUS", "NEXT_DUE_AT", "ASKED_BY", "_DLT_LOAD_ID") SELECT "RESOURCE", "PARENT_KEY", "PARENT_DIGEST", "LISTED_AT", "UNFINISHED", "ATTEMPTS", "LAST_STATUS", "NEXT_DUE_AT", "ASKED_BY", "_DLT_LOAD_ID" FROM ( SELECT ROW_NUMBER() OVER (partition BY "RESOURCE", "PARENT_KEY" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "RESOURCE", "PARENT_KEY", "PARENT_DIGEST", "LISTED_AT", "UNFINISHED", "ATTEMPTS", "LAST_STATUS", "NEXT_DUE_AT", "ASKED_BY", "_DLT_LOAD_ID" FROM "CALLS_STAGING"."_LISTINGS") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _erasures, in one transaction

DELETE FROM "CALLS"."_ERASURES" AS d WHERE EXISTS (SELECT 1 FROM "CALLS_STAGING"."_ERASURES" AS s WHERE d."ERASURE_ID" = s."ERASURE_ID");

INSERT INTO "CALLS"."_ERASURES"("ERASURE_ID", "ERASED_AT", "KIND", "DIGEST", "CREATED_BEFORE", "COUNTS", "RUN_ID", "FINISHED_AT", "_DLT_LOAD_ID") SELECT "ERASURE_ID", "ERASED_AT", "KIND", "DIGEST", "CREATED_BEFORE", "COUNTS", "RUN_ID", "FINISHED_AT", "_DLT_LOAD_ID" FROM ( SELECT ROW_NUMBER() OVER (partition BY "ERASURE_ID" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "ERASURE_ID", "ERASED_AT", "KIND", "DIGEST", "CREATED_BEFORE", "COUNTS", "RUN_ID", "FINISHED_AT", "_DLT_LOAD_ID" FROM "CALLS_STAGING"."_ERASURES") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);
