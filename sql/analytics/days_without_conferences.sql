-- On which days was there no conference at all?
-- Grain: one row per account and day without any conference.
-- Promise: every full day from the account's first conference to `last_full_date` of by_account on
--   which it had none; a day that is not wholly loaded is not here, so what is missing is no outage
--   of the pipeline.
-- NULL: SID and name of conferences whose account Twilio did not give.
-- Caveats: an account that never had a conference has no days, see accounts. A weekday that never
--   has any is as usual: `same_weekday_before` is 0.
-- Ask: On which days were there none, where there usually are some?
--   SELECT account_name, created_date, weekday, same_weekday_before, days_since_last
--   FROM analytics.days_without_conferences
--   WHERE same_weekday_before > 0
--   ORDER BY created_date DESC, account_name;
WITH days AS (
    SELECT
        v.account_sid,
        v.account_name,
        v.created_date,
        v.weekday,
        sum(v.conferences) AS conferences
    FROM analytics.conference_volume AS v
    WHERE v.is_full_day
    GROUP BY v.account_sid, v.account_name, v.created_date, v.weekday
),
compared AS (
    SELECT
        d.*,
        lag(CAST(d.conferences AS BIGINT), 7) OVER (
            PARTITION BY d.account_sid ORDER BY d.created_date NULLS FIRST
        ) AS before_7,
        lag(CAST(d.conferences AS BIGINT), 14) OVER (
            PARTITION BY d.account_sid ORDER BY d.created_date NULLS FIRST
        ) AS before_14,
        lag(CAST(d.conferences AS BIGINT), 21) OVER (
            PARTITION BY d.account_sid ORDER BY d.created_date NULLS FIRST
        ) AS before_21,
        lag(CAST(d.conferences AS BIGINT), 28) OVER (
            PARTITION BY d.account_sid ORDER BY d.created_date NULLS FIRST
        ) AS before_28,
        max(CASE WHEN d.conferences > 0 THEN d.created_date END) OVER (
            PARTITION BY d.account_sid ORDER BY d.created_date NULLS FIRST
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS last_date
    FROM days AS d
)
SELECT
    c.account_sid,
    c.account_name,
    c.created_date,
    c.weekday,
    CAST(
        coalesce(c.before_7, 0) + coalesce(c.before_14, 0) + coalesce(c.before_21, 0)
        + coalesce(c.before_28, 0) AS BIGINT
    ) AS same_weekday_before,
    CAST(date_diff('day', coalesce(c.last_date, b.first_date), c.created_date) AS BIGINT)
        AS days_since_last
FROM compared AS c
INNER JOIN analytics.by_account AS b ON b.account_sid IS NOT DISTINCT FROM c.account_sid
WHERE c.conferences = 0
