-- How much of each day is final?
-- Grain: one row per account and day of creation on which a conference was created.
-- Promise: every conference in the warehouse counts once; `complete`, `timed_out`, `pending` and
--   `expired` add up to `conferences`.
-- NULL: `created_date` for conferences whose creation time Twilio did not give.
-- Caveats: pending conferences may still change; those of the last hour usually are pending.
--   Expired ones never became final within the 30 days that Twilio keeps them. Share of final
--   ones: 1.0 * sum(complete + timed_out) / sum(conferences).
-- Ask: How many conferences a day, and how many are final?
--   SELECT created_date, sum(conferences) AS conferences, sum(complete) AS complete,
--       sum(timed_out) AS timed_out, sum(pending) AS pending, sum(expired) AS expired
--   FROM analytics.completeness_by_day
--   GROUP BY created_date
--   ORDER BY created_date;
SELECT
    c.account_sid,
    c.account_name,
    c.created_date,
    CAST(count(*) AS BIGINT) AS conferences,
    CAST(sum(CASE WHEN c.completeness = 'final' AND NOT c.is_timeout THEN 1 ELSE 0 END) AS BIGINT)
        AS complete,
    CAST(sum(CASE WHEN c.completeness = 'final' AND c.is_timeout THEN 1 ELSE 0 END) AS BIGINT)
        AS timed_out,
    CAST(sum(CASE WHEN c.completeness = 'pending' THEN 1 ELSE 0 END) AS BIGINT) AS pending,
    CAST(sum(CASE WHEN c.completeness = 'expired' THEN 1 ELSE 0 END) AS BIGINT) AS expired
FROM analytics.conferences AS c
GROUP BY c.account_sid, c.account_name, c.created_date
