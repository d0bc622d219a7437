-- The tables

CREATE TABLE "calls"."conference_summaries" (
"conference_sid" varchar(max) NOT NULL,
"account_sid" varchar(max),
"friendly_name" varchar(max),
"create_time" timestamp without time zone,
"start_time" timestamp without time zone,
"end_time" timestamp without time zone,
"duration_seconds" bigint,
"connect_duration_seconds" bigint,
"status" varchar(max),
"max_participants" bigint,
"max_concurrent_participants" bigint,
"unique_participants" bigint,
"end_reason" varchar(max),
"ended_by" varchar(max),
"mixer_region" varchar(max),
"mixer_region_requested" varchar(max),
"recording_enabled" boolean,
"processing_state" varchar(max),
"url" varchar(max),
"links" varchar(max),
"fetched_at" timestamp without time zone NOT NULL,
"row_digest" bigint NOT NULL,
"extra_fields" varchar(max),
"_dlt_load_id" varchar(max) NOT NULL);

CREATE TABLE "calls"."conference_tags" (
"conference_sid" varchar(max) NOT NULL,
"tag" varchar(max) NOT NULL,
"_dlt_load_id" varchar(max) NOT NULL,
"_tombstone" boolean);

CREATE TABLE "calls"."conference_tag_info" (
"conference_sid" varchar(max) NOT NULL,
"tag" varchar(max) NOT NULL,
"item_index" bigint NOT NULL,
"severity" varchar(max),
"reason" varchar(max),
"participant_identity" varchar(max),
"details" varchar(max),
"_dlt_load_id" varchar(max) NOT NULL,
"_tombstone" boolean);

CREATE TABLE "calls"."conference_detected_issues" (
"conference_sid" varchar(max) NOT NULL,
"issue" varchar(max) NOT NULL,
"issue_count" bigint,
"_dlt_load_id" varchar(max) NOT NULL,
"_tombstone" boolean);

CREATE TABLE "calls"."conference_participants" (
"participant_sid" varchar(max) NOT NULL,
"conference_sid" varchar(max),
"account_sid" varchar(max),
"call_sid" varchar(max),
"label" varchar(max),
"calling_party" varchar(max),
"called_party" varchar(max),
"call_direction" varchar(max),
"call_type" varchar(max),
"call_status" varchar(max),
"country_code" varchar(max),
"participant_region" varchar(max),
"conference_region" varchar(max),
"is_moderator" boolean,
"is_coach" boolean,
"join_time" timestamp without time zone,
"leave_time" timestamp without time zone,
"duration_seconds" bigint,
"outbound_queue_length" bigint,
"outbound_time_in_queue" bigint,
"jitter_buffer_size" varchar(max),
"processing_state" varchar(max),
"start_conference_on_enter" boolean,
"end_conference_on_exit" boolean,
"play_early_media" boolean,
"early_media" boolean,
"enter_muted" boolean,
"beep_on_enter" boolean,
"beep_on_exit" boolean,
"properties" varchar(max),
"url" varchar(max),
"fetched_at" timestamp without time zone NOT NULL,
"row_digest" bigint NOT NULL,
"extra_fields" varchar(max),
"_dlt_load_id" varchar(max) NOT NULL);

CREATE TABLE "calls"."conference_participant_metrics" (
"participant_sid" varchar(max) NOT NULL,
"direction" varchar(max) NOT NULL,
"total_packets_lost" bigint,
"total_packets_received" bigint,
"packet_loss_percentage" double precision,
"jitter_avg" double precision,
"jitter_max" double precision,
"latency_avg" double precision,
"latency_max" double precision,
"mos" double precision,
"is_silent" boolean,
"tags" varchar(max),
"details" varchar(max),
"_dlt_load_id" varchar(max) NOT NULL,
"_tombstone" boolean);

CREATE TABLE "calls"."conference_participant_events" (
"participant_sid" varchar(max) NOT NULL,
"event" varchar(max) NOT NULL,
"event_index" bigint NOT NULL,
"occurred_at" timestamp without time zone,
"_dlt_load_id" varchar(max) NOT NULL,
"_tombstone" boolean);

CREATE TABLE "calls"."conference_participant_coaching" (
"participant_sid" varchar(max) NOT NULL,
"coached_call_sid" varchar(max) NOT NULL,
"_dlt_load_id" varchar(max) NOT NULL,
"_tombstone" boolean);

CREATE TABLE "calls"."accounts" (
"account_sid" varchar(max) NOT NULL,
"friendly_name" varchar(max),
"status" varchar(max),
"first_seen_at" timestamp without time zone NOT NULL,
"listed_from" timestamp without time zone,
"listed_to" timestamp without time zone,
"last_error" varchar(max),
"error_class" varchar(max),
"failing_since" timestamp without time zone,
"asked_at" timestamp without time zone,
"followed_by" varchar(max) NOT NULL,
"left_at" timestamp without time zone,
"_dlt_load_id" varchar(max));

CREATE TABLE "calls"."_refetches" (
"resource" varchar(max) NOT NULL,
"key" varchar(max) NOT NULL,
"attempts" bigint NOT NULL,
"last_status" bigint,
"last_asked_at" timestamp without time zone NOT NULL,
"next_due_at" timestamp without time zone,
"outcome" varchar(max),
"_dlt_load_id" varchar(max) NOT NULL);

CREATE TABLE "calls"."_rejected_rows" (
"row_digest" bigint NOT NULL,
"reason" varchar(max) NOT NULL,
"row" varchar(max) NOT NULL,
"rejected_at" timestamp without time zone NOT NULL,
"run_id" varchar(max),
"_dlt_load_id" varchar(max) NOT NULL);

CREATE TABLE "calls"."_watermarks" (
"resource" varchar(max) NOT NULL,
"account_sid" varchar(max) NOT NULL,
"filters" varchar(max) NOT NULL,
"region" varchar(max) NOT NULL,
"listed_to" timestamp without time zone NOT NULL,
"_dlt_load_id" varchar(max) NOT NULL);

CREATE TABLE "calls"."_drift" (
"account_sid" varchar(max) NOT NULL,
"name" varchar(max) NOT NULL,
"conference_sid" varchar(max),
"_dlt_load_id" varchar(max) NOT NULL);

CREATE TABLE "calls"."_listings" (
"resource" varchar(max) NOT NULL,
"parent_key" varchar(max) NOT NULL,
"parent_digest" bigint NOT NULL,
"listed_at" timestamp without time zone NOT NULL,
"unfinished" bigint NOT NULL,
"attempts" bigint NOT NULL,
"last_status" bigint,
"next_due_at" timestamp without time zone,
"asked_by" varchar(max),
"_dlt_load_id" varchar(max) NOT NULL);

CREATE TABLE "calls"."_erasures" (
"erasure_id" varchar(max) NOT NULL,
"erased_at" timestamp without time zone NOT NULL,
"kind" varchar(max) NOT NULL,
"digest" varchar(max),
"created_before" timestamp without time zone,
"counts" varchar(max),
"run_id" varchar(max),
"finished_at" timestamp without time zone,
"_dlt_load_id" varchar(max));

-- A package into conference_summaries, in one transaction

DELETE FROM "calls"."conference_summaries" WHERE EXISTS (SELECT 1 FROM "calls_staging"."conference_summaries" WHERE "calls"."conference_summaries"."conference_sid" = "calls_staging"."conference_summaries"."conference_sid");

INSERT INTO "calls"."conference_summaries"("conference_sid", "account_sid", "friendly_name", "create_time", "start_time", "end_time", "duration_seconds", "connect_duration_seconds", "status", "max_participants", "max_concurrent_participants", "unique_participants", "end_reason", "ended_by", "mixer_region", "mixer_region_requested", "recording_enabled", "processing_state", "url", "links", "fetched_at", "row_digest", "extra_fields", "_dlt_load_id") SELECT "conference_sid", "account_sid", "friendly_name", "create_time", "start_time", "end_time", "duration_seconds", "connect_duration_seconds", "status", "max_participants", "max_concurrent_participants", "unique_participants", "end_reason", "ended_by", "mixer_region", "mixer_region_requested", "recording_enabled", "processing_state", "url", "links", "fetched_at", "row_digest", "extra_fields", "_dlt_load_id" FROM ( SELECT ROW_NUMBER() OVER (partition BY "conference_sid" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "conference_sid", "account_sid", "friendly_name", "create_time", "start_time", "end_time", "duration_seconds", "connect_duration_seconds", "status", "max_participants", "max_concurrent_participants", "unique_participants", "end_reason", "ended_by", "mixer_region", "mixer_region_requested", "recording_enabled", "processing_state", "url", "links", "fetched_at", "row_digest", "extra_fields", "_dlt_load_id" FROM "calls_staging"."conference_summaries") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into conference_tags, in one transaction

DELETE FROM "calls"."conference_tags" WHERE conference_sid IN (SELECT conference_sid FROM "calls_staging"."conference_tags");

INSERT INTO "calls"."conference_tags"("conference_sid", "tag", "_dlt_load_id", "_tombstone") SELECT "conference_sid", "tag", "_dlt_load_id", "_tombstone" FROM ( SELECT ROW_NUMBER() OVER (partition BY "conference_sid", "tag" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "conference_sid", "tag", "_dlt_load_id", "_tombstone" FROM "calls_staging"."conference_tags") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (("_tombstone" IS NULL OR "_tombstone" = False));

-- A package into conference_tag_info, in one transaction

DELETE FROM "calls"."conference_tag_info" WHERE conference_sid IN (SELECT conference_sid FROM "calls_staging"."conference_tag_info");

INSERT INTO "calls"."conference_tag_info"("conference_sid", "tag", "item_index", "severity", "reason", "participant_identity", "details", "_dlt_load_id", "_tombstone") SELECT "conference_sid", "tag", "item_index", "severity", "reason", "participant_identity", "details", "_dlt_load_id", "_tombstone" FROM ( SELECT ROW_NUMBER() OVER (partition BY "conference_sid", "tag", "item_index" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "conference_sid", "tag", "item_index", "severity", "reason", "participant_identity", "details", "_dlt_load_id", "_tombstone" FROM "calls_staging"."conference_tag_info") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (("_tombstone" IS NULL OR "_tombstone" = False));

-- A package into conference_detected_issues, in one transaction

DELETE FROM "calls"."conference_detected_issues" WHERE conference_sid IN (SELECT conference_sid FROM "calls_staging"."conference_detected_issues");

INSERT INTO "calls"."conference_detected_issues"("conference_sid", "issue", "issue_count", "_dlt_load_id", "_tombstone") SELECT "conference_sid", "issue", "issue_count", "_dlt_load_id", "_tombstone" FROM ( SELECT ROW_NUMBER() OVER (partition BY "conference_sid", "issue" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "conference_sid", "issue", "issue_count", "_dlt_load_id", "_tombstone" FROM "calls_staging"."conference_detected_issues") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (("_tombstone" IS NULL OR "_tombstone" = False));

-- A package into conference_participants, in one transaction

DELETE FROM "calls"."conference_participants" WHERE EXISTS (SELECT 1 FROM "calls_staging"."conference_participants" WHERE "calls"."conference_participants"."participant_sid" = "calls_staging"."conference_participants"."participant_sid");

INSERT INTO "calls"."conference_participants"("participant_sid", "conference_sid", "account_sid", "call_sid", "label", "calling_party", "called_party", "call_direction", "call_type", "call_status", "country_code", "participant_region", "conference_region", "is_moderator", "is_coach", "join_time", "leave_time", "duration_seconds", "outbound_queue_length", "outbound_time_in_queue", "jitter_buffer_size", "processing_state", "start_conference_on_enter", "end_conference_on_exit", "play_early_media", "early_media", "enter_muted", "beep_on_enter", "beep_on_exit", "properties", "url", "fetched_at", "row_digest", "extra_fields", "_dlt_load_id") SELECT "participant_sid", "conference_sid", "account_sid", "call_sid", "label", "calling_party", "called_party", "call_direction", "call_type", "call_status", "country_code", "participant_region", "conference_region", "is_moderator", "is_coach", "join_time", "leave_time", "duration_seconds", "outbound_queue_length", "outbound_time_in_queue", "jitter_buffer_size", "processing_state", "start_conference_on_enter", "end_conference_on_exit", "play_early_media", "early_media", "enter_muted", "beep_on_enter", "beep_on_exit", "properties", "url", "fetched_at", "row_digest", "extra_fields", "_dlt_load_id" FROM ( SELECT ROW_NUMBER() OVER (partition BY "participant_sid" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "participant_sid", "conference_sid", "account_sid", "call_sid", "label", "calling_party", "called_party", "call_direction", "call_type", "call_status", "country_code", "participant_region", "conference_region", "is_moderator", "is_coach", "join_time", "leave_time", "duration_seconds", "outbound_queue_length", "outbound_time_in_queue", "jitter_buffer_size", "processing_state", "start_conference_on_enter", "end_conference_on_exit", "play_early_media", "early_media", "enter_muted", "beep_on_enter", "beep_on_exit", "properties", "url", "fetched_at", "row_digest", "extra_fields", "_dlt_load_id" FROM "calls_staging"."conference_participants") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into conference_participant_metrics, in one transaction

DELETE FROM "calls"."conference_participant_metrics" WHERE participant_sid IN (SELECT participant_sid FROM "calls_staging"."conference_participant_metrics");

INSERT INTO "calls"."conference_participant_metrics"("participant_sid", "direction", "total_packets_lost", "total_packets_received", "packet_loss_percentage", "jitter_avg", "jitter_max", "latency_avg", "latency_max", "mos", "is_silent", "tags", "details", "_dlt_load_id", "_tombstone") SELECT "participant_sid", "direction", "total_packets_lost", "total_packets_received", "packet_loss_percentage", "jitter_avg", "jitter_max", "latency_avg", "latency_max", "mos", "is_silent", "tags", "details", "_dlt_load_id", "_tombstone" FROM ( SELECT ROW_NUMBER() OVER (partition BY "participant_sid", "direction" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "participant_sid", "direction", "total_packets_lost", "total_packets_received", "packet_loss_percentage", "jitter_avg", "jitter_max", "latency_avg", "latency_max", "mos", "is_silent", "tags", "details", "_dlt_load_id", "_tombstone" FROM "calls_staging"."conference_participant_metrics") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (("_tombstone" IS NULL OR "_tombstone" = False));

-- A package into conference_participant_events, in one transaction

DELETE FROM "calls"."conference_participant_events" WHERE participant_sid IN (SELECT participant_sid FROM "calls_staging"."conference_participant_events");

INSERT INTO "calls"."conference_participant_events"("participant_sid", "event", "event_index", "occurred_at", "_dlt_load_id", "_tombstone") SELECT "participant_sid", "event", "event_index", "occurred_at", "_dlt_load_id", "_tombstone" FROM ( SELECT ROW_NUMBER() OVER (partition BY "participant_sid", "event", "event_index" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "participant_sid", "event", "event_index", "occurred_at", "_dlt_load_id", "_tombstone" FROM "calls_staging"."conference_participant_events") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (("_tombstone" IS NULL OR "_tombstone" = False));

-- A package into conference_participant_coaching, in one transaction

DELETE FROM "calls"."conference_participant_coaching" WHERE participant_sid IN (SELECT participant_sid FROM "calls_staging"."conference_participant_coaching");

INSERT INTO "calls"."conference_participant_coaching"("participant_sid", "coached_call_sid", "_dlt_load_id", "_tombstone") SELECT "participant_sid", "coached_call_sid", "_dlt_load_id", "_tombstone" FROM ( SELECT ROW_NUMBER() OVER (partition BY "participant_sid", "coached_call_sid" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "participant_sid", "coached_call_sid", "_dlt_load_id", "_tombstone" FROM "calls_staging"."conference_participant_coaching") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (("_tombstone" IS NULL OR "_tombstone" = False));

-- A package into accounts, in one transaction

DELETE FROM "calls"."accounts" WHERE EXISTS (SELECT 1 FROM "calls_staging"."accounts" WHERE "calls"."accounts"."account_sid" = "calls_staging"."accounts"."account_sid");

INSERT INTO "calls"."accounts"("account_sid", "friendly_name", "status", "first_seen_at", "listed_from", "listed_to", "last_error", "error_class", "failing_since", "asked_at", "followed_by", "left_at", "_dlt_load_id") SELECT "account_sid", "friendly_name", "status", "first_seen_at", "listed_from", "listed_to", "last_error", "error_class", "failing_since", "asked_at", "followed_by", "left_at", "_dlt_load_id" FROM ( SELECT ROW_NUMBER() OVER (partition BY "account_sid" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "account_sid", "friendly_name", "status", "first_seen_at", "listed_from", "listed_to", "last_error", "error_class", "failing_since", "asked_at", "followed_by", "left_at", "_dlt_load_id" FROM "calls_staging"."accounts") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _refetches, in one transaction

DELETE FROM "calls"."_refetches" WHERE EXISTS (SELECT 1 FROM "calls_staging"."_refetches" WHERE "calls"."_refetches"."resource" = "calls_staging"."_refetches"."resource" AND "calls"."_refetches"."key" = "calls_staging"."_refetches"."key");

INSERT INTO "calls"."_refetches"("resource", "key", "attempts", "last_status", "last_asked_at", "next_due_at", "outcome", "_dlt_load_id") SELECT "resource", "key", "attempts", "last_status", "last_asked_at", "next_due_at", "outcome", "_dlt_load_id" FROM ( SELECT ROW_NUMBER() OVER (partition BY "resource", "key" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "resource", "key", "attempts", "last_status", "last_asked_at", "next_due_at", "outcome", "_dlt_load_id" FROM "calls_staging"."_refetches") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _rejected_rows, in one transaction

DELETE FROM "calls"."_rejected_rows" WHERE EXISTS (SELECT 1 FROM "calls_staging"."_rejected_rows" WHERE "calls"."_rejected_rows"."row_digest" = "calls_staging"."_rejected_rows"."row_digest");

INSERT INTO "calls"."_rejected_rows"("row_digest", "reason", "row", "rejected_at", "run_id", "_dlt_load_id") SELECT "row_digest", "reason", "row", "rejected_at", "run_id", "_dlt_load_id" FROM ( SELECT ROW_NUMBER() OVER (partition BY "row_digest" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "row_digest", "reason", "row", "rejected_at", "run_id", "_dlt_load_id" FROM "calls_staging"."_rejected_rows") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _watermarks, in one transaction

DELETE FROM "calls"."_watermarks" WHERE EXISTS (SELECT 1 FROM "calls_staging"."_watermarks" WHERE "calls"."_watermarks"."resource" = "calls_staging"."_watermarks"."resource" AND "calls"."_watermarks"."account_sid" = "calls_staging"."_watermarks"."account_sid" AND "calls"."_watermarks"."filters" = "calls_staging"."_watermarks"."filters" AND "calls"."_watermarks"."region" = "calls_staging"."_watermarks"."region");

INSERT INTO "calls"."_watermarks"("resource", "account_sid", "filters", "region", "listed_to", "_dlt_load_id") SELECT "resource", "account_sid", "filters", "region", "listed_to", "_dlt_load_id" FROM ( SELECT ROW_NUMBER() OVER (partition BY "resource", "account_sid", "filters", "region" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "resource", "account_sid", "filters", "region", "listed_to", "_dlt_load_id" FROM "calls_staging"."_watermarks") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _drift, in one transaction

DELETE FROM "calls"."_drift" WHERE EXISTS (SELECT 1 FROM "calls_staging"."_drift" WHERE "calls"."_drift"."account_sid" = "calls_staging"."_drift"."account_sid" AND "calls"."_drift"."name" = "calls_staging"."_drift"."name");

INSERT INTO "calls"."_drift"("account_sid", "name", "conference_sid", "_dlt_load_id") SELECT "account_sid", "name", "conference_sid", "_dlt_load_id" FROM ( SELECT ROW_NUMBER() OVER (partition BY "account_sid", "name" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "account_sid", "name", "conference_sid", "_dlt_load_id" FROM "calls_staging"."_drift") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _listings, in one transaction

DELETE FROM "calls"."_listings" WHERE EXISTS (SELECT 1 FROM "calls_staging"."_listings" WHERE "calls"."_listings"."resource" = "calls_staging"."_listings"."resource" AND "calls"."_listings"."parent_key" = "calls_staging"."_listings"."parent_key");

INSERT INTO "calls"."_listings"("resource", "parent_key", "parent_digest", "listed_at", "unfinished", "attempts", "last_status", "next_due_at", "asked_by", "_dlt_load_id") SELECT "resource", "parent_key", "parent_digest", "listed_at", "unfinished", "attempts", "last_status", "next_due_at", "asked_by", "_dlt_load_id" FROM ( SELECT ROW_NUMBER() OVER (partition BY "resource", "parent_key" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "resource", "parent_key", "parent_digest", "listed_at", "unfinished", "attempts", "last_status", "next_due_at", "asked_by", "_dlt_load_id" FROM "calls_staging"."_listings") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _erasures, in one transaction

DELETE FROM "calls"."_erasures" WHERE EXISTS (SELECT 1 FROM "calls_staging"."_erasures" WHERE "calls"."_erasures"."erasure_id" = "calls_staging"."_erasures"."erasure_id");

INSERT INTO "calls"."_erasures"("erasure_id", "erased_at", "kind", "digest", "created_before", "counts", "run_id", "finished_at", "_dlt_load_id") SELECT "erasure_id", "erased_at", "kind", "digest", "created_before", "counts", "run_id", "finished_at", "_dlt_load_id" FROM ( SELECT ROW_NUMBER() OVER (partition BY "erasure_id" ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, "erasure_id", "erased_at", "kind", "digest", "created_before", "counts", "run_id", "finished_at", "_dlt_load_id" FROM "calls_staging"."_erasures") AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);
