-- How did the quality go, week by week?
-- Grain: one row per seven days, counted back from the end of the period: those that touch it, at
--   least four, and none that begins before the first conference of the data.
-- Promise: sums of conference_kpis_daily over days and accounts; the share is over `final`.
-- NULL: the share of a week that has no final conference.
-- Caveats: a week without any conference has no row.
WITH firsts AS (
    SELECT min(f.created_date) AS first_date
    FROM analytics.conference_kpis_daily AS f
),
numbered AS (
    SELECT
        k.*,
        CAST(floor((date_diff('day', k.created_date, CAST($to AS DATE)) - 1) / 7.0) AS INTEGER)
            AS weeks_ago
    FROM analytics.conference_kpis_daily AS k
    WHERE k.created_date < $to
),
weeks AS (
    SELECT
        CAST($to AS DATE) - CAST(7 * n.weeks_ago + 7 AS INTEGER) AS first_day,
        sum(n.conferences) AS conferences,
        sum(n.final) AS final,
        sum(n.final - n.final_without_quality_problem) AS final_with_quality_problem
    FROM numbered AS n
    WHERE n.weeks_ago < 4 OR n.created_date >= $from
    GROUP BY n.weeks_ago
)
SELECT
    w.first_day,
    w.first_day + CAST(6 AS INTEGER) AS last_day,
    w.conferences,
    w.final,
    w.final_with_quality_problem,
    100.0 * w.final_with_quality_problem / nullif(w.final, 0) AS percent_with_quality_problem
FROM weeks AS w
CROSS JOIN firsts AS f
WHERE w.first_day >= f.first_date
ORDER BY w.first_day ASC NULLS LAST
