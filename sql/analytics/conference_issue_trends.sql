-- Which problems grow: tags and detected issues, day by day, against a week before.
-- Grain: one row per account, day of creation, kind (`tag` or `detected_issue`), name and
--   completeness; also where there was such a conference only seven days before.
-- Promise: a conference counts once for each of its tags, and once for each kind of issue with a
--   count above 0.
-- NULL: `total_issues` for tags, which have none; `created_date` without creation time.
-- Caveats: a conference with two tags counts in two rows, so do not add up names. Twilio sets tags
--   when a summary is final, so recent days grow. Share of a day: over `final` of
--   conference_kpis_daily. Change against the week before, of rows with `is_compared` only:
--   1.0 * sum(conferences) / nullif(sum(conferences_week_before), 0) - 1.
-- Ask: How often was each problem seen in the last seven full days, and how did it change?
--   SELECT t.kind, t.name, sum(t.conferences) AS conferences,
--       count(DISTINCT CASE WHEN t.is_compared THEN t.created_date END) AS days_compared,
--       round(100.0 * sum(CASE WHEN t.is_compared THEN t.conferences END)
--           / nullif(sum(CASE WHEN t.is_compared THEN t.conferences_week_before END), 0) - 100, 1)
--           AS percent_change,
--       sum(t.total_issues) AS total_issues
--   FROM analytics.conference_issue_trends AS t, analytics.data_as_of AS d
--   WHERE t.created_date >= CAST(d.as_of_local_hour AS DATE) - 7 AND t.is_full_day
--   GROUP BY t.kind, t.name
--   ORDER BY t.kind, conferences DESC;
-- Ask: What share of final conferences had high jitter, day by day?
--   WITH tagged AS (
--       SELECT created_date, sum(conferences) AS conferences
--       FROM analytics.conference_issue_trends
--       WHERE name = 'high_jitter' AND completeness = 'final'
--       GROUP BY created_date
--   ),
--   days AS (
--       SELECT created_date, sum(final) AS final
--       FROM analytics.conference_kpis_daily
--       GROUP BY created_date
--   )
--   SELECT d.created_date,
--       round(100.0 * coalesce(t.conferences, 0) / nullif(d.final, 0), 1) AS percent
--   FROM days AS d
--   LEFT JOIN tagged AS t ON t.created_date = d.created_date
--   ORDER BY d.created_date;
WITH counted AS (
    SELECT
        t.account_sid,
        t.account_name,
        t.created_date,
        'tag' AS kind,
        t.tag AS name,
        t.completeness,
        count(*) AS conferences,
        CAST(NULL AS BIGINT) AS total_issues
    FROM analytics.conference_tags AS t
    GROUP BY t.account_sid, t.account_name, t.created_date, t.tag, t.completeness
    UNION ALL
    SELECT
        i.account_sid,
        i.account_name,
        i.created_date,
        'detected_issue' AS kind,
        i.issue AS name,
        i.completeness,
        count(*) AS conferences,
        CAST(sum(i.issue_count) AS BIGINT) AS total_issues
    FROM analytics.conference_detected_issues AS i
    WHERE i.issue_count > 0
    GROUP BY i.account_sid, i.account_name, i.created_date, i.issue, i.completeness
),
parts AS (
    SELECT
        n.account_sid,
        n.account_name,
        n.created_date,
        n.kind,
        n.name,
        n.completeness,
        n.conferences,
        n.total_issues,
        0 AS conferences_week_before
    FROM counted AS n
    UNION ALL
    SELECT
        n.account_sid,
        n.account_name,
        n.created_date + CAST(7 AS INTEGER) AS created_date,
        n.kind,
        n.name,
        n.completeness,
        0 AS conferences,
        CASE WHEN n.kind = 'tag' THEN NULL ELSE 0 END AS total_issues,
        n.conferences AS conferences_week_before
    FROM counted AS n
    CROSS JOIN analytics.stg_as_of AS a
    WHERE n.created_date + CAST(7 AS INTEGER) <= a.as_of_date
)
SELECT
    p.account_sid,
    p.account_name,
    p.created_date,
    p.kind,
    p.name,
    p.completeness,
    CASE
        WHEN p.created_date >= b.first_full_date AND p.created_date <= b.last_full_date THEN TRUE
        ELSE FALSE
    END AS is_full_day,
    CASE
        WHEN p.created_date - CAST(7 AS INTEGER) >= b.first_compared_date
            AND p.created_date <= b.last_full_date THEN TRUE
        ELSE FALSE
    END AS is_compared,
    CAST(sum(p.conferences) AS BIGINT) AS conferences,
    CAST(sum(p.total_issues) AS BIGINT) AS total_issues,
    CAST(sum(p.conferences_week_before) AS BIGINT) AS conferences_week_before
FROM parts AS p
INNER JOIN analytics.by_account AS b ON b.account_sid IS NOT DISTINCT FROM p.account_sid
GROUP BY
    p.account_sid, p.account_name, p.created_date, p.kind, p.name, p.completeness,
    b.first_full_date, b.first_compared_date, b.last_full_date
