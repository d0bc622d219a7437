-- The tables

CREATE TABLE `db`.`calls___conference_summaries` (
`conference_sid` String,
`account_sid` Nullable(String),
`friendly_name` Nullable(String),
`create_time` Nullable(DateTime64(6)),
`start_time` Nullable(DateTime64(6)),
`end_time` Nullable(DateTime64(6)),
`duration_seconds` Nullable(Int64),
`connect_duration_seconds` Nullable(Int64),
`status` Nullable(String),
`max_participants` Nullable(Int64),
`max_concurrent_participants` Nullable(Int64),
`unique_participants` Nullable(Int64),
`end_reason` Nullable(String),
`ended_by` Nullable(String),
`mixer_region` Nullable(String),
`mixer_region_requested` Nullable(String),
`recording_enabled` Nullable(Boolean),
`processing_state` Nullable(String),
`url` Nullable(String),
`links` Nullable(String),
`fetched_at` DateTime64(6),
`row_digest` Int64,
`extra_fields` Nullable(String),
`_dlt_load_id` String)
ENGINE = MergeTree
PRIMARY KEY (`conference_sid`);

CREATE TABLE `db`.`calls___conference_tags` (
`conference_sid` String,
`tag` String,
`_dlt_load_id` String,
`_tombstone` Nullable(Boolean))
ENGINE = MergeTree
PRIMARY KEY (`conference_sid`, `tag`);

CREATE TABLE `db`.`calls___conference_tag_info` (
`conference_sid` String,
`tag` String,
`item_index` Int64,
`severity` Nullable(String),
`reason` Nullable(String),
`participant_identity` Nullable(String),
`details` Nullable(String),
`_dlt_load_id` String,
`_tombstone` Nullable(Boolean))
ENGINE = MergeTree
PRIMARY KEY (`conference_sid`, `tag`, `item_index`);

CREATE TABLE `db`.`calls___conference_detected_issues` (
`conference_sid` String,
`issue` String,
`issue_count` Nullable(Int64),
`_dlt_load_id` String,
`_tombstone` Nullable(Boolean))
ENGINE = MergeTree
PRIMARY KEY (`conference_sid`, `issue`);

CREATE TABLE `db`.`calls___conference_participants` (
`participant_sid` String,
`conference_sid` Nullable(String),
`account_sid` Nullable(String),
`call_sid` Nullable(String),
`label` Nullable(String),
`calling_party` Nullable(String),
`called_party` Nullable(String),
`call_direction` Nullable(String),
`call_type` Nullable(String),
`call_status` Nullable(String),
`country_code` Nullable(String),
`participant_region` Nullable(String),
`conference_region` Nullable(String),
`is_moderator` Nullable(Boolean),
`is_coach` Nullable(Boolean),
`join_time` Nullable(DateTime64(6)),
`leave_time` Nullable(DateTime64(6)),
`duration_seconds` Nullable(Int64),
`outbound_queue_length` Nullable(Int64),
`outbound_time_in_queue` Nullable(Int64),
`jitter_buffer_size` Nullable(String),
`processing_state` Nullable(String),
`start_conference_on_enter` Nullable(Boolean),
`end_conference_on_exit` Nullable(Boolean),
`play_early_media` Nullable(Boolean),
`early_media` Nullable(Boolean),
`enter_muted` Nullable(Boolean),
`beep_on_enter` Nullable(Boolean),
`beep_on_exit` Nullable(Boolean),
`properties` Nullable(String),
`url` Nullable(String),
`fetched_at` DateTime64(6),
`row_digest` Int64,
`extra_fields` Nullable(String),
`_dlt_load_id` String)
ENGINE = MergeTree
PRIMARY KEY (`participant_sid`);

CREATE TABLE `db`.`calls___conference_participant_metrics` (
`participant_sid` String,
`direction` String,
`total_packets_lost` Nullable(Int64),
`total_packets_received` Nullable(Int64),
`packet_loss_percentage` Nullable(Float64),
`jitter_avg` Nullable(Float64),
`jitter_max` Nullable(Float64),
`latency_avg` Nullable(Float64),
`latency_max` Nullable(Float64),
`mos` Nullable(Float64),
`is_silent` Nullable(Boolean),
`tags` Nullable(String),
`details` Nullable(String),
`_dlt_load_id` String,
`_tombstone` Nullable(Boolean))
ENGINE = MergeTree
PRIMARY KEY (`participant_sid`, `direction`);

CREATE TABLE `db`.`calls___conference_participant_events` (
`participant_sid` String,
`event` String,
`event_index` Int64,
`occurred_at` Nullable(DateTime64(6)),
`_dlt_load_id` String,
`_tombstone` Nullable(Boolean))
ENGINE = MergeTree
PRIMARY KEY (`participant_sid`, `event`, `event_index`);

CREATE TABLE `db`.`calls___conference_participant_coaching` (
`participant_sid` String,
`coached_call_sid` String,
`_dlt_load_id` String,
`_tombstone` Nullable(Boolean))
ENGINE = MergeTree
PRIMARY KEY (`participant_sid`, `coached_call_sid`);

CREATE TABLE `db`.`calls___accounts` (
`account_sid` String,
`friendly_name` Nullable(String),
`status` Nullable(String),
`first_seen_at` DateTime64(6),
`listed_from` Nullable(DateTime64(6)),
`listed_to` Nullable(DateTime64(6)),
`last_error` Nullable(String),
`error_class` Nullable(String),
`failing_since` Nullable(DateTime64(6)),
`asked_at` Nullable(DateTime64(6)),
`followed_by` String,
`left_at` Nullable(DateTime64(6)),
`_dlt_load_id` Nullable(String))
ENGINE = MergeTree
PRIMARY KEY (`account_sid`);

CREATE TABLE `db`.`calls____refetches` (
`resource` String,
`key` String,
`attempts` Int64,
`last_status` Nullable(Int64),
`last_asked_at` DateTime64(6),
`next_due_at` Nullable(DateTime64(6)),
`outcome` Nullable(String),
`_dlt_load_id` String)
ENGINE = MergeTree
PRIMARY KEY (`resource`, `key`);

CREATE TABLE `db`.`calls____rejected_rows` (
`row_digest` Int64,
`reason` String,
`row` String,
`rejected_at` DateTime64(6),
`run_id` Nullable(String),
`_dlt_load_id` String)
ENGINE = MergeTree
PRIMARY KEY (`row_digest`);

CREATE TABLE `db`.`calls____watermarks` (
`resource` String,
`account_sid` String,
`filters` String,
`region` String,
`listed_to` DateTime64(6),
`_dlt_load_id` String)
ENGINE = MergeTree
PRIMARY KEY (`resource`, `account_sid`, `filters`, `region`);

CREATE TABLE `db`.`calls____drift` (
`account_sid` String,
`name` String,
`conference_sid` Nullable(String),
`_dlt_load_id` String)
ENGINE = MergeTree
PRIMARY KEY (`account_sid`, `name`);

CREATE TABLE `db`.`calls____listings` (
`resource` String,
`parent_key` String,
`parent_digest` Int64,
`listed_at` DateTime64(6),
`unfinished` Int64,
`attempts` Int64,
`last_status` Nullable(Int64),
`next_due_at` Nullable(DateTime64(6)),
`asked_by` Nullable(String),
`_dlt_load_id` String)
ENGINE = MergeTree
PRIMARY KEY (`resource`, `parent_key`);

CREATE TABLE `db`.`calls____erasures` (
`erasure_id` String,
`erased_at` DateTime64(6),
`kind` String,
`digest` Nullable(String),
`created_before` Nullable(DateTime64(6)),
`counts` Nullable(String),
`run_id` Nullable(String),
`finished_at` Nullable(DateTime64(6)),
`_dlt_load_id` Nullable(String))
ENGINE = MergeTree
PRIMARY KEY (`erasure_id`);

-- A package into conference_summaries, in two transactions

DELETE FROM `db`.`calls___conference_summaries` WHERE (`conference_sid`) IN (SELECT `conference_sid` FROM `db`.`calls_staging___conference_summaries`);

INSERT INTO `db`.`calls___conference_summaries`(`conference_sid`, `account_sid`, `friendly_name`, `create_time`, `start_time`, `end_time`, `duration_seconds`, `connect_duration_seconds`, `status`, `max_participants`, `max_concurrent_participants`, `unique_participants`, `end_reason`, `ended_by`, `mixer_region`, `mixer_region_requested`, `recording_enabled`, `processing_state`, `url`, `links`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id`) SELECT `conference_sid`, `account_sid`, `friendly_name`, `create_time`, `start_time`, `end_time`, `duration_seconds`, `connect_duration_seconds`, `status`, `max_participants`, `max_concurrent_participants`, `unique_participants`, `end_reason`, `ended_by`, `mixer_region`, `mixer_region_requested`, `recording_enabled`, `processing_state`, `url`, `links`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `conference_sid` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `conference_sid`, `account_sid`, `friendly_name`, `create_time`, `start_time`, `end_time`, `duration_seconds`, `connect_duration_seconds`, `status`, `max_participants`, `max_concurrent_participants`, `unique_participants`, `end_reason`, `ended_by`, `mixer_region`, `mixer_region_requested`, `recording_enabled`, `processing_state`, `url`, `links`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id` FROM `db`.`calls_staging___conference_summaries`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into conference_tags, in two transactions

DELETE FROM `db`.`calls___conference_tags` WHERE conference_sid IN (SELECT conference_sid FROM `db`.`calls_staging___conference_tags`);

INSERT INTO `db`.`calls___conference_tags`(`conference_sid`, `tag`, `_dlt_load_id`, `_tombstone`) SELECT `conference_sid`, `tag`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `conference_sid`, `tag` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `conference_sid`, `tag`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging___conference_tags`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = False));

-- A package into conference_tag_info, in two transactions

DELETE FROM `db`.`calls___conference_tag_info` WHERE conference_sid IN (SELECT conference_sid FROM `db`.`calls_staging___conference_tag_info`);

INSERT INTO `db`.`calls___conference_tag_info`(`conference_sid`, `tag`, `item_index`, `severity`, `reason`, `participant_identity`, `details`, `_dlt_load_id`, `_tombstone`) SELECT `conference_sid`, `tag`, `item_index`, `severity`, `reason`, `participant_identity`, `details`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `conference_sid`, `tag`, `item_index` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `conference_sid`, `tag`, `item_index`, `severity`, `reason`, `participant_identity`, `details`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging___conference_tag_info`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = False));

-- A package into conference_detected_issues, in two transactions

DELETE FROM `db`.`calls___conference_detected_issues` WHERE conference_sid IN (SELECT conference_sid FROM `db`.`calls_staging___conference_detected_issues`);

INSERT INTO `db`.`calls___conference_detected_issues`(`conference_sid`, `issue`, `issue_count`, `_dlt_load_id`, `_tombstone`) SELECT `conference_sid`, `issue`, `issue_count`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `conference_sid`, `issue` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `conference_sid`, `issue`, `issue_count`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging___conference_detected_issues`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = False));

-- A package into conference_participants, in two transactions

DELETE FROM `db`.`calls___conference_participants` WHERE (`participant_sid`) IN (SELECT `participant_sid` FROM `db`.`calls_staging___conference_participants`);

INSERT INTO `db`.`calls___conference_participants`(`participant_sid`, `conference_sid`, `account_sid`, `call_sid`, `label`, `calling_party`, `called_party`, `call_direction`, `call_type`, `call_status`, `country_code`, `participant_region`, `conference_region`, `is_moderator`, `is_coach`, `join_time`, `leave_time`, `duration_seconds`, `outbound_queue_length`, `outbound_time_in_queue`, `jitter_buffer_size`, `processing_state`, `start_conference_on_enter`, `end_conference_on_exit`, `play_early_media`, `early_media`, `enter_muted`, `beep_on_enter`, `beep_on_exit`, `properties`, `url`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id`) SELECT `participant_sid`, `conference_sid`, `account_sid`, `call_sid`, `label`, `calling_party`, `called_party`, `call_direction`, `call_type`, `call_status`, `country_code`, `participant_region`, `conference_region`, `is_moderator`, `is_coach`, `join_time`, `leave_time`, `duration_seconds`, `outbound_queue_length`, `outbound_time_in_queue`, `jitter_buffer_size`, `processing_state`, `start_conference_on_enter`, `end_conference_on_exit`, `play_early_media`, `early_media`, `enter_muted`, `beep_on_enter`, `beep_on_exit`, `properties`, `url`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `participant_sid` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `participant_sid`, `conference_sid`, `account_sid`, `call_sid`, `label`, `calling_party`, `called_party`, `call_direction`, `call_type`, `call_status`, `country_code`, `participant_region`, `conference_region`, `is_moderator`, `is_coach`, `join_time`, `leave_time`, `duration_seconds`, `outbound_queue_length`, `outbound_time_in_queue`, `jitter_buffer_size`, `processing_state`, `start_conference_on_enter`, `end_conference_on_exit`, `play_early_media`, `early_media`, `enter_muted`, `beep_on_enter`, `beep_on_exit`, `properties`, `url`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id` FROM `db`.`calls_staging___conference_participants`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into conference_participant_metrics, in two transactions

DELETE FROM `db`.`calls___conference_participant_metrics` WHERE participant_sid IN (SELECT participant_sid FROM `db`.`calls_staging___conference_participant_metrics`);

INSERT INTO `db`.`calls___conference_participant_metrics`(`participant_sid`, `direction`, `total_packets_lost`, `total_packets_received`, `packet_loss_percentage`, `jitter_avg`, `jitter_max`, `latency_avg`, `latency_max`, `mos`, `is_silent`, `tags`, `details`, `_dlt_load_id`, `_tombstone`) SELECT `participant_sid`, `direction`, `total_packets_lost`, `total_packets_received`, `packet_loss_percentage`, `jitter_avg`, `jitter_max`, `latency_avg`, `latency_max`, `mos`, `is_silent`, `tags`, `details`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `participant_sid`, `direction` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `participant_sid`, `direction`, `total_packets_lost`, `total_packets_received`, `packet_loss_percentage`, `jitter_avg`, `jitter_max`, `latency_avg`, `latency_max`, `mos`, `is_silent`, `tags`, `details`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging___conference_participant_metrics`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = False));

-- A package into conference_participant_events, in two transactions

DELETE FROM `db`.`calls___conference_participant_events` WHERE participant_sid IN (SELECT participant_sid FROM `db`.`calls_staging___conference_participant_events`);

INSERT INTO `db`.`calls___conference_participant_events`(`participant_sid`, `event`, `event_index`, `occurred_at`, `_dlt_load_id`, `_tombstone`) SELECT `participant_sid`, `event`, `event_index`, `occurred_at`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `participant_sid`, `event`, `event_index` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `participant_sid`, `event`, `event_index`, `occurred_at`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging___conference_participant_events`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = False));

-- A package into conference_participant_coaching, in two transactions

DELETE FROM `db`.`calls___conference_participant_coaching` WHERE participant_sid IN (SELECT participant_sid FROM `db`.`calls_staging___conference_participant_coaching`);

INSERT INTO `db`.`calls___conference_participant_coaching`(`participant_sid`, `coached_call_sid`, `_dlt_load_id`, `_tombstone`) SELECT `participant_sid`, `coached_call_sid`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `participant_sid`, `coached_call_sid` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `participant_sid`, `coached_call_sid`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging___conference_participant_coaching`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = False));

-- A package into accounts, in two transactions

DELETE FROM `db`.`calls___accounts` WHERE (`account_sid`) IN (SELECT `account_sid` FROM `db`.`calls_staging___accounts`);

INSERT INTO `db`.`calls___accounts`(`account_sid`, `friendly_name`, `status`, `first_seen_at`, `listed_from`, `listed_to`, `last_error`, `error_class`, `failing_since`, `asked_at`, `followed_by`, `left_at`, `_dlt_load_id`) SELECT `account_sid`, `friendly_name`, `status`, `first_seen_at`, `listed_from`, `listed_to`, `last_error`, `error_class`, `failing_since`, `asked_at`, `followed_by`, `left_at`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `account_sid` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `account_sid`, `friendly_name`, `status`, `first_seen_at`, `listed_from`, `listed_to`, `last_error`, `error_class`, `failing_since`, `asked_at`, `followed_by`, `left_at`, `_dlt_load_id` FROM `db`.`calls_staging___accounts`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _refetches, in two transactions

DELETE FROM `db`.`calls____refetches` WHERE (`resource`, `key`) IN (SELECT `resource`, `key` FROM `db`.`calls_staging____refetches`);

INSERT INTO `db`.`calls____refetches`(`resource`, `key`, `attempts`, `last_status`, `last_asked_at`, `next_due_at`, `outcome`, `_dlt_load_id`) SELECT `resource`, `key`, `attempts`, `last_status`, `last_asked_at`, `next_due_at`, `outcome`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `resource`, `key` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `resource`, `key`, `attempts`, `last_status`, `last_asked_at`, `next_due_at`, `outcome`, `_dlt_load_id` FROM `db`.`calls_staging____refetches`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _rejected_rows, in two transactions

DELETE FROM `db`.`calls____rejected_rows` WHERE (`row_digest`) IN (SELECT `row_digest` FROM `db`.`calls_staging____rejected_rows`);

INSERT INTO `db`.`calls____rejected_rows`(`row_digest`, `reason`, `row`, `rejected_at`, `run_id`, `_dlt_load_id`) SELECT `row_digest`, `reason`, `row`, `rejected_at`, `run_id`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `row_digest` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `row_digest`, `reason`, `row`, `rejected_at`, `run_id`, `_dlt_load_id` FROM `db`.`calls_staging____rejected_rows`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _watermarks, in two transactions

DELETE FROM `db`.`calls____watermarks` WHERE (`resource`, `account_sid`, `filters`, `region`) IN (SELECT `resource`, `account_sid`, `filters`, `region` FROM `db`.`calls_staging____watermarks`);

INSERT INTO `db`.`calls____watermarks`(`resource`, `account_sid`, `filters`, `region`, `listed_to`, `_dlt_load_id`) SELECT `resource`, `account_sid`, `filters`, `region`, `listed_to`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `resource`, `account_sid`, `filters`, `region` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `resource`, `account_sid`, `filters`, `region`, `listed_to`, `_dlt_load_id` FROM `db`.`calls_staging____watermarks`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _drift, in two transactions

DELETE FROM `db`.`calls____drift` WHERE (`account_sid`, `name`) IN (SELECT `account_sid`, `name` FROM `db`.`calls_staging____drift`);

INSERT INTO `db`.`calls____drift`(`account_sid`, `name`, `conference_sid`, `_dlt_load_id`) SELECT `account_sid`, `name`, `conference_sid`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `account_sid`, `name` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `account_sid`, `name`, `conference_sid`, `_dlt_load_id` FROM `db`.`calls_staging____drift`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _listings, in two transactions

DELETE FROM `db`.`calls____listings` WHERE (`resource`, `parent_key`) IN (SELECT `resource`, `parent_key` FROM `db`.`calls_staging____listings`);

INSERT INTO `db`.`calls____listings`(`resource`, `parent_key`, `parent_digest`, `listed_at`, `unfinished`, `attempts`, `last_status`, `next_due_at`, `asked_by`, `_dlt_load_id`) SELECT `resource`, `parent_key`, `parent_digest`, `listed_at`, `unfinished`, `attempts`, `last_status`, `next_due_at`, `asked_by`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `resource`, `parent_key` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `resource`, `parent_key`, `parent_digest`, `listed_at`, `unfinished`, `attempts`, `last_status`, `next_due_at`, `asked_by`, `_dlt_load_id` FROM `db`.`calls_staging____listings`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _erasures, in two transactions

DELETE FROM `db`.`calls____erasures` WHERE (`erasure_id`) IN (SELECT `erasure_id` FROM `db`.`calls_staging____erasures`);

INSERT INTO `db`.`calls____erasures`(`erasure_id`, `erased_at`, `kind`, `digest`, `created_before`, `counts`, `run_id`, `finished_at`, `_dlt_load_id`) SELECT `erasure_id`, `erased_at`, `kind`, `digest`, `created_before`, `counts`, `run_id`, `finished_at`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `erasure_id` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `erasure_id`, `erased_at`, `kind`, `digest`, `created_before`, `counts`, `run_id`, `finished_at`, `_dlt_load_id` FROM `db`.`calls_staging____erasures`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);
