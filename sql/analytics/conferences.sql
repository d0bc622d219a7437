-- Everything about a conference in one row: where most BI work starts.
-- Grain: one row per conference.
-- Promise: every conference in the warehouse, once; each documented tag is a boolean, and all
--   tags, also undocumented ones, are in `tags`.
-- NULL: what Twilio did not give; an issue count is NULL where Twilio reported none of the kind.
-- Caveats: Twilio sets tags and issues when a summary is final, so a false flag of a pending
--   conference says nothing yet: filter on completeness = 'final'.
-- Ask: How many conferences had quality problems, by region?
--   SELECT mixer_region, count(*) AS conferences,
--       sum(CASE WHEN has_quality_problem THEN 1 ELSE 0 END) AS with_quality_problem
--   FROM analytics.conferences
--   WHERE completeness = 'final'
--   GROUP BY mixer_region
--   ORDER BY conferences DESC;
-- Ask: What were the longest conferences of the last seven days?
--   SELECT conference_sid, friendly_name, create_time, duration_seconds, tags
--   FROM analytics.conferences AS c, analytics.data_as_of AS d
--   WHERE c.create_time >= d.as_of - INTERVAL '7' DAY
--   ORDER BY duration_seconds DESC NULLS LAST
--   LIMIT 10;
WITH tags AS (
    SELECT
        t.conference_sid,
        CAST(count(*) AS BIGINT) AS tag_count,
        max(CASE WHEN t.tag = 'quality_warnings' THEN 1 ELSE 0 END) AS quality_warnings,
        max(CASE WHEN t.tag = 'high_packet_loss' THEN 1 ELSE 0 END) AS high_packet_loss,
        max(CASE WHEN t.tag = 'high_jitter' THEN 1 ELSE 0 END) AS high_jitter,
        max(CASE WHEN t.tag = 'high_latency' THEN 1 ELSE 0 END) AS high_latency,
        max(CASE WHEN t.tag = 'low_mos' THEN 1 ELSE 0 END) AS low_mos,
        max(CASE WHEN t.tag = 'region_configuration_issues' THEN 1 ELSE 0 END)
            AS region_configuration_issues,
        max(CASE WHEN t.tag = 'invalid_requested_region' THEN 1 ELSE 0 END)
            AS invalid_requested_region,
        max(CASE WHEN t.tag = 'participant_behavior_issues' THEN 1 ELSE 0 END)
            AS participant_behavior_issues,
        max(CASE WHEN t.tag = 'detected_silence' THEN 1 ELSE 0 END) AS detected_silence,
        max(CASE WHEN t.tag = 'duplicate_identity' THEN 1 ELSE 0 END) AS duplicate_identity,
        max(CASE WHEN t.tag = 'start_failure' THEN 1 ELSE 0 END) AS start_failure,
        max(CASE WHEN t.tag = 'no_concurrent_participants' THEN 1 ELSE 0 END)
            AS no_concurrent_participants
    FROM conference_insights.conference_tags AS t
    GROUP BY t.conference_sid
),
other_tags AS (
    SELECT
        o.conference_sid,
        string_agg(', ' || o.tag, '' ORDER BY o.tag NULLS FIRST) AS tags
    FROM conference_insights.conference_tags AS o
    WHERE o.tag NOT IN (
        'detected_silence',
        'duplicate_identity',
        'high_jitter',
        'high_latency',
        'high_packet_loss',
        'invalid_requested_region',
        'low_mos',
        'no_concurrent_participants',
        'participant_behavior_issues',
        'quality_warnings',
        'region_configuration_issues',
        'start_failure'
    )
    GROUP BY o.conference_sid
),
issues AS (
    SELECT
        i.conference_sid,
        CAST(sum(CASE WHEN i.issue = 'call_quality' THEN i.issue_count END) AS BIGINT)
            AS call_quality,
        CAST(sum(CASE WHEN i.issue = 'region_configuration' THEN i.issue_count END) AS BIGINT)
            AS region_configuration,
        CAST(sum(CASE WHEN i.issue = 'participant_behavior' THEN i.issue_count END) AS BIGINT)
            AS participant_behavior,
        CAST(sum(i.issue_count) AS BIGINT) AS all_kinds
    FROM conference_insights.conference_detected_issues AS i
    GROUP BY i.conference_sid
),
joined AS (
    SELECT
        c.*,
        CAST(c.created_hour AS DATE) AS created_date,
        t.tag_count,
        o.tags AS other_tags,
        coalesce(t.quality_warnings, 0) AS quality_warnings,
        coalesce(t.high_packet_loss, 0) AS high_packet_loss,
        coalesce(t.high_jitter, 0) AS high_jitter,
        coalesce(t.high_latency, 0) AS high_latency,
        coalesce(t.low_mos, 0) AS low_mos,
        coalesce(t.region_configuration_issues, 0) AS region_configuration_issues,
        coalesce(t.invalid_requested_region, 0) AS invalid_requested_region,
        coalesce(t.participant_behavior_issues, 0) AS participant_behavior_issues,
        coalesce(t.detected_silence, 0) AS detected_silence,
        coalesce(t.duplicate_identity, 0) AS duplicate_identity,
        coalesce(t.start_failure, 0) AS start_failure,
        coalesce(t.no_concurrent_participants, 0) AS no_concurrent_participants,
        i.call_quality,
        i.region_configuration,
        i.participant_behavior,
        i.all_kinds
    FROM analytics.stg_conferences AS c
    LEFT JOIN tags AS t ON t.conference_sid = c.conference_sid
    LEFT JOIN other_tags AS o ON o.conference_sid = c.conference_sid
    LEFT JOIN issues AS i ON i.conference_sid = c.conference_sid
),
judged AS (
    SELECT
        j.*,
        CASE
            WHEN j.quality_warnings + j.high_packet_loss + j.high_jitter + j.high_latency
                + j.low_mos + coalesce(j.call_quality, 0) > 0 THEN 1
            ELSE 0
        END AS quality_problem,
        CASE
            WHEN j.region_configuration_issues + j.invalid_requested_region
                + coalesce(j.region_configuration, 0) > 0 THEN 1
            ELSE 0
        END AS region_problem,
        CASE
            WHEN j.participant_behavior_issues + j.detected_silence + j.duplicate_identity
                + coalesce(j.participant_behavior, 0) > 0 THEN 1
            ELSE 0
        END AS behavior_problem
    FROM joined AS j
)
SELECT
    j.conference_sid,
    j.account_sid,
    j.friendly_name,
    j.create_time,
    j.start_time,
    j.end_time,
    j.created_hour,
    j.created_date,
    CAST((date_diff('day', DATE '2024-01-01', j.created_date) % 7 + 7) % 7 + 1 AS INTEGER)
        AS weekday,
    CAST(extract(hour FROM j.created_hour) AS INTEGER) AS hour_of_day,
    j.status,
    j.processing_state,
    j.completeness,
    CASE WHEN j.status = 'not_started' THEN TRUE ELSE FALSE END AS is_not_started,
    CASE
        WHEN j.processing_state = 'timeout' OR j.status = 'summary_timeout' THEN TRUE
        ELSE FALSE
    END AS is_timeout,
    j.end_reason,
    j.ended_by,
    j.duration_seconds,
    j.connect_duration_seconds,
    CASE
        WHEN j.duration_seconds < 60 THEN '00-01 min'
        WHEN j.duration_seconds < 300 THEN '01-05 min'
        WHEN j.duration_seconds < 900 THEN '05-15 min'
        WHEN j.duration_seconds < 3600 THEN '15-60 min'
        WHEN j.duration_seconds >= 3600 THEN '60+ min'
    END AS length_bucket,
    j.max_participants,
    j.max_concurrent_participants,
    j.unique_participants,
    CASE
        WHEN j.max_concurrent_participants >= j.max_participants THEN TRUE ELSE FALSE
    END AS is_at_maximum,
    j.mixer_region,
    j.mixer_region_requested,
    CASE WHEN j.mixer_region <> j.mixer_region_requested THEN TRUE ELSE FALSE END
        AS is_region_mismatch,
    j.recording_enabled,
    CASE
        WHEN j.quality_problem + j.region_problem + j.behavior_problem > 0 THEN TRUE ELSE FALSE
    END AS has_problem,
    CASE WHEN j.quality_problem = 1 THEN TRUE ELSE FALSE END AS has_quality_problem,
    CASE WHEN j.region_problem = 1 THEN TRUE ELSE FALSE END AS has_region_problem,
    CASE WHEN j.behavior_problem = 1 THEN TRUE ELSE FALSE END AS has_behavior_problem,
    coalesce(j.tag_count, 0) AS tag_count,
    nullif(
        substring(
            CASE WHEN j.detected_silence = 1 THEN ', detected_silence' ELSE '' END
            || CASE WHEN j.duplicate_identity = 1 THEN ', duplicate_identity' ELSE '' END
            || CASE WHEN j.high_jitter = 1 THEN ', high_jitter' ELSE '' END
            || CASE WHEN j.high_latency = 1 THEN ', high_latency' ELSE '' END
            || CASE WHEN j.high_packet_loss = 1 THEN ', high_packet_loss' ELSE '' END
            || CASE WHEN j.invalid_requested_region = 1 THEN ', invalid_requested_region' ELSE '' END
            || CASE WHEN j.low_mos = 1 THEN ', low_mos' ELSE '' END
            || CASE WHEN j.no_concurrent_participants = 1 THEN ', no_concurrent_participants' ELSE '' END
            || CASE WHEN j.participant_behavior_issues = 1 THEN ', participant_behavior_issues' ELSE '' END
            || CASE WHEN j.quality_warnings = 1 THEN ', quality_warnings' ELSE '' END
            || CASE WHEN j.region_configuration_issues = 1 THEN ', region_configuration_issues' ELSE '' END
            || CASE WHEN j.start_failure = 1 THEN ', start_failure' ELSE '' END
            || coalesce(j.other_tags, ''),
            3
        ),
        ''
    ) AS tags,
    CASE WHEN j.quality_warnings = 1 THEN TRUE ELSE FALSE END AS has_quality_warnings,
    CASE WHEN j.high_packet_loss = 1 THEN TRUE ELSE FALSE END AS has_high_packet_loss,
    CASE WHEN j.high_jitter = 1 THEN TRUE ELSE FALSE END AS has_high_jitter,
    CASE WHEN j.high_latency = 1 THEN TRUE ELSE FALSE END AS has_high_latency,
    CASE WHEN j.low_mos = 1 THEN TRUE ELSE FALSE END AS has_low_mos,
    CASE WHEN j.region_configuration_issues = 1 THEN TRUE ELSE FALSE END
        AS has_region_configuration_issues,
    CASE WHEN j.invalid_requested_region = 1 THEN TRUE ELSE FALSE END
        AS has_invalid_requested_region,
    CASE WHEN j.participant_behavior_issues = 1 THEN TRUE ELSE FALSE END
        AS has_participant_behavior_issues,
    CASE WHEN j.detected_silence = 1 THEN TRUE ELSE FALSE END AS has_detected_silence,
    CASE WHEN j.duplicate_identity = 1 THEN TRUE ELSE FALSE END AS has_duplicate_identity,
    CASE WHEN j.start_failure = 1 THEN TRUE ELSE FALSE END AS has_start_failure,
    CASE WHEN j.no_concurrent_participants = 1 THEN TRUE ELSE FALSE END
        AS has_no_concurrent_participants,
    j.call_quality AS call_quality_issue_count,
    j.region_configuration AS region_configuration_issue_count,
    j.participant_behavior AS participant_behavior_issue_count,
    CAST(
        j.all_kinds - coalesce(j.call_quality, 0) - coalesce(j.region_configuration, 0)
        - coalesce(j.participant_behavior, 0) AS BIGINT
    ) AS other_issue_count,
    j.fetched_at
FROM judged AS j
