-- warn: A conference is still pending 30 hours after its end; Twilio needs 24 at most.
SELECT c.conference_sid, c.end_time
FROM analytics.stg_conferences AS c
CROSS JOIN analytics.stg_as_of AS a
WHERE c.completeness = 'pending' AND c.end_time < a.as_of_hour - INTERVAL '30' HOUR
