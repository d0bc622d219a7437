-- The tags of each conference, with the account and day that a filter needs.
-- Grain: one row per conference and tag.
-- Promise: every tag in the warehouse, once, documented or not.
-- NULL: `created_date` and `created_hour` as in conferences.
-- Caveats: a conference without tags has no row here.
-- Ask: Which tags go together most often?
--   SELECT a.tag, b.tag AS other_tag, count(*) AS conferences
--   FROM analytics.conference_tags AS a
--   JOIN analytics.conference_tags AS b
--       ON b.conference_sid = a.conference_sid AND b.tag > a.tag
--   GROUP BY a.tag, b.tag
--   ORDER BY conferences DESC
--   LIMIT 10;
SELECT
    t.conference_sid,
    c.account_sid,
    c.account_name,
    CAST(c.created_hour AS DATE) AS created_date,
    c.created_hour,
    c.completeness,
    t.tag
FROM conference_insights.conference_tags AS t
INNER JOIN analytics.stg_conferences AS c ON c.conference_sid = t.conference_sid
