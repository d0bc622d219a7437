-- fail: A conference is in conference_summaries more than once.
-- Means: Each conference is written in place of its former copy. Doubles come from a change by
--   hand or from another program that wrote the table; every count of conferences is too high.
-- Do: delete one of the two rows, the one with the older `fetched_at`, then run
--   `conference-insights publish`.
SELECT s.conference_sid, count(*) AS copies
FROM conference_insights.conference_summaries AS s
GROUP BY s.conference_sid
HAVING count(*) > 1
