-- How is each account doing?
-- Grain: one row per account that either period has, the 50 largest.
-- Promise: sums of conference_kpis_daily over days.
-- NULL: SID and name where Twilio gave none; the share of an account without final conferences.
-- Caveats: share without any problem: final_without_problem / final.
SELECT
    k.account_name AS account,
    sum(CASE WHEN k.created_date >= $from THEN k.conferences ELSE 0 END) AS conferences,
    sum(CASE WHEN k.created_date < $from THEN k.conferences ELSE 0 END) AS conferences_before,
    sum(CASE WHEN k.created_date >= $from THEN k.pending ELSE 0 END) AS pending,
    coalesce(sum(CASE WHEN k.created_date >= $from THEN k.total_participants END), 0)
        AS participants,
    100.0 * sum(CASE WHEN k.created_date >= $from THEN k.final_without_problem ELSE 0 END)
        / nullif(sum(CASE WHEN k.created_date >= $from THEN k.final ELSE 0 END), 0)
        AS percent_without_problem,
    k.account_sid
FROM analytics.conference_kpis_daily AS k
WHERE k.created_date >= $prior AND k.created_date < $to
GROUP BY k.account_sid, k.account_name
ORDER BY
    conferences DESC,
    conferences_before DESC,
    k.account_name ASC NULLS LAST,
    k.account_sid ASC NULLS LAST
LIMIT 50
