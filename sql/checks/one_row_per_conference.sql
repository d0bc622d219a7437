-- fail: The view conferences does not have exactly one row for each conference.
-- Means: The view joins tables that have one row each for a conference. If it has more or fewer,
--   one of them has doubles, see unique_conferences, or somebody changed the view.
-- Do: run `conference-insights publish`, which makes all views again. If it fails still, mend
--   what the other checks name.
SELECT v.conferences, s.conferences AS in_the_table
FROM (SELECT count(*) AS conferences FROM analytics.conferences AS c) AS v
CROSS JOIN (
    SELECT count(*) AS conferences
    FROM conference_insights.conference_summaries AS t
) AS s
WHERE v.conferences <> s.conferences
