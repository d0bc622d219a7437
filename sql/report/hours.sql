-- How many conferences an hour?
-- Grain: one row per hour of the period, from the first conference to `data_as_of`.
-- Promise: sums of conference_volume over all accounts; empty hours are there, with 0.
-- NULL: never.
-- Caveats: an hour that the clocks repeat in autumn is one row, one that they skip in spring none.
WITH hours AS (
    SELECT
        v.created_hour,
        sum(v.conferences) AS conferences,
        sum(v.pending) AS pending
    FROM analytics.conference_volume AS v
    WHERE v.created_date >= $prior AND v.created_date < $to
    GROUP BY v.created_hour
)
SELECT
    h.created_hour AS hour,
    h.conferences,
    h.pending,
    coalesce(b.conferences, 0) AS conferences_before
FROM hours AS h
LEFT JOIN hours AS b
    ON date_diff('hour', b.created_hour, h.created_hour)
        = 24 * date_diff('day', CAST($prior AS DATE), CAST($from AS DATE))
WHERE h.created_hour >= $from
ORDER BY h.created_hour ASC NULLS LAST
