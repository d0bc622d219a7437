-- The tables

CREATE TABLE `db`.`calls`.`conference_summaries` (
`conference_sid` STRING NOT NULL COMMENT 'SID of the conference (CF…).',
`account_sid` STRING COMMENT 'SID of the account that owns the conference (AC…).',
`friendly_name` STRING COMMENT 'Label given to the conference.',
`create_time` TIMESTAMP_NTZ COMMENT 'When the conference was created, UTC.',
`start_time` TIMESTAMP_NTZ COMMENT 'When it started, UTC; NULL if it never did.',
`end_time` TIMESTAMP_NTZ COMMENT 'When it ended, UTC; NULL while it runs.',
`duration_seconds` BIGINT COMMENT 'Duration of the conference in seconds.',
`connect_duration_seconds` BIGINT COMMENT 'Seconds from start event to end event.',
`status` STRING COMMENT 'What became of it.',
`max_participants` BIGINT COMMENT 'Most concurrent participants the settings allow.',
`max_concurrent_participants` BIGINT COMMENT 'Most participants at once in fact.',
`unique_participants` BIGINT COMMENT 'Distinct participants, told apart by caller ID.',
`end_reason` STRING COMMENT 'Why it ended; NULL while it runs, or if it never started.',
`ended_by` STRING COMMENT 'SID of the call whose participant ended it (CA…).',
`mixer_region` STRING COMMENT 'Region where the media was mixed.',
`mixer_region_requested` STRING COMMENT 'Requested region; NULL if none was.',
`recording_enabled` BOOLEAN COMMENT 'Whether recording was enabled at the mixer.',
`processing_state` STRING COMMENT 'complete and timeout are final; anything else is pending.',
`url` STRING COMMENT 'URL of the summary.',
`links` STRING COMMENT 'URLs of nested resources, JSON text.',
`fetched_at` TIMESTAMP_NTZ NOT NULL COMMENT 'When this copy arrived, UTC.',
`row_digest` BIGINT NOT NULL COMMENT '64-bit digest of what was received.',
`extra_fields` STRING COMMENT 'Unknown fields and misfit values, JSON text.',
`_dlt_load_id` STRING NOT NULL COMMENT 'dlt load package that wrote the row.');

CREATE TABLE `db`.`calls`.`conference_tags` (
`conference_sid` STRING NOT NULL COMMENT 'SID of the conference (CF…).',
`tag` STRING NOT NULL COMMENT 'Detected condition.',
`_dlt_load_id` STRING NOT NULL COMMENT 'dlt load package that wrote the row.',
`_tombstone` BOOLEAN COMMENT 'Always NULL here; carries deletions while loading.');

CREATE TABLE `db`.`calls`.`conference_tag_info` (
`conference_sid` STRING NOT NULL COMMENT 'SID of the conference (CF…).',
`tag` STRING NOT NULL COMMENT 'Tag that the details belong to.',
`item_index` BIGINT NOT NULL COMMENT 'Position in the list; 0 for one object.',
`severity` STRING COMMENT 'Severity, where Twilio gives one.',
`reason` STRING COMMENT 'Reason, where Twilio gives one.',
`participant_identity` STRING COMMENT 'Identity of the participant.',
`details` STRING COMMENT 'Everything else of the element, JSON text.',
`_dlt_load_id` STRING NOT NULL COMMENT 'dlt load package that wrote the row.',
`_tombstone` BOOLEAN COMMENT 'Always NULL here; carries deletions while loading.');

CREATE TABLE `db`.`calls`.`conference_detected_issues` (
`conference_sid` STRING NOT NULL COMMENT 'SID of the conference (CF…).',
`issue` STRING NOT NULL COMMENT 'Kind of issue.',
`issue_count` BIGINT COMMENT 'Instances counted; 0 is in the table too, not in the view.',
`_dlt_load_id` STRING NOT NULL COMMENT 'dlt load package that wrote the row.',
`_tombstone` BOOLEAN COMMENT 'Always NULL here; carries deletions while loading.');

CREATE TABLE `db`.`calls`.`conference_participants` (
`participant_sid` STRING NOT NULL COMMENT 'SID of the participant (CP…).',
`conference_sid` STRING COMMENT 'SID of the conference (CF…).',
`account_sid` STRING COMMENT 'SID of the account that owns the conference (AC…).',
`call_sid` STRING COMMENT 'SID of the call that the participant joined by (CA…).',
`label` STRING COMMENT 'Label given to the participant.',
`calling_party` STRING COMMENT 'Caller ID of the calling party; Twilio\'s `from`.',
`called_party` STRING COMMENT 'Called party; Twilio\'s `to`.',
`call_direction` STRING COMMENT 'Direction of the call.',
`call_type` STRING COMMENT 'What the participant called with.',
`call_status` STRING COMMENT 'What became of the call.',
`country_code` STRING COMMENT 'ISO alpha-2 code of the country, by caller ID or called number.',
`participant_region` STRING COMMENT 'Region where the participant\'s media entered Twilio.',
`conference_region` STRING COMMENT 'Region where the conference was mixed, by the participant\'s summary.',
`is_moderator` BOOLEAN COMMENT 'Whether the conference started or ended with the participant.',
`is_coach` BOOLEAN COMMENT 'Whether the participant was a coach.',
`join_time` TIMESTAMP_NTZ COMMENT 'When the participant joined, UTC.',
`leave_time` TIMESTAMP_NTZ COMMENT 'When the participant left, UTC.',
`duration_seconds` BIGINT COMMENT 'How long the participant was there, in seconds.',
`outbound_queue_length` BIGINT COMMENT 'Add Participant API only: estimated length of the queue at the creation of the call.',
`outbound_time_in_queue` BIGINT COMMENT 'Add Participant API only: time in the queue; documented in seconds, samples look like milliseconds.',
`jitter_buffer_size` STRING COMMENT 'Size of the jitter buffer.',
`processing_state` STRING COMMENT 'complete and timeout are final; anything else is asked for again.',
`start_conference_on_enter` BOOLEAN COMMENT 'Whether the conference starts when the participant enters.',
`end_conference_on_exit` BOOLEAN COMMENT 'Whether it ends when the participant leaves.',
`play_early_media` BOOLEAN COMMENT 'The same as early_media, in the summaries that have it by this name.',
`early_media` BOOLEAN COMMENT 'Whether others hear the call before it is answered.',
`enter_muted` BOOLEAN COMMENT 'Whether the participant enters muted.',
`beep_on_enter` BOOLEAN COMMENT 'Whether there is a beep when the participant enters.',
`beep_on_exit` BOOLEAN COMMENT 'Whether there is one when the participant leaves.',
`properties` STRING COMMENT 'Other properties, JSON text.',
`url` STRING COMMENT 'URL of the participant\'s summary.',
`fetched_at` TIMESTAMP_NTZ NOT NULL COMMENT 'When this copy arrived, UTC.',
`row_digest` BIGINT NOT NULL COMMENT '64-bit digest of what was received.',
`extra_fields` STRING COMMENT 'Unknown fields and misfit values, JSON text.',
`_dlt_load_id` STRING NOT NULL COMMENT 'dlt load package that wrote the row.');

CREATE TABLE `db`.`calls`.`conference_participant_metrics` (
`participant_sid` STRING NOT NULL COMMENT 'SID of the participant (CP…).',
`direction` STRING NOT NULL COMMENT 'inbound: from the participant to Twilio; outbound: from Twilio to the participant.',
`total_packets_lost` BIGINT COMMENT 'Packets lost.',
`total_packets_received` BIGINT COMMENT 'Packets received.',
`packet_loss_percentage` DOUBLE COMMENT 'Packets lost, in percent.',
`jitter_avg` DOUBLE COMMENT 'Mean jitter in milliseconds.',
`jitter_max` DOUBLE COMMENT 'Largest jitter in milliseconds.',
`latency_avg` DOUBLE COMMENT 'Mean latency in milliseconds.',
`latency_max` DOUBLE COMMENT 'Largest latency in milliseconds.',
`mos` DOUBLE COMMENT 'Mean opinion score, 1 (bad) to 5.',
`is_silent` BOOLEAN COMMENT 'Whether the tag silent is there; NULL without metrics.',
`tags` STRING COMMENT 'All tags, JSON text; NULL if there are none.',
`details` STRING COMMENT 'Everything else of the metrics, JSON text.',
`_dlt_load_id` STRING NOT NULL COMMENT 'dlt load package that wrote the row.',
`_tombstone` BOOLEAN COMMENT 'Always NULL here; carries deletions while loading.');

CREATE TABLE `db`.`calls`.`conference_participant_events` (
`participant_sid` STRING NOT NULL COMMENT 'SID of the participant (CP…).',
`event` STRING NOT NULL COMMENT 'What happened, such as mute, hold or coaching.',
`event_index` BIGINT NOT NULL COMMENT 'Position among the participant\'s events of this kind, from 0.',
`occurred_at` TIMESTAMP_NTZ COMMENT 'When it happened, UTC, to the millisecond.',
`_dlt_load_id` STRING NOT NULL COMMENT 'dlt load package that wrote the row.',
`_tombstone` BOOLEAN COMMENT 'Always NULL here; carries deletions while loading.');

CREATE TABLE `db`.`calls`.`conference_participant_coaching` (
`participant_sid` STRING NOT NULL COMMENT 'SID of the participant who coached (CP…).',
`coached_call_sid` STRING NOT NULL COMMENT 'SID of the call that was coached (CA…).',
`_dlt_load_id` STRING NOT NULL COMMENT 'dlt load package that wrote the row.',
`_tombstone` BOOLEAN COMMENT 'Always NULL here; carries deletions while loading.');

CREATE TABLE `db`.`calls`.`accounts` (
`account_sid` STRING NOT NULL COMMENT 'SID of the account (AC…).',
`friendly_name` STRING COMMENT 'Its name; NULL where accounts are not read from Twilio.',
`status` STRING COMMENT '`active` when Twilio listed it last, see `left_at`; NULL where accounts are not read from there.',
`first_seen_at` TIMESTAMP_NTZ NOT NULL COMMENT 'When a run met it first, UTC.',
`listed_from` TIMESTAMP_NTZ COMMENT 'All that was created from then to `listed_to` was listed completely, UTC; NULL: never, or a version that did not note it.',
`listed_to` TIMESTAMP_NTZ COMMENT 'All that was created before was listed completely, UTC; NULL: never.',
`last_error` STRING COMMENT 'Why it could not be read when it was asked last; NULL: it could.',
`error_class` STRING COMMENT 'The class of that error.',
`failing_since` TIMESTAMP_NTZ COMMENT 'When it failed first in a row, UTC.',
`asked_at` TIMESTAMP_NTZ COMMENT 'When it was asked last while it fails, UTC.',
`followed_by` STRING NOT NULL COMMENT 'Account of the credentials that it was loaded with last (AC…).',
`left_at` TIMESTAMP_NTZ COMMENT 'When those were no longer to load it, UTC; NULL: they are.',
`_dlt_load_id` STRING COMMENT 'dlt load package that wrote the row; NULL: a run that loaded nothing.');

CREATE TABLE `db`.`calls`.`_refetches` (
`resource` STRING NOT NULL COMMENT 'Kind of record: conferences.',
`key` STRING NOT NULL COMMENT 'What identifies it: the SID of the conference (CF…).',
`attempts` BIGINT NOT NULL COMMENT '404 answers in a row.',
`last_status` BIGINT COMMENT 'HTTP status of the last answer.',
`last_asked_at` TIMESTAMP_NTZ NOT NULL COMMENT 'When it was asked last, UTC.',
`next_due_at` TIMESTAMP_NTZ COMMENT 'Not asked again before, UTC; NULL: no waiting.',
`outcome` STRING COMMENT 'gone: 404; expired: too old to ask; unconfirmed: a listing differs; NULL: back.',
`_dlt_load_id` STRING NOT NULL COMMENT 'dlt load package that wrote the row.');

CREATE TABLE `db`.`calls`.`_rejected_rows` (
`row_digest` BIGINT NOT NULL COMMENT '64-bit digest of what was received.',
`reason` STRING NOT NULL COMMENT 'Why it could not be loaded.',
`row` STRING NOT NULL COMMENT 'The element, whole, JSON text.',
`rejected_at` TIMESTAMP_NTZ NOT NULL COMMENT 'When it arrived, UTC.',
`run_id` STRING COMMENT 'Run that met it first.',
`_dlt_load_id` STRING NOT NULL COMMENT 'dlt load package that wrote the row.');

CREATE TABLE `db`.`calls`.`_watermarks` (
`resource` STRING NOT NULL COMMENT 'What was listed: conferences.',
`account_sid` STRING NOT NULL COMMENT 'SID of the account that was listed (AC…).',
`filters` STRING NOT NULL COMMENT 'Filters of the listing, JSON text; empty for none.',
`region` STRING NOT NULL COMMENT 'Region whose API was asked; empty for US1.',
`listed_to` TIMESTAMP_NTZ NOT NULL COMMENT 'All that was created before was listed completely, UTC.',
`_dlt_load_id` STRING NOT NULL COMMENT 'dlt load package that wrote the row.');

CREATE TABLE `db`.`calls`.`_drift` (
`account_sid` STRING NOT NULL COMMENT 'SID of the account that was loaded (AC…).',
`name` STRING NOT NULL COMMENT 'Column and value, or extra_fields and the field\'s name.',
`conference_sid` STRING COMMENT 'SID of the first conference that had it (CF…).',
`_dlt_load_id` STRING NOT NULL COMMENT 'dlt load package that wrote the row.');

CREATE TABLE `db`.`calls`.`_listings` (
`resource` STRING NOT NULL COMMENT 'What was listed: participants.',
`parent_key` STRING NOT NULL COMMENT 'What identifies the record that they belong to: the SID of the conference (CF…).',
`parent_digest` BIGINT NOT NULL COMMENT 'The row_digest of that record then.',
`listed_at` TIMESTAMP_NTZ NOT NULL COMMENT 'When it was listed last, UTC.',
`unfinished` BIGINT NOT NULL COMMENT 'How many of them were not final, or missing.',
`attempts` BIGINT NOT NULL COMMENT 'How often in a row it was asked in vain: 404, no usable answer, or some were missing.',
`last_status` BIGINT COMMENT 'HTTP status of the last answer; 0: none that could be used.',
`next_due_at` TIMESTAMP_NTZ COMMENT 'Not asked again before, UTC; NULL: no need to wait.',
`asked_by` STRING COMMENT 'Account of the credentials that asked last; with others, what they had none of is asked for at once.',
`_dlt_load_id` STRING NOT NULL COMMENT 'dlt load package that wrote the row.');

CREATE TABLE `db`.`calls`.`_erasures` (
`erasure_id` STRING NOT NULL COMMENT 'Random; the salt of the digest.',
`erased_at` TIMESTAMP_NTZ NOT NULL COMMENT 'When it was deleted, UTC.',
`kind` STRING NOT NULL COMMENT 'What was to be erased.',
`digest` STRING COMMENT 'Salted digest of the SID or identity, so that it does not come back; NULL after 31 days.',
`created_before` TIMESTAMP_NTZ COMMENT 'Of older_than: what was created before does not come back, UTC.',
`counts` STRING COMMENT 'How many rows, or values of an identity, by table, JSON text.',
`run_id` STRING COMMENT 'Run that did it.',
`finished_at` TIMESTAMP_NTZ COMMENT 'When nothing was left in the warehouse, nor in the copies and the lake that were set, UTC; NULL: the next command goes on.',
`_dlt_load_id` STRING COMMENT 'Always NULL: no load package writes it.');

-- A package into conference_summaries, in two transactions

DELETE FROM `db`.`calls`.`conference_summaries` as d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`conference_summaries` as s WHERE d.`conference_sid` = s.`conference_sid`);

INSERT INTO `db`.`calls`.`conference_summaries`(`conference_sid`, `account_sid`, `friendly_name`, `create_time`, `start_time`, `end_time`, `duration_seconds`, `connect_duration_seconds`, `status`, `max_participants`, `max_concurrent_participants`, `unique_participants`, `end_reason`, `ended_by`, `mixer_region`, `mixer_region_requested`, `recording_enabled`, `processing_state`, `url`, `links`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id`) SELECT `conference_sid`, `account_sid`, `friendly_name`, `create_time`, `start_time`, `end_time`, `duration_seconds`, `connect_duration_seconds`, `status`, `max_participants`, `max_concurrent_participants`, `unique_participants`, `end_reason`, `ended_by`, `mixer_region`, `mixer_region_requested`, `recording_enabled`, `processing_state`, `url`, `links`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `conference_sid` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `conference_sid`, `account_sid`, `friendly_name`, `create_time`, `start_time`, `end_time`, `duration_seconds`, `connect_duration_seconds`, `status`, `max_participants`, `max_concurrent_participants`, `unique_participants`, `end_reason`, `ended_by`, `mixer_region`, `mixer_region_requested`, `recording_enabled`, `processing_state`, `url`, `links`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id` FROM `db`.`calls_staging`.`conference_summaries`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into conference_tags, in two transactions

DELETE FROM `db`.`calls`.`conference_tags` WHERE conference_sid IN (SELECT conference_sid FROM `db`.`calls_staging`.`conference_tags`);

INSERT INTO `db`.`calls`.`conference_tags`(`conference_sid`, `tag`, `_dlt_load_id`, `_tombstone`) SELECT `conference_sid`, `tag`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `conference_sid`, `tag` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `conference_sid`, `tag`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging`.`conference_tags`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = False));

-- A package into conference_tag_info, in two transactions

DELETE FROM `db`.`calls`.`conference_tag_info` WHERE conference_sid IN (SELECT conference_sid FROM `db`.`calls_staging`.`conference_tag_info`);

INSERT INTO `db`.`calls`.`conference_tag_info`(`conference_sid`, `tag`, `item_index`, `severity`, `reason`, `participant_identity`, `details`, `_dlt_load_id`, `_tombstone`) SELECT `conference_sid`, `tag`, `item_index`, `severity`, `reason`, `participant_identity`, `details`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `conference_sid`, `tag`, `item_index` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `conference_sid`, `tag`, `item_index`, `severity`, `reason`, `participant_identity`, `details`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging`.`conference_tag_info`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = False));

-- A package into conference_detected_issues, in two transactions

DELETE FROM `db`.`calls`.`conference_detected_issues` WHERE conference_sid IN (SELECT conference_sid FROM `db`.`calls_staging`.`conference_detected_issues`);

INSERT INTO `db`.`calls`.`conference_detected_issues`(`conference_sid`, `issue`, `issue_count`, `_dlt_load_id`, `_tombstone`) SELECT `conference_sid`, `issue`, `issue_count`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `conference_sid`, `issue` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `conference_sid`, `issue`, `issue_count`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging`.`conference_detected_issues`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = False));

-- A package into conference_participants, in two transactions

DELETE FROM `db`.`calls`.`conference_participants` as d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`conference_participants` as s WHERE d.`participant_sid` = s.`participant_sid`);

INSERT INTO `db`.`calls`.`conference_participants`(`participant_sid`, `conference_sid`, `account_sid`, `call_sid`, `label`, `calling_party`, `called_party`, `call_direction`, `call_type`, `call_status`, `country_code`, `participant_region`, `conference_region`, `is_moderator`, `is_coach`, `join_time`, `leave_time`, `duration_seconds`, `outbound_queue_length`, `outbound_time_in_queue`, `jitter_buffer_size`, `processing_state`, `start_conference_on_enter`, `end_conference_on_exit`, `play_early_media`, `early_media`, `enter_muted`, `beep_on_enter`, `beep_on_exit`, `properties`, `url`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id`) SELECT `participant_sid`, `conference_sid`, `account_sid`, `call_sid`, `label`, `calling_party`, `called_party`, `call_direction`, `call_type`, `call_status`, `country_code`, `participant_region`, `conference_region`, `is_moderator`, `is_coach`, `join_time`, `leave_time`, `duration_seconds`, `outbound_queue_length`, `outbound_time_in_queue`, `jitter_buffer_size`, `processing_state`, `start_conference_on_enter`, `end_conference_on_exit`, `play_early_media`, `early_media`, `enter_muted`, `beep_on_enter`, `beep_on_exit`, `properties`, `url`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `participant_sid` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `participant_sid`, `conference_sid`, `account_sid`, `call_sid`, `label`, `calling_party`, `called_party`, `call_direction`, `call_type`, `call_status`, `country_code`, `participant_region`, `conference_region`, `is_moderator`, `is_coach`, `join_time`, `leave_time`, `duration_seconds`, `outbound_queue_length`, `outbound_time_in_queue`, `jitter_buffer_size`, `processing_state`, `start_conference_on_enter`, `end_conference_on_exit`, `play_early_media`, `early_media`, `enter_muted`, `beep_on_enter`, `beep_on_exit`, `properties`, `url`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id` FROM `db`.`calls_staging`.`conference_participants`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into conference_participant_metrics, in two transactions

DELETE FROM `db`.`calls`.`conference_participant_metrics` WHERE participant_sid IN (SELECT participant_sid FROM `db`.`calls_staging`.`conference_participant_metrics`);

INSERT INTO `db`.`calls`.`conference_participant_metrics`(`participant_sid`, `direction`, `total_packets_lost`, `total_packets_received`, `packet_loss_percentage`, `jitter_avg`, `jitter_max`, `latency_avg`, `latency_max`, `mos`, `is_silent`, `tags`, `details`, `_dlt_load_id`, `_tombstone`) SELECT `participant_sid`, `direction`, `total_packets_lost`, `total_packets_received`, `packet_loss_percentage`, `jitter_avg`, `jitter_max`, `latency_avg`, `latency_max`, `mos`, `is_silent`, `tags`, `details`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `participant_sid`, `direction` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `participant_sid`, `direction`, `total_packets_lost`, `total_packets_received`, `packet_loss_percentage`, `jitter_avg`, `jitter_max`, `latency_avg`, `latency_max`, `mos`, `is_silent`, `tags`, `details`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging`.`conference_participant_metrics`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = False));

-- A package into conference_participant_events, in two transactions

DELETE FROM `db`.`calls`.`conference_participant_events` WHERE participant_sid IN (SELECT participant_sid FROM `db`.`calls_staging`.`conference_participant_events`);

INSERT INTO `db`.`calls`.`conference_participant_events`(`participant_sid`, `event`, `event_index`, `occurred_at`, `_dlt_load_id`, `_tombstone`) SELECT `participant_sid`, `event`, `event_index`, `occurred_at`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `participant_sid`, `event`, `event_index` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `participant_sid`, `event`, `event_index`, `occurred_at`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging`.`conference_participant_events`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = False));

-- A package into conference_participant_coaching, in two transactions

DELETE FROM `db`.`calls`.`conference_participant_coaching` WHERE participant_sid IN (SELECT participant_sid FROM `db`.`calls_staging`.`conference_participant_coaching`);

INSERT INTO `db`.`calls`.`conference_participant_coaching`(`participant_sid`, `coached_call_sid`, `_dlt_load_id`, `_tombstone`) SELECT `participant_sid`, `coached_call_sid`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `participant_sid`, `coached_call_sid` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `participant_sid`, `coached_call_sid`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging`.`conference_participant_coaching`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = False));

-- A package into accounts, in two transactions

DELETE FROM `db`.`calls`.`accounts` as d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`accounts` as s WHERE d.`account_sid` = s.`account_sid`);

INSERT INTO `db`.`calls`.`accounts`(`account_sid`, `friendly_name`, `status`, `first_seen_at`, `listed_from`, `listed_to`, `last_error`, `error_class`, `failing_since`, `asked_at`, `followed_by`, `left_at`, `_dlt_load_id`) SELECT `account_sid`, `friendly_name`, `status`, `first_seen_at`, `listed_from`, `listed_to`, `last_error`, `error_class`, `failing_since`, `asked_at`, `followed_by`, `left_at`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `account_sid` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `account_sid`, `friendly_name`, `status`, `first_seen_at`, `listed_from`, `listed_to`, `last_error`, `error_class`, `failing_since`, `asked_at`, `followed_by`, `left_at`, `_dlt_load_id` FROM `db`.`calls_staging`.`accounts`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _refetches, in two transactions

DELETE FROM `db`.`calls`.`_refetches` as d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`_refetches` as s WHERE d.`resource` = s.`resource` AND d.`key` = s.`key`);

INSERT INTO `db`.`calls`.`_refetches`(`resource`, `key`, `attempts`, `last_status`, `last_asked_at`, `next_due_at`, `outcome`, `_dlt_load_id`) SELECT `resource`, `key`, `attempts`, `last_status`, `last_asked_at`, `next_due_at`, `outcome`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `resource`, `key` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `resource`, `key`, `attempts`, `last_status`, `last_asked_at`, `next_due_at`, `outcome`, `_dlt_load_id` FROM `db`.`calls_staging`.`_refetches`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _rejected_rows, in two transactions

DELETE FROM `db`.`calls`.`_rejected_rows` as d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`_rejected_rows` as s WHERE d.`row_digest` = s.`row_digest`);

INSERT INTO `db`.`calls`.`_rejected_rows`(`row_digest`, `reason`, `row`, `rejected_at`, `run_id`, `_dlt_load_id`) SELECT `row_digest`, `reason`, `row`, `rejected_at`, `run_id`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `row_digest` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `row_digest`, `reason`, `row`, `rejected_at`, `run_id`, `_dlt_load_id` FROM `db`.`calls_staging`.`_rejected_rows`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _watermarks, in two transactions

DELETE FROM `db`.`calls`.`_watermarks` as d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`_watermarks` as s WHERE d.`resource` = s.`resource` AND d.`account_sid` = s.`account_sid` AND d.`filters` = s.`filters` AND d.`region` = s.`region`);

INSERT INTO `db`.`calls`.`_watermarks`(`resource`, `account_sid`, `filters`, `region`, `listed_to`, `_dlt_load_id`) SELECT `resource`, `account_sid`, `filters`, `region`, `listed_to`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `resource`, `account_sid`, `filters`, `region` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `resource`, `account_sid`, `filters`, `region`, `listed_to`, `_dlt_load_id` FROM `db`.`calls_staging`.`_watermarks`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _drift, in two transactions

DELETE FROM `db`.`calls`.`_drift` as d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`_drift` as s WHERE d.`account_sid` = s.`account_sid` AND d.`name` = s.`name`);

INSERT INTO `db`.`calls`.`_drift`(`account_sid`, `name`, `conference_sid`, `_dlt_load_id`) SELECT `account_sid`, `name`, `conference_sid`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `account_sid`, `name` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `account_sid`, `name`, `conference_sid`, `_dlt_load_id` FROM `db`.`calls_staging`.`_drift`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _listings, in two transactions

DELETE FROM `db`.`calls`.`_listings` as d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`_listings` as s WHERE d.`resource` = s.`resource` AND d.`parent_key` = s.`parent_key`);

INSERT INTO `db`.`calls`.`_listings`(`resource`, `parent_key`, `parent_digest`, `listed_at`, `unfinished`, `attempts`, `last_status`, `next_due_at`, `asked_by`, `_dlt_load_id`) SELECT `resource`, `parent_key`, `parent_digest`, `listed_at`, `unfinished`, `attempts`, `last_status`, `next_due_at`, `asked_by`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `resource`, `parent_key` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `resource`, `parent_key`, `parent_digest`, `listed_at`, `unfinished`, `attempts`, `last_status`, `next_due_at`, `asked_by`, `_dlt_load_id` FROM `db`.`calls_staging`.`_listings`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _erasures, in two transactions

DELETE FROM `db`.`calls`.`_erasures` as d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`_erasures` as s WHERE d.`erasure_id` = s.`erasure_id`);

INSERT INTO `db`.`calls`.`_erasures`(`erasure_id`, `erased_at`, `kind`, `digest`, `created_before`, `counts`, `run_id`, `finished_at`, `_dlt_load_id`) SELECT `erasure_id`, `erased_at`, `kind`, `digest`, `created_before`, `counts`, `run_id`, `finished_at`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `erasure_id` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `erasure_id`, `erased_at`, `kind`, `digest`, `created_before`, `counts`, `run_id`, `finished_at`, `_dlt_load_id` FROM `db`.`calls_staging`.`_erasures`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);
