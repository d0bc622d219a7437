-- How fresh and sound is the data?
-- Grain: one row.
-- Promise: ages are counted from `today`, the day of `data_as_of` in the report's time zone.
-- NULL: `account` of several, or where Twilio gave none; `filters` without any; `data_as_of` if
--   nothing was listed yet; `first_day` without any.
-- Caveats: `first_day` is the first with a conference; the run that publishes a copy is in the next
--   one.
WITH runs AS (
    SELECT
        count(*) AS runs,
        coalesce(sum(CASE WHEN r.outcome IN ('failed', 'killed') THEN 1 ELSE 0 END), 0)
            AS failed_runs
    FROM analytics.load_history AS r
),
created AS (
    SELECT
        min(d.created_date) AS first_date,
        coalesce(sum(CASE WHEN d.created_date IS NULL THEN d.conferences ELSE 0 END), 0)
            AS without_creation_time
    FROM analytics.conference_kpis_daily AS d
),
awaited AS (
    SELECT
        max(f.last_created_at) AS newest_conference,
        coalesce(sum(f.pending + f.pending_not_followed), 0) AS pending_in_all,
        min(f.oldest_pending_created_at) AS oldest_pending,
        CASE WHEN count(*) = 1 THEN min(f.account_name) END AS account,
        CASE WHEN count(*) = 1 THEN min(f.account_sid) END AS account_sid,
        count(*) AS accounts
    FROM analytics.accounts AS f
    WHERE f.is_followed OR f.conferences > 0
)
SELECT
    w.account,
    w.account_sid,
    w.accounts,
    l.filters,
    l.personal_data,
    l.as_of AS data_as_of,
    l.report_timezone AS time_zone,
    CAST(l.as_of_local_hour AS DATE) AS today,
    c.first_date AS first_day,
    w.newest_conference,
    w.oldest_pending,
    w.pending_in_all,
    c.without_creation_time,
    l.last_good_run_at AS run_before_this_copy,
    r.runs,
    r.failed_runs
FROM analytics.data_as_of AS l
CROSS JOIN runs AS r
CROSS JOIN created AS c
CROSS JOIN awaited AS w
