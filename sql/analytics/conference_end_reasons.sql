-- Why do conferences end?
-- Grain: one row per account, day of creation, end reason, status and completeness; also where
--   there was such a conference only seven days before.
-- Promise: every conference in the warehouse counts once in `conferences`.
-- NULL: `end_reason` while a conference runs, and for those that never started; `created_date`
--   where Twilio gave no creation time.
-- Caveats: mean duration: sum(total_seconds) / sum(conferences_with_duration). Change against
--   the week before, of rows with `is_compared` only:
--   1.0 * sum(conferences) / nullif(sum(conferences_week_before), 0) - 1.
-- Ask: Why do conferences end, and how long were they?
--   SELECT end_reason, sum(conferences) AS conferences,
--       round(sum(total_seconds) / nullif(sum(conferences_with_duration), 0) / 60, 1) AS mean_minutes
--   FROM analytics.conference_end_reasons
--   WHERE completeness = 'final'
--   GROUP BY end_reason
--   ORDER BY conferences DESC;
WITH counted AS (
    SELECT
        c.account_sid,
        c.account_name,
        c.created_date,
        c.end_reason,
        c.status,
        c.completeness,
        count(*) AS conferences,
        count(c.duration_seconds) AS conferences_with_duration,
        sum(c.duration_seconds) AS total_seconds
    FROM analytics.conferences AS c
    GROUP BY c.account_sid, c.account_name, c.created_date, c.end_reason, c.status, c.completeness
),
parts AS (
    SELECT
        n.account_sid,
        n.account_name,
        n.created_date,
        n.end_reason,
        n.status,
        n.completeness,
        n.conferences,
        n.conferences_with_duration,
        n.total_seconds,
        0 AS conferences_week_before
    FROM counted AS n
    UNION ALL
    SELECT
        n.account_sid,
        n.account_name,
        n.created_date + CAST(7 AS INTEGER) AS created_date,
        n.end_reason,
        n.status,
        n.completeness,
        0 AS conferences,
        0 AS conferences_with_duration,
        0 AS total_seconds,
        n.conferences AS conferences_week_before
    FROM counted AS n
    CROSS JOIN analytics.stg_as_of AS a
    WHERE n.created_date + CAST(7 AS INTEGER) <= a.as_of_date
)
SELECT
    p.account_sid,
    p.account_name,
    p.created_date,
    p.end_reason,
    p.status,
    p.completeness,
    CASE
        WHEN p.created_date >= b.first_full_date AND p.created_date <= b.last_full_date THEN TRUE
        ELSE FALSE
    END AS is_full_day,
    CASE
        WHEN p.created_date - CAST(7 AS INTEGER) >= b.first_compared_date
            AND p.created_date <= b.last_full_date THEN TRUE
        ELSE FALSE
    END AS is_compared,
    CAST(sum(p.conferences) AS BIGINT) AS conferences,
    CAST(sum(p.conferences_with_duration) AS BIGINT) AS conferences_with_duration,
    CAST(coalesce(sum(p.total_seconds), 0) AS BIGINT) AS total_seconds,
    CAST(sum(p.conferences_week_before) AS BIGINT) AS conferences_week_before
FROM parts AS p
INNER JOIN analytics.by_account AS b ON b.account_sid IS NOT DISTINCT FROM p.account_sid
GROUP BY
    p.account_sid, p.account_name, p.created_date, p.end_reason, p.status, p.completeness,
    b.first_full_date, b.first_compared_date, b.last_full_date
