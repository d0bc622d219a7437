-- fail: Metrics, events or coaching belong to a participant that is not in conference_participants.
-- Means: A package writes a participant and what belongs to it together, or nothing: rows without
--   a participant come from a change by hand, a restored table or a damaged disk.
-- Do: run `conference-insights doctor`, which reads every table. If the file is sound, delete
--   these rows; if it is not, restore a backup, see pipelines/operations.md.
SELECT c.table_name, c.participant_sid
FROM (
    SELECT 'conference_participant_metrics' AS table_name, m.participant_sid
    FROM conference_insights.conference_participant_metrics AS m
    UNION ALL
    SELECT 'conference_participant_events' AS table_name, e.participant_sid
    FROM conference_insights.conference_participant_events AS e
    UNION ALL
    SELECT 'conference_participant_coaching' AS table_name, g.participant_sid
    FROM conference_insights.conference_participant_coaching AS g
) AS c
LEFT JOIN conference_insights.conference_participants AS p ON p.participant_sid = c.participant_sid
WHERE p.participant_sid IS NULL
