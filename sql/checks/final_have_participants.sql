-- warn: Participants were not listed, and Twilio deletes them in 3 days or has: see participants.md.
-- Means: Participants are loaded, but those of some final conferences were never listed, and
--   Twilio keeps them 30 days only. `lost_at` is when it deletes them, or did.
-- Do: raise SOURCES__TWILIO_INSIGHTS__PARTICIPANT_REQUESTS, or run more often, until
--   `conference-insights status` has none waiting. What is already lost stays without participants,
--   and the check forgets it after 30 more days.
SELECT c.conference_sid, c.lost_at
FROM (
    SELECT
        s.conference_sid,
        s.account_sid,
        'participants' AS resource,
        coalesce(s.create_time, s.fetched_at) + INTERVAL 'retention_days' DAY AS lost_at
    FROM analytics.stg_conferences AS s
    LEFT JOIN conference_insights._listings AS l
        ON l.parent_key = s.conference_sid AND l.resource = 'participants'
    WHERE s.completeness = 'final' AND l.parent_key IS NULL
) AS c
CROSS JOIN analytics.stg_as_of AS d
INNER JOIN (
    -- No row where none was ever listed. Joined by equality, so that no conference is read then.
    SELECT
        f.resource,
        min(f.listed_at) AS first_listed_at
    FROM conference_insights._listings AS f
    WHERE f.resource = 'participants'
    GROUP BY f.resource
) AS f
    ON f.resource = c.resource
CROSS JOIN (
    -- Participants may have been switched off.
    SELECT
        max(r.started_at) AS started_at,
        max(CASE WHEN r.resources LIKE '%"participants"%' THEN r.started_at END) AS listing_at
    FROM conference_insights._runs AS r
) AS o
LEFT JOIN conference_insights.accounts AS a ON a.account_sid = c.account_sid
WHERE c.lost_at >= f.first_listed_at
    AND c.lost_at < d.as_of + INTERVAL '3' DAY
    AND c.lost_at >= d.as_of - INTERVAL 'retention_days' DAY
    AND o.listing_at >= o.started_at - INTERVAL '3' DAY
    AND (a.left_at IS NULL OR a.left_at >= d.as_of - INTERVAL '1' DAY)
