-- fail: Tags, details or issues belong to a conference that is not in conference_summaries.
-- Means: A package writes a conference and what belongs to it together, or nothing: rows without
--   a conference come from a change by hand, a restored table or a damaged disk. Counts of tags and
--   issues are too high.
-- Do: run `conference-insights doctor`, which reads every table. If the file is sound, read again
--   what Twilio still has, `conference-insights backfill --from 29d`, and delete what is left of
--   older ones; if it is not, restore a backup, see pipelines/operations.md.
SELECT c.table_name, c.conference_sid
FROM (
    SELECT 'conference_tags' AS table_name, t.conference_sid
    FROM conference_insights.conference_tags AS t
    UNION ALL
    SELECT 'conference_tag_info' AS table_name, i.conference_sid
    FROM conference_insights.conference_tag_info AS i
    UNION ALL
    SELECT 'conference_detected_issues' AS table_name, d.conference_sid
    FROM conference_insights.conference_detected_issues AS d
) AS c
LEFT JOIN conference_insights.conference_summaries AS s ON s.conference_sid = c.conference_sid
WHERE s.conference_sid IS NULL
