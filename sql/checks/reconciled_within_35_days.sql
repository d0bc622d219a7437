-- warn, if asked for: No `reconcile` has compared the warehouse with Twilio for 35 days.
-- Means: nobody has proved lately that the warehouse has what Twilio has. Nothing may be wrong; but
--   what Twilio deletes after 30 days can be compared no more.
-- Do: run `conference-insights reconcile`, and schedule it once a month. This check is made only
--   where CHECKS__RECONCILED_WITHIN_35_DAYS is true.
SELECT a.as_of, max(r.started_at) AS last_reconciled_at
FROM analytics.stg_as_of AS a
LEFT JOIN conference_insights._runs AS r
    ON r.command = 'reconcile' AND (r.outcome = 'ok' OR r.error_class = 'DifferencesError')
GROUP BY a.as_of
HAVING coalesce(max(r.started_at), TIMESTAMP '2000-01-01 00:00:00') < a.as_of - INTERVAL '35' DAY
