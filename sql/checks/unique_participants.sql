-- fail: A participant, its metrics of a direction, an event or a coached call is there more than once.
-- Means: A participant and what belongs to it are replaced together. Doubles come from a change
--   by hand or from another program that wrote the table; counts of participants are too high.
-- Do: delete one of the two rows, the one with the older `fetched_at` where there is one, then
--   run `conference-insights publish`.
SELECT p.participant_sid, 'participant' AS what, count(*) AS copies
FROM conference_insights.conference_participants AS p
GROUP BY p.participant_sid
HAVING count(*) > 1
UNION ALL
SELECT m.participant_sid, m.direction AS what, count(*) AS copies
FROM conference_insights.conference_participant_metrics AS m
GROUP BY m.participant_sid, m.direction
HAVING count(*) > 1
UNION ALL
SELECT e.participant_sid, e.event AS what, count(*) AS copies
FROM conference_insights.conference_participant_events AS e
GROUP BY e.participant_sid, e.event, e.event_index
HAVING count(*) > 1
UNION ALL
SELECT c.participant_sid, c.coached_call_sid AS what, count(*) AS copies
FROM conference_insights.conference_participant_coaching AS c
GROUP BY c.participant_sid, c.coached_call_sid
HAVING count(*) > 1
