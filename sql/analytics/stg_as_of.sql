-- Until when is everything loaded?
-- Grain: one row.
-- Promise: everything created before `as_of` that Twilio showed is loaded, whatever became of the
--   last runs. Of several accounts the one furthest behind counts. One that is no longer followed, or
--   that Twilio refuses, counts only where all are so; one that was never listed, or was last listed
--   30 days before another one, does not.
-- NULL: `filters` where there are none; all others but `last_good_run_at` before a scheduled run has
--   loaded something.
-- Caveats: the other views look at the full hour, `as_of_hour`, so that they change once an hour
--   when nothing new is loaded. Runs of versions before `accounts` count for the accounts that are
--   not in there.
WITH former AS (
    SELECT
        r.account_sid,
        r.loaded_to,
        row_number() OVER (
            PARTITION BY r.account_sid ORDER BY r.started_at DESC NULLS LAST
        ) AS runs_ago
    FROM conference_insights._runs AS r
    WHERE r.loaded_to IS NOT NULL AND r.accounts IS NULL
),
reached AS (
    SELECT
        coalesce(a.listed_to, f.loaded_to) AS listed_to,
        CASE WHEN a.left_at IS NOT NULL OR a.error_class = 'RefusedError' THEN 1 ELSE 0 END
            AS is_given_up
    FROM conference_insights.accounts AS a
    FULL JOIN former AS f ON f.account_sid = a.account_sid
    WHERE coalesce(f.runs_ago, 1) = 1
),
ranked AS (
    SELECT n.listed_to, rank() OVER (ORDER BY n.is_given_up NULLS FIRST) AS pos
    FROM reached AS n
    WHERE n.listed_to IS NOT NULL
),
latest AS (
    SELECT max(n.listed_to) AS listed_to
    FROM ranked AS n
    WHERE n.pos = 1
),
known AS (
    SELECT min(n.listed_to) AS as_of
    FROM ranked AS n
    CROSS JOIN latest AS l
    WHERE n.pos = 1 AND n.listed_to >= l.listed_to - INTERVAL 'retention_days' DAY
),
scheduled AS (
    SELECT
        r.filters,
        row_number() OVER (ORDER BY r.started_at DESC NULLS LAST) AS runs_ago
    FROM conference_insights._runs AS r
    WHERE r.outcome IN ('ok', 'pending', 'running')
        AND r.command NOT IN ('backfill', 'reconcile', 'erase')
),
filtered AS (
    SELECT max(CASE WHEN s.runs_ago = 1 THEN s.filters END) AS filters
    FROM scheduled AS s
),
treated AS (
    SELECT
        r.personal_data,
        row_number() OVER (ORDER BY r.started_at DESC NULLS LAST) AS runs_ago
    FROM conference_insights._runs AS r
    WHERE r.personal_data IS NOT NULL
),
treatment AS (
    SELECT coalesce(max(CASE WHEN t.runs_ago = 1 THEN t.personal_data END), 'keep')
        AS personal_data
    FROM treated AS t
),
good AS (
    SELECT max(r.ended_at) AS last_good_run_at
    FROM conference_insights._runs AS r
    WHERE r.outcome IN ('ok', 'pending')
        AND r.command NOT IN ('backfill', 'reconcile', 'erase')
)
SELECT
    k.as_of,
    date_trunc('hour', k.as_of) AS as_of_hour,
    coalesce(h.local_hour, date_trunc('hour', k.as_of)) AS as_of_local_hour,
    CAST(coalesce(h.local_hour, k.as_of) AS DATE) AS as_of_date,
    g.last_good_run_at,
    f.filters,
    t.personal_data
FROM known AS k
CROSS JOIN good AS g
CROSS JOIN filtered AS f
CROSS JOIN treatment AS t
LEFT JOIN conference_insights._report_hours AS h
    ON h.utc_hour = date_trunc('hour', k.as_of)
