-- warn: An account is no longer followed, so nothing asks for its pending conferences.
-- Means: An account was taken from the settings, or left its parent, while conferences of it were
--   pending. No run asks for them any more, so they never become final.
-- Do: add the account to SOURCES__TWILIO_INSIGHTS__ACCOUNTS and run until they are final; or
--   accept it: they are `pending_not_followed` in accounts, and 30 days after their creation
--   `expired`.
SELECT c.account_name, c.account_sid, count(*) AS pending
FROM analytics.stg_conferences AS c
INNER JOIN conference_insights.accounts AS a ON a.account_sid = c.account_sid
CROSS JOIN analytics.stg_as_of AS d
WHERE c.completeness = 'pending' AND a.left_at < d.as_of - INTERVAL '1' DAY
GROUP BY c.account_name, c.account_sid
