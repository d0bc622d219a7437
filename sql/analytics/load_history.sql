-- What did each run do?
-- Grain: one row per run that has ended.
-- Promise: every run that opened the warehouse, including those that failed or were killed.
-- NULL: `ended_at` and `seconds` of a killed run; counts that a run did not reach; `filters` and
--   `accounts_failed` where there were none.
-- Caveats: a run is here once it has ended, so in a published copy the run that published it is not.
-- Ask: How did the runs of each day go?
--   SELECT CAST(started_at AS DATE) AS run_date, outcome, count(*) AS runs,
--       sum(rows_new) AS rows_new, sum(rows_updated) AS rows_updated, max(seconds) AS longest
--   FROM analytics.load_history
--   GROUP BY CAST(started_at AS DATE), outcome
--   ORDER BY run_date, outcome;
SELECT
    r.run_id,
    r.command,
    r.outcome,
    r.error_class,
    r.started_at,
    r.ended_at,
    r.seconds,
    r.window_from,
    r.window_to,
    r.account_sid,
    coalesce(n.account_name, r.account_sid) AS account_name,
    r.filters,
    r.accounts,
    r.accounts_failed,
    r.loaded_to,
    r.pages,
    r.requests,
    r.rows_listed,
    r.rows_refetched,
    r.rows_new,
    r.rows_updated,
    r.rows_unchanged,
    r.rows_rejected,
    r.pending_before,
    r.pending_after,
    r.drift,
    r.gap_from,
    r.gap_to
FROM conference_insights._runs AS r
LEFT JOIN analytics.stg_accounts AS n ON n.account_sid = r.account_sid
WHERE r.outcome <> 'running'
