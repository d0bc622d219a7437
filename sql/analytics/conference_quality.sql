-- How good are conferences: by hour of the week, region and size?
-- Grain: one row per account, day and hour of creation, mixer region and size, of which there were
--   conferences.
-- Promise: every conference in the warehouse counts once; a participant counts where its conference
--   does.
-- NULL: `mixer_region` and `size_bucket` where Twilio did not give them; hour and day without
--   creation time.
-- Caveats: shares are formulas over sums: of conferences
--   1.0 * sum(final_without_quality_problem) / sum(final), of participants sum(poor) / sum(measured),
--   where those are loaded.
-- Ask: At which hours of the week is the quality worst, in the last 28 full days?
--   SELECT q.weekday, q.hour_of_day, sum(q.final) AS final,
--       round(100.0 - 100.0 * sum(q.final_without_quality_problem) / nullif(sum(q.final), 0), 1)
--           AS percent_with_quality_problem
--   FROM analytics.conference_quality AS q, analytics.data_as_of AS d
--   WHERE q.created_date >= CAST(d.as_of_local_hour AS DATE) - 28
--       AND q.created_date < CAST(d.as_of_local_hour AS DATE)
--   GROUP BY q.weekday, q.hour_of_day
--   HAVING sum(q.final) >= 5
--   ORDER BY percent_with_quality_problem DESC NULLS LAST
--   LIMIT 10;
-- Ask: Is the quality worse in large conferences, by region?
--   SELECT mixer_region, size_bucket, sum(final) AS final,
--       round(100.0 - 100.0 * sum(final_without_quality_problem) / nullif(sum(final), 0), 1)
--           AS percent_with_quality_problem
--   FROM analytics.conference_quality
--   GROUP BY mixer_region, size_bucket
--   ORDER BY mixer_region, size_bucket;
SELECT
    c.account_sid,
    c.account_name,
    c.created_date,
    c.weekday,
    c.hour_of_day,
    c.mixer_region,
    c.size_bucket,
    CAST(count(*) AS BIGINT) AS conferences,
    CAST(sum(CASE WHEN c.completeness = 'final' THEN 1 ELSE 0 END) AS BIGINT) AS final,
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
    ) AS final_without_behavior_problem,
    CAST(coalesce(sum(p.measured), 0) AS BIGINT) AS measured,
    CAST(coalesce(sum(p.poor), 0) AS BIGINT) AS poor
FROM analytics.conferences AS c
LEFT JOIN (
    SELECT
        q.conference_sid,
        count(q.is_poor) AS measured,
        sum(CASE WHEN q.is_poor THEN 1 ELSE 0 END) AS poor
    FROM analytics.participants AS q
    GROUP BY q.conference_sid
) AS p ON p.conference_sid = c.conference_sid
GROUP BY
    c.account_sid, c.account_name, c.created_date, c.weekday, c.hour_of_day, c.mixer_region,
    c.size_bucket
