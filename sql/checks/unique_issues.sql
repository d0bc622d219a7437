-- fail: A conference has a kind of detected issue more than once.
-- Means: All that belongs to a conference is replaced together. Doubles come from a change by
--   hand or from another program that wrote the table; counts of issues are too high.
-- Do: delete one of the two rows, then run `conference-insights publish`.
SELECT i.conference_sid, i.issue, count(*) AS copies
FROM conference_insights.conference_detected_issues AS i
GROUP BY i.conference_sid, i.issue
HAVING count(*) > 1
