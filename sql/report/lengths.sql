-- How long were conferences?
-- Grain: one row per length bucket that either period has.
-- Promise: sums of conference_length_buckets over days and accounts, final conferences only.
-- NULL: `length` of conferences without a duration.
-- Caveats: the shares of a period add up to 100 %.
WITH counted AS (
    SELECT
        b.length_bucket,
        sum(CASE WHEN b.created_date >= $from THEN b.conferences ELSE 0 END) AS conferences,
        sum(CASE WHEN b.created_date < $from THEN b.conferences ELSE 0 END) AS conferences_before
    FROM analytics.conference_length_buckets AS b
    WHERE b.created_date >= $prior AND b.created_date < $to AND b.completeness = 'final'
    GROUP BY b.length_bucket
)
SELECT
    c.length_bucket AS length,
    c.conferences,
    100.0 * c.conferences / nullif(sum(c.conferences) OVER (), 0) AS percent,
    100.0 * c.conferences_before / nullif(sum(c.conferences_before) OVER (), 0) AS percent_before
FROM counted AS c
ORDER BY c.length_bucket ASC NULLS LAST
