-- Until when is everything loaded?
-- Grain: one row.
-- Promise: everything created before `as_of` was listed completely by a run that ended well, or
--   by the one that is under way.
-- NULL: never in a warehouse that a run has loaded.
-- Caveats: the other views look at the full hour, `as_of_hour`, so that they change once an hour
--   when nothing new is loaded.
WITH listed AS (
    SELECT
        max(CASE WHEN r.outcome IN ('ok', 'stopped', 'running') THEN r.window_to END) AS as_of,
        max(CASE WHEN r.outcome = 'ok' THEN r.ended_at END) AS last_good_run_at
    FROM conference_insights._runs AS r
    WHERE r.command <> 'backfill'
),
fetched AS (
    SELECT max(s.fetched_at) AS as_of
    FROM conference_insights.conference_summaries AS s
),
known AS (
    SELECT coalesce(l.as_of, f.as_of) AS as_of, l.last_good_run_at
    FROM listed AS l
    CROSS JOIN fetched AS f
)
SELECT
    k.as_of,
    date_trunc('hour', k.as_of) AS as_of_hour,
    coalesce(h.local_hour, date_trunc('hour', k.as_of)) AS as_of_local_hour,
    CAST(coalesce(h.local_hour, k.as_of) AS DATE) AS as_of_date,
    k.last_good_run_at
FROM known AS k
LEFT JOIN conference_insights._report_hours AS h
    ON h.utc_hour = date_trunc('hour', k.as_of)
