-- fail: A conference has a tag, or an element of its details, more than once.
-- Means: All that belongs to a conference is replaced together. Doubles come from a change by
--   hand or from another program that wrote the table; counts of tags are too high.
-- Do: delete one of the two rows, then run `conference-insights publish`.
SELECT t.conference_sid, t.tag, count(*) AS copies
FROM conference_insights.conference_tags AS t
GROUP BY t.conference_sid, t.tag
HAVING count(*) > 1
UNION ALL
SELECT i.conference_sid, i.tag, count(*) AS copies
FROM conference_insights.conference_tag_info AS i
GROUP BY i.conference_sid, i.tag, i.item_index
HAVING count(*) > 1
