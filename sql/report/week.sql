-- Which hours of the week are busy, and which are bad?
-- Grain: one row per weekday (1 is Monday) and hour of the day that the period has.
-- Promise: sums of conference_volume over all accounts, and of conferences for what is final; the
--   share is over `final`.
-- NULL: the share of an hour that has no final conference.
-- Caveats: hours before the first conference or after `data_as_of` are not observed.
WITH judged AS (
    SELECT
        c.weekday,
        c.hour_of_day,
        count(*) AS final,
        sum(CASE WHEN c.has_quality_problem THEN 1 ELSE 0 END) AS final_with_quality_problem
    FROM analytics.conferences AS c
    WHERE c.created_date >= $from AND c.created_date < $to AND c.completeness = 'final'
    GROUP BY c.weekday, c.hour_of_day
)
SELECT
    v.weekday,
    v.hour_of_day,
    sum(v.conferences) AS conferences,
    count(DISTINCT v.created_hour) AS hours_observed,
    1.0 * sum(v.conferences) / count(DISTINCT v.created_hour) AS mean_conferences,
    coalesce(max(j.final), 0) AS final,
    coalesce(max(j.final_with_quality_problem), 0) AS final_with_quality_problem,
    100.0 * max(j.final_with_quality_problem) / max(j.final) AS percent_with_quality_problem
FROM analytics.conference_volume AS v
LEFT JOIN judged AS j ON j.weekday = v.weekday AND j.hour_of_day = v.hour_of_day
WHERE v.created_date >= $from AND v.created_date < $to
GROUP BY v.weekday, v.hour_of_day
ORDER BY v.weekday ASC NULLS LAST, v.hour_of_day ASC NULLS LAST
