-- warn: An account is no longer followed, so nothing asks for its pending conferences.
SELECT c.account_name, c.account_sid, count(*) AS pending
FROM analytics.stg_conferences AS c
INNER JOIN conference_insights.accounts AS a ON a.account_sid = c.account_sid
CROSS JOIN analytics.stg_as_of AS d
WHERE c.completeness = 'pending' AND a.left_at < d.as_of - INTERVAL '1' DAY
GROUP BY c.account_name, c.account_sid
