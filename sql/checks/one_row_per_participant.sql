-- fail: The view participants does not have exactly one row for each participant.
-- Means: The view joins tables that have one row each for a participant. If it has more or fewer,
--   one of them has doubles, see unique_participants, a participant has no conference, or somebody
--   changed the view.
-- Do: run `conference-insights publish`, which makes all views again. If it fails still, mend
--   what the other checks name.
SELECT v.participants, t.participants AS in_the_table
FROM (SELECT count(*) AS participants FROM analytics.participants AS p) AS v
CROSS JOIN (
    SELECT count(*) AS participants
    FROM conference_insights.conference_participants AS q
) AS t
WHERE v.participants <> t.participants
