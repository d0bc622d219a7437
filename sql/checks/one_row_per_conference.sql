-- fail: The view conferences does not have exactly one row for each conference.
SELECT v.conferences, s.conferences AS in_the_table
FROM (SELECT count(*) AS conferences FROM analytics.conferences AS c) AS v
CROSS JOIN (
    SELECT count(*) AS conferences
    FROM conference_insights.conference_summaries AS t
) AS s
WHERE v.conferences <> s.conferences
