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
        max(CASE WHEN t.tag = 'each_tag' THEN 1 ELSE 0 END) AS each_tag,
        CAST(count(*) AS BIGINT) AS tag_count
    FROM conference_insights.conference_tags AS t
    GROUP BY t.conference_sid
),
other_tags AS (
    SELECT
        o.conference_sid,
        string_agg(', ' || o.tag, '' ORDER BY o.tag NULLS FIRST) AS tags
    FROM conference_insights.conference_tags AS o
    WHERE o.tag IS NOT NULL
        AND o.tag <> 'each_tag'
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
        coalesce(t.each_tag, 0) AS each_tag,
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
    j.account_name,
    j.friendly_name,
    j.create_time,
    j.start_time,
    j.end_time,
    j.created_hour,
    j.created_date,
    weekday_of(j.created_date) AS weekday,
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
        WHEN j.unique_participants < 2 THEN '00-01'
        WHEN j.unique_participants < 3 THEN '02'
        WHEN j.unique_participants < 6 THEN '03-05'
        WHEN j.unique_participants < 21 THEN '06-20'
        WHEN j.unique_participants >= 21 THEN '21+'
    END AS size_bucket,
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
            ''
            || CASE WHEN j.each_sorted_tag = 1 THEN ', each_sorted_tag' ELSE '' END
            || coalesce(j.other_tags, ''),
            3
        ),
        ''
    ) AS tags,
    CASE WHEN j.each_tag = 1 THEN TRUE ELSE FALSE END AS has_each_tag,
    j.call_quality AS call_quality_issue_count,
    j.region_configuration AS region_configuration_issue_count,
    j.participant_behavior AS participant_behavior_issue_count,
    CAST(
        j.all_kinds - coalesce(j.call_quality, 0) - coalesce(j.region_configuration, 0)
        - coalesce(j.participant_behavior, 0) AS BIGINT
    ) AS other_issue_count,
    j.fetched_at
FROM judged AS j
