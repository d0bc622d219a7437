-- Grain: one row per end reason and processing state.
-- Promise: every conference in the warehouse is counted once.
-- NULL: `end_reason` is NULL while a conference runs, and for those that never started.
-- Caveats: filter on processing_state for final ones only. Mean duration:
--   sum(duration_seconds) / sum(conferences_with_duration).
SELECT
    s.end_reason,
    s.processing_state,
    CAST(count(*) AS BIGINT) AS conferences,
    CAST(count(s.duration_seconds) AS BIGINT) AS conferences_with_duration,
    CAST(sum(s.duration_seconds) AS BIGINT) AS duration_seconds
FROM conference_insights.conference_summaries AS s
GROUP BY s.end_reason, s.processing_state
