-- warn: An undocumented field or value was seen in the last day; it is loaded.
-- Means: Twilio sent a field, tag, issue, region or state that its documentation did not have
--   when this version was made. It is loaded: fields are in `extra_fields`, values as they are.
--   Views that know documented tags only may not count it.
-- Do: look at `drift` in load_history for its name and a SID. To give it a column, see
--   pipelines/how_to_change_it.md, or update this project. It is told for a day after it was seen
--   first.
SELECT r.started_at, r.drift
FROM conference_insights._runs AS r
CROSS JOIN (
    SELECT max(l.started_at) AS started_at
    FROM conference_insights._runs AS l
) AS latest
WHERE r.drift IS NOT NULL AND r.started_at >= latest.started_at - INTERVAL '24' HOUR
