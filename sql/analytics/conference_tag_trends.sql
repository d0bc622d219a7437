-- Grain: one row per day of creation (UTC) and tag.
-- Promise: a conference counts once for each of its tags; `conferences` is the number created
--   that day with any tag or none, so shares are sum(tagged_conferences) / conferences a day.
-- NULL: `created_date` as in completeness_by_day.
-- Caveats: Twilio sets tags when a summary is final, so recent days grow for some time.
SELECT
    CAST(s.create_time AS DATE) AS created_date,
    t.tag,
    CAST(count(*) AS BIGINT) AS tagged_conferences,
    CAST(max(d.conferences) AS BIGINT) AS conferences
FROM conference_insights.conference_tags AS t
INNER JOIN conference_insights.conference_summaries AS s
    ON s.conference_sid = t.conference_sid
INNER JOIN analytics.completeness_by_day AS d
    ON d.created_date IS NOT DISTINCT FROM CAST(s.create_time AS DATE)
GROUP BY CAST(s.create_time AS DATE), t.tag
