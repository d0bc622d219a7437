-- Until when is everything loaded?
-- Grain: one row.
-- Promise: everything created before `as_of` that Twilio showed is loaded, whatever became of the
--   last runs; of several accounts, the one furthest behind counts. An account that was last
--   loaded 30 days before another one no longer counts.
-- NULL: all but `last_good_run_at` before a scheduled run has loaded something.
-- Caveats: the other views look at the full hour, `as_of_hour`, so that they change once an hour
--   when nothing new is loaded.
WITH runs AS (
    SELECT
        r.loaded_to,
        row_number() OVER (
            PARTITION BY r.account_sid ORDER BY r.started_at DESC NULLS LAST
        ) AS runs_ago
    FROM conference_insights._runs AS r
    WHERE r.loaded_to IS NOT NULL
),
latest AS (
    SELECT max(n.loaded_to) AS loaded_to
    FROM runs AS n
    WHERE n.runs_ago = 1
),
known AS (
    SELECT min(n.loaded_to) AS as_of
    FROM runs AS n
    CROSS JOIN latest AS l
    WHERE n.runs_ago = 1 AND n.loaded_to >= l.loaded_to - INTERVAL 'retention_days' DAY
),
good AS (
    SELECT max(r.ended_at) AS last_good_run_at
    FROM conference_insights._runs AS r
    WHERE r.outcome IN ('ok', 'pending') AND r.command <> 'backfill'
)
SELECT
    k.as_of,
    date_trunc('hour', k.as_of) AS as_of_hour,
    coalesce(h.local_hour, date_trunc('hour', k.as_of)) AS as_of_local_hour,
    CAST(coalesce(h.local_hour, k.as_of) AS DATE) AS as_of_date,
    g.last_good_run_at
FROM known AS k
CROSS JOIN good AS g
LEFT JOIN conference_insights._report_hours AS h
    ON h.utc_hour = date_trunc('hour', k.as_of)
