-- Of how many final conferences are participants not loaded?
-- Grain: one row.
-- Promise: `conferences` counts the final ones of the period, `not_listed` those of them whose participants
--   were never listed.
-- NULL: never.
-- Caveats: some wait for a later run; of others Twilio had nothing any more.
SELECT
    count(*) AS conferences,
    count(*) - count(h.participants) AS not_listed
FROM analytics.conference_health_card AS h
WHERE h.completeness = 'final' AND h.created_date >= $from AND h.created_date < $to
