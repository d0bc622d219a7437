-- warn: An undocumented field or value was seen in the last day; it is loaded.
SELECT r.started_at, r.drift
FROM conference_insights._runs AS r
CROSS JOIN (
    SELECT max(l.started_at) AS started_at
    FROM conference_insights._runs AS l
) AS latest
WHERE r.drift IS NOT NULL AND r.started_at >= latest.started_at - INTERVAL '24' HOUR
