-- The figures of a day, as parts that add up over any days and accounts.
-- Grain: one row per account and day of creation on which a conference was created.
-- Promise: every conference counts once in `conferences`, and in one of `final`, `pending`,
--   `expired`.
-- NULL: `created_date` where Twilio gave no creation time.
-- Caveats: shares are formulas over sums. Free of quality problems:
--   sum(final_without_quality_problem) / sum(final). Mean length:
--   sum(total_seconds) / sum(conferences_with_duration).
-- Ask: What share of final conferences had no quality problem, day by day?
--   SELECT created_date, sum(conferences) AS conferences, sum(pending) AS pending,
--       round(100.0 * sum(final_without_quality_problem) / nullif(sum(final), 0), 1)
--           AS percent_without_quality_problem
--   FROM analytics.conference_kpis_daily
--   GROUP BY created_date
--   ORDER BY created_date;
SELECT
    c.account_sid,
    c.account_name,
    c.created_date,
    CAST(count(*) AS BIGINT) AS conferences,
    CAST(sum(CASE WHEN c.completeness = 'final' THEN 1 ELSE 0 END) AS BIGINT) AS final,
    CAST(sum(CASE WHEN c.completeness = 'pending' THEN 1 ELSE 0 END) AS BIGINT) AS pending,
    CAST(sum(CASE WHEN c.completeness = 'expired' THEN 1 ELSE 0 END) AS BIGINT) AS expired,
    CAST(sum(CASE WHEN c.is_not_started THEN 1 ELSE 0 END) AS BIGINT) AS not_started,
    CAST(sum(CASE WHEN c.completeness = 'final' AND c.is_timeout THEN 1 ELSE 0 END) AS BIGINT)
        AS timed_out,
    CAST(count(c.duration_seconds) AS BIGINT) AS conferences_with_duration,
    CAST(sum(c.duration_seconds) AS BIGINT) AS total_seconds,
    CAST(sum(c.unique_participants) AS BIGINT) AS total_participants,
    CAST(
        sum(CASE WHEN c.completeness = 'final' AND NOT c.has_problem THEN 1 ELSE 0 END) AS BIGINT
    ) AS final_without_problem,
    CAST(
        sum(CASE WHEN c.completeness = 'final' AND NOT c.has_quality_problem THEN 1 ELSE 0 END)
        AS BIGINT
    ) AS final_without_quality_problem,
    CAST(
        sum(CASE WHEN c.completeness = 'final' AND NOT c.has_region_problem THEN 1 ELSE 0 END)
        AS BIGINT
    ) AS final_without_region_problem,
    CAST(
        sum(CASE WHEN c.completeness = 'final' AND NOT c.has_behavior_problem THEN 1 ELSE 0 END)
        AS BIGINT
    ) AS final_without_behavior_problem
FROM analytics.conferences AS c
GROUP BY c.account_sid, c.account_name, c.created_date
