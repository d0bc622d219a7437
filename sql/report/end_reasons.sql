-- Why did conferences end?
-- Grain: one row per end reason that either period has.
-- Promise: sums of conference_end_reasons over days and accounts, pending conferences included;
--   mean length: sum(total_seconds) / sum(conferences_with_duration).
-- NULL: `end_reason` while a conference runs, and for those that never started.
-- Caveats: the shares of a period add up to 100 %.
WITH counted AS (
    SELECT
        e.end_reason,
        sum(CASE WHEN e.created_date >= $from THEN e.conferences ELSE 0 END) AS conferences,
        sum(CASE WHEN e.created_date < $from THEN e.conferences ELSE 0 END) AS conferences_before,
        sum(CASE WHEN e.created_date >= $from THEN e.total_seconds ELSE 0 END) AS total_seconds,
        sum(CASE WHEN e.created_date >= $from THEN e.conferences_with_duration ELSE 0 END)
            AS conferences_with_duration
    FROM analytics.conference_end_reasons AS e
    WHERE e.created_date >= $prior AND e.created_date < $to
    GROUP BY e.end_reason
)
SELECT
    c.end_reason,
    c.conferences,
    100.0 * c.conferences / nullif(sum(c.conferences) OVER (), 0) AS percent,
    100.0 * c.conferences_before / nullif(sum(c.conferences_before) OVER (), 0) AS percent_before,
    1.0 * c.total_seconds / nullif(c.conferences_with_duration, 0) AS mean_length_seconds
FROM counted AS c
WHERE c.conferences + c.conferences_before > 0
ORDER BY c.conferences DESC, c.conferences_before DESC, c.end_reason ASC NULLS LAST
