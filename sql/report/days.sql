-- How many conferences a day?
-- Grain: one row per day of the period, also one without conferences.
-- Promise: sums of conference_kpis_daily and completeness_by_day over all accounts, shares over
--   `final`; percentiles are exact, over all accounts. `complete`, `without_end`, `pending` and
--   `expired` add up to `conferences`.
-- NULL: percentiles and shares of a day that has no final conference.
-- Caveats: `conferences_before` is the same day of the period before.
WITH RECURSIVE days AS (
    SELECT CAST($from AS DATE) AS day, CAST($prior AS DATE) AS day_before
    UNION ALL
    SELECT d.day + 1, d.day_before + 1
    FROM days AS d
    WHERE d.day + 1 < CAST($to AS DATE)
),
ranked AS (
    SELECT
        c.created_date,
        c.duration_seconds,
        row_number() OVER (
            PARTITION BY c.created_date ORDER BY c.duration_seconds NULLS FIRST
        ) - 1 AS pos,
        count(*) OVER (PARTITION BY c.created_date) - 1 AS last_pos
    FROM analytics.conferences AS c
    WHERE c.completeness = 'final' AND c.duration_seconds IS NOT NULL
        AND c.created_date >= $from AND c.created_date < $to
),
lengths AS (
    SELECT
        r.created_date,
        sum(r.duration_seconds * greatest(0.0, 1.0 - abs(r.pos - 0.5 * r.last_pos)))
            AS median_length_seconds,
        sum(r.duration_seconds * greatest(0.0, 1.0 - abs(r.pos - 0.9 * r.last_pos)))
            AS p90_length_seconds
    FROM ranked AS r
    GROUP BY r.created_date
),
states AS (
    SELECT
        s.created_date,
        sum(s.conferences) AS conferences,
        sum(s.complete) AS complete,
        sum(s.timed_out) AS without_end,
        sum(s.expired) AS expired
    FROM analytics.completeness_by_day AS s
    GROUP BY s.created_date
)
SELECT
    d.day,
    coalesce(sum(k.conferences), 0) AS conferences,
    coalesce(sum(k.total_participants), 0) AS participants,
    max(l.median_length_seconds) AS median_length_seconds,
    max(l.p90_length_seconds) AS p90_length_seconds,
    100.0 * sum(k.final_without_quality_problem) / nullif(sum(k.final), 0)
        AS percent_without_quality_problem,
    100.0 * sum(k.final_without_region_problem) / nullif(sum(k.final), 0)
        AS percent_without_region_problem,
    100.0 * sum(k.final_without_behavior_problem) / nullif(sum(k.final), 0)
        AS percent_without_behavior_problem,
    coalesce(sum(k.not_started), 0) AS not_started,
    coalesce(sum(k.timed_out), 0) AS timed_out,
    coalesce(sum(k.pending), 0) AS pending,
    coalesce(max(s.complete), 0) AS complete,
    coalesce(max(s.without_end), 0) AS without_end,
    coalesce(max(s.expired), 0) AS expired,
    coalesce(max(b.conferences), 0) AS conferences_before
FROM days AS d
LEFT JOIN analytics.conference_kpis_daily AS k ON k.created_date = d.day
LEFT JOIN lengths AS l ON l.created_date = d.day
LEFT JOIN states AS s ON s.created_date = d.day
LEFT JOIN states AS b ON b.created_date = d.day_before
GROUP BY d.day
ORDER BY d.day ASC NULLS LAST
