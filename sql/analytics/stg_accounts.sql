-- What people call each account, and until when it is wholly loaded.
-- Grain: one row per account that was to be loaded.
-- Promise: `account_name` says something, and is not unique.
-- NULL: `first_full_date` and `last_full_date` before a scheduled run has loaded something;
--   `first_full_date` also where a version loaded it that did not note since when.
-- Caveats: conferences may be of an account that is not in here.
SELECT
    a.account_sid,
    coalesce(nullif(a.friendly_name, ''), a.account_sid) AS account_name,
    CAST(coalesce(f.local_hour, a.listed_from) AS DATE) + CAST(1 AS INTEGER) AS first_full_date,
    CASE
        WHEN a.listed_to < d.as_of THEN CAST(coalesce(h.local_hour, a.listed_to) AS DATE)
        WHEN a.listed_to IS NOT NULL THEN d.as_of_date
    END - CAST(1 AS INTEGER) AS last_full_date
FROM conference_insights.accounts AS a
CROSS JOIN analytics.stg_as_of AS d
LEFT JOIN conference_insights._report_hours AS f
    ON f.utc_hour = date_trunc('hour', a.listed_from)
LEFT JOIN conference_insights._report_hours AS h
    ON h.utc_hour = date_trunc('hour', a.listed_to)
