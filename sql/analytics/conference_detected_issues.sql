-- The issues that Twilio counted in each conference.
-- Grain: one row per conference and kind of issue that it had.
-- Promise: every count in the warehouse that is not 0, once.
-- NULL: `issue_count` where Twilio gave something else than an integer.
-- Caveats: counts are instances, so a conference can have many of a kind.
-- Ask: Which conferences had the most call quality issues?
--   SELECT conference_sid, created_date, issue_count
--   FROM analytics.conference_detected_issues
--   WHERE issue = 'call_quality'
--   ORDER BY issue_count DESC NULLS LAST
--   LIMIT 10;
SELECT
    i.conference_sid,
    c.account_sid,
    c.account_name,
    CAST(c.created_hour AS DATE) AS created_date,
    c.created_hour,
    c.completeness,
    i.issue,
    i.issue_count
FROM conference_insights.conference_detected_issues AS i
INNER JOIN analytics.stg_conferences AS c ON c.conference_sid = i.conference_sid
WHERE i.issue_count <> 0 OR i.issue_count IS NULL
