-- warn: Twilio deleted conferences that no run had listed in time.
SELECT r.gap_from, r.gap_to
FROM conference_insights._runs AS r
CROSS JOIN analytics.stg_as_of AS a
WHERE r.gap_from IS NOT NULL AND r.gap_to >= a.as_of - INTERVAL '60' DAY
