-- fail: A conference has a tag, or an element of its details, more than once.
SELECT t.conference_sid, t.tag, count(*) AS copies
FROM conference_insights.conference_tags AS t
GROUP BY t.conference_sid, t.tag
HAVING count(*) > 1
UNION ALL
SELECT i.conference_sid, i.tag, count(*) AS copies
FROM conference_insights.conference_tag_info AS i
GROUP BY i.conference_sid, i.tag, i.item_index
HAVING count(*) > 1
