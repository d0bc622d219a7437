-- warn: A conference is complete and has started, but has no end.
-- Means: Twilio calls a conference that has started complete, but does not say when it ended. It is
--   loaded as it is; its duration and what was held at once may be wrong or missing.
-- Do: nothing, if they are few: it is Twilio's data. If they become many, send some of the SIDs
--   to Twilio's support.
SELECT s.conference_sid, s.start_time
FROM conference_insights.conference_summaries AS s
WHERE s.processing_state = 'complete'
    AND s.status = 'completed'
    AND s.start_time IS NOT NULL
    AND s.end_time IS NULL
