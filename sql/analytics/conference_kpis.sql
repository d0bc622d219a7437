-- The tiles of a dashboard: the last 1, 7, 15 and 30 days against the equal period before.
-- Grain: one row per account and length of the period (`period_days`).
-- Promise: periods are full days that end before the day of `data_as_of`, so that both have the
--   same length; a conference counts once in each period that it was created in.
-- NULL: never; a period without conferences counts 0.
-- Caveats: shares as in conference_kpis_daily; filter on one `period_days`. Where `pending` is not
--   0 the figures may still change. A prior period that is not wholly loaded, or that has the
--   account's first conference, counts what there is: a change is of rows with `is_compared` only.
-- Ask: How was the last week, against the week before?
--   SELECT sum(conferences) AS conferences,
--       round(100.0 * sum(CASE WHEN is_compared THEN conferences END)
--           / nullif(sum(CASE WHEN is_compared THEN prior_conferences END), 0) - 100, 1)
--           AS percent_change,
--       round(100.0 * sum(final_without_quality_problem) / nullif(sum(final), 0), 1)
--           AS percent_without_quality_problem
--   FROM analytics.conference_kpis
--   WHERE period_days = 7;
WITH lengths AS (
    SELECT 1 AS period_days
    UNION ALL
    SELECT 7 AS period_days
    UNION ALL
    SELECT 15 AS period_days
    UNION ALL
    SELECT 30 AS period_days
),
periods AS (
    SELECT
        l.period_days,
        0 AS periods_ago,
        a.as_of_date - CAST(l.period_days AS INTEGER) AS period_from,
        a.as_of_date AS period_to
    FROM lengths AS l
    CROSS JOIN analytics.stg_as_of AS a
    UNION ALL
    SELECT
        l.period_days,
        1 AS periods_ago,
        a.as_of_date - CAST(2 * l.period_days AS INTEGER) AS period_from,
        a.as_of_date - CAST(l.period_days AS INTEGER) AS period_to
    FROM lengths AS l
    CROSS JOIN analytics.stg_as_of AS a
),
daily AS (
    SELECT k.*
    FROM analytics.conference_kpis_daily AS k
),
accounts AS (
    SELECT b.account_sid, b.account_name, b.first_compared_date, b.last_full_date
    FROM analytics.by_account AS b
),
sums AS (
    SELECT
        a.account_sid,
        a.account_name,
        a.first_compared_date,
        a.last_full_date,
        p.period_days,
        p.periods_ago,
        p.period_from,
        p.period_to,
        CAST(coalesce(sum(d.conferences), 0) AS BIGINT) AS conferences,
        CAST(coalesce(sum(d.final), 0) AS BIGINT) AS final,
        CAST(coalesce(sum(d.pending), 0) AS BIGINT) AS pending,
        CAST(coalesce(sum(d.not_started), 0) AS BIGINT) AS not_started,
        CAST(coalesce(sum(d.timed_out), 0) AS BIGINT) AS timed_out,
        CAST(coalesce(sum(d.conferences_with_duration), 0) AS BIGINT) AS conferences_with_duration,
        CAST(coalesce(sum(d.total_seconds), 0) AS BIGINT) AS total_seconds,
        CAST(coalesce(sum(d.total_participants), 0) AS BIGINT) AS total_participants,
        CAST(coalesce(sum(d.final_without_problem), 0) AS BIGINT) AS final_without_problem,
        CAST(coalesce(sum(d.final_without_quality_problem), 0) AS BIGINT)
            AS final_without_quality_problem,
        CAST(coalesce(sum(d.final_without_region_problem), 0) AS BIGINT)
            AS final_without_region_problem,
        CAST(coalesce(sum(d.final_without_behavior_problem), 0) AS BIGINT)
            AS final_without_behavior_problem
    FROM accounts AS a
    CROSS JOIN periods AS p
    LEFT JOIN daily AS d
        ON d.account_sid IS NOT DISTINCT FROM a.account_sid
        AND d.created_date >= p.period_from
        AND d.created_date < p.period_to
    GROUP BY
        a.account_sid, a.account_name, a.first_compared_date, a.last_full_date, p.period_days,
        p.periods_ago, p.period_from, p.period_to
)
SELECT
    this_one.account_sid,
    this_one.account_name,
    this_one.period_days,
    this_one.period_from,
    this_one.period_to,
    CASE
        WHEN prior.period_from >= this_one.first_compared_date
            AND this_one.period_to - CAST(1 AS INTEGER) <= this_one.last_full_date THEN TRUE
        ELSE FALSE
    END AS is_compared,
    this_one.conferences,
    this_one.final,
    this_one.pending,
    this_one.not_started,
    this_one.timed_out,
    this_one.conferences_with_duration,
    this_one.total_seconds,
    this_one.total_participants,
    this_one.final_without_problem,
    this_one.final_without_quality_problem,
    this_one.final_without_region_problem,
    this_one.final_without_behavior_problem,
    prior.conferences AS prior_conferences,
    prior.final AS prior_final,
    prior.pending AS prior_pending,
    prior.not_started AS prior_not_started,
    prior.timed_out AS prior_timed_out,
    prior.conferences_with_duration AS prior_conferences_with_duration,
    prior.total_seconds AS prior_total_seconds,
    prior.total_participants AS prior_total_participants,
    prior.final_without_problem AS prior_final_without_problem,
    prior.final_without_quality_problem AS prior_final_without_quality_problem,
    prior.final_without_region_problem AS prior_final_without_region_problem,
    prior.final_without_behavior_problem AS prior_final_without_behavior_problem
FROM sums AS this_one
INNER JOIN sums AS prior
    ON prior.account_sid IS NOT DISTINCT FROM this_one.account_sid
    AND prior.period_days = this_one.period_days
    AND prior.periods_ago = 1
WHERE this_one.periods_ago = 0
