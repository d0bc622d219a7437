-- A warehouse as the first version of the project wrote it, on 2026-11-20: schemas, four conferences,
-- one of them in progress, and dlt's own tables. A test builds the file from this.
CREATE SCHEMA conference_insights;
CREATE SCHEMA analytics;
CREATE TABLE conference_insights._dlt_loads(
    load_id VARCHAR NOT NULL,
    schema_name VARCHAR,
    status BIGINT NOT NULL,
    inserted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    schema_version_hash VARCHAR
);
INSERT INTO conference_insights._dlt_loads VALUES ('1795557090.9156432', 'twilio_insights', 0, '2026-11-24 21:51:31.406675+00:00', 'stVam6Iion+qrPGIT6rik3k8trwwIsYiI5I+FB+my8g=');
CREATE TABLE conference_insights._dlt_pipeline_state(
    "version" BIGINT NOT NULL,
    engine_version BIGINT NOT NULL,
    pipeline_name VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    version_hash VARCHAR,
    _dlt_load_id VARCHAR NOT NULL,
    _dlt_id VARCHAR NOT NULL
);
INSERT INTO conference_insights._dlt_pipeline_state VALUES (1, 4, 'conference_insights', 'eNqFkE9PwzAMxb9Lzt2Udt2EKnGoeuUy9kcIhKI0cdpoaVoStwUmvjspMKloh/nm55+en30mzCNHYAM4r1tLsji6SGArbWeTNCKd7sBMouUNkIyI1ipwYAUwbb2uavQkIpIj94A3IFC8N8i8qKHhFxZHbXQ752ZzT7KXK+J1svKoLceQkuFHN/lIg8uZ7JeyFydZkv/w71LbGxOO/ruT1dzXwaE77ppKPX6+i74on8xb7bbF3W61P2xVPtDjQ9nkwyjVeh2n91PMtndiSni+ShikMfzTNdydfrq8kDcq7E9oslnE8SKh+zjNVjSj9Jl8hfoGeHacdg==', '2026-11-24 21:51:31.135476+00:00', 'pVSmgfRzxcuCbXlqhrQC8S3TUQfAv0VLbmAvwdf5514=', '1795557090.9156432', '6gUJIHecZNtrzw');
CREATE TABLE conference_insights._dlt_version(
    "version" BIGINT NOT NULL,
    engine_version BIGINT NOT NULL,
    inserted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    schema_name VARCHAR NOT NULL,
    version_hash VARCHAR NOT NULL,
    "schema" VARCHAR NOT NULL
);
INSERT INTO conference_insights._dlt_version VALUES (2, 11, '2026-11-24 21:51:31.282950+00:00', 'twilio_insights', 'stVam6Iion+qrPGIT6rik3k8trwwIsYiI5I+FB+my8g=', '{"version":2,"version_hash":"stVam6Iion+qrPGIT6rik3k8trwwIsYiI5I+FB+my8g=","engine_version":11,"name":"twilio_insights","tables":{"_dlt_version":{"name":"_dlt_version","columns":{"version":{"name":"version","data_type":"bigint","nullable":false,"description":"Numeric version of the schema, incremented on each schema change"},"engine_version":{"name":"engine_version","data_type":"bigint","nullable":false,"description":"Version of the dlt schema engine that created this schema"},"inserted_at":{"name":"inserted_at","data_type":"timestamp","nullable":false,"description":"Timestamp when this schema version was stored"},"schema_name":{"name":"schema_name","data_type":"text","nullable":false,"description":"Name of the schema"},"version_hash":{"name":"version_hash","data_type":"text","nullable":false,"description":"Unique hash of the schema content, used to detect changes"},"schema":{"name":"schema","data_type":"text","nullable":false,"description":"JSON representation of the complete schema definition"}},"write_disposition":"skip","resource":"_dlt_version","description":"Created by DLT. Tracks schema updates"},"_dlt_loads":{"name":"_dlt_loads","columns":{"load_id":{"name":"load_id","data_type":"text","nullable":false,"precision":64,"description":"Unique identifier of the load operation"},"schema_name":{"name":"schema_name","data_type":"text","nullable":true,"description":"Name of the schema associated with this load"},"status":{"name":"status","data_type":"bigint","nullable":false,"description":"Status of the load operation (0 = success)"},"inserted_at":{"name":"inserted_at","data_type":"timestamp","nullable":false,"description":"Timestamp when the load was completed"},"schema_version_hash":{"name":"schema_version_hash","data_type":"text","nullable":true,"description":"Hash of the schema version used during this load"}},"write_disposition":"skip","resource":"_dlt_loads","description":"Created by DLT. Tracks completed loads"},"_rejected_rows":{"columns":{"row_digest":{"name":"row_digest","nullable":false,"data_type":"bigint","description":"64-bit digest of what was received.","primary_key":true},"reason":{"name":"reason","nullable":false,"data_type":"text","description":"Why it could not be loaded."},"row":{"name":"row","nullable":false,"data_type":"text","description":"The element, whole, JSON text."},"rejected_at":{"name":"rejected_at","nullable":false,"data_type":"timestamp","description":"When it arrived, UTC.","timezone":false,"precision":6},"run_id":{"name":"run_id","nullable":true,"data_type":"text","description":"Run that met it first."},"_dlt_load_id":{"name":"_dlt_load_id","nullable":false,"data_type":"text","description":"dlt load package that wrote the row."}},"x-merge-strategy":"delete-insert","write_disposition":"merge","name":"_rejected_rows","resource":"_rejected_rows","x-normalizer":{"seen-data":true}},"_refetches":{"columns":{"conference_sid":{"name":"conference_sid","nullable":false,"data_type":"text","description":"SID of the conference (CF…).","primary_key":true},"attempts":{"name":"attempts","nullable":false,"data_type":"bigint","description":"404 answers in a row."},"last_status":{"name":"last_status","nullable":true,"data_type":"bigint","description":"HTTP status of the last answer."},"last_asked_at":{"name":"last_asked_at","nullable":false,"data_type":"timestamp","description":"When it was asked last, UTC.","timezone":false,"precision":6},"next_due_at":{"name":"next_due_at","nullable":true,"data_type":"timestamp","description":"Not asked again before, UTC; NULL: no waiting.","timezone":false,"precision":6},"outcome":{"name":"outcome","nullable":true,"data_type":"text","description":"gone: answers 404; expired: too old to ask; NULL: it is back."},"_dlt_load_id":{"name":"_dlt_load_id","nullable":false,"data_type":"text","description":"dlt load package that wrote the row."}},"x-merge-strategy":"delete-insert","write_disposition":"merge","name":"_refetches","resource":"_refetches","x-normalizer":{"seen-data":true}},"conference_detected_issues":{"columns":{"conference_sid":{"name":"conference_sid","nullable":false,"data_type":"text","description":"SID of the conference (CF…).","primary_key":true},"issue":{"name":"issue","nullable":false,"data_type":"text","description":"Kind, for example call_quality.","primary_key":true},"issue_count":{"name":"issue_count","nullable":true,"data_type":"bigint","description":"Instances detected; 0 is reported too."},"_dlt_load_id":{"name":"_dlt_load_id","nullable":false,"data_type":"text","description":"dlt load package that wrote the row."},"_tombstone":{"name":"_tombstone","nullable":true,"data_type":"bool","description":"Always NULL here; carries deletions while loading.","hard_delete":true}},"x-merge-strategy":"delete-insert","x-merge-destination-scope":"conference_sid IN (SELECT conference_sid FROM {staging_table})","write_disposition":"merge","name":"conference_detected_issues","resource":"conference_detected_issues","x-normalizer":{"seen-data":true}},"conference_tag_info":{"columns":{"conference_sid":{"name":"conference_sid","nullable":false,"data_type":"text","description":"SID of the conference (CF…).","primary_key":true},"tag":{"name":"tag","nullable":false,"data_type":"text","description":"Tag that the details belong to.","primary_key":true},"item_index":{"name":"item_index","nullable":false,"data_type":"bigint","description":"Position in the list; 0 for one object.","primary_key":true},"severity":{"name":"severity","nullable":true,"data_type":"text","description":"Severity, where Twilio gives one."},"reason":{"name":"reason","nullable":true,"data_type":"text","description":"Reason, where Twilio gives one."},"participant_identity":{"name":"participant_identity","nullable":true,"data_type":"text","description":"Identity of the participant."},"details":{"name":"details","nullable":true,"data_type":"text","description":"Everything else of the element, JSON text."},"_dlt_load_id":{"name":"_dlt_load_id","nullable":false,"data_type":"text","description":"dlt load package that wrote the row."},"_tombstone":{"name":"_tombstone","nullable":true,"data_type":"bool","description":"Always NULL here; carries deletions while loading.","hard_delete":true}},"x-merge-strategy":"delete-insert","x-merge-destination-scope":"conference_sid IN (SELECT conference_sid FROM {staging_table})","write_disposition":"merge","name":"conference_tag_info","resource":"conference_tag_info","x-normalizer":{"seen-data":true}},"conference_tags":{"columns":{"conference_sid":{"name":"conference_sid","nullable":false,"data_type":"text","description":"SID of the conference (CF…).","primary_key":true},"tag":{"name":"tag","nullable":false,"data_type":"text","description":"Detected condition.","primary_key":true},"_dlt_load_id":{"name":"_dlt_load_id","nullable":false,"data_type":"text","description":"dlt load package that wrote the row."},"_tombstone":{"name":"_tombstone","nullable":true,"data_type":"bool","description":"Always NULL here; carries deletions while loading.","hard_delete":true}},"x-merge-strategy":"delete-insert","x-merge-destination-scope":"conference_sid IN (SELECT conference_sid FROM {staging_table})","write_disposition":"merge","name":"conference_tags","resource":"conference_tags","x-normalizer":{"seen-data":true}},"conference_summaries":{"columns":{"conference_sid":{"name":"conference_sid","nullable":false,"data_type":"text","description":"SID of the conference (CF…).","primary_key":true},"account_sid":{"name":"account_sid","nullable":true,"data_type":"text","description":"SID of the account that owns the conference (AC…)."},"friendly_name":{"name":"friendly_name","nullable":true,"data_type":"text","description":"Label given to the conference."},"create_time":{"name":"create_time","nullable":true,"data_type":"timestamp","description":"When the conference was created, UTC.","timezone":false,"precision":6},"start_time":{"name":"start_time","nullable":true,"data_type":"timestamp","description":"When it started, UTC; NULL if it never did.","timezone":false,"precision":6},"end_time":{"name":"end_time","nullable":true,"data_type":"timestamp","description":"When it ended, UTC; NULL while it runs.","timezone":false,"precision":6},"duration_seconds":{"name":"duration_seconds","nullable":true,"data_type":"bigint","description":"Duration of the conference in seconds."},"connect_duration_seconds":{"name":"connect_duration_seconds","nullable":true,"data_type":"bigint","description":"Seconds from start event to end event."},"status":{"name":"status","nullable":true,"data_type":"text","description":"in_progress, not_started, completed or summary_timeout."},"max_participants":{"name":"max_participants","nullable":true,"data_type":"bigint","description":"Most concurrent participants the settings allow."},"max_concurrent_participants":{"name":"max_concurrent_participants","nullable":true,"data_type":"bigint","description":"Most participants at once in fact."},"unique_participants":{"name":"unique_participants","nullable":true,"data_type":"bigint","description":"Distinct participants, told apart by caller ID."},"end_reason":{"name":"end_reason","nullable":true,"data_type":"text","description":"Why it ended, for example last_participant_left."},"ended_by":{"name":"ended_by","nullable":true,"data_type":"text","description":"SID of the call whose participant ended it (CA…)."},"mixer_region":{"name":"mixer_region","nullable":true,"data_type":"text","description":"Region where the media was mixed."},"mixer_region_requested":{"name":"mixer_region_requested","nullable":true,"data_type":"text","description":"Region asked for; NULL if none was."},"recording_enabled":{"name":"recording_enabled","nullable":true,"data_type":"bool","description":"Whether recording was enabled at the mixer."},"processing_state":{"name":"processing_state","nullable":true,"data_type":"text","description":"complete and timeout are final; anything else is pending."},"url":{"name":"url","nullable":true,"data_type":"text","description":"URL of the summary."},"links":{"name":"links","nullable":true,"data_type":"text","description":"URLs of nested resources, JSON text."},"fetched_at":{"name":"fetched_at","nullable":false,"data_type":"timestamp","description":"When this copy arrived, UTC.","timezone":false,"precision":6},"row_digest":{"name":"row_digest","nullable":false,"data_type":"bigint","description":"64-bit digest of what was received."},"extra_fields":{"name":"extra_fields","nullable":true,"data_type":"text","description":"Unknown fields and misfit values, JSON text."},"_dlt_load_id":{"name":"_dlt_load_id","nullable":false,"data_type":"text","description":"dlt load package that wrote the row."}},"x-merge-strategy":"delete-insert","write_disposition":"merge","name":"conference_summaries","resource":"conference_summaries","x-normalizer":{"seen-data":true}},"_dlt_pipeline_state":{"columns":{"version":{"name":"version","data_type":"bigint","nullable":false,"description":"Numeric version of the pipeline state"},"engine_version":{"name":"engine_version","data_type":"bigint","nullable":false,"description":"Version of the dlt state engine"},"pipeline_name":{"name":"pipeline_name","data_type":"text","nullable":false,"description":"Name of the pipeline this state belongs to"},"state":{"name":"state","data_type":"text","nullable":false,"description":"Compressed JSON representation of the pipeline state"},"created_at":{"name":"created_at","data_type":"timestamp","nullable":false,"description":"Timestamp when this state was created"},"version_hash":{"name":"version_hash","data_type":"text","nullable":true,"description":"Hash of the state content, used to detect changes"},"_dlt_load_id":{"name":"_dlt_load_id","data_type":"text","nullable":false,"precision":64,"description":"Load identifier linking this row to its load operation"},"_dlt_id":{"name":"_dlt_id","data_type":"text","nullable":false,"unique":true,"row_key":true}},"write_disposition":"append","file_format":"preferred","name":"_dlt_pipeline_state","resource":"_dlt_pipeline_state","x-normalizer":{"seen-data":true}}},"settings":{"detections":["iso_timestamp"],"default_hints":{"not_null":["_dlt_id","_dlt_root_id","_dlt_parent_id","_dlt_list_idx","_dlt_load_id"],"parent_key":["_dlt_parent_id"],"root_key":["_dlt_root_id"],"unique":["_dlt_id"],"row_key":["_dlt_id"]}},"normalizers":{"names":"snake_case","json":{"module":"dlt.common.normalizers.json.relational","config":{"max_nesting":0,"propagation":{"tables":{"_rejected_rows":{"_dlt_id":"_dlt_root_id"},"_refetches":{"_dlt_id":"_dlt_root_id"},"conference_detected_issues":{"_dlt_id":"_dlt_root_id"},"conference_tag_info":{"_dlt_id":"_dlt_root_id"},"conference_tags":{"_dlt_id":"_dlt_root_id"},"conference_summaries":{"_dlt_id":"_dlt_root_id"}}}}}},"previous_hashes":["ZtGmZM0jbtK/ZRIK6AyeNZL8EeLdQybGZ4nvz3G0i+4=","Af1IMyt/8LcyDsPv/ZNfV+x/+ycm2jEkhYfAf/he0zw="]}');
CREATE TABLE conference_insights._refetches(
    conference_sid VARCHAR NOT NULL,
    attempts BIGINT NOT NULL,
    last_status BIGINT,
    last_asked_at TIMESTAMP NOT NULL,
    next_due_at TIMESTAMP,
    outcome VARCHAR,
    _dlt_load_id VARCHAR NOT NULL
);
CREATE TABLE conference_insights._rejected_rows(
    row_digest BIGINT NOT NULL,
    reason VARCHAR NOT NULL,
    "row" VARCHAR NOT NULL,
    rejected_at TIMESTAMP NOT NULL,
    run_id VARCHAR,
    _dlt_load_id VARCHAR NOT NULL
);
CREATE TABLE conference_insights._runs(
    run_id VARCHAR NOT NULL,
    command VARCHAR NOT NULL,
    outcome VARCHAR NOT NULL,
    error_class VARCHAR,
    started_at TIMESTAMP NOT NULL,
    ended_at TIMESTAMP,
    "seconds" DOUBLE,
    window_from TIMESTAMP,
    window_to TIMESTAMP,
    pages BIGINT,
    requests BIGINT,
    retries VARCHAR,
    rows_listed BIGINT,
    rows_refetched BIGINT,
    rows_new BIGINT,
    rows_updated BIGINT,
    rows_unchanged BIGINT,
    rows_rejected BIGINT,
    pending_before BIGINT,
    pending_after BIGINT,
    versions VARCHAR
);
INSERT INTO conference_insights._runs VALUES ('6968f185c2f855d4', 'run', 'ok', NULL, '2026-11-24 21:51:30.704477', '2026-11-24 21:51:31.465060', 0.772, '2026-10-21 14:30:00', '2026-11-20 14:30:00', 26, 27, '{}', 4, 0, 4, 0, 0, 0, 0, 1, '{"python": "3.11.7", "conference-insights": "0.1.0", "dlt": "1.31.0", "duckdb": "2.0.0", "pyarrow": "26.0.1"}');
CREATE TABLE conference_insights.conference_detected_issues(
    conference_sid VARCHAR NOT NULL,
    issue VARCHAR NOT NULL,
    issue_count BIGINT,
    _dlt_load_id VARCHAR NOT NULL,
    _tombstone BOOLEAN
);
INSERT INTO conference_insights.conference_detected_issues VALUES ('CF00000000000000000000000000000003', 'call_quality', 0, '1795557090.9156432', NULL);
INSERT INTO conference_insights.conference_detected_issues VALUES ('CF00000000000000000000000000000001', 'call_quality', 1, '1795557090.9156432', NULL);
INSERT INTO conference_insights.conference_detected_issues VALUES ('CF00000000000000000000000000000001', 'participant_behavior', 0, '1795557090.9156432', NULL);
INSERT INTO conference_insights.conference_detected_issues VALUES ('CF00000000000000000000000000000003', 'participant_behavior', 0, '1795557090.9156432', NULL);
CREATE TABLE conference_insights.conference_summaries(
    conference_sid VARCHAR NOT NULL,
    account_sid VARCHAR,
    friendly_name VARCHAR,
    create_time TIMESTAMP,
    start_time TIMESTAMP,
    end_time TIMESTAMP,
    duration_seconds BIGINT,
    connect_duration_seconds BIGINT,
    status VARCHAR,
    max_participants BIGINT,
    max_concurrent_participants BIGINT,
    unique_participants BIGINT,
    end_reason VARCHAR,
    ended_by VARCHAR,
    mixer_region VARCHAR,
    mixer_region_requested VARCHAR,
    recording_enabled BOOLEAN,
    processing_state VARCHAR,
    url VARCHAR,
    links VARCHAR,
    fetched_at TIMESTAMP NOT NULL,
    row_digest BIGINT NOT NULL,
    extra_fields VARCHAR,
    _dlt_load_id VARCHAR NOT NULL
);
INSERT INTO conference_insights.conference_summaries VALUES ('CF00000000000000000000000000000004', 'ACdddddddddddddddddddddddddddddddd', NULL, '2026-11-18 02:30:00', NULL, NULL, NULL, NULL, 'in_progress', 250, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'timeout', 'https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000004', '{"conference_participants":"https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000004/Participants"}', '2026-11-20 14:30:00', -3426402460569018390, NULL, '1795557090.9156432');
INSERT INTO conference_insights.conference_summaries VALUES ('CF00000000000000000000000000000003', 'ACdddddddddddddddddddddddddddddddd', NULL, '2026-11-18 12:30:00', NULL, '2026-11-18 12:40:00', 600, NULL, 'completed', 250, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'complete', 'https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000003', '{"conference_participants":"https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000003/Participants"}', '2026-11-20 14:30:00', -713973335676245119, NULL, '1795557090.9156432');
INSERT INTO conference_insights.conference_summaries VALUES ('CF00000000000000000000000000000001', 'ACdddddddddddddddddddddddddddddddd', NULL, '2026-11-20 13:30:00', NULL, '2026-11-20 13:40:00', 600, NULL, 'completed', 250, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'complete', 'https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000001', '{"conference_participants":"https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000001/Participants"}', '2026-11-20 14:30:00', -5370091958668492923, NULL, '1795557090.9156432');
INSERT INTO conference_insights.conference_summaries VALUES ('CF00000000000000000000000000000002', 'ACdddddddddddddddddddddddddddddddd', NULL, '2026-11-20 09:30:00', NULL, NULL, NULL, NULL, 'in_progress', 250, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'in_progress', 'https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000002', '{"conference_participants":"https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000002/Participants"}', '2026-11-20 14:30:00', 7367000804089171488, NULL, '1795557090.9156432');
CREATE TABLE conference_insights.conference_tag_info(
    conference_sid VARCHAR NOT NULL,
    tag VARCHAR NOT NULL,
    item_index BIGINT NOT NULL,
    severity VARCHAR,
    reason VARCHAR,
    participant_identity VARCHAR,
    details VARCHAR,
    _dlt_load_id VARCHAR NOT NULL,
    _tombstone BOOLEAN
);
INSERT INTO conference_insights.conference_tag_info VALUES ('CF00000000000000000000000000000003', 'duplicate_identity', 0, NULL, NULL, 'client:a', '{"participant_sids":["CP1","CP2"]}', '1795557090.9156432', NULL);
INSERT INTO conference_insights.conference_tag_info VALUES ('CF00000000000000000000000000000001', 'duplicate_identity', 0, NULL, NULL, 'client:a', '{"participant_sids":["CP1","CP2"]}', '1795557090.9156432', NULL);
CREATE TABLE conference_insights.conference_tags(
    conference_sid VARCHAR NOT NULL,
    tag VARCHAR NOT NULL,
    _dlt_load_id VARCHAR NOT NULL,
    _tombstone BOOLEAN
);
INSERT INTO conference_insights.conference_tags VALUES ('CF00000000000000000000000000000003', 'duplicate_identity', '1795557090.9156432', NULL);
INSERT INTO conference_insights.conference_tags VALUES ('CF00000000000000000000000000000003', 'high_jitter', '1795557090.9156432', NULL);
INSERT INTO conference_insights.conference_tags VALUES ('CF00000000000000000000000000000001', 'duplicate_identity', '1795557090.9156432', NULL);
INSERT INTO conference_insights.conference_tags VALUES ('CF00000000000000000000000000000001', 'high_jitter', '1795557090.9156432', NULL);
CREATE VIEW analytics.completeness_by_day AS SELECT CAST(s.create_time AS DATE) AS created_date, CAST(count_star() AS BIGINT) AS conferences, CAST(sum(CASE  WHEN ((s.processing_state = 'complete')) THEN (1) ELSE 0 END) AS BIGINT) AS complete, CAST(sum(CASE  WHEN ((s.processing_state = 'timeout')) THEN (1) ELSE 0 END) AS BIGINT) AS timed_out, CAST(sum(CASE  WHEN ((s.processing_state IN ('complete', 'timeout'))) THEN (0) ELSE 1 END) AS BIGINT) AS pending FROM conference_insights.conference_summaries AS s GROUP BY CAST(s.create_time AS DATE);
CREATE VIEW analytics.conference_end_reasons AS SELECT s.end_reason, s.processing_state, CAST(count_star() AS BIGINT) AS conferences, CAST(count(s.duration_seconds) AS BIGINT) AS conferences_with_duration, CAST(sum(s.duration_seconds) AS BIGINT) AS duration_seconds FROM conference_insights.conference_summaries AS s GROUP BY s.end_reason, s.processing_state;
CREATE VIEW analytics.conference_tag_trends AS SELECT CAST(s.create_time AS DATE) AS created_date, t.tag, CAST(count_star() AS BIGINT) AS tagged_conferences, CAST(max(d.conferences) AS BIGINT) AS conferences FROM conference_insights.conference_tags AS t INNER JOIN conference_insights.conference_summaries AS s ON ((s.conference_sid = t.conference_sid)) INNER JOIN analytics.completeness_by_day AS d ON ((d.created_date IS NOT DISTINCT FROM CAST(s.create_time AS DATE))) GROUP BY CAST(s.create_time AS DATE), t.tag;
