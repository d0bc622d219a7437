-- How much does each account use, and how often are there problems?
-- Grain: one row per account.
-- Promise: every conference in the warehouse counts once.
-- NULL: SID and name where Twilio gave none; first and last without any creation time.
-- Caveats: over the whole warehouse; for a period group conference_kpis_daily by account. The first
--   full day is the one after that on which listing began, see `listed_from` in accounts; where that
--   is not known, the one after the first conference, even if that was fetched by its SID alone.
--   Nothing is compared with days up to that of the first conference, as Twilio may not have
--   summarized all of the account's conferences then. A day of which Twilio had deleted something
--   before a run could list it counts as full: see `gap_from` in load_history.
-- Ask: Which accounts have the largest share of conferences with a problem?
--   SELECT account_name, conferences,
--       round(100.0 - 100.0 * final_without_problem / nullif(final, 0), 1) AS percent_with_problem
--   FROM analytics.by_account
--   ORDER BY percent_with_problem DESC NULLS LAST;
SELECT
    d.account_sid,
    d.account_name,
    min(d.created_date) AS first_date,
    max(d.created_date) AS last_date,
    coalesce(max(n.first_full_date), min(d.created_date) + CAST(1 AS INTEGER)) AS first_full_date,
    CASE
        WHEN count(n.account_sid) > 0 THEN max(n.last_full_date)
        ELSE max(a.as_of_date) - CAST(1 AS INTEGER)
    END AS last_full_date,
    CAST(sum(d.conferences) AS BIGINT) AS conferences,
    CAST(sum(d.final) AS BIGINT) AS final,
    CAST(sum(d.pending) AS BIGINT) AS pending,
    CAST(sum(d.expired) AS BIGINT) AS expired,
    CAST(sum(d.not_started) AS BIGINT) AS not_started,
    CAST(sum(d.timed_out) AS BIGINT) AS timed_out,
    CAST(sum(d.conferences_with_duration) AS BIGINT) AS conferences_with_duration,
    CAST(sum(d.total_seconds) AS BIGINT) AS total_seconds,
    CAST(sum(d.total_participants) AS BIGINT) AS total_participants,
    CAST(sum(d.final_without_problem) AS BIGINT) AS final_without_problem,
    CASE
        WHEN max(n.first_full_date) > min(d.created_date) THEN max(n.first_full_date)
        ELSE min(d.created_date) + CAST(1 AS INTEGER)
    END AS first_compared_date
FROM analytics.conference_kpis_daily AS d
CROSS JOIN analytics.stg_as_of AS a
LEFT JOIN analytics.stg_accounts AS n ON n.account_sid = d.account_sid
GROUP BY d.account_sid, d.account_name
