-- How close do conferences come to their maximum of participants?
-- Grain: one row per account and day of creation.
-- Promise: every conference counts once in `conferences`; peaks are those Twilio reports.
-- NULL: `peak_participants` if no conference of the day has a figure; `created_date` without
--   creation time.
-- Caveats: the maximum is a setting of each conference, 250 by default. Peaks of several days or
--   accounts: max(peak_participants); the counts add up.
-- Ask: On which days were conferences full, or nearly?
--   SELECT created_date, max(peak_participants) AS peak, sum(at_maximum) AS at_maximum,
--       sum(above_80_percent) AS above_80_percent
--   FROM analytics.concurrency_peaks
--   GROUP BY created_date
--   ORDER BY above_80_percent DESC, peak DESC
--   LIMIT 10;
SELECT
    c.account_sid,
    c.account_name,
    c.created_date,
    CAST(count(*) AS BIGINT) AS conferences,
    CAST(count(c.max_concurrent_participants) AS BIGINT) AS conferences_with_peak,
    CAST(max(c.max_concurrent_participants) AS BIGINT) AS peak_participants,
    CAST(max(c.max_participants) AS BIGINT) AS highest_maximum,
    CAST(sum(CASE WHEN c.is_at_maximum THEN 1 ELSE 0 END) AS BIGINT) AS at_maximum,
    CAST(
        sum(
            CASE WHEN c.max_concurrent_participants > 0.8 * c.max_participants THEN 1 ELSE 0 END
        ) AS BIGINT
    ) AS above_80_percent
FROM analytics.conferences AS c
GROUP BY c.account_sid, c.account_name, c.created_date
