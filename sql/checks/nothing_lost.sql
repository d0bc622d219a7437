-- warn: Twilio deleted conferences that no run had listed in time.
-- Means: No run listed a stretch of time before Twilio deleted it, 30 days after. Conferences
--   created from `gap_from` to `gap_to` are missing for good, if there were any; counts of those
--   days are too low.
-- Do: nothing brings them back, but keep it from happening again: schedule `conference-insights
--   run`, and let `status --max-age 2h` alarm somebody, see pipelines/scheduling.md. It is told for
--   60 days.
SELECT r.gap_from, r.gap_to
FROM conference_insights._runs AS r
CROSS JOIN analytics.stg_as_of AS a
WHERE r.gap_from IS NOT NULL AND r.gap_to >= a.as_of - INTERVAL '60' DAY
