-- Grain: one row per day of creation (UTC) on which a conference was created.
-- Promise: every conference in the warehouse is counted once; the three states add up to
--   `conferences`.
-- NULL: `created_date` is NULL for conferences whose creation time Twilio did not give.
-- Caveats: pending conferences may still change; those of the last hour usually are pending.
--   Share of final ones: 1.0 * sum(final) / sum(conferences).
SELECT
    CAST(s.create_time AS DATE) AS created_date,
    CAST(count(*) AS BIGINT) AS conferences,
    CAST(sum(CASE WHEN s.processing_state = 'complete' THEN 1 ELSE 0 END) AS BIGINT) AS complete,
    CAST(sum(CASE WHEN s.processing_state = 'timeout' THEN 1 ELSE 0 END) AS BIGINT) AS timed_out,
    CAST(sum(CASE WHEN s.processing_state IN ('complete', 'timeout') THEN 0 ELSE 1 END) AS BIGINT)
        AS pending
FROM conference_insights.conference_summaries AS s
GROUP BY CAST(s.create_time AS DATE)
