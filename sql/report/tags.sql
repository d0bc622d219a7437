-- Which tags did Twilio set?
-- Grain: one row per tag that either period has.
-- Promise: sums of conference_issue_trends over days and accounts, final conferences only; shares
--   are over `final` of conference_kpis_daily.
-- NULL: shares of a period that has no final conference.
-- Caveats: a conference with two tags counts in two rows; those of the last days may still come.
WITH finals AS (
    SELECT
        sum(CASE WHEN k.created_date >= $from THEN k.final ELSE 0 END) AS final,
        sum(CASE WHEN k.created_date < $from THEN k.final ELSE 0 END) AS final_before
    FROM analytics.conference_kpis_daily AS k
    WHERE k.created_date >= $prior AND k.created_date < $to
),
counted AS (
    SELECT
        t.name,
        sum(CASE WHEN t.created_date >= $from THEN t.conferences ELSE 0 END) AS conferences,
        sum(CASE WHEN t.created_date < $from THEN t.conferences ELSE 0 END)
            AS conferences_before
    FROM analytics.conference_issue_trends AS t
    WHERE t.created_date >= $prior AND t.created_date < $to
        AND t.kind = 'tag' AND t.completeness = 'final'
    GROUP BY t.name
)
SELECT
    c.name AS tag,
    c.conferences,
    100.0 * c.conferences / nullif(f.final, 0) AS percent,
    100.0 * c.conferences_before / nullif(f.final_before, 0) AS percent_before
FROM counted AS c
CROSS JOIN finals AS f
WHERE c.conferences + c.conferences_before > 0
ORDER BY c.conferences DESC, c.conferences_before DESC, c.name ASC NULLS LAST
