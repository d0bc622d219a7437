-- A warehouse as the version with a staging schema left it: two packages completed, then a run that was killed
-- in the merge of a third: of its tables two are merged, and all of it is in the staging schema.
CREATE SCHEMA conference_insights;
CREATE SCHEMA conference_insights_staging;
CREATE SCHEMA analytics;
CREATE TABLE conference_insights._dlt_loads(
    load_id VARCHAR NOT NULL,
    schema_name VARCHAR,
    status BIGINT NOT NULL,
    inserted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    schema_version_hash VARCHAR
);
INSERT INTO conference_insights._dlt_loads VALUES
    ('1795703005.5953221', 'twilio_insights', 0, '2026-11-26 14:23:30.197783+00', 'mtG+aBNL0uVOSCxAKXSkGfIEvXWgxzPlPiH6rCKYkcI='),
    ('1795703021.786303', 'twilio_insights', 0, '2026-11-26 14:23:44.288102+00', 'mtG+aBNL0uVOSCxAKXSkGfIEvXWgxzPlPiH6rCKYkcI=');
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
INSERT INTO conference_insights._dlt_pipeline_state VALUES
    (1, 4, 'conference_insights', 'eNqFkVFLwzAUhf/KyKvdSDsZWNjDqBYURcT5MEVCmty2cWlSk3Sljv1306pYJszzeO6Xc+8he0Ssow7IDowVWqE4DH4sUIVQo8l5gDh11IIjilaAYsS0ysGAYkCEsqIonUUBqkUNsn95krKshIoOjEXxC3KtkEL/Eq9+G+S0kY6MUB93DPacdUJR568krqt7iEs3G9l2xhu25dkR/JWoGil96e+epKS29AlVVcDZ9frm/v1DP3RXd4+r5LJLNl32lOrdrWEyqxUuLtLF22bZ19GNYX2T/Z8DvcWNyN0wo8VkOckMVZwoaP2eJMWnNUeHALX+Q0xFzXaIWyX8H/ngCEeLaRhOI7wOw3iOY4yf0cHrEy+SrRU=', '2026-11-26 14:23:27.310942+00', 'mmge+ITJOqzoQyEMSACDyCYybUFovLrclbpn0g9F6jY=', '1795703005.5953221', 'ePCp/85Sijhv+A'),
    (2, 4, 'conference_insights', 'eNqFkVFLwzAUhf/KyKvdbNMysLAH2dhA9EXmg4qEtEnbsPS2JDfrdOy/m1bFMmGex3O/nHsPORJmkaNke2msaoCkNPixJJQKRpMkIIIjtxIZ8FqSlOQNFNJIyCVTYFVZoSUBaVUrdf/yImXzStZ8YCxJXwl2Sqvml3jz22TBnUY2Qn3cOdhzFhVw9FcyfG97SGicjWw7Ey7fiewM/koEp7Uv/d2TVdxWPuHJPGz2h2z1jI/zyLrDKhYJGri519tsLT7cFUWzuYbiLkoWfZ3GmbxvcvxzoLeEUQUOM15OFpPMcBAMZOf3LNfhZcXkFJDOf4ipudkNcbdL8Y98MA3pfBpFUxpuI5rGYRqGL+Tk9Qnibayn', '2026-11-26 14:23:42.246381+00', 'UrMGvxbDYtR61suxD3d4trn9LlTbFdzu+2trG/nfJ14=', '1795703021.786303', 'eQ3kad6YfKXcUw'),
    (3, 4, 'conference_insights', 'eNqFkV9LwzAUxb/KyHM301bUFfYwChNEkPnvoUNC2qRNaJqW5HZVxr67SVUsE+Z5vPeXc88hB0QsUOBkz42VrUZJHPyMuK6knmwuA8QoUMuBaNpwlKCi1SU3XBecSG1lJcCiAHWy48q/PEvZQvCGjoxFyQ7BIJVsf4k3d42XtFdAJqizOwU9Z0FqCi4lgY/OQ0zBYjK2C9YXNctP4C9H3SvlSn/3JIJa4VNnOpN3y/L6VSzX+ct2exE/ygdRbgze46ap3p+y+/omTW9xu/J12t4UvsnhT0A3YkaWMO5oNVvNckM1I5oP7k66wecVo2OABvchpqGmHu3WKftHzjjC0dU8DOcRfg7jJMYJxhk6On0CcT2sHQ==', '2026-11-26 14:24:05.995572+00', 'cZnZiJ9f7Vh9AbUQQ/3RiOhfFr0v0mmgxSZLk8CCG0o=', '1795703045.3318334', 'pIJwtcT/G9Q51w');
CREATE TABLE conference_insights._dlt_version(
    "version" BIGINT NOT NULL,
    engine_version BIGINT NOT NULL,
    inserted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    schema_name VARCHAR NOT NULL,
    version_hash VARCHAR NOT NULL,
    "schema" VARCHAR NOT NULL
);
INSERT INTO conference_insights._dlt_version VALUES
    (2, 11, '2026-11-26 14:23:29.381429+00', 'twilio_insights', 'mtG+aBNL0uVOSCxAKXSkGfIEvXWgxzPlPiH6rCKYkcI=', '{"version":2,"version_hash":"mtG+aBNL0uVOSCxAKXSkGfIEvXWgxzPlPiH6rCKYkcI=","engine_version":11,"name":"twilio_insights","tables":{"_dlt_version":{"name":"_dlt_version","columns":{"version":{"name":"version","data_type":"bigint","nullable":false,"description":"Numeric version of the schema, incremented on each schema change"},"engine_version":{"name":"engine_version","data_type":"bigint","nullable":false,"description":"Version of the dlt schema engine that created this schema"},"inserted_at":{"name":"inserted_at","data_type":"timestamp","nullable":false,"description":"Timestamp when this schema version was stored"},"schema_name":{"name":"schema_name","data_type":"text","nullable":false,"description":"Name of the schema"},"version_hash":{"name":"version_hash","data_type":"text","nullable":false,"description":"Unique hash of the schema content, used to detect changes"},"schema":{"name":"schema","data_type":"text","nullable":false,"description":"JSON representation of the complete schema definition"}},"write_disposition":"skip","resource":"_dlt_version","description":"Created by DLT. Tracks schema updates"},"_dlt_loads":{"name":"_dlt_loads","columns":{"load_id":{"name":"load_id","data_type":"text","nullable":false,"precision":64,"description":"Unique identifier of the load operation"},"schema_name":{"name":"schema_name","data_type":"text","nullable":true,"description":"Name of the schema associated with this load"},"status":{"name":"status","data_type":"bigint","nullable":false,"description":"Status of the load operation (0 = success)"},"inserted_at":{"name":"inserted_at","data_type":"timestamp","nullable":false,"description":"Timestamp when the load was completed"},"schema_version_hash":{"name":"schema_version_hash","data_type":"text","nullable":true,"description":"Hash of the schema version used during this load"}},"write_disposition":"skip","resource":"_dlt_loads","description":"Created by DLT. Tracks completed loads"},"_rejected_rows":{"columns":{"row_digest":{"name":"row_digest","nullable":false,"data_type":"bigint","description":"64-bit digest of what was received.","primary_key":true},"reason":{"name":"reason","nullable":false,"data_type":"text","description":"Why it could not be loaded."},"row":{"name":"row","nullable":false,"data_type":"text","description":"The element, whole, JSON text."},"rejected_at":{"name":"rejected_at","nullable":false,"data_type":"timestamp","timezone":false,"precision":6,"description":"When it arrived, UTC."},"run_id":{"name":"run_id","nullable":true,"data_type":"text","description":"Run that met it first."},"_dlt_load_id":{"name":"_dlt_load_id","nullable":false,"data_type":"text","description":"dlt load package that wrote the row."}},"x-merge-strategy":"delete-insert","write_disposition":"merge","name":"_rejected_rows","resource":"_rejected_rows","x-normalizer":{"seen-data":true}},"_refetches":{"columns":{"conference_sid":{"name":"conference_sid","nullable":false,"data_type":"text","description":"SID of the conference (CF…).","primary_key":true},"attempts":{"name":"attempts","nullable":false,"data_type":"bigint","description":"404 answers in a row."},"last_status":{"name":"last_status","nullable":true,"data_type":"bigint","description":"HTTP status of the last answer."},"last_asked_at":{"name":"last_asked_at","nullable":false,"data_type":"timestamp","timezone":false,"precision":6,"description":"When it was asked last, UTC."},"next_due_at":{"name":"next_due_at","nullable":true,"data_type":"timestamp","timezone":false,"precision":6,"description":"Not asked again before, UTC; NULL: no waiting."},"outcome":{"name":"outcome","nullable":true,"data_type":"text","description":"gone: 404; expired: too old to ask; unconfirmed: see README; NULL: back."},"_dlt_load_id":{"name":"_dlt_load_id","nullable":false,"data_type":"text","description":"dlt load package that wrote the row."}},"x-merge-strategy":"delete-insert","write_disposition":"merge","name":"_refetches","resource":"_refetches","x-normalizer":{"seen-data":true}},"conference_detected_issues":{"columns":{"conference_sid":{"name":"conference_sid","nullable":false,"data_type":"text","description":"SID of the conference (CF…).","primary_key":true},"issue":{"name":"issue","nullable":false,"data_type":"text","description":"Kind of issue.","primary_key":true},"issue_count":{"name":"issue_count","nullable":true,"data_type":"bigint","description":"Instances detected; 0 is reported too."},"_dlt_load_id":{"name":"_dlt_load_id","nullable":false,"data_type":"text","description":"dlt load package that wrote the row."},"_tombstone":{"name":"_tombstone","nullable":true,"data_type":"bool","hard_delete":true,"description":"Always NULL here; carries deletions while loading."}},"x-merge-strategy":"delete-insert","x-merge-destination-scope":"conference_sid IN (SELECT conference_sid FROM {staging_table})","write_disposition":"merge","name":"conference_detected_issues","resource":"conference_detected_issues","x-normalizer":{"seen-data":true}},"conference_tag_info":{"columns":{"conference_sid":{"name":"conference_sid","nullable":false,"data_type":"text","description":"SID of the conference (CF…).","primary_key":true},"tag":{"name":"tag","nullable":false,"data_type":"text","description":"Tag that the details belong to.","primary_key":true},"item_index":{"name":"item_index","nullable":false,"data_type":"bigint","description":"Position in the list; 0 for one object.","primary_key":true},"severity":{"name":"severity","nullable":true,"data_type":"text","description":"Severity, where Twilio gives one."},"reason":{"name":"reason","nullable":true,"data_type":"text","description":"Reason, where Twilio gives one."},"participant_identity":{"name":"participant_identity","nullable":true,"data_type":"text","description":"Identity of the participant."},"details":{"name":"details","nullable":true,"data_type":"text","description":"Everything else of the element, JSON text."},"_dlt_load_id":{"name":"_dlt_load_id","nullable":false,"data_type":"text","description":"dlt load package that wrote the row."},"_tombstone":{"name":"_tombstone","nullable":true,"data_type":"bool","hard_delete":true,"description":"Always NULL here; carries deletions while loading."}},"x-merge-strategy":"delete-insert","x-merge-destination-scope":"conference_sid IN (SELECT conference_sid FROM {staging_table})","write_disposition":"merge","name":"conference_tag_info","resource":"conference_tag_info","x-normalizer":{"seen-data":true}},"conference_tags":{"columns":{"conference_sid":{"name":"conference_sid","nullable":false,"data_type":"text","description":"SID of the conference (CF…).","primary_key":true},"tag":{"name":"tag","nullable":false,"data_type":"text","description":"Detected condition.","primary_key":true},"_dlt_load_id":{"name":"_dlt_load_id","nullable":false,"data_type":"text","description":"dlt load package that wrote the row."},"_tombstone":{"name":"_tombstone","nullable":true,"data_type":"bool","hard_delete":true,"description":"Always NULL here; carries deletions while loading."}},"x-merge-strategy":"delete-insert","x-merge-destination-scope":"conference_sid IN (SELECT conference_sid FROM {staging_table})","write_disposition":"merge","name":"conference_tags","resource":"conference_tags","x-normalizer":{"seen-data":true}},"conference_summaries":{"columns":{"conference_sid":{"name":"conference_sid","nullable":false,"data_type":"text","description":"SID of the conference (CF…).","primary_key":true},"account_sid":{"name":"account_sid","nullable":true,"data_type":"text","description":"SID of the account that owns the conference (AC…)."},"friendly_name":{"name":"friendly_name","nullable":true,"data_type":"text","description":"Label given to the conference."},"create_time":{"name":"create_time","nullable":true,"data_type":"timestamp","timezone":false,"precision":6,"description":"When the conference was created, UTC."},"start_time":{"name":"start_time","nullable":true,"data_type":"timestamp","timezone":false,"precision":6,"description":"When it started, UTC; NULL if it never did."},"end_time":{"name":"end_time","nullable":true,"data_type":"timestamp","timezone":false,"precision":6,"description":"When it ended, UTC; NULL while it runs."},"duration_seconds":{"name":"duration_seconds","nullable":true,"data_type":"bigint","description":"Duration of the conference in seconds."},"connect_duration_seconds":{"name":"connect_duration_seconds","nullable":true,"data_type":"bigint","description":"Seconds from start event to end event."},"status":{"name":"status","nullable":true,"data_type":"text","description":"What became of it."},"max_participants":{"name":"max_participants","nullable":true,"data_type":"bigint","description":"Most concurrent participants the settings allow."},"max_concurrent_participants":{"name":"max_concurrent_participants","nullable":true,"data_type":"bigint","description":"Most participants at once in fact."},"unique_participants":{"name":"unique_participants","nullable":true,"data_type":"bigint","description":"Distinct participants, told apart by caller ID."},"end_reason":{"name":"end_reason","nullable":true,"data_type":"text","description":"Why it ended; NULL while it runs, or if it never started."},"ended_by":{"name":"ended_by","nullable":true,"data_type":"text","description":"SID of the call whose participant ended it (CA…)."},"mixer_region":{"name":"mixer_region","nullable":true,"data_type":"text","description":"Region where the media was mixed."},"mixer_region_requested":{"name":"mixer_region_requested","nullable":true,"data_type":"text","description":"Region asked for; NULL if none was."},"recording_enabled":{"name":"recording_enabled","nullable":true,"data_type":"bool","description":"Whether recording was enabled at the mixer."},"processing_state":{"name":"processing_state","nullable":true,"data_type":"text","description":"complete and timeout are final; anything else is pending."},"url":{"name":"url","nullable":true,"data_type":"text","description":"URL of the summary."},"links":{"name":"links","nullable":true,"data_type":"text","description":"URLs of nested resources, JSON text."},"fetched_at":{"name":"fetched_at","nullable":false,"data_type":"timestamp","timezone":false,"precision":6,"description":"When this copy arrived, UTC."},"row_digest":{"name":"row_digest","nullable":false,"data_type":"bigint","description":"64-bit digest of what was received."},"extra_fields":{"name":"extra_fields","nullable":true,"data_type":"text","description":"Unknown fields and misfit values, JSON text."},"_dlt_load_id":{"name":"_dlt_load_id","nullable":false,"data_type":"text","description":"dlt load package that wrote the row."}},"x-merge-strategy":"delete-insert","write_disposition":"merge","name":"conference_summaries","resource":"conference_summaries","x-normalizer":{"seen-data":true}},"_dlt_pipeline_state":{"columns":{"version":{"name":"version","data_type":"bigint","nullable":false,"description":"Numeric version of the pipeline state"},"engine_version":{"name":"engine_version","data_type":"bigint","nullable":false,"description":"Version of the dlt state engine"},"pipeline_name":{"name":"pipeline_name","data_type":"text","nullable":false,"description":"Name of the pipeline this state belongs to"},"state":{"name":"state","data_type":"text","nullable":false,"description":"Compressed JSON representation of the pipeline state"},"created_at":{"name":"created_at","data_type":"timestamp","nullable":false,"description":"Timestamp when this state was created"},"version_hash":{"name":"version_hash","data_type":"text","nullable":true,"description":"Hash of the state content, used to detect changes"},"_dlt_load_id":{"name":"_dlt_load_id","data_type":"text","nullable":false,"precision":64,"description":"Load identifier linking this row to its load operation"},"_dlt_id":{"name":"_dlt_id","data_type":"text","nullable":false,"unique":true,"row_key":true}},"write_disposition":"append","file_format":"preferred","name":"_dlt_pipeline_state","resource":"_dlt_pipeline_state","x-normalizer":{"seen-data":true}}},"settings":{"detections":["iso_timestamp"],"default_hints":{"not_null":["_dlt_id","_dlt_root_id","_dlt_parent_id","_dlt_list_idx","_dlt_load_id"],"parent_key":["_dlt_parent_id"],"root_key":["_dlt_root_id"],"unique":["_dlt_id"],"row_key":["_dlt_id"]}},"normalizers":{"names":"snake_case","json":{"module":"dlt.common.normalizers.json.relational","config":{"max_nesting":0,"propagation":{"tables":{"_rejected_rows":{"_dlt_id":"_dlt_root_id"},"_refetches":{"_dlt_id":"_dlt_root_id"},"conference_detected_issues":{"_dlt_id":"_dlt_root_id"},"conference_tag_info":{"_dlt_id":"_dlt_root_id"},"conference_tags":{"_dlt_id":"_dlt_root_id"},"conference_summaries":{"_dlt_id":"_dlt_root_id"}}}}}},"previous_hashes":["lMZL6nlWGeJnWaA4mhEc7BV0dwfmjGN+DCzmHJBQFUo=","/rYOZBP/9KqrlbuB7Q7rSeXxo8eAY6hwyJny15Y9MUM="]}');
CREATE TABLE conference_insights._refetches(
    conference_sid VARCHAR NOT NULL,
    attempts BIGINT NOT NULL,
    last_status BIGINT,
    last_asked_at TIMESTAMP NOT NULL,
    next_due_at TIMESTAMP,
    outcome VARCHAR,
    _dlt_load_id VARCHAR NOT NULL
);
INSERT INTO conference_insights._refetches VALUES
    ('CF00000000000000000000000000000002', 2, 404, '2026-11-20 13:30:00', '2026-11-20 15:30:00', 'gone', '1795703045.3318334');
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
    account_sid VARCHAR,
    loaded_to TIMESTAMP,
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
    final_changed VARCHAR,
    unreadable VARCHAR,
    drift VARCHAR,
    gap_from TIMESTAMP,
    gap_to TIMESTAMP,
    left_package VARCHAR,
    load_ids VARCHAR,
    versions VARCHAR
);
INSERT INTO conference_insights._runs VALUES
    ('496b10edc2454409', 'run', 'ok', NULL, '2026-11-26 14:23:23.393649', '2026-11-26 14:23:39.428163', 16.035, '2026-10-21 11:30:00', '2026-11-20 11:30:00', 'ACdddddddddddddddddddddddddddddddd', '2026-11-20 11:30:00', 20, 21, NULL, 4, 0, 4, 0, 0, 0, 0, 2, NULL, NULL, '{"tag = brand_new": "CF00000000000000000000000000000003"}', NULL, NULL, NULL, '["1795703005.5953221"]', '{"python": "3.11.7", "conference-insights": "0.1.0", "dlt": "1.31.0", "duckdb": "2.0.0", "pyarrow": "26.0.1"}'),
    ('7d2c98ffc7f24421', 'run', 'running', NULL, '2026-11-26 14:24:03.836926', NULL, 4.134, '2026-11-18 12:30:00', '2026-11-20 13:30:00', 'ACdddddddddddddddddddddddddddddddd', '2026-11-20 12:30:00', 2, 4, NULL, 7, 1, 4, 1, 2, 0, 2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '["1795703045.3318334"]', '{"python": "3.11.7", "conference-insights": "0.1.0", "dlt": "1.31.0", "duckdb": "2.0.0", "pyarrow": "26.0.1"}'),
    ('909738b663184d9c', 'run', 'ok', NULL, '2026-11-26 14:23:40.810124', '2026-11-26 14:23:49.922823', 9.113, '2026-11-18 11:30:00', '2026-11-20 12:30:00', 'ACdddddddddddddddddddddddddddddddd', '2026-11-20 12:30:00', 2, 4, NULL, 3, 1, 1, 0, 2, 0, 2, 2, NULL, NULL, NULL, NULL, NULL, NULL, '["1795703021.786303"]', '{"python": "3.11.7", "conference-insights": "0.1.0", "dlt": "1.31.0", "duckdb": "2.0.0", "pyarrow": "26.0.1"}');
CREATE TABLE conference_insights.conference_detected_issues(
    conference_sid VARCHAR NOT NULL,
    issue VARCHAR NOT NULL,
    issue_count BIGINT,
    _dlt_load_id VARCHAR NOT NULL,
    _tombstone BOOLEAN
);
INSERT INTO conference_insights.conference_detected_issues VALUES
    ('CF00000000000000000000000000000001', 'call_quality', 1, '1795703005.5953221', NULL),
    ('CF00000000000000000000000000000001', 'participant_behavior', 0, '1795703005.5953221', NULL),
    ('CF00000000000000000000000000000003', 'call_quality', 0, '1795703005.5953221', NULL),
    ('CF00000000000000000000000000000003', 'participant_behavior', 0, '1795703005.5953221', NULL),
    ('CF00000000000000000000000000000004', 'call_quality', 1, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000004', 'participant_behavior', 0, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000005', 'call_quality', 2, '1795703021.786303', NULL),
    ('CF00000000000000000000000000000005', 'participant_behavior', 0, '1795703021.786303', NULL),
    ('CF00000000000000000000000000000006', 'call_quality', 0, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000006', 'participant_behavior', 0, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000007', 'call_quality', 1, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000007', 'participant_behavior', 0, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000008', 'call_quality', 2, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000008', 'participant_behavior', 0, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000009', 'call_quality', 0, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000009', 'participant_behavior', 0, '1795703045.3318334', NULL);
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
INSERT INTO conference_insights.conference_summaries VALUES
    ('CF00000000000000000000000000000001', 'ACdddddddddddddddddddddddddddddddd', NULL, '2026-11-18 02:30:00', NULL, '2026-11-18 02:40:00', 600, NULL, 'completed', 250, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'complete', 'https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000001', '{"conference_participants":"https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000001/Participants"}', '2026-11-20 11:30:00', 7044676289597597106, NULL, '1795703005.5953221'),
    ('CF00000000000000000000000000000002', 'ACdddddddddddddddddddddddddddddddd', NULL, '2026-11-18 12:30:00', NULL, NULL, NULL, NULL, 'in_progress', 250, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'in_progress', 'https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000002', '{"conference_participants":"https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000002/Participants"}', '2026-11-20 11:30:00', -7890517729597305535, NULL, '1795703005.5953221'),
    ('CF00000000000000000000000000000003', 'ACdddddddddddddddddddddddddddddddd', NULL, '2026-11-19 18:30:00', NULL, '2026-11-19 18:40:00', 600, NULL, 'completed', 250, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'complete', 'https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000003', '{"conference_participants":"https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000003/Participants"}', '2026-11-20 11:30:00', 6848530551070400120, NULL, '1795703005.5953221'),
    ('CF00000000000000000000000000000004', 'ACdddddddddddddddddddddddddddddddd', NULL, '2026-11-20 04:30:00', NULL, NULL, NULL, NULL, 'in_progress', 250, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'in_progress', 'https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000004', '{"conference_participants":"https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000004/Participants"}', '2026-11-20 11:30:00', -4661226726805194930, NULL, '1795703005.5953221'),
    ('CF00000000000000000000000000000005', 'ACdddddddddddddddddddddddddddddddd', NULL, '2026-11-20 11:30:00', NULL, '2026-11-20 11:40:00', 600, NULL, 'completed', 250, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'complete', 'https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000005', '{"conference_participants":"https://insights.twilio.com/v1/Conferences/CF00000000000000000000000000000005/Participants"}', '2026-11-20 12:30:00', -7597359022189965699, NULL, '1795703021.786303');
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
INSERT INTO conference_insights.conference_tag_info VALUES
    ('CF00000000000000000000000000000001', 'high_jitter', 0, 'low', NULL, NULL, NULL, '1795703005.5953221', NULL),
    ('CF00000000000000000000000000000003', 'duplicate_identity', 0, NULL, NULL, 'client:a', '{"participant_sids":["CP1","CP2"]}', '1795703005.5953221', NULL),
    ('CF00000000000000000000000000000004', 'high_jitter', 0, 'low', NULL, NULL, NULL, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000005', 'high_jitter', 0, 'low', NULL, NULL, NULL, '1795703021.786303', NULL),
    ('CF00000000000000000000000000000006', 'high_jitter', 0, 'low', NULL, NULL, NULL, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000007', 'high_jitter', 0, 'low', NULL, NULL, NULL, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000008', 'high_jitter', 0, 'low', NULL, NULL, NULL, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000009', 'high_jitter', 0, 'low', NULL, NULL, NULL, '1795703045.3318334', NULL);
CREATE TABLE conference_insights.conference_tags(
    conference_sid VARCHAR NOT NULL,
    tag VARCHAR NOT NULL,
    _dlt_load_id VARCHAR NOT NULL,
    _tombstone BOOLEAN
);
INSERT INTO conference_insights.conference_tags VALUES
    ('CF00000000000000000000000000000001', 'high_jitter', '1795703005.5953221', NULL),
    ('CF00000000000000000000000000000003', 'brand_new', '1795703005.5953221', NULL),
    ('CF00000000000000000000000000000005', 'high_jitter', '1795703021.786303', NULL);
CREATE TABLE conference_insights_staging._dlt_version(
    "version" BIGINT NOT NULL,
    engine_version BIGINT NOT NULL,
    inserted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    schema_name VARCHAR NOT NULL,
    version_hash VARCHAR NOT NULL,
    "schema" VARCHAR NOT NULL
);
INSERT INTO conference_insights_staging._dlt_version FROM conference_insights._dlt_version;
CREATE TABLE conference_insights_staging._refetches(
    conference_sid VARCHAR NOT NULL,
    attempts BIGINT NOT NULL,
    last_status BIGINT,
    last_asked_at TIMESTAMP NOT NULL,
    next_due_at TIMESTAMP,
    outcome VARCHAR,
    _dlt_load_id VARCHAR NOT NULL
);
INSERT INTO conference_insights_staging._refetches VALUES
    ('CF00000000000000000000000000000002', 2, 404, '2026-11-20 13:30:00', '2026-11-20 15:30:00', 'gone', '1795703045.3318334');
CREATE TABLE conference_insights_staging._rejected_rows(
    row_digest BIGINT NOT NULL,
    reason VARCHAR NOT NULL,
    "row" VARCHAR NOT NULL,
    rejected_at TIMESTAMP NOT NULL,
    run_id VARCHAR,
    _dlt_load_id VARCHAR NOT NULL
);
CREATE TABLE conference_insights_staging.conference_detected_issues(
    conference_sid VARCHAR NOT NULL,
    issue VARCHAR NOT NULL,
    issue_count BIGINT,
    _dlt_load_id VARCHAR NOT NULL,
    _tombstone BOOLEAN
);
INSERT INTO conference_insights_staging.conference_detected_issues VALUES
    ('CF00000000000000000000000000000004', 'call_quality', 1, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000004', 'participant_behavior', 0, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000006', 'call_quality', 0, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000006', 'participant_behavior', 0, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000007', 'call_quality', 1, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000007', 'participant_behavior', 0, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000008', 'call_quality', 2, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000008', 'participant_behavior', 0, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000009', 'call_quality', 0, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000009', 'participant_behavior', 0, '1795703045.3318334', NULL);
CREATE TABLE conference_insights_staging.conference_summaries(
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
CREATE TABLE conference_insights_staging.conference_tag_info(
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
INSERT INTO conference_insights_staging.conference_tag_info VALUES
    ('CF00000000000000000000000000000004', 'high_jitter', 0, 'low', NULL, NULL, NULL, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000006', 'high_jitter', 0, 'low', NULL, NULL, NULL, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000007', 'high_jitter', 0, 'low', NULL, NULL, NULL, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000008', 'high_jitter', 0, 'low', NULL, NULL, NULL, '1795703045.3318334', NULL),
    ('CF00000000000000000000000000000009', 'high_jitter', 0, 'low', NULL, NULL, NULL, '1795703045.3318334', NULL);
CREATE TABLE conference_insights_staging.conference_tags(
    conference_sid VARCHAR NOT NULL,
    tag VARCHAR NOT NULL,
    _dlt_load_id VARCHAR NOT NULL,
    _tombstone BOOLEAN
);
