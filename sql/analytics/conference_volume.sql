-- How many conferences an hour, a day, a week, and a week before?
-- Grain: one row per account and hour of creation, from the account's first conference to the
--   hour of `data_as_of`; hours without conferences have 0.
-- Promise: every conference counts once in `conferences`, and in one of `final`, `pending`,
--   `expired`; days, weeks and weekdays are sums over hours.
-- NULL: `created_hour` and what follows from it, where Twilio gave no creation time.
-- Caveats: an hour that the clocks repeat in autumn is one row, one that they skip in spring is
--   none. Change against the week before, of rows with `is_compared` only:
--   1.0 * sum(conferences) / nullif(sum(conferences_week_before), 0) - 1.
-- Ask: How many conferences a day, and how many a week before, where the two can be compared?
--   SELECT created_date, sum(conferences) AS conferences,
--       sum(CASE WHEN is_compared THEN conferences END) AS compared,
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
WITH accounts AS (
    -- Accounts have numbers here, since every row of every hour is joined by them.
    SELECT
        b.account_sid,
        b.account_name,
        b.first_full_date,
        b.first_compared_date,
        b.last_full_date,
        row_number() OVER (ORDER BY b.account_sid NULLS FIRST) AS account_number
    FROM analytics.by_account AS b
),
summed AS (
    SELECT
        c.account_sid,
        c.created_hour,
        CAST(count(*) AS BIGINT) AS conferences,
        CAST(sum(CASE WHEN c.completeness = 'final' THEN 1 ELSE 0 END) AS BIGINT) AS final,
        CAST(sum(CASE WHEN c.completeness = 'pending' THEN 1 ELSE 0 END) AS BIGINT) AS pending,
        CAST(sum(CASE WHEN c.completeness = 'expired' THEN 1 ELSE 0 END) AS BIGINT) AS expired,
        CAST(coalesce(sum(c.duration_seconds), 0) AS BIGINT) AS total_seconds,
        CAST(coalesce(sum(c.unique_participants), 0) AS BIGINT) AS total_participants
    FROM analytics.conferences AS c
    GROUP BY c.account_sid, c.created_hour
),
counted AS (
    SELECT
        a.account_number,
        s.created_hour,
        s.conferences,
        s.final,
        s.pending,
        s.expired,
        s.total_seconds,
        s.total_participants
    FROM summed AS s
    INNER JOIN accounts AS a ON a.account_sid IS NOT DISTINCT FROM s.account_sid
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
    SELECT n.account_number, min(n.created_hour) AS first_hour
    FROM counted AS n
    GROUP BY n.account_number
),
-- A week after them the clocks skip their hour: they are in the next one. Some skip two.
skipped AS (
    SELECT k.account_number, k.created_hour, CAST(sum(k.conferences) AS BIGINT) AS conferences
    FROM (
        SELECT
            n.account_number,
            CASE
                WHEN l.local_hour IS NULL THEN n.created_hour + INTERVAL '7' DAY + INTERVAL '2' HOUR
                ELSE l.local_hour
            END AS created_hour,
            n.conferences
        FROM counted AS n
        LEFT JOIN local_hours AS h ON h.local_hour = n.created_hour + INTERVAL '7' DAY
        LEFT JOIN local_hours AS l
            ON l.local_hour = n.created_hour + INTERVAL '7' DAY + INTERVAL '1' HOUR
        WHERE h.local_hour IS NULL AND n.created_hour >= TIMESTAMP '2020-01-01 00:00:00'
    ) AS k
    GROUP BY k.account_number, k.created_hour
),
hours AS (
    SELECT
        k.account_number,
        k.created_hour,
        coalesce(n.conferences, 0) AS conferences,
        coalesce(n.final, 0) AS final,
        coalesce(n.pending, 0) AS pending,
        coalesce(n.expired, 0) AS expired,
        coalesce(n.total_seconds, 0) AS total_seconds,
        coalesce(n.total_participants, 0) AS total_participants,
        coalesce(b.conferences, 0) + coalesce(s.conferences, 0) AS conferences_week_before
    FROM (
        SELECT f.account_number, h.local_hour AS created_hour
        FROM firsts AS f
        CROSS JOIN analytics.stg_as_of AS a
        INNER JOIN local_hours AS h
            ON h.local_hour >= f.first_hour AND h.local_hour <= a.as_of_local_hour
    ) AS k
    LEFT JOIN counted AS n
        ON n.account_number = k.account_number AND n.created_hour = k.created_hour
    LEFT JOIN counted AS b
        ON b.account_number = k.account_number
        AND b.created_hour = k.created_hour - INTERVAL '7' DAY
    LEFT JOIN skipped AS s
        ON s.account_number = k.account_number AND s.created_hour = k.created_hour
    UNION ALL
    -- Without a creation time, or with one that cannot be.
    SELECT
        n.account_number,
        n.created_hour,
        n.conferences,
        n.final,
        n.pending,
        n.expired,
        n.total_seconds,
        n.total_participants,
        0 AS conferences_week_before
    FROM counted AS n
    CROSS JOIN analytics.stg_as_of AS a
    LEFT JOIN local_hours AS h
        ON h.local_hour = n.created_hour AND h.local_hour <= a.as_of_local_hour
    WHERE h.local_hour IS NULL
),
dated AS (
    SELECT h.*, CAST(h.created_hour AS DATE) AS created_date
    FROM hours AS h
)
SELECT
    a.account_sid,
    a.account_name,
    d.created_hour,
    d.created_date,
    d.created_date - CAST(weekday_of(d.created_date) - 1 AS INTEGER) AS created_week,
    weekday_of(d.created_date) AS weekday,
    CAST(extract(hour FROM d.created_hour) AS INTEGER) AS hour_of_day,
    CASE
        WHEN d.created_date >= a.first_full_date AND d.created_date <= a.last_full_date THEN TRUE
        ELSE FALSE
    END AS is_full_day,
    CASE
        WHEN d.created_date - CAST(7 AS INTEGER) >= a.first_compared_date
            AND d.created_date <= a.last_full_date THEN TRUE
        ELSE FALSE
    END AS is_compared,
    d.conferences,
    d.final,
    d.pending,
    d.expired,
    d.total_seconds,
    d.total_participants,
    d.conferences_week_before
FROM dated AS d
INNER JOIN accounts AS a ON a.account_number = d.account_number
