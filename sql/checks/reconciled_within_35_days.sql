-- warn, if asked for: No `reconcile` has compared the warehouse with Twilio for 35 days.
SELECT a.as_of, max(r.started_at) AS last_reconciled_at
FROM analytics.stg_as_of AS a
LEFT JOIN conference_insights._runs AS r
    ON r.command = 'reconcile' AND (r.outcome = 'ok' OR r.error_class = 'DifferencesError')
GROUP BY a.as_of
HAVING coalesce(max(r.started_at), TIMESTAMP '2000-01-01 00:00:00') < a.as_of - INTERVAL '35' DAY
