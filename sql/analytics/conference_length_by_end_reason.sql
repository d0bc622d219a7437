-- How long are conferences, by the reason of their end?
-- Grain: one row per account, length of the period (`period_days`) and end reason of which there were
--   conferences with a duration.
-- Promise: final conferences of the last 1, 7, 15 and 30 full days before the day of `data_as_of`;
--   percentiles are exact, interpolated between two neighbours.
-- NULL: `end_reason` of those that never started.
-- Caveats: percentiles do not add up: filter on one `period_days`, and for other periods or groups
--   take the quantile of `duration_seconds` in conferences.
-- Ask: How long were the conferences of the last 30 days, by end reason?
--   SELECT account_name, end_reason, conferences_with_duration, p10_seconds, median_seconds,
--       p90_seconds, p99_seconds
--   FROM analytics.conference_length_by_end_reason
--   WHERE period_days = 30
--   ORDER BY account_name, conferences_with_duration DESC;
WITH lengths AS (
    SELECT 1 AS period_days
    UNION ALL
    SELECT 7 AS period_days
    UNION ALL
    SELECT 15 AS period_days
    UNION ALL
    SELECT 30 AS period_days
),
ranked AS (
    SELECT
        c.account_sid,
        c.account_name,
        l.period_days,
        a.as_of_date - CAST(l.period_days AS INTEGER) AS period_from,
        a.as_of_date AS period_to,
        c.end_reason,
        c.duration_seconds,
        row_number() OVER (
            PARTITION BY c.account_sid, l.period_days, c.end_reason
            ORDER BY c.duration_seconds NULLS FIRST
        ) - 1 AS pos,
        count(*) OVER (PARTITION BY c.account_sid, l.period_days, c.end_reason) - 1 AS last_pos
    FROM analytics.conferences AS c
    CROSS JOIN analytics.stg_as_of AS a
    CROSS JOIN lengths AS l
    WHERE c.completeness = 'final' AND c.duration_seconds IS NOT NULL
        AND c.created_date >= a.as_of_date - CAST(l.period_days AS INTEGER)
        AND c.created_date < a.as_of_date
)
SELECT
    r.account_sid,
    r.account_name,
    r.period_days,
    r.period_from,
    r.period_to,
    r.end_reason,
    CAST(count(*) AS BIGINT) AS conferences_with_duration,
    CAST(sum(r.duration_seconds) AS BIGINT) AS total_seconds,
    CAST(
        sum(r.duration_seconds * greatest(0.0, 1.0 - abs(r.pos - 0.1 * r.last_pos)))
        AS DOUBLE
    ) AS p10_seconds,
    CAST(
        sum(r.duration_seconds * greatest(0.0, 1.0 - abs(r.pos - 0.5 * r.last_pos)))
        AS DOUBLE
    ) AS median_seconds,
    CAST(
        sum(r.duration_seconds * greatest(0.0, 1.0 - abs(r.pos - 0.9 * r.last_pos)))
        AS DOUBLE
    ) AS p90_seconds,
    CAST(
        sum(r.duration_seconds * greatest(0.0, 1.0 - abs(r.pos - 0.99 * r.last_pos)))
        AS DOUBLE
    ) AS p99_seconds,
    CAST(max(r.duration_seconds) AS BIGINT) AS max_seconds
FROM ranked AS r
GROUP BY
    r.account_sid, r.account_name, r.period_days, r.period_from, r.period_to, r.end_reason
