-- Which hours of the week are busy?
-- Grain: one row per weekday (1 is Monday) and hour of the day that the period has.
-- Promise: sums of conference_volume over all accounts.
-- NULL: never.
-- Caveats: hours before the first conference or after `data_as_of` are not observed.
SELECT
    v.weekday,
    v.hour_of_day,
    sum(v.conferences) AS conferences,
    count(DISTINCT v.created_hour) AS hours_observed,
    1.0 * sum(v.conferences) / count(DISTINCT v.created_hour) AS mean_conferences
FROM analytics.conference_volume AS v
WHERE v.created_date >= $from AND v.created_date < $to
GROUP BY v.weekday, v.hour_of_day
ORDER BY v.weekday ASC NULLS LAST, v.hour_of_day ASC NULLS LAST
