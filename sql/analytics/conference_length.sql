-- How long are conferences: median and 90th percentile of a day.
-- Grain: one row per account and day of creation on which a conference with a duration was created.
-- Promise: final conferences only; percentiles are exact, interpolated between two neighbours.
-- NULL: `created_date` where Twilio gave no creation time.
-- Caveats: percentiles do not add up: for other groups take the quantile of `duration_seconds` in
--   conferences. Mean: sum(total_seconds) / sum(conferences_with_duration).
-- Ask: How long was a typical conference, day by day?
--   SELECT account_name, created_date, median_seconds / 60 AS median_minutes,
--       p90_seconds / 60 AS p90_minutes
--   FROM analytics.conference_length
--   ORDER BY account_name, created_date;
-- Ask: What are the median and the 90th percentile of the last 30 days?
--   SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY c.duration_seconds) AS median_seconds,
--       percentile_cont(0.9) WITHIN GROUP (ORDER BY c.duration_seconds) AS p90_seconds
--   FROM analytics.conferences AS c, analytics.data_as_of AS d
--   WHERE c.completeness = 'final' AND c.create_time >= d.as_of - INTERVAL '30' DAY;
WITH ranked AS (
    SELECT
        c.account_sid,
        c.account_name,
        c.created_date,
        c.duration_seconds,
        row_number() OVER (
            PARTITION BY c.account_sid, c.created_date ORDER BY c.duration_seconds NULLS FIRST
        ) - 1 AS pos,
        count(*) OVER (PARTITION BY c.account_sid, c.created_date) - 1 AS last_pos
    FROM analytics.conferences AS c
    WHERE c.completeness = 'final' AND c.duration_seconds IS NOT NULL
)
SELECT
    r.account_sid,
    r.account_name,
    r.created_date,
    CAST(count(*) AS BIGINT) AS conferences_with_duration,
    CAST(sum(r.duration_seconds) AS BIGINT) AS total_seconds,
    CAST(
        sum(r.duration_seconds * greatest(0.0, 1.0 - abs(r.pos - 0.5 * r.last_pos)))
        AS DOUBLE
    ) AS median_seconds,
    CAST(
        sum(r.duration_seconds * greatest(0.0, 1.0 - abs(r.pos - 0.9 * r.last_pos)))
        AS DOUBLE
    ) AS p90_seconds,
    CAST(max(r.duration_seconds) AS BIGINT) AS max_seconds
FROM ranked AS r
GROUP BY r.account_sid, r.account_name, r.created_date
