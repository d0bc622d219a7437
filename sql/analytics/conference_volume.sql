-- How many conferences an hour, a day, a week, and a week before?
-- Grain: one row per account and hour of creation, from the account's first conference to the
--   hour of `data_as_of`; hours without conferences have 0.
-- Promise: every conference counts once in `conferences`, and in one of `final`, `pending`,
--   `expired`; days, weeks and weekdays are sums over hours.
-- NULL: `created_hour` and what follows from it, where Twilio gave no creation time.
-- Caveats: an hour that the clocks repeat in autumn is one row, one that they skip in spring is
--   none. Change against the week before, of rows with `is_compared` only:
--   1.0 * sum(conferences) / nullif(sum(conferences_week_before), 0) - 1.
-- Ask: How many conferences a day, and how many a week before?
--   SELECT created_date, sum(conferences) AS conferences,
--       sum(CASE WHEN is_compared THEN conferences_week_before END) AS a_week_before,
--       sum(pending) AS pending
--   FROM analytics.conference_volume
--   GROUP BY created_date
--   ORDER BY created_date;
-- Ask: How many conferences a week, and how long in all?
--   SELECT created_week, sum(conferences) AS conferences,
--       round(sum(total_seconds) / 3600.0, 1) AS hours
--   FROM analytics.conference_volume
--   GROUP BY created_week
--   ORDER BY created_week;
WITH counted AS (
    SELECT
        c.account_sid,
        c.account_name,
        c.created_hour,
        CAST(count(*) AS BIGINT) AS conferences,
        sum(CASE WHEN c.completeness = 'final' THEN 1 ELSE 0 END) AS final,
        sum(CASE WHEN c.completeness = 'pending' THEN 1 ELSE 0 END) AS pending,
        sum(CASE WHEN c.completeness = 'expired' THEN 1 ELSE 0 END) AS expired,
        sum(c.duration_seconds) AS total_seconds,
        sum(c.unique_participants) AS total_participants
    FROM analytics.conferences AS c
    GROUP BY c.account_sid, c.account_name, c.created_hour
),
local_hours AS (
    SELECT h.local_hour
    FROM conference_insights._report_hours AS h
    UNION
    SELECT h.local_hour_after AS local_hour
    FROM conference_insights._report_hours AS h
    WHERE h.local_hour_after IS NOT NULL
),
firsts AS (
    SELECT n.account_sid, n.account_name, min(n.created_hour) AS first_hour
    FROM counted AS n
    GROUP BY n.account_sid, n.account_name
),
parts AS (
    SELECT
        n.account_sid,
        n.account_name,
        n.created_hour,
        n.conferences,
        n.final,
        n.pending,
        n.expired,
        n.total_seconds,
        n.total_participants,
        0 AS conferences_week_before
    FROM counted AS n
    UNION ALL
    SELECT
        f.account_sid,
        f.account_name,
        h.local_hour AS created_hour,
        0 AS conferences,
        0 AS final,
        0 AS pending,
        0 AS expired,
        0 AS total_seconds,
        0 AS total_participants,
        coalesce(b.conferences, 0) AS conferences_week_before
    FROM firsts AS f
    CROSS JOIN analytics.stg_as_of AS a
    INNER JOIN local_hours AS h
        ON h.local_hour >= f.first_hour AND h.local_hour <= a.as_of_local_hour
    LEFT JOIN counted AS b
        ON b.account_sid IS NOT DISTINCT FROM f.account_sid
        AND b.created_hour = h.local_hour - INTERVAL '7' DAY
    UNION ALL
    -- A week after them the clocks skip their hour: they are in the next one.
    SELECT
        b.account_sid,
        b.account_name,
        b.created_hour + INTERVAL '7' DAY + INTERVAL '1' HOUR AS created_hour,
        0 AS conferences,
        0 AS final,
        0 AS pending,
        0 AS expired,
        0 AS total_seconds,
        0 AS total_participants,
        b.conferences AS conferences_week_before
    FROM counted AS b
    CROSS JOIN analytics.stg_as_of AS a
    LEFT JOIN local_hours AS h ON h.local_hour = b.created_hour + INTERVAL '7' DAY
    WHERE h.local_hour IS NULL
        AND b.created_hour >= TIMESTAMP '2020-01-01 00:00:00'
        AND b.created_hour + INTERVAL '7' DAY < a.as_of_local_hour
),
hours AS (
    SELECT
        p.account_sid,
        p.account_name,
        p.created_hour,
        CAST(p.created_hour AS DATE) AS created_date,
        CAST(sum(p.conferences) AS BIGINT) AS conferences,
        CAST(sum(p.final) AS BIGINT) AS final,
        CAST(sum(p.pending) AS BIGINT) AS pending,
        CAST(sum(p.expired) AS BIGINT) AS expired,
        CAST(coalesce(sum(p.total_seconds), 0) AS BIGINT) AS total_seconds,
        CAST(coalesce(sum(p.total_participants), 0) AS BIGINT) AS total_participants,
        CAST(sum(p.conferences_week_before) AS BIGINT) AS conferences_week_before
    FROM parts AS p
    GROUP BY p.account_sid, p.account_name, p.created_hour
)
SELECT
    h.account_sid,
    h.account_name,
    h.created_hour,
    h.created_date,
    h.created_date - CAST(weekday_of(h.created_date) - 1 AS INTEGER) AS created_week,
    weekday_of(h.created_date) AS weekday,
    CAST(extract(hour FROM h.created_hour) AS INTEGER) AS hour_of_day,
    CASE
        WHEN h.created_date >= b.first_full_date AND h.created_date <= b.last_full_date THEN TRUE
        ELSE FALSE
    END AS is_full_day,
    CASE
        WHEN h.created_date - CAST(7 AS INTEGER) >= b.first_full_date
            AND h.created_date <= b.last_full_date THEN TRUE
        ELSE FALSE
    END AS is_compared,
    h.conferences,
    h.final,
    h.pending,
    h.expired,
    h.total_seconds,
    h.total_participants,
    h.conferences_week_before
FROM hours AS h
INNER JOIN analytics.by_account AS b ON b.account_sid IS NOT DISTINCT FROM h.account_sid
