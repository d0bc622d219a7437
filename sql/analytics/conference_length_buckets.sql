-- How many conferences are short, how many long?
-- Grain: one row per account, day of creation, length bucket and completeness.
-- Promise: every conference in the warehouse counts once.
-- NULL: `length_bucket` for conferences without a duration, `created_date` without creation time.
-- Caveats: the duration of a pending conference may still grow. Share of a bucket:
--   sum(conferences) / the sum over all buckets.
-- Ask: How are lengths distributed?
--   SELECT length_bucket, sum(conferences) AS conferences
--   FROM analytics.conference_length_buckets
--   WHERE completeness = 'final'
--   GROUP BY length_bucket
--   ORDER BY length_bucket;
SELECT
    c.account_sid,
    c.account_name,
    c.created_date,
    c.length_bucket,
    c.completeness,
    CAST(count(*) AS BIGINT) AS conferences,
    CAST(sum(c.duration_seconds) AS BIGINT) AS total_seconds
FROM analytics.conferences AS c
GROUP BY c.account_sid, c.account_name, c.created_date, c.length_bucket, c.completeness
