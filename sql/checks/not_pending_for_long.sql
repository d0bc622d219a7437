-- warn: A conference is still pending 30 hours after its end; Twilio needs 24 at most.
SELECT c.conference_sid, c.end_time
FROM analytics.stg_conferences AS c
CROSS JOIN analytics.stg_as_of AS d
LEFT JOIN conference_insights.accounts AS a ON a.account_sid = c.account_sid
WHERE c.completeness = 'pending' AND c.end_time < d.as_of_hour - INTERVAL '30' HOUR
    AND (a.left_at IS NULL OR a.left_at >= d.as_of - INTERVAL '1' DAY)
