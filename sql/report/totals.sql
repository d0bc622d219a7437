-- How did conferences go?
-- Grain: one row for the period and one for the equal period before it.
-- Promise: sums of conference_kpis_daily over days and accounts, shares over `final`; percentiles
--   are exact, interpolated between two neighbours, over final conferences.
-- NULL: percentiles and shares of a period that has no final conference.
-- Caveats: where `pending` is not 0 the figures may still change.
WITH periods AS (
    SELECT 1 AS is_current, CAST($from AS DATE) AS first_date, CAST($to AS DATE) AS end_date
    UNION ALL
    SELECT 0 AS is_current, CAST($prior AS DATE) AS first_date, CAST($from AS DATE) AS end_date
),
ranked AS (
    SELECT
        p.is_current,
        c.duration_seconds,
        row_number() OVER (
            PARTITION BY p.is_current ORDER BY c.duration_seconds NULLS FIRST
        ) - 1 AS pos,
        count(*) OVER (PARTITION BY p.is_current) - 1 AS last_pos
    FROM analytics.conferences AS c
    INNER JOIN periods AS p ON c.created_date >= p.first_date AND c.created_date < p.end_date
    WHERE c.completeness = 'final' AND c.duration_seconds IS NOT NULL
),
lengths AS (
    SELECT
        r.is_current,
        sum(r.duration_seconds * greatest(0.0, 1.0 - abs(r.pos - 0.5 * r.last_pos)))
            AS median_length_seconds,
        sum(r.duration_seconds * greatest(0.0, 1.0 - abs(r.pos - 0.9 * r.last_pos)))
            AS p90_length_seconds
    FROM ranked AS r
    GROUP BY r.is_current
)
SELECT
    p.is_current,
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
    coalesce(sum(k.final), 0) AS final
FROM periods AS p
LEFT JOIN analytics.conference_kpis_daily AS k
    ON k.created_date >= p.first_date AND k.created_date < p.end_date
LEFT JOIN lengths AS l ON l.is_current = p.is_current
GROUP BY p.is_current
ORDER BY p.is_current DESC
