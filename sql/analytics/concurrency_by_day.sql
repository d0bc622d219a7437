-- How many conferences and participants were there at once, day by day, and the day before?
-- Grain: one row per account and day, from that of the account's first conference to the day of
--   `data_as_of`.
-- Promise: the highest of the hours of concurrency_by_hour.
-- NULL: participants as there; those of the day before on the first day.
-- Caveats: compare rows with `is_day_compared` only: the last day is not over, the first may be
--   loaded in part, and nothing is compared with that of the first conference. Peaks of several accounts do not add up: they may be at different times.
-- Ask: On which full days did the peak of an account change most against the day before?
--   SELECT account_name, running_date, conferences_at_once, conferences_at_once_day_before,
--       round(100.0 * conferences_at_once / nullif(conferences_at_once_day_before, 0) - 100, 1)
--           AS percent_change
--   FROM analytics.concurrency_by_day
--   WHERE is_day_compared
--   ORDER BY abs(conferences_at_once - conferences_at_once_day_before) DESC
--   LIMIT 10;
WITH days AS (
    SELECT
        h.account_sid,
        h.account_name,
        h.running_date,
        CAST(max(h.conferences_at_once) AS BIGINT) AS conferences_at_once,
        CAST(max(h.participants_at_once) AS BIGINT) AS participants_at_once,
        CAST(max(h.participants_at_once_at_most) AS BIGINT) AS participants_at_once_at_most
    FROM analytics.concurrency_by_hour AS h
    GROUP BY h.account_sid, h.account_name, h.running_date
)
SELECT
    d.account_sid,
    d.account_name,
    d.running_date,
    CASE
        WHEN d.running_date >= b.first_full_date AND d.running_date <= b.last_full_date THEN TRUE
        ELSE FALSE
    END AS is_full_day,
    CASE
        WHEN d.running_date - CAST(1 AS INTEGER) >= b.first_compared_date
            AND d.running_date <= b.last_full_date THEN TRUE
        ELSE FALSE
    END AS is_day_compared,
    d.conferences_at_once,
    d.participants_at_once,
    d.participants_at_once_at_most,
    lag(d.conferences_at_once) OVER (
        PARTITION BY d.account_sid ORDER BY d.running_date NULLS FIRST
    ) AS conferences_at_once_day_before,
    lag(d.participants_at_once) OVER (
        PARTITION BY d.account_sid ORDER BY d.running_date NULLS FIRST
    ) AS participants_at_once_day_before,
    lag(d.participants_at_once_at_most) OVER (
        PARTITION BY d.account_sid ORDER BY d.running_date NULLS FIRST
    ) AS participants_at_once_at_most_day_before
FROM days AS d
INNER JOIN analytics.by_account AS b ON b.account_sid IS NOT DISTINCT FROM d.account_sid
