-- warn: An element that could not be loaded was received in the last day; see _rejected_rows.
SELECT j.reason, j.rejected_at
FROM conference_insights._rejected_rows AS j
CROSS JOIN analytics.stg_as_of AS a
WHERE j.rejected_at >= a.as_of - INTERVAL '24' HOUR
