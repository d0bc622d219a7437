-- warn: A conference is still pending 30 hours after its end; Twilio needs 24 at most.
-- Means: Twilio finishes a summary, or gives it up as `timeout`, within 24 hours of the end of
--   the conference. A longer wait means that it does not answer for this conference, or that runs
--   do not ask. Tags, issues and lengths of it are missing.
-- Do: look whether runs end well, `conference-insights status`. Then look at the conference,
--   `conference-insights show CF…`, and ask again by `conference-insights backfill --conference
--   CF…`. If it stays pending, send the SID to Twilio's support; 30 days after its creation it
--   becomes `expired` and is no longer named here.
SELECT c.conference_sid, c.end_time
FROM analytics.stg_conferences AS c
CROSS JOIN analytics.stg_as_of AS d
LEFT JOIN conference_insights.accounts AS a ON a.account_sid = c.account_sid
WHERE c.completeness = 'pending' AND c.end_time < d.as_of_hour - INTERVAL '30' HOUR
    AND (a.left_at IS NULL OR a.left_at >= d.as_of - INTERVAL '1' DAY)
