-- The tables

CREATE TABLE `db`.`calls`.`conference_summaries` (
`conference_sid` STRING NOT NULL OPTIONS (description='SID of the conference (CF…).'),
`account_sid` STRING OPTIONS (description='SID of the account that owns the conference (AC…).'),
`friendly_name` STRING OPTIONS (description='Label given to the conference.'),
`create_time` TIMESTAMP OPTIONS (description='When the conference was created, UTC.'),
`start_time` TIMESTAMP OPTIONS (description='When it started, UTC; NULL if it never did.'),
`end_time` TIMESTAMP OPTIONS (description='When it ended, UTC; NULL while it runs.'),
`duration_seconds` INT64 OPTIONS (description='Duration of the conference in seconds.'),
`connect_duration_seconds` INT64 OPTIONS (description='Seconds from start event to end event.'),
`status` STRING OPTIONS (description='What became of it.'),
`max_participants` INT64 OPTIONS (description='Most concurrent participants the settings allow.'),
`max_concurrent_participants` INT64 OPTIONS (description='Most participants at once in fact.'),
`unique_participants` INT64 OPTIONS (description='Distinct participants, told apart by caller ID.'),
`end_reason` STRING OPTIONS (description='Why it ended; NULL while it runs, or if it never started.'),
`ended_by` STRING OPTIONS (description='SID of the call whose participant ended it (CA…).'),
`mixer_region` STRING OPTIONS (description='Region where the media was mixed.'),
`mixer_region_requested` STRING OPTIONS (description='Requested region; NULL if none was.'),
`recording_enabled` BOOL OPTIONS (description='Whether recording was enabled at the mixer.'),
`processing_state` STRING OPTIONS (description='complete and timeout are final; anything else is pending.'),
`url` STRING OPTIONS (description='URL of the summary.'),
`links` STRING OPTIONS (description='URLs of nested resources, JSON text.'),
`fetched_at` TIMESTAMP NOT NULL OPTIONS (description='When this copy arrived, UTC.'),
`row_digest` INT64 NOT NULL OPTIONS (description='64-bit digest of what was received.'),
`extra_fields` STRING OPTIONS (description='Unknown fields and misfit values, JSON text.'),
`_dlt_load_id` STRING NOT NULL OPTIONS (description='dlt load package that wrote the row.'));

CREATE TABLE `db`.`calls`.`conference_tags` (
`conference_sid` STRING NOT NULL OPTIONS (description='SID of the conference (CF…).'),
`tag` STRING NOT NULL OPTIONS (description='Detected condition.'),
`_dlt_load_id` STRING NOT NULL OPTIONS (description='dlt load package that wrote the row.'),
`_tombstone` BOOL OPTIONS (description='Always NULL here; carries deletions while loading.'));

CREATE TABLE `db`.`calls`.`conference_tag_info` (
`conference_sid` STRING NOT NULL OPTIONS (description='SID of the conference (CF…).'),
`tag` STRING NOT NULL OPTIONS (description='Tag that the details belong to.'),
`item_index` INT64 NOT NULL OPTIONS (description='Position in the list; 0 for one object.'),
`severity` STRING OPTIONS (description='Severity, where Twilio gives one.'),
`reason` STRING OPTIONS (description='Reason, where Twilio gives one.'),
`participant_identity` STRING OPTIONS (description='Identity of the participant.'),
`details` STRING OPTIONS (description='Everything else of the element, JSON text.'),
`_dlt_load_id` STRING NOT NULL OPTIONS (description='dlt load package that wrote the row.'),
`_tombstone` BOOL OPTIONS (description='Always NULL here; carries deletions while loading.'));

CREATE TABLE `db`.`calls`.`conference_detected_issues` (
`conference_sid` STRING NOT NULL OPTIONS (description='SID of the conference (CF…).'),
`issue` STRING NOT NULL OPTIONS (description='Kind of issue.'),
`issue_count` INT64 OPTIONS (description='Instances counted; 0 is in the table too, not in the view.'),
`_dlt_load_id` STRING NOT NULL OPTIONS (description='dlt load package that wrote the row.'),
`_tombstone` BOOL OPTIONS (description='Always NULL here; carries deletions while loading.'));

CREATE TABLE `db`.`calls`.`conference_participants` (
`participant_sid` STRING NOT NULL OPTIONS (description='SID of the participant (CP…).'),
`conference_sid` STRING OPTIONS (description='SID of the conference (CF…).'),
`account_sid` STRING OPTIONS (description='SID of the account that owns the conference (AC…).'),
`call_sid` STRING OPTIONS (description='SID of the call that the participant joined by (CA…).'),
`label` STRING OPTIONS (description='Label given to the participant.'),
`calling_party` STRING OPTIONS (description='Caller ID of the calling party; Twilio\'s `from`.'),
`called_party` STRING OPTIONS (description='Called party; Twilio\'s `to`.'),
`call_direction` STRING OPTIONS (description='Direction of the call.'),
`call_type` STRING OPTIONS (description='What the participant called with.'),
`call_status` STRING OPTIONS (description='What became of the call.'),
`country_code` STRING OPTIONS (description='ISO alpha-2 code of the country, by caller ID or called number.'),
`participant_region` STRING OPTIONS (description='Region where the participant\'s media entered Twilio.'),
`conference_region` STRING OPTIONS (description='Region where the conference was mixed, by the participant\'s summary.'),
`is_moderator` BOOL OPTIONS (description='Whether the conference started or ended with the participant.'),
`is_coach` BOOL OPTIONS (description='Whether the participant was a coach.'),
`join_time` TIMESTAMP OPTIONS (description='When the participant joined, UTC.'),
`leave_time` TIMESTAMP OPTIONS (description='When the participant left, UTC.'),
`duration_seconds` INT64 OPTIONS (description='How long the participant was there, in seconds.'),
`outbound_queue_length` INT64 OPTIONS (description='Add Participant API only: estimated length of the queue at the creation of the call.'),
`outbound_time_in_queue` INT64 OPTIONS (description='Add Participant API only: time in the queue; documented in seconds, samples look like milliseconds.'),
`jitter_buffer_size` STRING OPTIONS (description='Size of the jitter buffer.'),
`processing_state` STRING OPTIONS (description='complete and timeout are final; anything else is asked for again.'),
`start_conference_on_enter` BOOL OPTIONS (description='Whether the conference starts when the participant enters.'),
`end_conference_on_exit` BOOL OPTIONS (description='Whether it ends when the participant leaves.'),
`play_early_media` BOOL OPTIONS (description='The same as early_media, in the summaries that have it by this name.'),
`early_media` BOOL OPTIONS (description='Whether others hear the call before it is answered.'),
`enter_muted` BOOL OPTIONS (description='Whether the participant enters muted.'),
`beep_on_enter` BOOL OPTIONS (description='Whether there is a beep when the participant enters.'),
`beep_on_exit` BOOL OPTIONS (description='Whether there is one when the participant leaves.'),
`properties` STRING OPTIONS (description='Other properties, JSON text.'),
`url` STRING OPTIONS (description='URL of the participant\'s summary.'),
`fetched_at` TIMESTAMP NOT NULL OPTIONS (description='When this copy arrived, UTC.'),
`row_digest` INT64 NOT NULL OPTIONS (description='64-bit digest of what was received.'),
`extra_fields` STRING OPTIONS (description='Unknown fields and misfit values, JSON text.'),
`_dlt_load_id` STRING NOT NULL OPTIONS (description='dlt load package that wrote the row.'));

CREATE TABLE `db`.`calls`.`conference_participant_metrics` (
`participant_sid` STRING NOT NULL OPTIONS (description='SID of the participant (CP…).'),
`direction` STRING NOT NULL OPTIONS (description='inbound: from the participant to Twilio; outbound: from Twilio to the participant.'),
`total_packets_lost` INT64 OPTIONS (description='Packets lost.'),
`total_packets_received` INT64 OPTIONS (description='Packets received.'),
`packet_loss_percentage` FLOAT64 OPTIONS (description='Packets lost, in percent.'),
`jitter_avg` FLOAT64 OPTIONS (description='Mean jitter in milliseconds.'),
`jitter_max` FLOAT64 OPTIONS (description='Largest jitter in milliseconds.'),
`latency_avg` FLOAT64 OPTIONS (description='Mean latency in milliseconds.'),
`latency_max` FLOAT64 OPTIONS (description='Largest latency in milliseconds.'),
`mos` FLOAT64 OPTIONS (description='Mean opinion score, 1 (bad) to 5.'),
`is_silent` BOOL OPTIONS (description='Whether the tag silent is there; NULL without metrics.'),
`tags` STRING OPTIONS (description='All tags, JSON text; NULL if there are none.'),
`details` STRING OPTIONS (description='Everything else of the metrics, JSON text.'),
`_dlt_load_id` STRING NOT NULL OPTIONS (description='dlt load package that wrote the row.'),
`_tombstone` BOOL OPTIONS (description='Always NULL here; carries deletions while loading.'));

CREATE TABLE `db`.`calls`.`conference_participant_events` (
`participant_sid` STRING NOT NULL OPTIONS (description='SID of the participant (CP…).'),
`event` STRING NOT NULL OPTIONS (description='What happened, such as mute, hold or coaching.'),
`event_index` INT64 NOT NULL OPTIONS (description='Position among the participant\'s events of this kind, from 0.'),
`occurred_at` TIMESTAMP OPTIONS (description='When it happened, UTC, to the millisecond.'),
`_dlt_load_id` STRING NOT NULL OPTIONS (description='dlt load package that wrote the row.'),
`_tombstone` BOOL OPTIONS (description='Always NULL here; carries deletions while loading.'));

CREATE TABLE `db`.`calls`.`conference_participant_coaching` (
`participant_sid` STRING NOT NULL OPTIONS (description='SID of the participant who coached (CP…).'),
`coached_call_sid` STRING NOT NULL OPTIONS (description='SID of the call that was coached (CA…).'),
`_dlt_load_id` STRING NOT NULL OPTIONS (description='dlt load package that wrote the row.'),
`_tombstone` BOOL OPTIONS (description='Always NULL here; carries deletions while loading.'));

CREATE TABLE `db`.`calls`.`accounts` (
`account_sid` STRING NOT NULL OPTIONS (description='SID of the account (AC…).'),
`friendly_name` STRING OPTIONS (description='Its name; NULL where accounts are not read from Twilio.'),
`status` STRING OPTIONS (description='`active` when Twilio listed it last, see `left_at`; NULL where accounts are not read from there.'),
`first_seen_at` TIMESTAMP NOT NULL OPTIONS (description='When a run met it first, UTC.'),
`listed_from` TIMESTAMP OPTIONS (description='All that was created from then to `listed_to` was listed completely, UTC; NULL: never, or a version that did not note it.'),
`listed_to` TIMESTAMP OPTIONS (description='All that was created before was listed completely, UTC; NULL: never.'),
`last_error` STRING OPTIONS (description='Why it could not be read when it was asked last; NULL: it could.'),
`error_class` STRING OPTIONS (description='The class of that error.'),
`failing_since` TIMESTAMP OPTIONS (description='When it failed first in a row, UTC.'),
`asked_at` TIMESTAMP OPTIONS (description='When it was asked last while it fails, UTC.'),
`followed_by` STRING NOT NULL OPTIONS (description='Account of the credentials that it was loaded with last (AC…).'),
`left_at` TIMESTAMP OPTIONS (description='When those were no longer to load it, UTC; NULL: they are.'),
`_dlt_load_id` STRING OPTIONS (description='dlt load package that wrote the row; NULL: a run that loaded nothing.'));

CREATE TABLE `db`.`calls`.`_refetches` (
`resource` STRING NOT NULL OPTIONS (description='Kind of record: conferences.'),
`key` STRING NOT NULL OPTIONS (description='What identifies it: the SID of the conference (CF…).'),
`attempts` INT64 NOT NULL OPTIONS (description='404 answers in a row.'),
`last_status` INT64 OPTIONS (description='HTTP status of the last answer.'),
`last_asked_at` TIMESTAMP NOT NULL OPTIONS (description='When it was asked last, UTC.'),
`next_due_at` TIMESTAMP OPTIONS (description='Not asked again before, UTC; NULL: no waiting.'),
`outcome` STRING OPTIONS (description='gone: 404; expired: too old to ask; unconfirmed: a listing differs; NULL: back.'),
`_dlt_load_id` STRING NOT NULL OPTIONS (description='dlt load package that wrote the row.'));

CREATE TABLE `db`.`calls`.`_rejected_rows` (
`row_digest` INT64 NOT NULL OPTIONS (description='64-bit digest of what was received.'),
`reason` STRING NOT NULL OPTIONS (description='Why it could not be loaded.'),
`row` STRING NOT NULL OPTIONS (description='The element, whole, JSON text.'),
`rejected_at` TIMESTAMP NOT NULL OPTIONS (description='When it arrived, UTC.'),
`run_id` STRING OPTIONS (description='Run that met it first.'),
`_dlt_load_id` STRING NOT NULL OPTIONS (description='dlt load package that wrote the row.'));

CREATE TABLE `db`.`calls`.`_watermarks` (
`resource` STRING NOT NULL OPTIONS (description='What was listed: conferences.'),
`account_sid` STRING NOT NULL OPTIONS (description='SID of the account that was listed (AC…).'),
`filters` STRING NOT NULL OPTIONS (description='Filters of the listing, JSON text; empty for none.'),
`region` STRING NOT NULL OPTIONS (description='Region whose API was asked; empty for US1.'),
`listed_to` TIMESTAMP NOT NULL OPTIONS (description='All that was created before was listed completely, UTC.'),
`_dlt_load_id` STRING NOT NULL OPTIONS (description='dlt load package that wrote the row.'));

CREATE TABLE `db`.`calls`.`_drift` (
`account_sid` STRING NOT NULL OPTIONS (description='SID of the account that was loaded (AC…).'),
`name` STRING NOT NULL OPTIONS (description='Column and value, or extra_fields and the field\'s name.'),
`conference_sid` STRING OPTIONS (description='SID of the first conference that had it (CF…).'),
`_dlt_load_id` STRING NOT NULL OPTIONS (description='dlt load package that wrote the row.'));

CREATE TABLE `db`.`calls`.`_listings` (
`resource` STRING NOT NULL OPTIONS (description='What was listed: participants.'),
`parent_key` STRING NOT NULL OPTIONS (description='What identifies the record that they belong to: the SID of the conference (CF…).'),
`parent_digest` INT64 NOT NULL OPTIONS (description='The row_digest of that record then.'),
`listed_at` TIMESTAMP NOT NULL OPTIONS (description='When it was listed last, UTC.'),
`unfinished` INT64 NOT NULL OPTIONS (description='How many of them were not final, or missing.'),
`attempts` INT64 NOT NULL OPTIONS (description='How often in a row it was asked in vain: 404, no usable answer, or some were missing.'),
`last_status` INT64 OPTIONS (description='HTTP status of the last answer; 0: none that could be used.'),
`next_due_at` TIMESTAMP OPTIONS (description='Not asked again before, UTC; NULL: no need to wait.'),
`asked_by` STRING OPTIONS (description='Account of the credentials that asked last; with others, what they had none of is asked for at once.'),
`_dlt_load_id` STRING NOT NULL OPTIONS (description='dlt load package that wrote the row.'));

CREATE TABLE `db`.`calls`.`_erasures` (
`erasure_id` STRING NOT NULL OPTIONS (description='Random; the salt of the digest.'),
`erased_at` TIMESTAMP NOT NULL OPTIONS (description='When it was deleted, UTC.'),
`kind` STRING NOT NULL OPTIONS (description='What was to be erased.'),
`digest` STRING OPTIONS (description='Salted digest of the SID or identity, so that it does not come back; NULL after 31 days.'),
`created_before` TIMESTAMP OPTIONS (description='Of older_than: what was created before does not come back, UTC.'),
`counts` STRING OPTIONS (description='How many rows, or values of an identity, by table, JSON text.'),
`run_id` STRING OPTIONS (description='Run that did it.'),
`finished_at` TIMESTAMP OPTIONS (description='When nothing was left in the warehouse, nor in the copies and the lake that were set, UTC; NULL: the next command goes on.'),
`_dlt_load_id` STRING OPTIONS (description='Always NULL: no load package writes it.'));

-- A package into conference_summaries, in one transaction

DELETE FROM `db`.`calls`.`conference_summaries` AS d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`conference_summaries` AS s WHERE d.`conference_sid` = s.`conference_sid`);

INSERT INTO `db`.`calls`.`conference_summaries`(`conference_sid`, `account_sid`, `friendly_name`, `create_time`, `start_time`, `end_time`, `duration_seconds`, `connect_duration_seconds`, `status`, `max_participants`, `max_concurrent_participants`, `unique_participants`, `end_reason`, `ended_by`, `mixer_region`, `mixer_region_requested`, `recording_enabled`, `processing_state`, `url`, `links`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id`) SELECT `conference_sid`, `account_sid`, `friendly_name`, `create_time`, `start_time`, `end_time`, `duration_seconds`, `connect_duration_seconds`, `status`, `max_participants`, `max_concurrent_participants`, `unique_participants`, `end_reason`, `ended_by`, `mixer_region`, `mixer_region_requested`, `recording_enabled`, `processing_state`, `url`, `links`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `conference_sid` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `conference_sid`, `account_sid`, `friendly_name`, `create_time`, `start_time`, `end_time`, `duration_seconds`, `connect_duration_seconds`, `status`, `max_participants`, `max_concurrent_participants`, `unique_participants`, `end_reason`, `ended_by`, `mixer_region`, `mixer_region_requested`, `recording_enabled`, `processing_state`, `url`, `links`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id` FROM `db`.`calls_staging`.`conference_summaries`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into conference_tags, in one transaction

DELETE FROM `db`.`calls`.`conference_tags` WHERE conference_sid IN (SELECT conference_sid FROM `db`.`calls_staging`.`conference_tags`);

INSERT INTO `db`.`calls`.`conference_tags`(`conference_sid`, `tag`, `_dlt_load_id`, `_tombstone`) SELECT `conference_sid`, `tag`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `conference_sid`, `tag` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `conference_sid`, `tag`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging`.`conference_tags`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = FALSE));

-- A package into conference_tag_info, in one transaction

DELETE FROM `db`.`calls`.`conference_tag_info` WHERE conference_sid IN (SELECT conference_sid FROM `db`.`calls_staging`.`conference_tag_info`);

INSERT INTO `db`.`calls`.`conference_tag_info`(`conference_sid`, `tag`, `item_index`, `severity`, `reason`, `participant_identity`, `details`, `_dlt_load_id`, `_tombstone`) SELECT `conference_sid`, `tag`, `item_index`, `severity`, `reason`, `participant_identity`, `details`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `conference_sid`, `tag`, `item_index` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `conference_sid`, `tag`, `item_index`, `severity`, `reason`, `participant_identity`, `details`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging`.`conference_tag_info`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = FALSE));

-- A package into conference_detected_issues, in one transaction

DELETE FROM `db`.`calls`.`conference_detected_issues` WHERE conference_sid IN (SELECT conference_sid FROM `db`.`calls_staging`.`conference_detected_issues`);

INSERT INTO `db`.`calls`.`conference_detected_issues`(`conference_sid`, `issue`, `issue_count`, `_dlt_load_id`, `_tombstone`) SELECT `conference_sid`, `issue`, `issue_count`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `conference_sid`, `issue` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `conference_sid`, `issue`, `issue_count`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging`.`conference_detected_issues`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = FALSE));

-- A package into conference_participants, in one transaction

DELETE FROM `db`.`calls`.`conference_participants` AS d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`conference_participants` AS s WHERE d.`participant_sid` = s.`participant_sid`);

INSERT INTO `db`.`calls`.`conference_participants`(`participant_sid`, `conference_sid`, `account_sid`, `call_sid`, `label`, `calling_party`, `called_party`, `call_direction`, `call_type`, `call_status`, `country_code`, `participant_region`, `conference_region`, `is_moderator`, `is_coach`, `join_time`, `leave_time`, `duration_seconds`, `outbound_queue_length`, `outbound_time_in_queue`, `jitter_buffer_size`, `processing_state`, `start_conference_on_enter`, `end_conference_on_exit`, `play_early_media`, `early_media`, `enter_muted`, `beep_on_enter`, `beep_on_exit`, `properties`, `url`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id`) SELECT `participant_sid`, `conference_sid`, `account_sid`, `call_sid`, `label`, `calling_party`, `called_party`, `call_direction`, `call_type`, `call_status`, `country_code`, `participant_region`, `conference_region`, `is_moderator`, `is_coach`, `join_time`, `leave_time`, `duration_seconds`, `outbound_queue_length`, `outbound_time_in_queue`, `jitter_buffer_size`, `processing_state`, `start_conference_on_enter`, `end_conference_on_exit`, `play_early_media`, `early_media`, `enter_muted`, `beep_on_enter`, `beep_on_exit`, `properties`, `url`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `participant_sid` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `participant_sid`, `conference_sid`, `account_sid`, `call_sid`, `label`, `calling_party`, `called_party`, `call_direction`, `call_type`, `call_status`, `country_code`, `participant_region`, `conference_region`, `is_moderator`, `is_coach`, `join_time`, `leave_time`, `duration_seconds`, `outbound_queue_length`, `outbound_time_in_queue`, `jitter_buffer_size`, `processing_state`, `start_conference_on_enter`, `end_conference_on_exit`, `play_early_media`, `early_media`, `enter_muted`, `beep_on_enter`, `beep_on_exit`, `properties`, `url`, `fetched_at`, `row_digest`, `extra_fields`, `_dlt_load_id` FROM `db`.`calls_staging`.`conference_participants`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into conference_participant_metrics, in one transaction

DELETE FROM `db`.`calls`.`conference_participant_metrics` WHERE participant_sid IN (SELECT participant_sid FROM `db`.`calls_staging`.`conference_participant_metrics`);

INSERT INTO `db`.`calls`.`conference_participant_metrics`(`participant_sid`, `direction`, `total_packets_lost`, `total_packets_received`, `packet_loss_percentage`, `jitter_avg`, `jitter_max`, `latency_avg`, `latency_max`, `mos`, `is_silent`, `tags`, `details`, `_dlt_load_id`, `_tombstone`) SELECT `participant_sid`, `direction`, `total_packets_lost`, `total_packets_received`, `packet_loss_percentage`, `jitter_avg`, `jitter_max`, `latency_avg`, `latency_max`, `mos`, `is_silent`, `tags`, `details`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `participant_sid`, `direction` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `participant_sid`, `direction`, `total_packets_lost`, `total_packets_received`, `packet_loss_percentage`, `jitter_avg`, `jitter_max`, `latency_avg`, `latency_max`, `mos`, `is_silent`, `tags`, `details`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging`.`conference_participant_metrics`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = FALSE));

-- A package into conference_participant_events, in one transaction

DELETE FROM `db`.`calls`.`conference_participant_events` WHERE participant_sid IN (SELECT participant_sid FROM `db`.`calls_staging`.`conference_participant_events`);

INSERT INTO `db`.`calls`.`conference_participant_events`(`participant_sid`, `event`, `event_index`, `occurred_at`, `_dlt_load_id`, `_tombstone`) SELECT `participant_sid`, `event`, `event_index`, `occurred_at`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `participant_sid`, `event`, `event_index` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `participant_sid`, `event`, `event_index`, `occurred_at`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging`.`conference_participant_events`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = FALSE));

-- A package into conference_participant_coaching, in one transaction

DELETE FROM `db`.`calls`.`conference_participant_coaching` WHERE participant_sid IN (SELECT participant_sid FROM `db`.`calls_staging`.`conference_participant_coaching`);

INSERT INTO `db`.`calls`.`conference_participant_coaching`(`participant_sid`, `coached_call_sid`, `_dlt_load_id`, `_tombstone`) SELECT `participant_sid`, `coached_call_sid`, `_dlt_load_id`, `_tombstone` FROM ( SELECT ROW_NUMBER() OVER (partition BY `participant_sid`, `coached_call_sid` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `participant_sid`, `coached_call_sid`, `_dlt_load_id`, `_tombstone` FROM `db`.`calls_staging`.`conference_participant_coaching`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND ((`_tombstone` IS NULL OR `_tombstone` = FALSE));

-- A package into accounts, in one transaction

DELETE FROM `db`.`calls`.`accounts` AS d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`accounts` AS s WHERE d.`account_sid` = s.`account_sid`);

INSERT INTO `db`.`calls`.`accounts`(`account_sid`, `friendly_name`, `status`, `first_seen_at`, `listed_from`, `listed_to`, `last_error`, `error_class`, `failing_since`, `asked_at`, `followed_by`, `left_at`, `_dlt_load_id`) SELECT `account_sid`, `friendly_name`, `status`, `first_seen_at`, `listed_from`, `listed_to`, `last_error`, `error_class`, `failing_since`, `asked_at`, `followed_by`, `left_at`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `account_sid` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `account_sid`, `friendly_name`, `status`, `first_seen_at`, `listed_from`, `listed_to`, `last_error`, `error_class`, `failing_since`, `asked_at`, `followed_by`, `left_at`, `_dlt_load_id` FROM `db`.`calls_staging`.`accounts`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _refetches, in one transaction

DELETE FROM `db`.`calls`.`_refetches` AS d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`_refetches` AS s WHERE d.`resource` = s.`resource` AND d.`key` = s.`key`);

INSERT INTO `db`.`calls`.`_refetches`(`resource`, `key`, `attempts`, `last_status`, `last_asked_at`, `next_due_at`, `outcome`, `_dlt_load_id`) SELECT `resource`, `key`, `attempts`, `last_status`, `last_asked_at`, `next_due_at`, `outcome`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `resource`, `key` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `resource`, `key`, `attempts`, `last_status`, `last_asked_at`, `next_due_at`, `outcome`, `_dlt_load_id` FROM `db`.`calls_staging`.`_refetches`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _rejected_rows, in one transaction

DELETE FROM `db`.`calls`.`_rejected_rows` AS d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`_rejected_rows` AS s WHERE d.`row_digest` = s.`row_digest`);

INSERT INTO `db`.`calls`.`_rejected_rows`(`row_digest`, `reason`, `row`, `rejected_at`, `run_id`, `_dlt_load_id`) SELECT `row_digest`, `reason`, `row`, `rejected_at`, `run_id`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `row_digest` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `row_digest`, `reason`, `row`, `rejected_at`, `run_id`, `_dlt_load_id` FROM `db`.`calls_staging`.`_rejected_rows`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _watermarks, in one transaction

DELETE FROM `db`.`calls`.`_watermarks` AS d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`_watermarks` AS s WHERE d.`resource` = s.`resource` AND d.`account_sid` = s.`account_sid` AND d.`filters` = s.`filters` AND d.`region` = s.`region`);

INSERT INTO `db`.`calls`.`_watermarks`(`resource`, `account_sid`, `filters`, `region`, `listed_to`, `_dlt_load_id`) SELECT `resource`, `account_sid`, `filters`, `region`, `listed_to`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `resource`, `account_sid`, `filters`, `region` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `resource`, `account_sid`, `filters`, `region`, `listed_to`, `_dlt_load_id` FROM `db`.`calls_staging`.`_watermarks`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _drift, in one transaction

DELETE FROM `db`.`calls`.`_drift` AS d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`_drift` AS s WHERE d.`account_sid` = s.`account_sid` AND d.`name` = s.`name`);

INSERT INTO `db`.`calls`.`_drift`(`account_sid`, `name`, `conference_sid`, `_dlt_load_id`) SELECT `account_sid`, `name`, `conference_sid`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `account_sid`, `name` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `account_sid`, `name`, `conference_sid`, `_dlt_load_id` FROM `db`.`calls_staging`.`_drift`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _listings, in one transaction

DELETE FROM `db`.`calls`.`_listings` AS d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`_listings` AS s WHERE d.`resource` = s.`resource` AND d.`parent_key` = s.`parent_key`);

INSERT INTO `db`.`calls`.`_listings`(`resource`, `parent_key`, `parent_digest`, `listed_at`, `unfinished`, `attempts`, `last_status`, `next_due_at`, `asked_by`, `_dlt_load_id`) SELECT `resource`, `parent_key`, `parent_digest`, `listed_at`, `unfinished`, `attempts`, `last_status`, `next_due_at`, `asked_by`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `resource`, `parent_key` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `resource`, `parent_key`, `parent_digest`, `listed_at`, `unfinished`, `attempts`, `last_status`, `next_due_at`, `asked_by`, `_dlt_load_id` FROM `db`.`calls_staging`.`_listings`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);

-- A package into _erasures, in one transaction

DELETE FROM `db`.`calls`.`_erasures` AS d WHERE EXISTS (SELECT 1 FROM `db`.`calls_staging`.`_erasures` AS s WHERE d.`erasure_id` = s.`erasure_id`);

INSERT INTO `db`.`calls`.`_erasures`(`erasure_id`, `erased_at`, `kind`, `digest`, `created_before`, `counts`, `run_id`, `finished_at`, `_dlt_load_id`) SELECT `erasure_id`, `erased_at`, `kind`, `digest`, `created_before`, `counts`, `run_id`, `finished_at`, `_dlt_load_id` FROM ( SELECT ROW_NUMBER() OVER (partition BY `erasure_id` ORDER BY (SELECT NULL)) AS _dlt_dedup_rn, `erasure_id`, `erased_at`, `kind`, `digest`, `created_before`, `counts`, `run_id`, `finished_at`, `_dlt_load_id` FROM `db`.`calls_staging`.`_erasures`) AS _dlt_dedup_numbered WHERE _dlt_dedup_rn = 1 AND (1 = 1);
