-- warn: An element that could not be loaded was received in the last day; see _rejected_rows.
-- Means: Twilio sent an element without a usable SID, or with one that belongs to something else.
--   It is kept whole in `_rejected_rows`, and is in no other table.
-- Do: read `reason` and `row` there. If Twilio changed something, update this project; else send
--   the element to Twilio's support. It is told for a day after it arrived.
SELECT j.reason, j.rejected_at
FROM conference_insights._rejected_rows AS j
CROSS JOIN analytics.stg_as_of AS a
WHERE j.rejected_at >= a.as_of - INTERVAL '24' HOUR
