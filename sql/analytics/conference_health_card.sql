-- What was wrong with a conference: the card that support opens by its SID.
-- Grain: one row per conference.
-- Promise: every conference in the warehouse, once. A finding is counted once, by whatever Twilio
--   tells of it: a tag such as `quality_warnings`, and the count of issues, stand for the tags that
--   say what it was; region tags and a region other than requested are one, and so are the tags of a
--   failed start. Worst come first by `severity_rank`, then `participants_touched`, then `findings`.
-- NULL: `severity` where nothing was found; `severities`, `reasons` and `duplicate_identities` where
--   Twilio gave none; the participants where Twilio was not asked for them yet, or had none to show:
--   `participants_state` says which.
-- Caveats: the card of a pending conference may still get findings, and participants are listed once
--   it is final. What is high or low follows the thresholds in participants, which are no findings.
--   Twilio states few severities; what it says nothing of ranks with medium, above low.
-- Ask: Which conferences of the last week were the worst?
--   SELECT h.conference_sid, h.friendly_name, h.severity, h.participants_touched, h.findings, h.tags,
--       h.reasons
--   FROM analytics.conference_health_card AS h, analytics.data_as_of AS d
--   WHERE h.create_time >= d.as_of - INTERVAL '7' DAY AND h.findings > 0
--   ORDER BY h.severity_rank DESC, h.participants_touched DESC, h.findings DESC
--   LIMIT 10;
-- Ask: Of how many conferences are the participants loaded, and why not of the others?
--   SELECT participants_state, count(*) AS conferences, min(create_time) AS oldest
--   FROM analytics.conference_health_card
--   GROUP BY participants_state
--   ORDER BY conferences DESC;
WITH texts AS (
    SELECT DISTINCT i.conference_sid, 'severity' AS topic, i.tag || ': ' || i.severity AS words
    FROM conference_insights.conference_tag_info AS i
    WHERE i.severity IS NOT NULL
    UNION ALL
    SELECT DISTINCT i.conference_sid, 'reason' AS topic, i.tag || ': ' || i.reason AS words
    FROM conference_insights.conference_tag_info AS i
    WHERE i.reason IS NOT NULL
    UNION ALL
    SELECT DISTINCT i.conference_sid, 'identity' AS topic, i.participant_identity AS words
    FROM conference_insights.conference_tag_info AS i
    WHERE i.tag = 'duplicate_identity' AND i.participant_identity IS NOT NULL
),
-- An ordered string_agg takes much memory, so it is left to the few with more than two.
ends AS (
    SELECT
        s.conference_sid,
        s.topic,
        count(*) AS text_count,
        min(s.words) AS first_words,
        max(s.words) AS last_words
    FROM texts AS s
    GROUP BY s.conference_sid, s.topic
),
many AS (
    SELECT s.conference_sid, s.topic, string_agg(s.words, ', ' ORDER BY s.words NULLS FIRST) AS words
    FROM texts AS s
    INNER JOIN ends AS e ON e.conference_sid = s.conference_sid AND e.topic = s.topic
    WHERE e.text_count > 2
    GROUP BY s.conference_sid, s.topic
),
lists AS (
    SELECT
        e.conference_sid,
        e.topic,
        CASE
            WHEN e.text_count = 1 THEN e.first_words
            WHEN e.text_count = 2 THEN e.first_words || ', ' || e.last_words
            ELSE m.words
        END AS words
    FROM ends AS e
    LEFT JOIN many AS m ON m.conference_sid = e.conference_sid AND m.topic = e.topic
),
details AS (
    SELECT
        l.conference_sid,
        max(CASE WHEN l.topic = 'severity' THEN l.words END) AS severities,
        max(CASE WHEN l.topic = 'reason' THEN l.words END) AS reasons,
        max(CASE WHEN l.topic = 'identity' THEN l.words END) AS duplicate_identities
    FROM lists AS l
    GROUP BY l.conference_sid
),
stated AS (
    SELECT
        i.conference_sid,
        max(
            CASE lower(i.severity) WHEN 'high' THEN 3 WHEN 'medium' THEN 2 WHEN 'low' THEN 1 END
        ) AS severity_stated
    FROM conference_insights.conference_tag_info AS i
    GROUP BY i.conference_sid
),
-- 1 for what was found; `named` are the tags that say what it was.
flags AS (
    SELECT
        c.*,
        CASE WHEN c.has_quality_warnings THEN 1 ELSE 0 END AS quality_tag,
        CASE WHEN c.has_high_packet_loss THEN 1 ELSE 0 END
        + CASE WHEN c.has_high_jitter THEN 1 ELSE 0 END
        + CASE WHEN c.has_high_latency THEN 1 ELSE 0 END
        + CASE WHEN c.has_low_mos THEN 1 ELSE 0 END AS quality_named,
        CASE WHEN c.has_quality_problem THEN 1 ELSE 0 END AS quality_any,
        CASE WHEN c.has_region_configuration_issues THEN 1 ELSE 0 END
        + CASE WHEN c.has_invalid_requested_region THEN 1 ELSE 0 END AS region_tags,
        CASE WHEN c.has_region_problem OR c.is_region_mismatch THEN 1 ELSE 0 END AS region_any,
        CASE WHEN c.has_participant_behavior_issues THEN 1 ELSE 0 END AS behavior_tag,
        CASE WHEN c.has_detected_silence THEN 1 ELSE 0 END
        + CASE WHEN c.has_duplicate_identity THEN 1 ELSE 0 END AS behavior_named,
        CASE WHEN c.has_behavior_problem THEN 1 ELSE 0 END AS behavior_any,
        CASE WHEN c.has_start_failure THEN 1 ELSE 0 END
        + CASE WHEN c.has_no_concurrent_participants THEN 1 ELSE 0 END AS start_tags,
        CASE WHEN c.has_start_failure OR c.has_no_concurrent_participants THEN 1 ELSE 0 END
            AS start_any,
        CASE WHEN c.is_timeout THEN 1 ELSE 0 END AS timeout_any,
        CASE WHEN c.other_issue_count > 0 THEN 1 ELSE 0 END AS other_issue
    FROM analytics.conferences AS c
),
counted AS (
    SELECT
        f.*,
        greatest(f.quality_named, f.quality_any) AS quality_findings,
        f.region_any AS region_findings,
        greatest(f.behavior_named, f.behavior_any) AS behavior_findings,
        f.start_any + f.timeout_any
        + greatest(
            f.tag_count - f.quality_tag - f.quality_named - f.region_tags - f.behavior_tag
            - f.behavior_named - f.start_tags,
            f.other_issue
        ) AS other_findings
    FROM flags AS f
)
SELECT
    c.conference_sid,
    c.account_sid,
    c.account_name,
    c.friendly_name,
    c.create_time,
    c.start_time,
    c.end_time,
    c.created_date,
    c.status,
    c.processing_state,
    c.completeness,
    c.is_not_started,
    c.is_timeout,
    c.duration_seconds,
    c.end_reason,
    c.ended_by,
    c.unique_participants,
    c.max_concurrent_participants,
    c.max_participants,
    c.mixer_region,
    c.mixer_region_requested,
    c.is_region_mismatch,
    c.call_quality_issue_count,
    c.region_configuration_issue_count,
    c.participant_behavior_issue_count,
    c.tags,
    d.severities,
    d.reasons,
    d.duplicate_identities,
    CASE
        WHEN c.quality_findings + c.region_findings + c.behavior_findings + c.other_findings > 0
            THEN CASE s.severity_stated
                WHEN 3 THEN 'high' WHEN 2 THEN 'medium' WHEN 1 THEN 'low' ELSE 'not stated'
            END
    END AS severity,
    CAST(
        CASE
            WHEN c.quality_findings + c.region_findings + c.behavior_findings + c.other_findings > 0
                THEN coalesce(s.severity_stated, 2)
            ELSE 0
        END AS BIGINT
    ) AS severity_rank,
    CAST(
        CASE
            WHEN c.region_findings + c.other_findings = 0
                AND c.quality_findings + c.behavior_findings = 0 THEN 0
            WHEN c.region_findings + c.other_findings = 0 AND w.poor_or_silent > 0
                THEN w.poor_or_silent
            ELSE coalesce(c.unique_participants, w.participants, 0)
        END AS BIGINT
    ) AS participants_touched,
    CAST(
        c.quality_findings + c.region_findings + c.behavior_findings + c.other_findings AS BIGINT
    ) AS findings,
    CAST(c.quality_findings AS BIGINT) AS quality_findings,
    CAST(c.region_findings AS BIGINT) AS region_findings,
    CAST(c.behavior_findings AS BIGINT) AS behavior_findings,
    CAST(c.other_findings AS BIGINT) AS other_findings,
    CASE WHEN l.last_status = 200 THEN coalesce(w.participants, 0) ELSE w.participants END
        AS participants,
    CASE WHEN l.last_status = 200 THEN coalesce(w.poor_participants, 0) ELSE w.poor_participants END
        AS poor_participants,
    w.participant_list,
    CASE
        WHEN l.last_status = 200 AND l.unfinished > 0 THEN 'unfinished'
        WHEN l.last_status = 200 THEN 'listed'
        WHEN l.last_status = 404 THEN 'not_found'
        WHEN l.parent_key IS NOT NULL THEN 'failed'
        WHEN c.completeness = 'pending' THEN 'pending'
        ELSE 'not_listed'
    END AS participants_state
FROM counted AS c
LEFT JOIN stated AS s ON s.conference_sid = c.conference_sid
LEFT JOIN details AS d ON d.conference_sid = c.conference_sid
LEFT JOIN analytics.stg_participant_lists AS w ON w.conference_sid = c.conference_sid
LEFT JOIN conference_insights._listings AS l
    ON l.parent_key = c.conference_sid AND l.resource = 'participants'
