-- fail: A conference is in conference_summaries more than once.
SELECT s.conference_sid, count(*) AS copies
FROM conference_insights.conference_summaries AS s
GROUP BY s.conference_sid
HAVING count(*) > 1
