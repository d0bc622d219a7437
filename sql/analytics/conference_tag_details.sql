-- What Twilio says about a tag: severity, reason, and whose identity was used twice.
-- Grain: one row per conference, tag and element of its details; one row for a tag without any.
-- Promise: every tag and every detail in the warehouse, once.
-- NULL: `item_index` and what follows for a tag without details; else what Twilio did not give.
-- Caveats: Twilio gives details for few tags, and not always a severity. Details of a tag that
--   the conference does not list are here too.
-- Ask: Which identities joined twice, and how often?
--   SELECT participant_identity, count(DISTINCT conference_sid) AS conferences
--   FROM analytics.conference_tag_details
--   WHERE tag = 'duplicate_identity'
--   GROUP BY participant_identity
--   ORDER BY conferences DESC;
-- Ask: How severe were the quality warnings?
--   SELECT severity, count(DISTINCT conference_sid) AS conferences
--   FROM analytics.conference_tag_details
--   WHERE tag = 'quality_warnings'
--   GROUP BY severity;
WITH named AS (
    SELECT t.conference_sid, t.tag
    FROM conference_insights.conference_tags AS t
    UNION ALL
    SELECT i.conference_sid, i.tag
    FROM conference_insights.conference_tag_info AS i
    LEFT JOIN conference_insights.conference_tags AS t
        ON t.conference_sid = i.conference_sid AND t.tag = i.tag
    WHERE t.conference_sid IS NULL
    GROUP BY i.conference_sid, i.tag
)
SELECT
    n.conference_sid,
    c.account_sid,
    c.account_name,
    CAST(c.created_hour AS DATE) AS created_date,
    c.completeness,
    n.tag,
    i.item_index,
    i.severity,
    i.reason,
    i.participant_identity,
    i.details
FROM named AS n
INNER JOIN analytics.stg_conferences AS c ON c.conference_sid = n.conference_sid
LEFT JOIN conference_insights.conference_tag_info AS i
    ON i.conference_sid = n.conference_sid AND i.tag = n.tag
