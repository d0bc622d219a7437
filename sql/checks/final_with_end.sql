-- warn: A conference is complete and has started, but has no end.
SELECT s.conference_sid, s.start_time
FROM conference_insights.conference_summaries AS s
WHERE s.processing_state = 'complete'
    AND s.status = 'completed'
    AND s.start_time IS NOT NULL
    AND s.end_time IS NULL
