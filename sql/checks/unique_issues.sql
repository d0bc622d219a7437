-- fail: A conference has a kind of detected issue more than once.
SELECT i.conference_sid, i.issue, count(*) AS copies
FROM conference_insights.conference_detected_issues AS i
GROUP BY i.conference_sid, i.issue
HAVING count(*) > 1
