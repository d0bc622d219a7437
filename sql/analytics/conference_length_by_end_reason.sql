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
dated AS (
    SELECT
        c.account_sid,
        c.account_name,
        c.end_reason,
        c.duration_seconds,
        CASE
            WHEN c.created_date >= a.as_of_date - CAST(1 AS INTEGER) THEN 1
            WHEN c.created_date >= a.as_of_date - CAST(7 AS INTEGER) THEN 7
            WHEN c.created_date >= a.as_of_date - CAST(15 AS INTEGER) THEN 15
            ELSE 30
        END AS within_days
    FROM analytics.conferences AS c
    CROSS JOIN analytics.stg_as_of AS a
    WHERE c.completeness = 'final' AND c.duration_seconds IS NOT NULL
        AND c.created_date >= a.as_of_date - CAST(30 AS INTEGER)
        AND c.created_date < a.as_of_date
),
-- How often each length was, since to order every conference takes long.
counted AS (
    SELECT
        d.account_sid,
        d.account_name,
        d.end_reason,
        d.duration_seconds,
        d.within_days,
        count(*) AS conferences
    FROM dated AS d
    GROUP BY d.account_sid, d.account_name, d.end_reason, d.duration_seconds, d.within_days
),
summed AS (
    SELECT
        n.account_sid,
        n.account_name,
        l.period_days,
        n.end_reason,
        n.duration_seconds,
        CAST(sum(n.conferences) AS BIGINT) AS conferences
    FROM counted AS n
    CROSS JOIN lengths AS l
    WHERE n.within_days <= l.period_days
    GROUP BY n.account_sid, n.account_name, l.period_days, n.end_reason, n.duration_seconds
),
ranked AS (
    SELECT
        s.account_sid,
        s.account_name,
        s.period_days,
        s.end_reason,
        s.duration_seconds,
        s.conferences,
        CAST(
            sum(s.conferences) OVER (
                PARTITION BY s.account_sid, s.period_days, s.end_reason
                ORDER BY s.duration_seconds NULLS FIRST
                ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            ) AS BIGINT
        ) AS up_to,
        CAST(
            sum(s.conferences) OVER (PARTITION BY s.account_sid, s.period_days, s.end_reason)
            AS BIGINT
        ) - 1 AS last_pos
    FROM summed AS s
)
SELECT
    r.account_sid,
    r.account_name,
    r.period_days,
    a.as_of_date - CAST(r.period_days AS INTEGER) AS period_from,
    a.as_of_date AS period_to,
    r.end_reason,
    CAST(sum(r.conferences) AS BIGINT) AS conferences_with_duration,
    CAST(sum(r.duration_seconds * r.conferences) AS BIGINT) AS total_seconds,
    CAST(
        sum(
            r.duration_seconds * (
                least(1.0, greatest(0.0, r.up_to - 0.1 * r.last_pos))
                - least(1.0, greatest(0.0, r.up_to - r.conferences - 0.1 * r.last_pos))
            )
        ) AS DOUBLE
    ) AS p10_seconds,
    CAST(
        sum(
            r.duration_seconds * (
                least(1.0, greatest(0.0, r.up_to - 0.5 * r.last_pos))
                - least(1.0, greatest(0.0, r.up_to - r.conferences - 0.5 * r.last_pos))
            )
        ) AS DOUBLE
    ) AS median_seconds,
    CAST(
        sum(
            r.duration_seconds * (
                least(1.0, greatest(0.0, r.up_to - 0.9 * r.last_pos))
                - least(1.0, greatest(0.0, r.up_to - r.conferences - 0.9 * r.last_pos))
            )
        ) AS DOUBLE
    ) AS p90_seconds,
    CAST(
        sum(
            r.duration_seconds * (
                least(1.0, greatest(0.0, r.up_to - 0.99 * r.last_pos))
                - least(1.0, greatest(0.0, r.up_to - r.conferences - 0.99 * r.last_pos))
            )
        ) AS DOUBLE
    ) AS p99_seconds,
    CAST(max(r.duration_seconds) AS BIGINT) AS max_seconds
FROM ranked AS r
CROSS JOIN analytics.stg_as_of AS a
GROUP BY r.account_sid, r.account_name, r.period_days, r.end_reason, a.as_of_date
