-- What did participants do, and when: mute, hold, coaching and the like?
-- Grain: one row per participant and event.
-- Promise: every event in the warehouse, once, of whatever kind.
-- NULL: `seconds_after_join` where Twilio gave no time of joining.
-- Caveats: a participant without events has no row here; `event_index` counts the events of a kind,
--   not all of a participant.
-- Ask: What happened in a conference, in order?
--   SELECT occurred_at, participant_sid, event, seconds_after_join
--   FROM analytics.participant_events
--   WHERE conference_sid = 'CF…'
--   ORDER BY occurred_at, participant_sid;
-- Ask: Which events are the most frequent, by the kind of call?
--   SELECT event, call_type, count(*) AS events, count(DISTINCT participant_sid) AS participants
--   FROM analytics.participant_events
--   GROUP BY event, call_type
--   ORDER BY events DESC;
SELECT
    e.participant_sid,
    p.conference_sid,
    s.account_sid,
    s.account_name,
    CAST(s.created_hour AS DATE) AS created_date,
    p.call_type,
    p.country_code,
    e.event,
    e.event_index,
    e.occurred_at,
    CAST(
        date_diff('day', CAST(p.join_time AS DATE), CAST(e.occurred_at AS DATE)) * 86400
        + (extract(hour FROM e.occurred_at) - extract(hour FROM p.join_time)) * 3600
        + (extract(minute FROM e.occurred_at) - extract(minute FROM p.join_time)) * 60
        + floor(extract(second FROM e.occurred_at)) - floor(extract(second FROM p.join_time))
        AS BIGINT
    ) AS seconds_after_join
FROM conference_insights.conference_participant_events AS e
INNER JOIN conference_insights.conference_participants AS p
    ON p.participant_sid = e.participant_sid
INNER JOIN analytics.stg_conferences AS s ON s.conference_sid = p.conference_sid
