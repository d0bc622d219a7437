-- fail: Tags, details or issues belong to a conference that is not in conference_summaries.
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
