-- What was wrong with a conference: the card that support opens by its SID.
-- Grain: one row per conference.
-- Promise: every conference in the warehouse, once; the more `findings`, the more was wrong.
-- NULL: `severities`, `reasons` and `duplicate_identities` where Twilio gave none; the participants
--   where Twilio was not asked for them yet, or had none to show: `participants_state` says which.
-- Caveats: the card of a pending conference may still get findings, and participants are listed once
--   it is final. What is high or low follows the thresholds in participants, which are no findings.
-- Ask: Which conferences of the last week had the most findings?
--   SELECT h.conference_sid, h.friendly_name, h.findings, h.tags, h.severities, h.reasons
--   FROM analytics.conference_health_card AS h, analytics.data_as_of AS d
--   WHERE h.create_time >= d.as_of - INTERVAL '7' DAY
--   ORDER BY h.findings DESC
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
    CAST(
        c.tag_count + coalesce(c.call_quality_issue_count, 0)
        + coalesce(c.region_configuration_issue_count, 0)
        + coalesce(c.participant_behavior_issue_count, 0) + coalesce(c.other_issue_count, 0)
        + CASE WHEN c.is_region_mismatch THEN 1 ELSE 0 END
        + CASE WHEN c.is_timeout THEN 1 ELSE 0 END AS BIGINT
    ) AS findings,
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
FROM analytics.conferences AS c
LEFT JOIN details AS d ON d.conference_sid = c.conference_sid
LEFT JOIN analytics.stg_participant_lists AS w ON w.conference_sid = c.conference_sid
LEFT JOIN conference_insights._listings AS l
    ON l.parent_key = c.conference_sid AND l.resource = 'participants'
