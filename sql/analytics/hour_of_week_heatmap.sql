-- Which hours of the week are busy?
-- Grain: one row per account, weekday and hour of the day that has passed since the account's
--   first conference, while it was listed.
-- Promise: every conference with a creation time counts once, in the report's time zone.
-- NULL: never.
-- Caveats: mean for one account: 1.0 * conferences / hours_observed; of several add up the means.
--   For a single period group conference_volume by `weekday` and `hour_of_day`.
-- Ask: Which ten hours of the week are the busiest on average?
--   SELECT weekday, hour_of_day,
--       round(sum(1.0 * conferences / hours_observed), 1) AS mean_conferences
--   FROM analytics.hour_of_week_heatmap
--   GROUP BY weekday, hour_of_day
--   ORDER BY mean_conferences DESC
--   LIMIT 10;
SELECT
    v.account_sid,
    v.account_name,
    v.weekday,
    v.hour_of_day,
    CAST(count(*) AS BIGINT) AS hours_observed,
    CAST(sum(v.conferences) AS BIGINT) AS conferences,
    CAST(sum(v.total_seconds) AS BIGINT) AS total_seconds
FROM analytics.conference_volume AS v
INNER JOIN analytics.by_account AS b ON b.account_sid IS NOT DISTINCT FROM v.account_sid
WHERE v.created_hour IS NOT NULL
    AND (v.conferences > 0 OR v.created_date <= b.last_full_date + CAST(1 AS INTEGER))
GROUP BY v.account_sid, v.account_name, v.weekday, v.hour_of_day
