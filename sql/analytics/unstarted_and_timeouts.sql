-- Which conferences never started, or never reported their end?
-- Grain: one row per conference that did not start or timed out.
-- Promise: every such conference, once.
-- NULL: `reasons` where Twilio gave none.
-- Caveats: Twilio sets a timeout when it hears of no end within 24 hours.
-- Ask: Why did conferences not start, day by day?
--   SELECT created_date, reasons, count(*) AS conferences
--   FROM analytics.unstarted_and_timeouts
--   WHERE is_not_started
--   GROUP BY created_date, reasons
--   ORDER BY created_date, conferences DESC;
SELECT
    h.conference_sid,
    h.account_sid,
    h.account_name,
    h.friendly_name,
    h.create_time,
    h.created_date,
    h.status,
    h.processing_state,
    h.completeness,
    h.is_not_started,
    h.is_timeout,
    h.tags,
    h.reasons
FROM analytics.conference_health_card AS h
WHERE h.is_not_started OR h.is_timeout
